"""The VGG16 graph as a folder: find it, or build it from weights, which are given or downloaded.

    find_vgg('data/vgg').fingerprint

A graph from elsewhere is code from elsewhere: it is never loaded. Its weights are read, and the
graph is built anew. The fingerprint is of the weights alone, so that a graph rebuilt by another
version of TensorFlow is the same encoder.
"""

import hashlib
import os
from functools import partial
from typing import NamedTuple

from road.data.download import fetch, unpack
from road.errors import InputError, writing
from road.files import atomic_folder, file_digest, lock, read_json, remove, write_json
from road.network import vgg16
from road.network.tf1 import cpu_session, tf
from road.network.vgg_weights import read_weights

# Keras' ImageNet weights with the fully connected top, 553 MB.
KERAS_URL = ('https://storage.googleapis.com/tensorflow/keras-applications/vgg16/'
             'vgg16_weights_tf_dim_ordering_tf_kernels.h5')
KERAS_MD5 = '64373286793e3c8b2b4e3219cbf3544b'  # as keras.applications.vgg16 states it
# The classic download: a SavedModel, zipped, about 1 GB. Nobody maintains it any more.
VGG_URL = 'https://s3-us-west-1.amazonaws.com/udacity-selfdrivingcar/vgg.zip'
CURE = 'move the folder away or name another one with --vgg-dir'


class Graph(NamedTuple):
    """What a VGG16 folder holds."""
    folder: str
    fingerprint: str  # MD5 (hex) of the weights: equal for equal encoders
    summary: str  # a line for the screen
    source: str | None  # what its weights were read from, as `save` recorded it


def find_vgg(vgg_dir, weights=None, compare=True):
    """Find the Graph in `vgg_dir`, or build it there from a file of weights; None downloads one.

    A SavedModel from elsewhere is converted: it is kept as `<vgg_dir>.original`. With `compare` a
    graph that is there must have the weights in the file, which may be gone by now. Raises
    InputError: the folder is damaged or has other weights, or the graph cannot be built.
    """
    if not is_own(vgg_dir):
        with lock(vgg_dir):
            if not is_own(vgg_dir):  # else another process has built it meanwhile
                _build(vgg_dir, weights)
    graph = check(vgg_dir)
    if weights and compare:
        is_gone = os.path.basename(weights) == graph.source and not os.path.lexists(weights)
        if not is_gone and fingerprint(read_weights(weights)) != graph.fingerprint:
            raise InputError(f'{vgg_dir}: was not built from {weights}; {CURE}')
    print(f'Encoder in {vgg_dir}: {graph.summary}')
    return graph


def check(vgg_dir):
    """The Graph in a folder, which may also be a SavedModel from elsewhere; nothing is written.

    Raises InputError: a variable is missing, damaged, not finite, or not as it was recorded.
    """
    try:
        weights = read_weights(vgg_dir)
    except InputError as error:
        raise InputError(f'{error}; {CURE}') from error
    found, record = fingerprint(weights), read_record(vgg_dir)
    if record.get('fingerprint', found) != found:
        raise InputError(f'{vgg_dir}: the weights were changed since the folder was made; {CURE}')
    kind = 'with fc6 and fc7' if 'fc6/weights' in weights else '13 convolutions'
    return Graph(vgg_dir, found, f'VGG16, {kind}, fingerprint {found}', record.get('source'))


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


def save(weights, vgg_dir, source='random weights'):
    """Write a SavedModel with tag `vgg16`, complete or not at all. Raises OSError.

    weights are as read_weights returns them, source is where they come from.
    """
    with cpu_session() as sess:
        vgg16.build_graph(sess, weights)
        with writing(vgg_dir), atomic_folder(vgg_dir) as folder:
            builder = tf.saved_model.Builder(folder)
            builder.add_meta_graph_and_variables(sess, [vgg16.TAG])
            builder.save()
            write_json(os.path.join(folder, 'source.json'), {
                'source': source, 'fingerprint': fingerprint(weights),
                'graph': file_digest(os.path.join(folder, 'saved_model.pb'))})


def _build(vgg_dir, weights):
    if os.path.isfile(vgg_dir):
        raise InputError(f'{vgg_dir}: is a file; give it as --vgg-weights, and with --vgg-dir name '
                         'the folder to make')
    is_empty = os.path.isdir(vgg_dir) and not os.listdir(vgg_dir)
    if os.path.lexists(vgg_dir) and not is_empty:
        _convert(vgg_dir)
    elif weights:
        arrays = read_weights(weights)
        print(f'Building the VGG16 graph in {vgg_dir} from {weights}')
        save(arrays, vgg_dir, os.path.basename(weights))
    else:
        _download(vgg_dir)


def _convert(vgg_dir):
    """Build the graph from the weights of another one, which is kept beside it."""
    original, converted = f'{vgg_dir}.original', f'{vgg_dir}.converted'
    if os.path.lexists(original):
        raise InputError(f'{vgg_dir}: was not made by this program and would be converted, but '
                         f'{original} is there already; move one of them away')
    source = check(vgg_dir).source or 'a SavedModel from elsewhere'
    save(read_weights(vgg_dir), converted, source)
    with writing(vgg_dir):
        os.rename(vgg_dir, original)
        os.rename(converted, vgg_dir)
    print(f'{vgg_dir}: the weights are converted; the SavedModel they come from is in {original}')


def _download(vgg_dir):
    """Download weights from the first source that works; print why a source fails."""
    folder, unpacked = os.path.dirname(os.path.abspath(vgg_dir)), f'{vgg_dir}.unpacked'

    def build(url, path):
        if url == VGG_URL:
            unpack(path, 'vgg', unpacked)
            path = unpacked
        save(read_weights(path), vgg_dir, url)

    for url, md5 in ((KERAS_URL, KERAS_MD5), (VGG_URL, None)):
        try:
            fetch(url, folder, partial(build, url), md5=md5)
            remove(os.path.join(folder, f'{os.path.basename(KERAS_URL)}.part'))
            return
        except InputError as error:
            print(f'Warning: {error}')
        finally:
            remove(unpacked)
    raise InputError(f'{vgg_dir}: the VGG16 weights could not be downloaded from either source. By '
                     f'hand: download {KERAS_URL} and give it as --vgg-weights FILE')
