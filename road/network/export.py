"""A trained network as one SavedModel that needs nothing of this project.

    frozen = surgery.freeze(sess)
    save(frozen, (160, 576), 0.2, 'out/model', 'text of README.txt')

Weights are constants, and images may have any size. The exported graph does what `main.py predict`
does: it resizes the image and brightens it, runs the network, and resizes the confidence back.
"""

from __future__ import annotations  # so that annotations do not import TensorFlow

import os

import numpy as np

from road import files
from road.data.images import STRIDE, network_shape
from road.errors import writing
from road.network.tf1 import tf

TAG = 'serve'  # tf.saved_model.SERVING


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


def build_graph(frozen, image_shape, light):
    """Add everything from images to confidences to the default graph.

    Args:
        frozen: the GraphDef from road.network.surgery.freeze.
        image_shape: the --image-size of the run, (height, width).
        light: darker images are brightened to it, see road.data.images.brighten; 0 brightens none.
    Returns:
        the Tensor images, uint8 [n, h, w, 3], RGB, and a dict of Tensors, softmax(logits) resized
        to the images' size: of two classes 'confidence', float32 [n, h, w], the probability of
        road; of more 'probabilities', float32 [n, h, w, classes], and 'classes', uint8 [n, h, w],
        the most probable ones.
    """
    images = tf.placeholder(tf.uint8, [None, None, None, 3], name='images')
    size = tf.shape(images)[1:3]
    shape = fit_shape(size, image_shape)
    # As Pillow: the width first, then the height, and whole grey levels after both. Without the
    # first rounding confidences differed by up to 0.08 from those of the other commands.
    narrow = tf.round(resize(images, tf.stack([size[0], shape[1]])))
    small = brighten(tf.round(resize(narrow, shape)), light)
    logits, = tf.import_graph_def(frozen, {'image_input:0': small}, ['logits:0'], name='fcn8s')
    num_classes = int(logits.shape[-1])
    probabilities = tf.reshape(tf.nn.softmax(logits), [-1, shape[0], shape[1], num_classes])
    if num_classes == 2:
        confidence = resize(probabilities[..., 1:], size)[..., 0]
        return images, {'confidence': tf.clip_by_value(confidence, 0, 1, name='confidence')}
    probabilities = tf.clip_by_value(resize(probabilities, size), 0, 1, name='probabilities')
    classes = tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8, name='classes')
    return images, {'probabilities': probabilities, 'classes': classes}


def save(frozen, image_shape, light, folder, readme):
    """Write the SavedModel and README.txt (the text readme), complete or not at all.

    image_shape and light are those of build_graph.
    A folder that exists is replaced. Raises OSError if it cannot be written.
    """
    config = tf.ConfigProto(device_count={'GPU': 0})  # nothing is computed
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        images, outputs = build_graph(frozen, image_shape, light)
        signature = tf.saved_model.predict_signature_def({'images': images}, outputs)
        with writing(folder), files.atomic_folder(folder) as temporary:
            builder = tf.saved_model.Builder(temporary)
            builder.add_meta_graph_and_variables(sess, [TAG], {'serving_default': signature},
                                                 strip_default_attrs=True)
            builder.save()
            files.write_text(os.path.join(temporary, 'README.txt'), readme)
