"""Training batches: which frames an epoch visits, in which order, augmentation and dropout noise.

    batches = Batches(frames, (192, 672), read, copies=8, augment=('crop',), seed=0)
    for images, labels in batches(4):           # the first epoch
        ...
    batches.epoch                               # 1

All that is random depends on (seed, epoch) alone, so that a resumed run sees the same batches;
copies depend on the frame alone, so that runs of all seeds share their features.
"""

import os
from typing import NamedTuple

import numpy as np

from road.data.augmentation import PLAIN, Augmentation, draw_augmentation, draw_copies
from road.data.dataset import Frame, one_hot
from road.data.images import STRIDE, fit_shape, read_image, resize_image, resize_label
from road.prefetch import batched, prefetch


class Sample(NamedTuple):
    """A frame in one of its augmented copies, and its size in the network."""
    frame: Frame
    shape: tuple  # (height, width), multiples of STRIDE
    augmentation: Augmentation = PLAIN
    light: float = 0.0  # a darker image is brightened to it, see road.data.images.brighten


def sample_of(frame, image_shape, augmentation=PLAIN, light=0.0, scale=1.0):
    """A Sample of the size that road.data.images.fit_shape gives; frames need not have a shape."""
    shape = fit_shape(frame.shape or image_shape, image_shape, scale)
    return Sample(frame, shape, augmentation, light)


def read_images(samples, read_label):
    """Read samples of one shape: RGB uint8 [n, h, w, 3], and classes, uint8 [n, h, w]."""
    images = [resize_image(read_image(frame.image, frame.bits), shape, augmentation, light)
              for frame, shape, augmentation, light in samples]
    labels = [resize_label(read_label(frame.label), shape, augmentation)
              for frame, shape, augmentation, _ in samples]
    return np.stack(images), np.stack(labels)


class Batches:
    """A get_batches_fn for train_nn: each call of batches(batch_size) yields the next epoch.

    An epoch visits each of `frames` once, in batches of one shape, by `image_shape` times `scale`.
    Labels are one-hot, uint8 [n, h, w, num_classes]; zeros where a pixel is ignored.

    Args:
        read: from a list of Sample to the inputs and the classes, uint8 [n, h, w]; run in threads.
        copies: augmented copies per frame, of which each epoch takes one; 0 draws a new one.
        augment: the changes they may show, of road.settings.AUGMENTATIONS.
        seed: of order, augmentation and dropout noise.
    Attributes:
        epoch: the number of epochs begun so far; set it to go on after an epoch.
        rank, processes: of each batch, yield the part of process `rank` (0, 1, ...) of so many;
            where that is empty, an image whose pixels are all ignored.
        dropout_noise: Tensors [n, h/32, w/32, channels]. Their noise is yielded after the inputs;
            it is drawn for the whole batch, so that it depends on seed and epoch alone.
    """

    def __init__(self, frames, image_shape, read, num_classes=2, *, copies=1, augment=(), scale=1.0,
                 seed=0):
        self.frames, self.image_shape, self.read, self.seed = frames, image_shape, read, seed
        self.num_classes = num_classes
        self.copies, self.augment, self.scale = copies, augment, scale
        self.epoch, self.dropout_noise = 0, ()
        self._copies = [[sample_of(frame, image_shape, copy, scale=scale)
                         for copy in draw_copies(frame.name, copies, augment)] for frame in frames]
        self._batches = []  # of the current epoch
        self.rank, self.processes = 0, 1

    def __len__(self):
        return len(self.frames)  # per epoch

    def __call__(self, batch_size):
        self.epoch += 1
        # the third number keeps the noise apart from the order
        rng = np.random.default_rng([self.seed, self.epoch, 1])
        self._batches = whole = list(batched(self._samples(), batch_size, key=lambda s: s.shape))

        def read(batch):
            inputs, labels = self.read(batch[self._shard(batch)])
            return inputs, one_hot(labels, self.num_classes)

        def add_noise(item):
            batch, (inputs, labels) = item
            if self.dropout_noise:
                height, width = labels.shape[1:3]
                shape = len(batch), height // STRIDE, width // STRIDE
                inputs = (*inputs, *(rng.random((*shape, noise.shape[-1]), np.float32)
                                     [self._shard(batch)] for noise in self.dropout_noise))
            return inputs, labels if self.rank < len(batch) else np.zeros_like(labels)

        # Noise for fc6 and fc7 takes long enough to hold up a GPU. One thread keeps its order.
        yield from prefetch(add_noise, zip(whole, prefetch(read, whole)), depth=1, threads=1)

    def _shard(self, batch):
        return slice(self.rank, None, self.processes) if self.rank < len(batch) else slice(1)

    def _samples(self):
        """The samples of the epoch, each frame once, in the epoch's order."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.frames))
        if self.copies:
            choices = rng.integers(self.copies, size=len(self.frames))
            return [self._copies[i][choice] for i, choice in zip(order, choices)]
        samples = []
        for frame in (self.frames[i] for i in order):
            own = np.random.default_rng([self.seed, self.epoch, *os.fsencode(frame.name)])
            drawn = draw_augmentation(own, self.augment)
            samples.append(sample_of(frame, self.image_shape, drawn, scale=self.scale))
        return samples

    def all_samples(self):
        """All samples that epochs choose from; none where each is drawn anew."""
        return [sample for copies in self._copies for sample in copies]

    def names(self, step):
        """The names of the frames in a step of the epoch, from 1; none where they are not known."""
        return [sample.frame.name for batch in self._batches[step - 1:step] for sample in batch]


class PlainBatches(Batches):
    """The same for any function that yields (image, label) pairs: it knows no frames."""

    def __init__(self, get_batches_fn):
        super().__init__([], None, None)
        self.get_batches_fn = get_batches_fn

    def __call__(self, batch_size):
        self.epoch += 1
        return self.get_batches_fn(batch_size)
