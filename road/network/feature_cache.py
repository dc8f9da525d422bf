"""The frozen features of training and validation frames, computed once and kept on disk.

    cache = FeatureCache(encoder, data)
    cache.fill('data/cache', samples, limit, encoder='fingerprint bfloat16')
    (pool3, pool4, pool5), labels = cache.read(samples[:4])

Every sample (a frame in one of its augmented copies) has a file, `<folder>/<key>/<sample>.bin`: the
features one after the other, the label, and their CRC-32. The key stands for what all samples share
(encoder, precision, label rule, how images are read), the file's name for the bytes of image and
label, the size and the augmentation, so a file is never out of date. float16 rounds values by at
most 0.05 %, and ends at 65,504; pool3 reaches 20,000 on KITTI.

Any number of processes may fill one cache folder: each takes the samples in an order of its own and
skips what has appeared meanwhile. The bytes are those of one process: on CPUs the features of an
image do not depend on the other images of its batch (measured).
"""

import functools
import hashlib
import os
import random
import shutil
import zlib
from contextlib import suppress

import numpy as np

from road.data.batches import read_images
from road.data.images import VERSION
from road.errors import InputError, reason
from road.files import atomic_path, remove, remove_leftovers
from road.prefetch import batched, prefetch
from road.progress import tqdm

ENCODER_BATCH = 8  # images per pass: 7.5 images/s on 2 cores in bfloat16, 6.9 one by one
MIB, GIB = 2**20, 2**30
# Left free on the disk for checkpoints: trained from conv4 on, the last one has 160 MB and the best
# one 50 MB, and both are there twice while new ones are written.
RESERVE = GIB


