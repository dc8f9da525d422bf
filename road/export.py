"""A trained network as one SavedModel that needs nothing of this project: weights as constants, any image size.

    frozen = freeze(sess, model)
    save(frozen, (160, 576), 'out/model')

The exported graph does what `main.py predict` does: it resizes as Pillow does, to the last bit, runs the network, and
resizes the confidence back.
"""

import json
import os
import shutil
import statistics
import tempfile
import time

import numpy as np

from road import kitti, vgg16
from road.errors import InputError
from road.tf1 import tf

TAG = 'serve'  # tf.saved_model.SERVING
PRECISION_BITS = 22  # of the weights of Pillow's resizing of 8-bit images (Resample.c: 32 - 8 - 2)
REPEATS = 5


def freeze(sess, model):
    """The network alone, as tf.GraphDef: variables as constants, without dropout, loss and optimizer.

    Args:
        sess: tf.Session that holds the weights.
        model: main.Model. Its image_input is read in the GraphDef, but is not there: build_graph puts the resized images in
            its place. keep_prob is 1, and gone with the dropouts.
    """
    graph_def = sess.graph.as_graph_def()
    skipped = vgg16.dropouts(model.image_input, model.keep_prob)
    for node in graph_def.node:
        for i, name in enumerate(node.input):
            node.input[i] = skipped.get(name, name)
    frozen = tf.graph_util.convert_variables_to_constants(sess, graph_def, [model.logits.op.name])
    frozen.node.remove(next(node for node in frozen.node if node.name == model.image_input.op.name))
    return frozen


def taps(size, new_size):
    """Pillow's bilinear weights along one axis, area-weighted when shrinking.

    Args:
        size, new_size: int or scalar int32 Tensor.
    Returns:
        (indices int64 [new_size * taps, 2] of (new, old) positions, weights float64 [new_size, taps], each row with sum
        1; positions past the end have the weight 0).
    """
    old, new = tf.cast(size, tf.float64), tf.cast(new_size, tf.float64)
    support = tf.maximum(old / new, 1)
    count = 2 * tf.cast(tf.math.ceil(support), tf.int32) + 1
    centre = (tf.cast(tf.range(new_size), tf.float64)[:, tf.newaxis] + 0.5) * (old / new)
    first, last = tf.floor(tf.maximum(centre - support + 0.5, 0)), tf.floor(tf.minimum(centre + support + 0.5, old))
    position = first + tf.cast(tf.range(count), tf.float64)  # [new_size, taps]
    weights = tf.maximum(1 - tf.abs((position - centre + 0.5) * (1 / support)), 0)
    weights = tf.where(position < last, weights, tf.zeros_like(weights))
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    rows = tf.zeros_like(position) + tf.cast(tf.range(new_size), tf.float64)[:, tf.newaxis]
    indices = tf.stack([rows, tf.minimum(position, old - 1)], axis=-1)
    return tf.cast(tf.reshape(indices, [-1, 2]), tf.int64), weights


def resize_axis(values, axis, new_size):
    """Resize a Tensor along one axis as Pillow does: uint8 to uint8 in 22-bit fixed point, anything else in float64."""
    size, order = tf.shape(values)[axis], [axis, *(i for i in range(values.shape.rank) if i != axis)]
    indices, weights = taps(size, new_size)
    with tf.device('/CPU:0'):  # integer matrices cannot be multiplied on a GPU
        kind = tf.int32 if values.dtype == tf.uint8 else tf.float64
        if kind == tf.int32:
            weights = tf.floor(weights * 2**PRECISION_BITS + 0.5)
        matrix = tf.SparseTensor(indices, tf.reshape(tf.cast(weights, kind), [-1]),
                                 tf.cast(tf.stack([new_size, size]), tf.int64))
        columns = tf.transpose(values, order)
        flat = tf.cast(tf.reshape(columns, [size, -1]), kind)
        flat = tf.sparse.sparse_dense_matmul(matrix, flat)
        if kind == tf.int32:
            flat = tf.bitwise.right_shift(flat + 2**(PRECISION_BITS - 1), PRECISION_BITS)
        columns = tf.reshape(tf.cast(flat, values.dtype), tf.concat([[new_size], tf.shape(columns)[1:]], axis=0))
        return tf.transpose(columns, np.argsort(order))


def resize(values, shape):
    """Resize [n, h, w, ...] to [n, *shape, ...], the width first, as Pillow does."""
    return resize_axis(resize_axis(values, 2, shape[1]), 1, shape[0])


