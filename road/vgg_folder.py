"""Is a folder the VGG16 graph, whole and unchanged? Asked before TensorFlow is, so that the answer names what is wrong.

    graph = check('data/vgg')       # InputError, or Graph(fingerprint, 'VGG16, 13 convolutions, ...')

Nothing is written or deleted. A SavedModel is code that TensorFlow runs: this finds accidents, not malice.
"""

import math
import os
import re
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from road import vgg16
from road.errors import InputError
from road.tf1 import tf  # before anything else of TensorFlow, which it keeps quiet
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel  # isort: skip; tf.compat.v1 does not show it

CURE = 'move the folder away (it is then downloaded or built anew) or name another one with --vgg-dir'
# in each of these ways TensorFlow can fail on damaged bytes
FAILURES = (tf.errors.OpError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, DecodeError,
            AssertionError)
SECONDS = 60  # for a pass over one tiny image; a damaged graph can run in circles


class Graph(NamedTuple):
    """What a VGG16 folder holds."""
    fingerprint: str  # road.vgg16.fingerprint
    summary: str  # in words, for a line on the screen


def check(vgg_dir):
    """The `Graph` in a folder.

    Raises InputError, which names the folder and what is wrong: a file that is missing or cut short, another tag, a tensor
    or variable that is missing, channel counts that do not fit, bytes that are not those recorded when the folder was
    made, or a graph that TensorFlow cannot load and run.
    """
    try:
        meta = _read_graph(vgg_dir)
        shapes = _read_variables(vgg_dir)
        channels = _check_channels(meta, shapes)
        fingerprint = vgg16.fingerprint(vgg_dir)
        recorded = vgg16.read_source(vgg_dir, 'fingerprint')
        if recorded not in (None, fingerprint):
            raise _Fault(f'was changed since it was made: its fingerprint is {fingerprint}, recorded is {recorded}')
        _try_out(vgg_dir, channels)
    except _Fault as fault:
        raise InputError(f'{vgg_dir}: not a complete VGG16 graph, {fault}; {CURE}') from fault
    except OSError as error:
        raise InputError(f'{vgg_dir}: cannot be read ({error.strerror}: {error.filename})') from error
    kind = 'with fc6 and fc7' if 'fc6/weights' in shapes else '13 convolutions'
    numbers = sum(int(np.prod(shape)) for shape in shapes.values())
    return Graph(fingerprint, f'VGG16, {kind}, {numbers:,} weights, fingerprint {fingerprint}')


class _Fault(Exception):
    """What is wrong, in words that go on after 'not a complete VGG16 graph, '."""


def _read_graph(vgg_dir):
    """The MetaGraphDef with the tag, its five tensors' operations there."""
    if not os.path.isdir(vgg_dir):
        raise _Fault('it is no folder' if os.path.exists(vgg_dir) else 'there is no such folder')
    missing = vgg16.missing_file(vgg_dir)
    if missing:
        raise _Fault(f'{missing} is missing')
    saved = SavedModel()
    try:
        with open(os.path.join(vgg_dir, 'saved_model.pb'), 'rb') as file:
            saved.ParseFromString(file.read())
    except (DecodeError, ValueError, RecursionError) as error:
        raise _Fault('saved_model.pb is damaged or cut short') from error
    tags = [sorted(meta.meta_info_def.tags) for meta in saved.meta_graphs]
    if [vgg16.TAG] not in tags:
        raise _Fault(f"saved_model.pb has no graph with the tag {vgg16.TAG!r} alone (found {tags or 'none'})")
    meta = saved.meta_graphs[tags.index([vgg16.TAG])]
    operations = {node.name for node in meta.graph_def.node}
    absent = [name for name in vgg16.TENSORS if name.split(':')[0] not in operations]
    if absent:
        raise _Fault(f'the graph is of another model: tensor {", ".join(absent)} is missing')
    return meta