class FeatureCache:
    """Frozen features and labels of samples: read from disk after fill or find, else computed.

    encoder is a road.network.encoder.Encoder, data a Dataset with the digests of all files.
    """

    def __init__(self, encoder, data):
        self.encoder, self.data = encoder, data
        self.folder = None  # of the files
        self.cached = set()  # samples that are read from disk
        self._verified = set()
        self._print_once = functools.cache(tqdm.write)
        self._read_images = functools.partial(read_images, read_label=data.read_label)

    def read(self, samples):
        """(features, labels): a tuple of float32 arrays [n, h, w, c]; classes, uint8 [n, h, w]."""
        if not self.cached.issuperset(samples):
            images, labels = self._read_images(samples)
            return self.encoder(images), labels
        *features, labels, _ = zip(*map(self._load, samples))
        return tuple(np.stack(arrays, dtype=np.float32) for arrays in features), np.stack(labels)

    def find(self, folder, samples, *, encoder):
        """Read from disk what earlier calls of fill, with these arguments, have computed."""
        rule = VERSION, self.data.format, sorted(self.data.rule.indices.items())
        self.folder = os.path.join(folder, _digest(encoder, self.encoder.layers, rule)[:16])
        self.cached = set(samples).difference(self._missing(samples))

    def fill(self, folder, samples, limit=np.inf, *, encoder):
        """Compute what is missing on disk. If it cannot be used, a line says why.

        The folder is that of all caches, limit the most bytes that the samples may take on disk,
        encoder a str for its weights and precision. Raises InputError if a feature is not finite,
        or too large for float16.
        """
        if self.encoder.layers == [(1, 3)]:
            return  # the features are the images, which are read as fast from their own files
        self.find(folder, samples, encoder=encoder)
        sizes = {sample: self._layout(sample).itemsize for sample in samples}
        missing, written = self._missing(sizes), []
        text = f'{sum(sizes.values()) / MIB:.0f} MiB in {self.folder}'
        try:
            if sum(sizes.values()) > limit:
                raise OSError(f'more than --cache-limit {limit / GIB:g}')
            os.makedirs(self.folder, exist_ok=True)
            remove_leftovers(self.folder)
            free = shutil.disk_usage(self.folder).free
            if sum(sizes[sample] for sample in missing) > free - RESERVE:
                raise OSError(f'{free / GIB:.1f} GiB are free, and checkpoints need 1')
            self._compute(missing, written)
        except OSError as error:
            self.cached = set()
            for path in written:
                remove(path)
            print(f'Features are not cached: {text}: {reason(error)}')
        else:
            self.cached = set(samples)
            print(f'Features: {len(sizes)} samples, {text}; {len(written)} computed now')

    def _layout(self, sample):
        """The file of a sample as a NumPy dtype: float16 features, uint8 label, CRC-32."""
        height, width = sample.shape
        features = [('', '<f2', (height // stride, width // stride, channels))
                    for stride, channels in self.encoder.layers]
        return np.dtype([*features, ('label', 'u1', (height, width)), ('crc', '<u4')])

    def _path(self, sample):
        frame, shape, augmentation, light = sample
        image, label = (self.data.digests[path] for path in (frame.image, frame.label))
        name = _digest(image, label, shape, augmentation, light, frame.bits)
        return os.path.join(self.folder, name + '.bin')

    def _missing(self, samples):
        return [sample for sample in samples if not os.path.exists(self._path(sample))]

    def _load(self, sample):
        """The content of a sample's file, of dtype _layout; computed again if damaged or gone."""
        layout = self._layout(sample)
        try:
            data = np.fromfile(self._path(sample), np.uint8)
            if len(data) == layout.itemsize and (
                    sample in self._verified or zlib.crc32(data[:-4]) == data[-4:].view('<u4')):
                self._verified.add(sample)  # only once: the CRC-32 takes a fifth of the time
                return data.view(layout)[0]
            why = 'damaged'
        except OSError as error:
            why = reason(error)
        self._print_once(f'Features in {self.folder} cannot be read ({why}): computed again')
        content, = self._encode([sample], *self._read_images([sample]))
        with suppress(OSError):  # then the next epoch computes it again too
            os.makedirs(self.folder, exist_ok=True)
            self._write(sample, content)
        return content

    def _write(self, sample, content):
        # not tofile(), whose error does not say that the disk is full
        with atomic_path(self._path(sample)) as temporary, open(temporary, 'wb') as file:
            file.write(content.tobytes())

    def _compute(self, samples, written):
        """Compute what no other process computes meanwhile; append the paths to `written`."""
        groups = list(batched(samples, ENCODER_BATCH, key=lambda sample: sample.shape))
        random.SystemRandom().shuffle(groups)  # whatever the seed: an order of this process alone

        def read(group):
            missing = self._missing(group)
            return missing, self._read_images(missing) if missing else None

        with tqdm(total=len(samples), desc='encoder, once', unit='image',
                  disable=not samples) as bar:
            for group, (missing, arrays) in zip(groups, prefetch(read, groups, depth=2)):
                if self._missing(missing):  # still
                    for sample, content in zip(missing, self._encode(missing, *arrays)):
                        self._write(sample, content)
                        written.append(self._path(sample))
                bar.update(len(group))

    def _encode(self, samples, images, labels):
        """Yield the content of the files of samples, which have one shape."""
        if len(images) == 1:
            images = np.repeat(images, 2, axis=0)  # oneDNN adds up in another order for one image
        for sample, label, *features in zip(samples, labels, *self.encoder(images)):
            largest = np.max([np.abs(feature).max() for feature in features])
            if not largest <= np.finfo(np.float16).max:  # NaN is not
                raise InputError(f'{sample.frame.image}: a feature is {largest:g}, which float16 '
                                 'cannot hold; use --precision float32 or --no-cache')
            content = np.array((*features, label, 0), self._layout(sample))
            content['crc'] = zlib.crc32(content.tobytes()[:-4])
            yield content[()]


def _digest(*values):
    return hashlib.md5(repr(values).encode(), usedforsecurity=False).hexdigest()
