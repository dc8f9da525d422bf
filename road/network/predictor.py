"""From images to the probabilities of the classes of each pixel."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from road.data.images import fit_shape, network_shape, resize_image
from road.prefetch import MEMORY, batched, prefetch

BATCH = 4  # images in one pass of the network


def output_bytes(output):
    """The bytes of an output of `predict`, for prefetch."""
    _, image, confidence = output
    return image.nbytes + confidence.nbytes


@dataclass
class Predictor:
    """A network with what it needs to label images."""
    sess: object  # tf.Session that holds the weights
    logits: object  # float32 Tensor [pixels, classes]; of two, class 1 is the positive one (road)
    keep_prob: object  # scalar Tensor, fed with 1
    inputs: object  # that is fed: the image Tensor [n, h, w, 3], or a tuple, what `encode` gives
    image_shape: tuple  # the --image-size of the run, (height, width)
    encode: object = None  # road.network.encoder.Encoder; None feeds the images themselves
    light: float = 0.0  # darker images are brightened to it, see road.data.images.brighten
    threshold: float = 0.5  # the probability from which on a pixel is road, for whoever paints

    def confidences(self, values, shape=None):
        """Probabilities for values of `inputs`: float32 [n, *network_shape(shape), classes].

        shape is the (height, width) that the images were resized to. Of two classes, both are kept:
        where a network is sure, float32 makes one exactly 1, and only the other tells how sure.
        """
        shape = network_shape(shape or self.image_shape)
        flat = self.sess.run(self.logits, {self.inputs: values, self.keep_prob: 1.0})
        # The softmax is taken outside the graph, to which nothing is added for an image, and class
        # by class, because NumPy is slow along a last axis that is short.
        planes = np.ascontiguousarray(flat.T)
        planes -= planes.max(axis=0)
        np.exp(planes, out=planes)
        planes /= planes.sum(axis=0)
        return np.moveaxis(planes.reshape(len(planes), -1, *shape), 0, -1)

    def predict(self, pairs, full_size=False):
        """Yield (key, image, confidence) for pairs (key, image uint8 [h, w, 3]), in order.

        Images are resized, see road.data.images.fit_shape; with full_size only to multiples of 32.
        confidence is float32 [h, w, classes] of that size; resize_confidence gives it the image's.
        """
        def kind(pair):  # of such pairs a batch may be made
            _, image = pair
            shape = image.shape[:2] if full_size else fit_shape(image.shape[:2], self.image_shape)
            return shape, full_size or image.nbytes > MEMORY / BATCH

        def encode(item):
            shape, batch = item
            values = np.stack([resize_image(image, shape, light=self.light) for _, image in batch])
            return shape, batch, self.encode(values) if self.encode else values

        batches = ((shape, batch) for (shape, is_large), group in groupby(pairs, kind)
                   for batch in batched(group, 1 if is_large else BATCH))
        # The next batch is encoded while this one is decoded, unless both may be too large.
        for shape, batch, inputs in prefetch(
                encode, batches, depth=0 if full_size else 1, threads=1,
                size=lambda item: sum(image.nbytes for _, image in item[1])):
            for (key, image), confidence in zip(batch, self.confidences(inputs, shape)):
                yield key, image, confidence
