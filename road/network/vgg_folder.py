"""The VGG16 graph as a folder: a SavedModel that this program builds from weights.

    save(weights, 'data/vgg', source='weights.npz')
    check('data/vgg').fingerprint

A graph from elsewhere is code from elsewhere: it is never loaded. Its weights are read, and the
graph is built anew (road.network.vgg_source). The fingerprint is of the weights alone, so that a
graph rebuilt by another version of TensorFlow is the same encoder.
"""

import hashlib
import os
from typing import NamedTuple

from road.errors import InputError, cannot_write
from road.files import atomic_folder, file_digest, read_json, write_json
from road.network import vgg16
from road.network.tf1 import tf
from road.network.vgg_weights import read_weights


class Graph(NamedTuple):
    """What a VGG16 folder holds."""
    folder: str
    fingerprint: str  # MD5 (hex) of the weights: equal for equal encoders
    summary: str  # a line for the screen
    source: str | None  # what its weights were read from, as `save` recorded it
    md5: str | None  # of the file of that name


def save(weights, vgg_dir, source='random weights', md5=None):
    """Write a SavedModel with tag `vgg16`; the folder is complete or absent.

    Args:
        weights: dict of float32 arrays as read_weights or random_weights returns.
        source, md5: name and MD5 (hex) of the file they come from, recorded in `source.json`.
    Raises:
        InputError: the folder cannot be written.
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
                write_json(os.path.join(folder, 'source.json'), {
                    'source': source, 'md5': md5, 'fingerprint': fingerprint(weights),
                    'graph': file_digest(os.path.join(folder, 'saved_model.pb'))})
        except (OSError, tf.errors.OpError) as error:
            cure = 'make room or give permission, or name another folder with --vgg-dir'
            raise cannot_write(vgg_dir, error, cure) from error


def fingerprint(weights):
    """MD5 (hex) of names, shapes and values."""
    digest = hashlib.md5(usedforsecurity=False)
    for name, value in sorted(weights.items()):
        digest.update(f'{name} {value.shape}'.encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def is_own(vgg_dir):
    """Whether the folder's graph is one that `save` wrote, byte by byte."""
    path = os.path.join(vgg_dir, 'saved_model.pb')
    return os.path.isfile(path) and file_digest(path) == read_record(vgg_dir).get('graph')


def read_record(vgg_dir):
    """What `save` recorded, as a dict; empty if it did not write the folder."""
    return read_json(os.path.join(vgg_dir, 'source.json'))


def check(vgg_dir):
    """The `Graph` in a folder, which may also be a SavedModel from elsewhere; nothing is written.

    Raises InputError: a file or variable is missing, damaged or not finite, or the weights are not
    those that were recorded when the folder was made.
    """
    cure = 'move the folder away or name another one with --vgg-dir'
    try:
        weights = read_weights(vgg_dir)
    except InputError as error:
        raise InputError(f'{error}; {cure}') from error
    found, record = fingerprint(weights), read_record(vgg_dir)
    if record.get('fingerprint', found) != found:
        raise InputError(f'{vgg_dir}: the weights were changed since the folder was made; {cure}')
    kind = 'with fc6 and fc7' if 'fc6/weights' in weights else '13 convolutions'
    return Graph(vgg_dir, found, f'VGG16, {kind}, fingerprint {found}', record.get('source'),
                 record.get('md5'))