def build_graph(frozen, image_shape):
    """Add the whole way from images to confidences to the default graph.

    Args:
        frozen: what freeze gives.
        image_shape: (height, width) the network was trained at.
    Returns:
        Tensors images, uint8 [n, h, w, 3], RGB, and confidence, float32 [n, h, w] in [0, 1].
    """
    images = tf.placeholder(tf.uint8, [None, None, None, 3], name='images')
    height, width = image_shape
    rows, columns = (np.minimum(np.arange(full), side - 1) for full, side in zip(kitti.padded(image_shape), image_shape))
    small = tf.gather(tf.gather(resize(images, image_shape), rows, axis=1), columns, axis=2)  # edge pixels repeated
    logits, = tf.import_graph_def(frozen, {'image_input:0': tf.cast(small, tf.float32)}, [name_of_logits(frozen)],
                                  name='fcn8s')
    road = tf.reshape(tf.nn.softmax(logits)[:, 1], [-1, len(rows), len(columns)])[:, :height, :width]
    confidence = tf.clip_by_value(resize(road, tf.unstack(tf.shape(images)[1:3])), 0, 1, name='confidence')
    confidence.set_shape([None, None, None])
    return images, confidence


def name_of_logits(frozen):
    """The tensor that nothing in the graph reads."""
    read = {name.split(':')[0].lstrip('^') for node in frozen.node for name in node.input}
    name, = (node.name for node in frozen.node if node.name not in read)
    return f'{name}:0'


def save(frozen, image_shape, folder, readme):
    """Write the SavedModel and README.txt; the folder appears under its name only when it is whole.

    Args:
        frozen, image_shape: as of build_graph.
        folder: to be made; it must not exist.
        readme: text of README.txt.
    """
    refuse_existing(folder)
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    building = tempfile.mkdtemp(prefix=f'.{os.path.basename(os.path.abspath(folder))}-', dir=parent)
    try:
        whole = os.path.join(building, 'model')
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as sess:
            images, confidence = build_graph(frozen, image_shape)
            signature = tf.saved_model.predict_signature_def({'images': images}, {'confidence': confidence})
            builder = tf.saved_model.Builder(whole)
            builder.add_meta_graph_and_variables(sess, [TAG], {'serving_default': signature}, strip_default_attrs=True)
            builder.save()
        with open(os.path.join(whole, 'README.txt'), 'w') as file:
            file.write(readme)
        os.chmod(whole, 0o755)
        os.replace(whole, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


README = """Road segmentation: FCN-8s on VGG16, as a TensorFlow SavedModel with the tag '{tag}'.

Signature serving_default
    images      uint8 [n, height, width, 3], RGB, any size
    confidence  float32 [n, height, width], how sure a pixel is road, 0 to 1; road is usually what has at least 0.5
Images are resized to {height}x{width} (height x width) inside, and the confidence back.

    import tensorflow as tf
    model = tf.saved_model.load(folder)          # keep it: the signature alone does not hold it
    confidence = model.signatures['serving_default'](images=tf.constant(images))['confidence']

For TensorFlow Serving put these files into MODEL/1/.

Training run {run}
{settings}
Trained on {training} frames, validated on {validation}.

Scores on the validation frames
{scores}
"""


def readme(run):
    """Text of README.txt for a road.runs.Run: inputs and outputs, settings of the run, its scores where it was evaluated."""
    path = os.path.join(run.folder, 'evaluation-validation.json')
    if os.path.exists(path):
        with open(path) as file:
            evaluation = json.load(file)
        scores = '\n'.join(f'    {view:11s} ' + ', '.join(f'{key} {100 * evaluation[view]["URBAN"][key]:.2f} %' for key in
                                                        ('MaxF', 'AP', 'IoU')) for view in ('perspective', 'birdseye'))
    else:
        scores = f'    none: the run was not evaluated before it was exported (python main.py evaluate {run.folder})'
    height, width = run.settings['image_size']
    return README.format(tag=TAG, height=height, width=width, run=run.folder, scores=scores,
                         settings='\n'.join(f'    {name:14s} {value}' for name, value in run.settings.items()),
                         training=len(run.training), validation=len(run.validation))


def refuse_existing(folder):
    """Raise InputError where there is something of that name: it is not written over."""
    if os.path.lexists(folder):
        raise InputError(f'{folder}: is there already; name another folder with --output, or move it away')


def size_and_speed(folder, shape=(375, 1242)):
    """Load a finished export: (its bytes on disk, median seconds for one image of `shape`)."""
    size = sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names)
    image = np.zeros([1, *shape, 3], np.uint8)
    seconds, config = [], tf.ConfigProto(gpu_options=tf.GPUOptions(allow_growth=True))
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        signature = tf.saved_model.loader.load(sess, [TAG], folder).signature_def['serving_default']
        for _ in range(1 + REPEATS):  # the first one compiles
            start = time.perf_counter()
            sess.run(signature.outputs['confidence'].name, {signature.inputs['images'].name: image})
            seconds.append(time.perf_counter() - start)
    return size, statistics.median(seconds[1:])
