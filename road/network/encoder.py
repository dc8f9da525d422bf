"""The frozen part of VGG16, in a session of its own that may run at a lower precision."""

import threading

from road.network import surgery
from road.network.tf1 import tf
from road.network.vgg16 import STRIDES


class Encoder:
    """Computes the frozen features of images: encoder(images) => a tuple of float32 arrays.

    Where all of VGG16 is trained nothing is frozen, and the features are the images themselves.
    `layers` are (stride, channels) of each feature, as in [(8, 256), (16, 512), (32, 512)].
    load_vgg is main.load_vgg, config a tf.ConfigProto.
    """

    def __init__(self, load_vgg, vgg_dir, config=None, train_encoder='none'):
        self._lock = threading.Lock()
        self._sess = None
        self.layers = [(1, 3)]
        if train_encoder == 'all':
            return
        with tf.Graph().as_default() as graph:
            self._sess = tf.Session(config=config)
            self._image_input, *_ = load_vgg(self._sess, vgg_dir)
            self._features = surgery.frozen_features(graph, train_encoder)
            graph.finalize()
        self.layers = [(STRIDES[each.op.name], int(each.shape[-1])) for each in self._features]

    def __call__(self, images):
        """images: uint8 [n, h, w, 3], RGB, h and w multiples of 32."""
        if self._sess is None:
            return (images,)
        with self._lock:  # threads that read batches would otherwise multiply the memory
            return tuple(self._sess.run(self._features, {self._image_input: images}))
