"""From images to the probabilities of the classes of each pixel."""

from itertools import groupby

import numpy as np

from road.data.images import fit_shape, network_shape, resize_confidence, resize_image
from road.prefetch import batched, prefetch

BATCH = 4  # images in one pass of the network


def prefetch_depth(num_classes):
    """How many outputs of `predict` may wait for a thread; those of many classes are large."""
    return 8 if num_classes == 2 else 1


class Predictor:
    """A network with what it needs to label images.

    Args:
        sess: tf.Session that holds the weights.
        logits: float32 Tensor [pixels, classes]. With two classes, class 1 is the positive class
            (road).
        keep_prob: scalar Tensor, fed with 1.
        inputs: what is fed: the image Tensor [n, h, w, 3], or, with `encode`, the tuple of feature
            Tensors.
        image_shape: the --image-size of the run, (height, width).
        encode: road.network.encoder.Encoder; None feeds the images themselves.
        light: darker images are brightened to it, see road.data.images.brighten.
    """

    def __init__(self, sess, logits, keep_prob, inputs, image_shape, encode=None, light=0.0):
        self.sess, self.logits, self.keep_prob, self.inputs = sess, logits, keep_prob, inputs
        self.image_shape, self.encode = image_shape, encode
        self.light = light

    def confidences(self, values, shape=None):
        """Probabilities for values of `inputs`: float32 [n, *network_shape(shape), classes].

        Of two classes, both are kept: where a network is sure, float32 makes one of them exactly 1,
        and only the other still tells how sure.

        Args:
            shape: (height, width) that the images were resized to; by default image_shape.
        """
        from scipy.special import softmax  # here, because --help must not wait for SciPy
        shape = network_shape(shape or self.image_shape)
        flat = self.sess.run(self.logits, {self.inputs: values, self.keep_prob: 1.0})
        # The softmax is taken outside the graph, to which nothing is added for an image.
        return softmax(flat, axis=-1).reshape(-1, *shape, flat.shape[-1])

    def predict(self, pairs, full_size=False):
        """Yield (key, image, confidence), in order.

        confidence is float32 [h, w, classes], as `confidences`, of the image's size.

        Args:
            pairs: yields (key, image uint8 [h, w, 3] of any size).
            full_size: run the network on images at their own size; by default they are resized,
                see road.data.images.fit_shape.
        """
        def resized(pair):
            key, image = pair
            shape = image.shape[:2]
            shape = shape if full_size else fit_shape(shape, self.image_shape)
            return key, image, shape, resize_image(image, shape, light=self.light)

        items = prefetch(resized, pairs, depth=2 * BATCH)
        for shape, group in groupby(items, key=lambda item: item[2]):
            # At their own size images may be so large that one at a time is enough.
            for batch in batched(group, 1 if full_size else BATCH):
                values = np.stack([small for *_, small in batch])
                found = self.confidences(self.encode(values) if self.encode else values, shape)
                for (key, image, *_), confidence in zip(batch, found):
                    yield key, image, resize_confidence(confidence, image.shape[:2])
