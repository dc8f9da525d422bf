"""A trained network as one SavedModel that needs nothing of this project.

    frozen = surgery.freeze(sess)
    save(frozen, (160, 576), 0.2, 'out/model', 'text of README.txt')

Weights are constants, and images may have any size. The exported graph does what `main.py predict`
does: it resizes the image and brightens it, runs the network, and resizes the confidence back.
"""

from __future__ import annotations  # so that annotations do not import TensorFlow

import os
import statistics
import timeit

import numpy as np

from road import files
from road.data.images import STRIDE, network_shape
from road.errors import cannot_write
from road.network.tf1 import tf

TAG = 'serve'  # tf.saved_model.SERVING


def resize(values, shape):
    """Resize a Tensor [n, h, w, c] to float32 [n, *shape, c] as Pillow does, bilinear."""
    size = tf.stack(shape)
    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(values)[1:3], tf.float32)
    return tf.raw_ops.ScaleAndTranslate(images=values, size=size, scale=scale, translation=[0., 0.],
                                        kernel_type='triangle', antialias=True)


def resize_images(images, shape):
    """Resize uint8 [n, h, w, c] to whole grey levels, float32 [n, *shape, c].

    Pillow resizes the width first and then the height, and rounds after both. So does this, because
    without the first rounding confidences differed by 0.005.
    """
    for side in reversed(shape):
        images = tf.transpose(images, [0, 2, 1, 3])  # ScaleAndTranslate is faster along rows
        images = tf.floor(resize(images, (side, tf.shape(images)[2])) + 0.5)
    return images


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
    shape = tf.unstack(fit_shape(size, image_shape))
    small = brighten(resize_images(images, shape), light)
    logits, = tf.import_graph_def(frozen, {'image_input:0': small}, ['logits:0'], name='fcn8s')
    probabilities = tf.nn.softmax(logits)
    if logits.shape[-1] == 2:
        confidence = resize(tf.reshape(probabilities[:, 1], [-1, *shape, 1]), tf.unstack(size))
        confidence = tf.clip_by_value(confidence[..., 0], 0, 1, name='confidence')
        confidence.set_shape([None, None, None])
        return images, {'confidence': confidence}
    num_classes = int(logits.shape[-1])
    probabilities = resize(tf.reshape(probabilities, [-1, *shape, num_classes]), tf.unstack(size))
    probabilities = tf.clip_by_value(probabilities, 0, 1, name='probabilities')
    probabilities.set_shape([None, None, None, num_classes])
    classes = tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8, name='classes')
    return images, {'probabilities': probabilities, 'classes': classes}


def save(frozen, image_shape, light, folder, readme):
    """Write the SavedModel and README.txt (the text readme), complete or not at all.

    image_shape and light are those of build_graph.
    A folder that exists is replaced. Raises InputError if it cannot be written.
    """
    config = tf.ConfigProto(device_count={'GPU': 0})  # nothing is computed
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        images, outputs = build_graph(frozen, image_shape, light)
        signature = tf.saved_model.predict_signature_def({'images': images}, outputs)
        try:
            with files.atomic_folder(folder) as temporary:
                builder = tf.saved_model.Builder(temporary)
                builder.add_meta_graph_and_variables(sess, [TAG], {'serving_default': signature},
                                                     strip_default_attrs=True)
                builder.save()
                files.write_text(os.path.join(temporary, 'README.txt'), readme)
        # TensorFlow raises ResourceExhaustedError for a full disk; memory is not needed here
        except (OSError, tf.errors.OpError) as error:
            raise cannot_write(folder, error, 'make room or give permission, or name another '
                               'folder with --output') from error


def size_and_speed(folder):
    """(bytes of an export on disk, median seconds for an image of 375x1242)."""
    size = sum(os.path.getsize(os.path.join(root, name))
               for root, _, names in os.walk(folder) for name in names)
    fed = {'images:0': np.zeros([1, 375, 1242, 3], np.uint8)}
    config = tf.ConfigProto(gpu_options=tf.GPUOptions(allow_growth=True))
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        served = tf.saved_model.loader.load(sess, [TAG], folder).signature_def['serving_default']
        fetched = [output.name for output in served.outputs.values()]
        seconds = timeit.repeat(lambda: sess.run(fetched, fed), number=1, repeat=6)
    return size, statistics.median(seconds[1:])  # the first run is slower: it sets the graph up
