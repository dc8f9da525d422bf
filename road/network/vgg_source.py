"""The VGG16 graph: find it, or build it from weights, which are given or downloaded."""

import os
import shutil

from road.data.download import fetch, remove
from road.data.unpack import Damaged, unpack
from road.errors import InputError, cannot_write
from road.files import file_digest, lock
from road.network import vgg_folder
from road.network.vgg_weights import read_weights

# Keras' ImageNet weights with the fully connected top, 553 MB.
KERAS_URL = ('https://storage.googleapis.com/tensorflow/keras-applications/vgg16/'
             'vgg16_weights_tf_dim_ordering_tf_kernels.h5')
KERAS_MD5 = '64373286793e3c8b2b4e3219cbf3544b'  # as keras.applications.vgg16 states it
# The classic download: a SavedModel, zipped, about 1 GB. Nobody maintains it any more.
VGG_URL = 'https://s3-us-west-1.amazonaws.com/udacity-selfdrivingcar/vgg.zip'


def find_vgg(vgg_dir, weights=None, compare=True):
    """Find the vgg_folder.Graph in `vgg_dir`, or build it there.

    A SavedModel from elsewhere is converted: it is kept as `<vgg_dir>.original`.

    Args:
        weights: a file to build the graph from (road.network.vgg_weights.read_weights); None
            downloads one.
        compare: if the graph is there already, its weights must be those in `weights`, which may be
            gone by now.
    Raises:
        InputError: the folder is damaged or has other weights, or the graph cannot be built.
    """
    if not vgg_folder.is_own(vgg_dir):
        with lock(vgg_dir):
            if not vgg_folder.is_own(vgg_dir):  # else another process has built it meanwhile
                _build(vgg_dir, weights)
    graph = vgg_folder.check(vgg_dir)
    if weights and compare and not _is_built_from(graph, weights):
        raise InputError(f'{vgg_dir}: was not built from {weights}; move the folder away or name '
                         'another one with --vgg-dir')
    print(f'Encoder in {vgg_dir}: {graph.summary}')
    return graph


def _build(vgg_dir, weights):
    if os.path.lexists(vgg_dir):
        _convert(vgg_dir)
    elif weights:
        arrays = read_weights(weights)
        print(f'Building the VGG16 graph in {vgg_dir} from {weights}')
        vgg_folder.save(arrays, vgg_dir, os.path.basename(weights), _file_md5(weights))
    else:
        _download(vgg_dir)


def _convert(vgg_dir):
    """Build the graph from the weights of another one, which is kept beside it."""
    original, converted = f'{vgg_dir}.original', f'{vgg_dir}.converted'
    if os.path.lexists(original):
        raise InputError(f'{vgg_dir}: was not made by this program and would be converted, but '
                         f'{original} is there already; move one of them away')
    vgg_folder.check(vgg_dir)
    vgg_folder.save(read_weights(vgg_dir), converted, vgg_folder.read_record(vgg_dir).get(
        'source', 'a SavedModel from elsewhere'))
    try:
        os.rename(vgg_dir, original)
        os.rename(converted, vgg_dir)
    except OSError as error:
        raise cannot_write(vgg_dir, error, 'give permission, or name a copy with --vgg-dir'
                           ) from error
    print(f'{vgg_dir}: the weights are converted; the SavedModel they come from is in {original}')


def _file_md5(path):
    """MD5 (hex) of a file, None of a folder. Raises InputError if Keras' file is damaged."""
    if not os.path.isfile(path):
        return None
    md5 = file_digest(path)
    if os.path.basename(path) == os.path.basename(KERAS_URL) and md5 != KERAS_MD5:
        raise InputError(f"{path}: has MD5 {md5}, Keras' file {KERAS_MD5}; download it again")
    return md5


def _is_built_from(graph, weights):
    if not os.path.lexists(weights) and os.path.basename(weights) == graph.source:
        return True  # the file is gone; the graph is there
    md5 = _file_md5(weights)
    if md5 and md5 == graph.md5:
        return True
    return vgg_folder.fingerprint(read_weights(weights)) == graph.fingerprint


def _download(vgg_dir):
    """Download weights from the first source that works; print why a source fails."""
    folder = os.path.dirname(os.path.abspath(vgg_dir))

    def build_from_keras(path):
        vgg_folder.save(read_weights(path), vgg_dir, KERAS_URL, KERAS_MD5)

    def build_from_zip(path):
        unpacked = f'{vgg_dir}.unpacked'
        unpack(path, 'vgg', unpacked, lambda _: None)
        try:
            weights = read_weights(unpacked)
        except InputError as error:
            raise Damaged(str(error)) from error
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
        vgg_folder.save(weights, vgg_dir, VGG_URL)

    for url, md5, use in ((KERAS_URL, KERAS_MD5, build_from_keras),
                          (VGG_URL, None, build_from_zip)):
        try:
            fetch(url, folder, use, md5=md5)
            remove(os.path.join(folder, f'{os.path.basename(KERAS_URL)}.part'))
            return
        except InputError as error:
            print(f'Warning: {error}')
    raise InputError(f'{vgg_dir}: the VGG16 weights could not be downloaded from either source. By '
                     f'hand: download {KERAS_URL} and give it as --vgg-weights FILE')
