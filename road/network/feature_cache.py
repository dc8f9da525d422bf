"""The frozen features of training and validation frames, computed once and kept on disk.

    cache = FeatureCache(encoder, image_shape, data)
    cache.fill('data/cache', samples, limit, encoder='fingerprint bfloat16')
    (pool3, pool4, pool5), labels = cache.read(samples[:4])

An epoch then costs the decoder alone. Every sample (a frame in one of its augmented copies) has a
file of its own, `<folder>/<key>/<sample>.bin`: the features one after the other, the label, and
their CRC-32. The folder's name stands for what all samples share (encoder, precision, image size,
label rule), the file's name for the bytes of image and label and the augmentation, so a file is
never out of date. float16 rounds to 11 bits, a relative error of at most 0.05 % for values from
6e-5 to 65,504; pool3 reaches 20,000 on KITTI.

Any number of processes may fill one cache folder: they share the work. Each takes the samples in an
order of its own and skips what has appeared meanwhile. The bytes are those of one process: on CPUs
the features of an image do not depend on the other images of its batch (measured).
"""

import hashlib
import math
import os
import random
import shutil
import zlib
from itertools import groupby

import numpy as np

from road.data.batches import read_images, read_sample
from road.data.images import network_shape
from road.errors import InputError
from road.files import atomic_path
from road.prefetch import batched, prefetch
from road.progress import tqdm

ENCODER_BATCH = 8  # images per pass: 7.5 images/s on 2 cores in bfloat16, 6.9 one by one
MIB, GIB = 2**20, 2**30


