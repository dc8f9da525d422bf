"""The frozen encoder's outputs, computed once and kept on disk: an epoch then costs the decoder alone.

    cache = Cache('data/cache', encoder, image_shape, layers)
    if cache.fill(samples, encode, limit):
        (pool3, pool4, pool5), labels = cache.read(samples[:4])

Every sample (an image in one of its augmented variants) has a file of its own, `<folder>/<key>/<sample>.bin`: the frontier
tensors (road.vgg16.frontier_and_noise) one behind the other, the label's bits, and their CRC-32. The folder's key stands
for what all share (encoder, precision, image size, number format), the file's name for the bytes of image and label and
the variant, so that what lies under a name is never stale. Files are written beside and renamed, so a killed run leaves
none that a later one takes for whole.

float16 rounds to 11 bits: a relative error of at most 0.05 %, for values from 6e-5 to 65,504. pool3 reaches 20,000 on
KITTI; an activation that float16 cannot hold is noticed while filling, and the cache then holds float32.
"""

import hashlib
import os
import shutil
import zlib

import numpy as np
from tqdm import tqdm

from road import kitti
from road.ahead import batched, map_ahead
from road.errors import InputError

ENCODER_BATCH = 8  # images in one pass of the encoder: 7.5 a second on 2 cores in bfloat16, against 6.9 one by one
MIB, GIB = 2**20, 2**30


class Cache:
    """Activations and labels of samples, on disk.

    Args:
        folder: where all caches are.
        encoder: str that stands for the encoder's weights and precision.
        image_shape: (height, width) the images are resized to.
        layers: (stride, channels) of each of the frontier's tensors, as in [(8, 256), (16, 512), (32, 512)].
        dtype: 'float16' or 'float32'.
    """

    def __init__(self, folder, encoder, image_shape, layers, dtype='float16'):
        self.image_shape, self.label_shape, self.dtype = image_shape, (*kitti.padded(image_shape), 2), np.dtype(dtype)
        height, width = kitti.padded(image_shape)
        self.layers = layers
        self.shapes = [(height // stride, width // stride, channels) for stride, channels in layers]
        values = sum(int(np.prod(shape)) for shape in self.shapes)
        self.sample_bytes = values * self.dtype.itemsize + int(np.prod(self.label_shape)) // 8 + 4
        self.root = folder
        self.folder = os.path.join(folder, _digest(encoder, image_shape, self.shapes, self.dtype)[:16])
        self._files = {}  # frame -> digest of its files
        self._opened = {}  # sample -> its file, mapped

    def fill(self, samples, encode, limit=np.inf):
        """Compute what is missing. Returns whether the cache can be used; if not, why not is printed in a line.

        Args:
            samples: road.kitti.Sample.
            encode: function from uint8 images [n, h, w, 3] to the frontier's values, a list of float32 arrays.
            limit: the most that these samples may take on disk, in bytes.
        """
        size = f'{len(samples) * self.sample_bytes / MIB:.0f} MiB in {self.folder}'
        if len(samples) * self.sample_bytes > limit:
            print(f'Activations are not cached: {size} would be over --cache-limit {limit / GIB:g} GiB')
            return False
        frames = list({sample.frame: None for sample in samples})
        self._files.update(zip(frames, map_ahead(_file_digest, frames)))
        states = list(map_ahead(self._open, samples))
        missing = [sample for sample, state in zip(samples, states) if state != 'whole']
        if 'damaged' in states:
            print(f'{states.count("damaged")} cached activations in {self.folder} are damaged and are computed again')
        try:
            os.makedirs(self.folder, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if len(missing) * self.sample_bytes > free:
                raise OSError(f'only {free / GIB:.2f} GiB are free')
            self._compute(missing, encode)
        except OverflowError:
            print('An activation is too large for float16; the cache holds float32')
            self.__init__(self.root, self.folder, self.image_shape, self.layers, 'float32')
            return self.fill(samples, encode, limit)
        except OSError as error:
            print(f'Activations are not cached: {size} cannot be written ({error.strerror or error})')
            return False
        print(f'Activations: {len(samples)} samples, {self.dtype}, {size}; {len(missing)} computed now')
        return True

    def holds(self, samples):
        """Whether all of them were given to `fill`."""
        return all(sample in self._opened for sample in samples)

    def read(self, samples):
        """(activations, labels) of a batch: a tuple of float32 arrays [n, h, w, c], and uint8 [n, h, w, 2]."""
        parts = [self._parts(self._opened[sample]) for sample in samples]
        activations = tuple(np.stack(arrays).astype(np.float32) for arrays in zip(*(part[:-1] for part in parts)))
        return activations, np.stack([np.unpackbits(part[-1]).reshape(self.label_shape) for part in parts])

    def _parts(self, data):
        """A file's activations and label bits, still on disk."""
        parts, start = [], 0
        for shape in self.shapes:
            stop = start + int(np.prod(shape)) * self.dtype.itemsize
            parts.append(data[start:stop].view(self.dtype).reshape(shape))
            start = stop
        return [*parts, data[start:-4]]

    def _path(self, sample):
        return os.path.join(self.folder, _digest(self._files[sample.frame], sample.variant, sample.frame.classic) + '.bin')

    def _open(self, sample):
        """Map a sample's file; returns 'whole', 'missing' or 'damaged'."""
        path = self._path(sample)
        try:
            data = np.memmap(path, np.uint8, mode='r')
        except FileNotFoundError:
            return 'missing'
        except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
            return 'damaged'
        if len(data) != self.sample_bytes or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:].tobytes(), 'little'):
            return 'damaged'
        self._opened[sample] = data
        return 'whole'

    def _compute(self, samples, encode):
        loaded = map_ahead(lambda s: (s, kitti.load_image(s, self.image_shape), kitti.load_label(s, self.image_shape)),
                           samples, depth=2 * ENCODER_BATCH)

        def encoded():
            for batch in batched(loaded, ENCODER_BATCH):
                values = encode(np.stack([image for _, image, _ in batch]))
                for i, (sample, _, label) in enumerate(batch):
                    yield sample, [value[i] for value in values], label

        written = map_ahead(lambda item: self._write(*item), encoded(), depth=2 * ENCODER_BATCH)
        for _ in tqdm(written, total=len(samples), desc='encoder, once', unit='image', disable=not samples):
            pass

    def _write(self, sample, activations, label):
        flat = np.concatenate([np.ravel(a) for a in activations])
        largest = np.abs(flat).max()
        if not np.isfinite(largest):
            raise InputError(f'{sample.frame.image}: the encoder gives values that are not finite; use --precision float32')
        if largest > np.finfo(self.dtype).max:
            raise OverflowError
        data = flat.astype(self.dtype).tobytes() + np.packbits(label).tobytes()
        path = self._path(sample)
        part = f'{path}.{os.getpid()}.part'
        try:
            with open(part, 'wb') as file:
                file.write(data)
                file.write(zlib.crc32(data).to_bytes(4, 'little'))
            os.replace(part, path)
        finally:
            if os.path.exists(part):
                os.remove(part)
        self._open(sample)


def _digest(*values):
    return hashlib.md5(repr(values).encode()).hexdigest()


def _file_digest(frame):
    """Of the bytes of image and label."""
    digest = hashlib.md5()
    for path in (frame.image, frame.label):
        try:
            with open(path, 'rb') as file:
                digest.update(file.read())
        except OSError as error:
            raise kitti.unreadable(path, error) from error
    return digest.hexdigest()
