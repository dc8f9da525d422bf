"""The VGG16 graph: find it, build it from a weights file, or download it."""

import os

from road.data.download import fetch, remove
from road.data.unpack import Damaged, unpack
from road.errors import InputError
from road.files import file_digest, lock
from road.network import vgg_folder
from road.network.vgg_weights import read_weights

# The classic download: the SavedModel itself, zipped, about 1 GB. Nobody maintains it any more.
VGG_URL = 'https://s3-us-west-1.amazonaws.com/udacity-selfdrivingcar/vgg.zip'
# The second source: Keras' ImageNet weights with the fully connected top, 553 MB, to be converted.
KERAS_URL = ('https://storage.googleapis.com/tensorflow/keras-applications/vgg16/'
             'vgg16_weights_tf_dim_ordering_tf_kernels.h5')
KERAS_MD5 = '64373286793e3c8b2b4e3219cbf3544b'  # as keras.applications.vgg16 states it


def find_vgg(vgg_dir, weights=None):
    """Find the vgg_folder.Graph in `vgg_dir`; if there is no such folder, build or download it.

    Args:
        weights: a file to build it from (road.network.vgg_weights.read_weights), no download.
    Raises:
        InputError: the folder is damaged or was built from other weights, or cannot be made.
    """
    source = _source(weights) if weights else None
    if not os.path.lexists(vgg_dir):
        with lock(vgg_dir):
            if not os.path.lexists(vgg_dir):  # else another process has made it meanwhile
                if weights:
                    print(f'Building the VGG16 graph in {vgg_dir} from {weights}')
                    vgg_folder.save(read_weights(weights), vgg_dir, source)
                else:
                    _download(vgg_dir)
    graph = vgg_folder.check(vgg_dir)
    if weights and graph.source != source:
        raise InputError(f'{vgg_dir}: was not built from {weights}; move the folder away or name '
                         'another one with --vgg-dir')
    print(f'Encoder in {vgg_dir}: {graph.summary}')
    return graph


def _source(weights):
    """What source.json records of a weights file: its name and MD5; that of Keras is verified."""
    if not os.path.isfile(weights):
        raise InputError(f'{weights}: no such file; --vgg-weights takes a .h5 or .npz file')
    md5, name = file_digest(weights), os.path.basename(weights)
    if name == os.path.basename(KERAS_URL) and md5 != KERAS_MD5:
        raise InputError(f"{weights}: has MD5 {md5}, Keras' file {KERAS_MD5}; download it again")
    return f'{name} (MD5 {md5})'


def _download(vgg_dir):
    """Download the graph from the first source that works; print why a source fails."""
    folder = os.path.dirname(os.path.abspath(vgg_dir))

    def finish(unpacked):
        try:
            graph = vgg_folder.check(unpacked)
        except InputError as error:
            raise Damaged(str(error)) from error
        vgg_folder.write_source(unpacked, VGG_URL, graph.fingerprint)

    def convert(path):
        vgg_folder.save(read_weights(path), vgg_dir, f'{KERAS_URL} (MD5 {KERAS_MD5})')

    for url, md5, use in ((VGG_URL, None, lambda path: unpack(path, 'vgg', vgg_dir, finish)),
                          (KERAS_URL, KERAS_MD5, convert)):
        try:
            fetch(url, folder, use, md5=md5)
            remove(os.path.join(folder, f'{os.path.basename(VGG_URL)}.part'))
            return
        except InputError as error:
            print(f'Warning: {error}')
    raise InputError(f'{vgg_dir}: the VGG16 graph could not be downloaded from either source. By '
                     f'hand: download {KERAS_URL} and give it as --vgg-weights FILE')
