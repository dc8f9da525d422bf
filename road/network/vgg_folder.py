"""The VGG16 graph as a folder: save it, and check that it is complete and unchanged.

check looks before TensorFlow loads the folder, so that the error names the fault. It writes and
deletes nothing. A SavedModel is code that TensorFlow runs: check finds accidents, not malice.
"""

import glob
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from road.errors import InputError, cannot_write
from road.files import atomic_folder, file_digest, read_json, write_json
from road.network import surgery, vgg16
from road.network.tf1 import tf


class Graph(NamedTuple):
    """What a VGG16 folder holds."""
    folder: str
    fingerprint: str  # MD5 (hex) of graph and variables: equal for equal encoders
    summary: str  # a line for the screen
    source: str | None  # where its weights come from, as `save` recorded it


class _Fault(Exception):
    """What is wrong, in words that go on after 'not a complete VGG16 graph, '."""


def save(weights, vgg_dir, source='random weights'):
    """Write a SavedModel with tag `vgg16`; the folder is complete or absent.

    weights: dict of float32 arrays as read_weights or random_weights returns.
    source: what the weights are, recorded in `source.json` beside the graph.
    Raises InputError if the folder cannot be written.
    """
    config = tf.ConfigProto(device_count={'GPU': 0})
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        for name, variable in vgg16.build_graph(weights).items():
            # Fed, not constants: twice the weights would not fit into a graph's 2 GB.
            value = tf.placeholder(tf.float32, variable.shape)
            sess.run(tf.assign(variable, value), {value: weights[name]})
        try:
            with atomic_folder(vgg_dir) as folder:
                builder = tf.saved_model.Builder(folder)
                builder.add_meta_graph_and_variables(sess, [vgg16.TAG])
                builder.save()
                write_source(folder, source, _fingerprint(folder))
        except (OSError, tf.errors.OpError) as error:
            cure = 'make room or give permission, or name another folder with --vgg-dir'
            raise cannot_write(vgg_dir, error, cure) from error


def write_source(vgg_dir, source, fingerprint):
    """Record the source of the weights, and the fingerprint, which shows later changes."""
    write_json(f'{vgg_dir}/source.json', {'source': source, 'fingerprint': fingerprint})


def read_source(vgg_dir):  # None if it is not recorded
    return read_json(os.path.join(vgg_dir, 'source.json')).get('source')


def check(vgg_dir):
    """The `Graph` in a folder.

    Raises InputError: a file, tag, tensor or variable is missing, damaged or not finite, the bytes
    are not those recorded when the folder was made, or TensorFlow cannot load and run the graph.
    """
    try:
        _check_graph(vgg_dir)
        shapes = _read_variables(vgg_dir)
        fingerprint = _fingerprint(vgg_dir)
        made = read_json(os.path.join(vgg_dir, 'source.json'))
        if made.get('fingerprint', fingerprint) != fingerprint:
            raise _Fault(f'it was changed since it was made: its fingerprint is {fingerprint}')
        _try_out(vgg_dir)
    except _Fault as fault:
        raise InputError(f'{vgg_dir}: not a complete VGG16 graph, {fault}; move the folder away or '
                         'name another one with --vgg-dir') from fault
    kind = 'with fc6 and fc7' if 'fc6/weights' in shapes else '13 convolutions'
    summary = f'VGG16, {kind}, fingerprint {fingerprint}'
    return Graph(vgg_dir, fingerprint, summary, made.get('source'))


def _fingerprint(vgg_dir):
    variables = sorted(glob.glob(f'{glob.escape(vgg_dir)}/variables/variables.*'))
    return file_digest(os.path.join(vgg_dir, 'saved_model.pb'), *variables)


def _check_graph(vgg_dir):
    if not os.path.isdir(vgg_dir):
        raise _Fault('there is no such folder')
    for name in ('saved_model.pb', 'variables/variables.index', 'variables/variables.data-*'):
        if not glob.glob(os.path.join(glob.escape(vgg_dir), name)):
            raise _Fault(f'{name} is missing')
    _ = tf.version  # imports TensorFlow quietly; the next line would do it loudly
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel  # not in tensorflow.compat.v1
    content = Path(vgg_dir, 'saved_model.pb').read_bytes()
    try:
        graphs = SavedModel.FromString(content).meta_graphs
    except Exception as error:  # which ones damaged bytes raise is not documented
        raise _Fault('saved_model.pb is damaged or truncated') from error
    tags = [[*meta.meta_info_def.tags] for meta in graphs]
    if [vgg16.TAG] not in tags:
        raise _Fault(f'saved_model.pb has graphs with the tags {tags}, expected {[vgg16.TAG]}')
    names = {node.name for node in graphs[tags.index([vgg16.TAG])].graph_def.node}
    for name in vgg16.TENSORS:
        if name.split(':')[0] not in names:
            raise _Fault(f'the graph is of another model: tensor {name} is missing')


def _read_variables(vgg_dir):
    """{name: shape} of the checkpoint's variables: VGG16's, all readable and finite."""
    damaged = 'variables.index'
    try:
        reader = tf.train.load_checkpoint(os.path.join(vgg_dir, 'variables', 'variables'))
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        for name, kind in reader.get_variable_to_dtype_map().items():
            damaged = f'variable {name}'
            value = reader.get_tensor(name)  # verifies its checksum
            if kind.is_floating and not np.isfinite(value).all():
                raise ValueError('values that are not finite')
    except Exception as error:
        raise _Fault(f'{damaged} in variables/ is damaged, truncated or not finite') from error
    if absent := vgg16.shapes('fc6/weights' in shapes).keys() - shapes.keys():
        raise _Fault(f'variable {min(absent)} is missing')
    return shapes


def _try_out(vgg_dir):
    """Load the graph as training does, and run one small image through it."""
    config = tf.ConfigProto(device_count={'GPU': 0})
    config.operation_timeout_in_ms = 60_000  # a damaged graph can loop for ever
    try:
        with tf.Graph().as_default() as graph, tf.Session(config=config) as sess:
            tf.saved_model.loader.load(sess, [vgg16.TAG], vgg_dir)
            tensors = list(map(graph.get_tensor_by_name, vgg16.TENSORS))
            image_input, keep_prob, *outputs = tensors
            features, _ = surgery.find_features(*tensors)
            image = np.random.default_rng(0).integers(256, size=(1, 64, 96, 3))
            values = sess.run(outputs, {image_input: image, keep_prob: 1.0})
            channels = [output.shape.as_list()[-1] for output in outputs]
    except Exception as error:
        line = ' '.join(str(error).split())[:200]
        raise _Fault(f'TensorFlow cannot run it ({type(error).__name__}: {line})') from error
    if len(features) != 3:
        raise _Fault(f'the outputs depend on the image through {len(features)} tensors, expected 3')
    for name, value, stride, count in zip(vgg16.TENSORS[2:], values, (8, 16, 32), channels):
        expected = 1, 64 // stride, 96 // stride, count
        if value.shape != expected or not np.isfinite(value).all():
            raise _Fault(f'{name} has shape {value.shape} or is not finite; {expected} is expected')
