"""A trained network as a SavedModel or a TFLite file that needs nothing of this project.

    network = Network(surgery.freeze(sess), ['sky', 'road'], (160, 576), light=0.2, threshold=0.5)
    save(network, 'out/model')

Weights are constants. A SavedModel does what `main.py predict` does with images of any size: it
resizes and brightens them, runs the network, and resizes the confidence back.
"""

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from road.data.images import STRIDE, network_shape
from road.errors import InputError
from road.network.tf1 import cpu_session, tf


class Network(NamedTuple):
    """A trained network, and what its exported files say about it."""
    frozen: object  # tf.GraphDef of road.network.surgery.freeze
    classes: list  # their names
    image_shape: tuple  # the --image-size of the run, (height, width)
    light: float  # darker images are brightened to it, see road.data.images.brighten
    threshold: float  # the probability from which on a pixel is in the mask
    metadata: dict = {}  # texts for other programs
    readme: str = ''
    calibration: tuple = ()  # images, uint8 [h, w, 3], which give 8-bit convolutions their ranges


def brighten(images, light):
    """road.data.images.brighten for a float32 Tensor of whole grey levels [n, h, w, 3]."""
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
    return tf.where((ratio >= 0.8) & (ratio <= 1.25), usual, tf.maximum(blocks, 1) * STRIDE)


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
    resize = tf.compat.v2.image.resize  # bilinear, area-weighted to shrink, to float32

    @tf.compat.v2.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def label(images):  # a function, so that both signatures share one copy of the weights
        # TensorFlow Serving feeds images of any shape
        size = tf.shape(tf.ensure_shape(images, [None, None, None, 3]))[1:3]
        shape = fit_shape(size, network.image_shape)
        # As Pillow: the width first, then the height, and whole grey levels after both. Without the
        # first rounding confidences differed by up to 0.08 from those of the other commands.
        narrow = tf.round(resize(images, tf.stack([size[0], shape[1]]), antialias=True))
        small = brighten(tf.round(resize(narrow, shape, antialias=True)), network.light)
        found = resize(probabilities(network, small), size, antialias=True)
        return outputs(network, tf.clip_by_value(found, 0, 1))

    name = 'confidence' if len(network.classes) == 2 else 'classes'

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
    shape = tf.concat([tf.shape(images)[:3], [len(network.classes)]], axis=0)
    found = tf.reshape(tf.nn.softmax(logits), shape)
    return found[..., 1:] if len(network.classes) == 2 else found


def outputs(network, found):
    """The outputs of a model by name, see build_graph, from those of `probabilities`."""
    if len(network.classes) > 2:
        return {'probabilities': found, 'classes': tf.cast(tf.argmax(found, axis=-1), tf.uint8)}
    confidence = found[..., 0]
    is_road = tf.cast(confidence >= network.threshold, tf.float32)  # TFLite multiplies no uint8
    return {'confidence': confidence, 'mask': tf.cast(255 * is_road, tf.uint8)}


def save(network, folder):
    """Write the SavedModel to an empty folder."""
    with cpu_session() as sess:
        signatures = {name: tf.saved_model.predict_signature_def(*tensors)
                      for name, tensors in build_graph(network).items()}
        builder = tf.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(sess, ['serve'], signatures, strip_default_attrs=True)
        builder.save()


def save_tflite(network, folder):
    """Write model.tflite, with metadata.json and labels.txt zipped behind it, to an empty folder.

    Weights have 8 bits. From image, float32 [1, h, w, 3], RGB, 0 to 255, of the network's own size,
    to the outputs of build_graph. Resizing and brightening stay outside, because quantized matrix
    products would round grey levels.
    """
    tf2 = tf.compat.v2
    try:
        make_converter = tf2.lite.TFLiteConverter.from_concrete_functions
    except (AttributeError, ImportError) as error:  # it is being moved out of TensorFlow
        raise InputError(f'--format tflite: {error}; pip install tensorflow==2.21.0') from error
    shape = [1, *network_shape(network.image_shape), 3]
    label = tf2.function(lambda image: outputs(network, probabilities(network, image)))
    function = label.get_concrete_function(tf.TensorSpec(shape, tf.float32, 'image'))
    converter = make_converter([function], tf2.Module())  # which makes it call inputs by name
    converter.optimizations = [tf2.lite.Optimize.DEFAULT]
    path = Path(folder, 'model.tflite')
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, 'a') as file:
        file.writestr('metadata.json', json.dumps(network.metadata, indent=1))
        file.writestr('labels.txt', '\n'.join(network.classes))
