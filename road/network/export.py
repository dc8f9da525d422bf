"""A trained network as one SavedModel that needs nothing of this project.

    network = Network(surgery.freeze(sess), 2, (160, 576), light=0.2, threshold=0.5)
    save(network, 'out/model', {'task': 'segmentation'}, 'text of README.txt')

Weights are constants, and images may have any size. The exported graph does what `main.py predict`
does: it resizes the image and brightens it, runs the network, and resizes the confidence back.
"""

from __future__ import annotations  # so that annotations do not import TensorFlow

import os
from typing import NamedTuple

import numpy as np

from road import files
from road.data.images import STRIDE, network_shape
from road.errors import writing
from road.network.tf1 import tf

TAG = 'serve'  # tf.saved_model.SERVING


class Network(NamedTuple):
    """A trained network as it is exported."""
    frozen: tf.GraphDef  # of road.network.surgery.freeze
    num_classes: int
    image_shape: tuple  # the --image-size of the run, (height, width)
    light: float  # darker images are brightened to it, see road.data.images.brighten; 0: none
    threshold: float  # the probability from which on a pixel is in the mask


def resize(values, shape):
    """Resize a Tensor [n, h, w, c] to float32 [n, *shape, c]: bilinear, area-weighted to shrink."""
    return tf.compat.v2.image.resize(values, shape, antialias=True)


def brighten(images, light):
    """road.data.images.brighten for a float32 Tensor of whole grey levels [n, h, w, 3]."""
    if not light:
        return images
    logs = tf.math.log((tf.cast(images, tf.float64) + 0.5) / 256)
    lower = logs[:, tf.shape(images)[1] // 2:]
    mean = tf.reduce_mean(lower, axis=[1, 2, 3], keepdims=True)
    gamma = tf.clip_by_value(np.log(light) / mean, 0.5, 1)
    return tf.cast(tf.round(256 * tf.exp(gamma * logs) - 0.5), tf.float32)


def fit_shape(size, image_shape):
    """road.data.images.fit_shape for an int32 Tensor [2], (height, width); returns the same."""
    height, width = tf.unstack(tf.cast(size, tf.float64))
    usual_height, usual_width = usual = network_shape(image_shape)
    ratio = width * usual_height / (height * usual_width)
    scale = tf.sqrt(usual_height * usual_width / (height * width)) / STRIDE
    blocks = tf.cast(tf.round(tf.cast(size, tf.float64) * scale), tf.int32)
    return tf.where((ratio >= 0.8) & (ratio <= 1.25), tf.constant(usual),
                    tf.maximum(blocks, 1) * STRIDE)


def build_graph(network):
    """Add everything from images to confidences to the default graph.

    Returns {name of a signature: (its inputs, its outputs)}, dicts of Tensors by name:
        serving_default: from images, uint8 [n, h, w, 3], RGB, to softmax(logits) resized to their
            size. Of two classes confidence, float32 [n, h, w], the probability of road, and mask,
            uint8 [n, h, w], 255 where it is at least network.threshold, else 0; of more
            probabilities, float32 [n, h, w, classes], and classes, uint8 [n, h, w].
        image_bytes: from image_bytes, string [n], JPEG or PNG files, to string [n], grey PNG files:
            confidence_bytes, round(255 * confidence), or classes_bytes.
    """
    @tf.compat.v2.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def label(images):  # a function, so that both signatures share one copy of the weights
        # TensorFlow Serving feeds images of any shape
        size = tf.shape(tf.ensure_shape(images, [None, None, None, 3]))[1:3]
        shape = fit_shape(size, network.image_shape)
        # As Pillow: the width first, then the height, and whole grey levels after both. Without the
        # first rounding confidences differed by up to 0.08 from those of the other commands.
        narrow = tf.round(resize(images, tf.stack([size[0], shape[1]])))
        small = brighten(tf.round(resize(narrow, shape)), network.light)
        found = tf.clip_by_value(resize(probabilities(network, small), size), 0, 1)
        if network.num_classes > 2:
            classes = tf.cast(tf.argmax(found, axis=-1), tf.uint8)
            return {'probabilities': found, 'classes': classes}
        confidence = found[..., 0]
        return {'confidence': confidence,
                'mask': 255 * tf.cast(confidence >= network.threshold, tf.uint8)}

    name = 'confidence' if network.num_classes == 2 else 'classes'

    def label_file(encoded):
        # Reads PNG too. The default method is not Pillow's: confidences differed by up to 0.1.
        image = tf.io.decode_jpeg(encoded, channels=3, dct_method='INTEGER_ACCURATE')
        found = label(image[tf.newaxis])[name][0, ..., tf.newaxis]
        grey = found if name == 'classes' else tf.cast(tf.round(255 * found), tf.uint8)
        return tf.io.encode_png(grey)

    images = tf.placeholder(tf.uint8, [None, None, None, 3], 'images')
    encoded = tf.placeholder(tf.string, [None], 'image_bytes')
    answers = tf.map_fn(label_file, encoded, fn_output_signature=tf.string, parallel_iterations=1)
    return {'serving_default': ({'images': images}, label(images)),
            'image_bytes': ({'image_bytes': encoded}, {f'{name}_bytes': answers})}


def probabilities(network, images):
    """Add the network for float32 [n, h, w, 3], RGB, 0 to 255, h and w multiples of STRIDE.

    Returns softmax(logits), float32 [n, h, w, classes]; of two classes the second alone.
    """
    logits, = tf.import_graph_def(network.frozen, {'image_input:0': images}, ['logits:0'], 'fcn8s')
    shape = tf.concat([tf.shape(images)[:3], [network.num_classes]], axis=0)
    found = tf.reshape(tf.nn.softmax(logits), shape)
    return found[..., 1:] if network.num_classes == 2 else found


def cpu_session():
    """A session of the default graph that leaves GPUs alone."""
    return tf.Session(config=tf.ConfigProto(device_count={'GPU': 0}))


def save(network, folder, metadata, readme):
    """Write the SavedModel, metadata.json and README.txt, complete or not at all.

    A folder that exists is replaced. metadata is a dict of texts for programs; readme is the text
    of README.txt. Raises OSError if they cannot be written.
    """
    with tf.Graph().as_default(), cpu_session() as sess, writing(folder), \
            files.atomic_folder(folder) as temporary:
        signatures = {name: tf.saved_model.predict_signature_def(*tensors)
                      for name, tensors in build_graph(network).items()}
        builder = tf.saved_model.Builder(temporary)
        builder.add_meta_graph_and_variables(sess, [TAG], signatures, strip_default_attrs=True)
        builder.save()
        files.write_json(os.path.join(temporary, 'metadata.json'), metadata)
        files.write_text(os.path.join(temporary, 'README.txt'), readme)