class FeatureCache:
    """Frozen features and labels of samples: read from disk after `fill`, else computed.

    Args:
        encoder: road.network.encoder.Encoder.
        image_shape: (height, width) the images are resized to, times a sample's augmentation.scale.
        data: road.data.dataset.Dataset with the digests of all files.
    """

    def __init__(self, encoder, image_shape, data):
        self.encoder, self.image_shape, self.data = encoder, image_shape, data
        self.folder = None
        self._mapped = {}  # sample => its file, mapped into memory

    def read(self, samples):
        """A batch of samples: (features, labels).

        features: tuple of float32 arrays [n, h, w, c]; labels: classes, uint8 [n, h, w].
        """
        if not all(sample in self._mapped for sample in samples):
            images, labels = read_images(samples, self.image_shape, self.data.read_label)
            return self.encoder(images), labels
        *features, labels = zip(*map(self._parts, samples))
        return tuple(np.stack(arrays).astype(np.float32) for arrays in features), np.stack(labels)

    def fill(self, folder, samples, limit=np.inf, *, encoder):
        """Compute what is missing on disk. If it cannot be used, a line says why.

        Args:
            folder: folder of all caches.
            samples: list of road.data.batches.Sample.
            limit: the most that these samples may take on disk, bytes.
            encoder: str that stands for the encoder's weights and precision.
        Raises:
            InputError: a feature is not finite, or too large for float16.
        """
        if self.encoder.layers == [(1, 3)]:
            return  # the features are the images, which are read as fast from their own files
        samples = list(dict.fromkeys(samples))
        self._choose_folder(folder, encoder)
        size = sum(map(self.bytes_of, samples))
        text = f'{size / MIB:.0f} MiB in {self.folder}'
        if size > limit:
            print(f'Features are not cached: {text} is more than --cache-limit {limit / GIB:g}')
            return
        states = list(prefetch(self._map, samples))
        missing = [sample for sample, state in zip(samples, states) if state != 'whole']
        if 'damaged' in states:
            print(f'{states.count("damaged")} cached features in {self.folder} are damaged and are '
                  'computed again')
        try:
            os.makedirs(self.folder, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if sum(map(self.bytes_of, missing)) > free:
                raise OSError(f'only {free / GIB:.2f} GiB are free')
            computed = self._compute(missing)
        except OSError as error:
            self._mapped.clear()
            print(f'Features are not cached: {text} cannot be written ({error.strerror or error})')
            return
        print(f'Features: {len(samples)} samples, {text}; {computed} computed now')

    def find(self, folder, samples, *, encoder):
        """The samples, of a list, that an earlier fill has computed, as a set; `read` reads them.

        See fill. Nothing is computed or written.
        """
        self._choose_folder(folder, encoder)
        states = prefetch(self._map, samples)
        return {sample for sample, state in zip(samples, states) if state == 'whole'}

    def _choose_folder(self, folder, encoder):
        rule = self.data.format, sorted(self.data.rule.indices.items())
        self.folder = os.path.join(
            folder, _digest(encoder, self.image_shape, self.encoder.layers, rule)[:16])

    def _shapes(self, sample):
        """The shapes of a sample's features, and that of its label."""
        height, width = network_shape(self.image_shape, sample.augmentation.scale)
        return [*((height // stride, width // stride, channels)
                  for stride, channels in self.encoder.layers), (height, width)]

    def bytes_of(self, sample):
        """The size of a sample's file: float16 features, uint8 label, CRC-32."""
        *features, label = map(math.prod, self._shapes(sample))
        return 2 * sum(features) + label + 4

    def _parts(self, sample):
        """The features and the label of a mapped sample, still on disk."""
        data, parts, start = self._mapped[sample], [], 0
        *shapes, label_shape = self._shapes(sample)
        for shape in shapes:
            stop = start + 2 * math.prod(shape)
            parts.append(data[start:stop].view(np.float16).reshape(shape))
            start = stop
        return [*parts, data[start:-4].reshape(label_shape)]

    def _path(self, sample):
        frame, augmentation = sample
        image, label = (self.data.digests[path] for path in (frame.image, frame.label))
        return os.path.join(self.folder, _digest(image, label, augmentation) + '.bin')

    def _map(self, sample):
        """Map the file of a sample into memory; returns 'whole', 'missing' or 'damaged'."""
        try:
            data = np.memmap(self._path(sample), np.uint8, mode='r')
        except FileNotFoundError:
            return 'missing'
        except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
            return 'damaged'
        if (len(data) != self.bytes_of(sample)
                or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:].tobytes(), 'little')):
            return 'damaged'
        self._mapped[sample] = data
        return 'whole'

    def _compute(self, samples):
        """Compute what no other process computes meanwhile; returns the number of samples."""
        by_shape = groupby(samples, self._shapes)  # images of one pass have one shape
        groups = [group for _, same in by_shape for group in batched(same, ENCODER_BATCH)]
        random.SystemRandom().shuffle(groups)  # whatever the seed: an order of this process alone

        def read(group):
            missing = [sample for sample in group if self._map(sample) != 'whole']
            return [(sample, *read_sample(sample, self.image_shape, self.data.read_label))
                    for sample in missing]

        def encoded():
            for group, items in zip(groups, prefetch(read, groups, depth=2)):
                items = [item for item in items if self._map(item[0]) != 'whole']
                bar.update(len(group) - len(items))  # another process has computed these
                images = [image for _, image, _ in items]
                if len(images) == 1:
                    images *= 2  # oneDNN adds up in another order for a single image
                values = self.encoder(np.stack(images)) if items else ()
                for i, (sample, _, label) in enumerate(items):
                    yield sample, [value[i] for value in values], label

        computed = 0
        with tqdm(total=len(samples), desc='encoder, once', unit='image',
                  disable=not samples) as bar:
            written = prefetch(lambda item: self._write(*item), encoded(), depth=2 * ENCODER_BATCH)
            for _ in written:
                computed += 1
                bar.update()
        return computed

    def _write(self, sample, features, label):
        flat = np.concatenate([np.ravel(feature) for feature in features])
        largest = np.abs(flat).max()
        if not np.isfinite(largest):
            raise InputError(f'{sample.frame.image}: the encoder gives values that are not finite; '
                             'use --precision float32')
        if largest > np.finfo(np.float16).max:
            raise InputError(f'{sample.frame.image}: a feature is {largest:g}, too large for the '
                             "cache's float16; use --no-cache")
        data = flat.astype(np.float16).tobytes() + label.tobytes()
        with atomic_path(self._path(sample)) as temporary, open(temporary, 'wb') as file:
            file.write(data)
            file.write(zlib.crc32(data).to_bytes(4, 'little'))
        self._map(sample)


def _digest(*values):
    return hashlib.md5(repr(values).encode()).hexdigest()