def _read_variables(vgg_dir):
    """Shape of each of the checkpoint's variables by name; all there, with right checksums, and finite."""
    folder = os.path.join(vgg_dir, 'variables')
    try:
        reader = tf.train.load_checkpoint(os.path.join(folder, 'variables'))
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        kinds = reader.get_variable_to_dtype_map()
        needed = sum(math.prod(shape) * kinds[name].size for name, shape in shapes.items())
    except (*FAILURES, OverflowError) as error:
        raise _Fault('variables/variables.index is damaged or cut short') from error
    there = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if '.data-' in name)
    if there < needed:
        raise _Fault(f'variables/variables.data-* is cut short: {there} bytes, the variables need {needed}')
    for name, kind in kinds.items():
        try:
            value = reader.get_tensor(name)  # which compares its checksum
        except FAILURES as error:
            raise _Fault(f'variable {name} in variables/ is damaged') from error
        if kind.is_floating and not np.isfinite(value).all():
            raise _Fault(f'variable {name} in variables/ holds values that are not finite')
    return shapes


def _check_channels(meta, shapes):
    """Follow the channels from layer to layer, and compare the graph's variables with the checkpoint's shapes.

    Returns the channels of layer3_out, layer4_out, layer7_out.
    """
    layers = {name: ('filter', (3, 3)) for name in vgg16.CONVS}
    if 'fc6/weights' in shapes or 'fc7/weights' in shapes:
        layers.update(fc6=('weights', (7, 7)), fc7=('weights', (1, 1)))
    widths, channels = {}, 3
    for name, (kernel, size) in layers.items():
        for variable in (f'{name}/{kernel}', f'{name}/biases'):
            if variable not in shapes:
                raise _Fault(f'variable {variable} is missing')
        shape = shapes[f'{name}/{kernel}']
        if len(shape) != 4 or shape[:3] != (*size, channels):
            raise _Fault(f'{name}/{kernel} has shape {list(shape)}, expected {[*size, channels, "any"]}')
        channels = widths[name] = shape[3]
        if shapes[f'{name}/biases'] != (channels,):
            raise _Fault(f'{name}/biases has shape {list(shapes[f"{name}/biases"])}, expected {[channels]}')
    for node in meta.graph_def.node:
        declared = node.attr['shape'].shape if node.name in shapes and 'shape' in node.attr else None
        if declared and tuple(dim.size for dim in declared.dim) != shapes[node.name]:
            raise _Fault(f'{node.name} has shape {list(shapes[node.name])} in variables/, but '
                         f'{[dim.size for dim in declared.dim]} in saved_model.pb')
    return widths['conv3_3'], widths['conv4_3'], widths.get('fc7', widths['conv5_3'])


def _try_out(vgg_dir, channels):
    """Load the graph as training does, and run one small image through it."""
    config = tf.ConfigProto(device_count={'GPU': 0}, operation_timeout_in_ms=1000 * SECONDS)
    try:
        with tf.Graph().as_default() as graph, tf.Session(config=config) as sess:
            tf.saved_model.loader.load(sess, [vgg16.TAG], vgg_dir)
            image_input, keep_prob, *outputs = tensors = [graph.get_tensor_by_name(name) for name in vgg16.TENSORS]
            frontier, _ = vgg16.frontier_and_noise(*tensors)
            image = np.random.default_rng(0).integers(256, size=(1, 64, 96, 3))
            values = sess.run(outputs, {image_input: image, keep_prob: 1.0})
    except FAILURES as error:
        raise _Fault(f'TensorFlow cannot run it ({_first_line(error)})') from error
    if len(frontier) != 3:
        raise _Fault(f'layer3_out, layer4_out and layer7_out depend on the image through {len(frontier)} tensors, '
                     'expected 3')
    for name, value, stride, last in zip(vgg16.TENSORS[2:], values, (8, 16, 32), channels):
        expected = (1, 64 // stride, 96 // stride, last)
        if value.shape != expected or not np.isfinite(value).all():
            raise _Fault(f'{name} has shape {list(value.shape)} for an image of 64x96, or values that are not finite; '
                         f'expected {list(expected)}')


def _first_line(error):
    """The line of TensorFlow's message that says what happened; where it stood in the code comes before it."""
    text = re.split(r"Node: '.*'\n", str(error))[-1].strip()
    return (text.split('\n')[0] or type(error).__name__)[:200]
