"""VGG16 weights from files of Keras or NumPy, or from a SavedModel."""

import math
import os
import re

import numpy as np

from road.data.download import Damaged
from road.errors import InputError
from road.network.tf1 import tf
from road.network.vgg16 import CONVS, shapes

KINDS = "--vgg-weights takes Keras' VGG16 (.h5), 13 convolutions (.npz) or a SavedModel's folder"

# Of some filters of the published conv1_1: the sum of the nine blue weights minus that of the red.
BLUE_MINUS_RED = {1: 2.9, 5: 2.8, 9: 1.8, 13: 1.8, 16: -2.2, 19: -2.3, 22: 3.0, 25: 2.5, 29: -3.1,
                  36: 2.4, 49: 1.8, 59: -3.3}


def read_weights(path):
    """Read VGG16 weights from a file or folder: a dict of float32 arrays.

    Its names are `conv1_1/filter` [3, 3, 3, 64], `conv1_1/biases` [64] and so on; with a top also
    `fc6/weights` [7, 7, 512, 4096], `fc6/biases`, `fc7/weights` [1, 1, 4096, 4096], `fc7/biases`.
    The numbers of channels may be others.

    Files are `.h5` of Keras' VGG16 (ImageNet download, `model.save` or `model.save_weights`; with
    or without the fully connected top, perhaps as a layer of another model); `.npz` with the 13
    convolutions under `conv1_1_W` [3, 3, in, out] and `conv1_1_b` [out] to `conv5_3_b`; or a
    SavedModel with the variable names of the classic download. All are for BGR input with the mean
    subtracted; the published weights in RGB order are reordered.

    Raises InputError: there is no such file; Damaged: it cannot be read, or is not VGG16.
    """
    if not os.path.exists(path):
        raise InputError(f'{path}: no such file; {KINDS}')
    readers = {'.h5': _read_keras, '.npz': _read_npz, 'folder': _read_saved_model}
    kind = 'folder' if os.path.isdir(path) else os.path.splitext(path)[1].lower()
    if kind not in readers:
        raise InputError(f'{path}: is no file of VGG16 weights; {KINDS}')
    try:
        weights = readers[kind](path)
        _check(weights)
    except MemoryError:
        raise
    except Exception as error:  # what is raised on damaged bytes is not documented
        line = str(error).strip("'\"").split('\n')[0] or type(error).__name__
        raise Damaged(f'{path}: cannot be read as VGG16 weights ({line}); it is damaged or '
                      'another model') from error
    if is_rgb(weights['conv1_1/filter']):
        print(f'{path}: the weights are for RGB input; conv1_1 is reordered to BGR')
        weights['conv1_1/filter'] = weights['conv1_1/filter'][:, :, ::-1]
    return weights


def _check(weights):
    """Raise ValueError if shapes do not fit each other, or values are not finite."""
    with_top = 'fc6/weights' in weights
    widths = [len(weights[f'conv{block}_1/biases']) for block in range(1, 6)]
    fc_width = len(weights['fc6/biases']) if with_top else None
    for name, shape in shapes(with_top, widths, fc_width).items():
        found = weights[name]
        if found.shape != shape:
            raise ValueError(f'{name} has shape {list(found.shape)}, expected {list(shape)}')
        if not np.isfinite(found).all():
            raise ValueError(f'{name} holds values that are not finite')


def is_rgb(kernel):
    """Whether a conv1_1 kernel [3, 3, 3, 64] surely is the published one with RGB input.

    The cosine with BLUE_MINUS_RED is then -1, in BGR order 1, and near 0 for random kernels.
    Fine-tuning changes it little.
    """
    filters, known = list(BLUE_MINUS_RED), np.array(list(BLUE_MINUS_RED.values()))
    if kernel.shape[3] <= max(filters):
        return False
    found = (kernel[:, :, 0] - kernel[:, :, 2]).sum((0, 1))[filters]
    return bool(found @ known < -0.95 * np.linalg.norm(found) * np.linalg.norm(known))


def _read_saved_model(path):
    """Read the variables. The graph, which is code from elsewhere, is not loaded."""
    reader = tf.train.load_checkpoint(os.path.join(path, 'variables', 'variables'))
    names = shapes(with_top=reader.has_tensor('fc6/weights'))
    return {name: reader.get_tensor(name).astype(np.float32) for name in names}


def _read_npz(path):
    weights = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file:
            if re.fullmatch(r'conv\d_\d_W', name) and name.removesuffix('_W') not in CONVS:
                raise ValueError(f'it holds {name}, which VGG16 does not have')
        for name in CONVS:
            weights[f'{name}/filter'] = file[f'{name}_W'].astype(np.float32)
            weights[f'{name}/biases'] = file[f'{name}_b'].astype(np.float32)
    return weights


def _read_keras(path):
    """Take the convolutions in the order of the numbers in their layers' names.

    They are block1_conv1 to block5_conv3, or conv2d, conv2d_1 to conv2d_12, among other layers.
    Keras itself loads a nested model by the order of its weights, and so mixes up layers of equal
    shape if only some of them are frozen.
    """
    import h5py  # here, because it is slow and few starts need it

    layers = {}  # path in the file -> {number of dimensions: kernel or biases}

    def collect(name, node):
        if isinstance(node, h5py.Dataset) and not name.startswith('optimizer'):
            layers.setdefault(os.path.dirname(name).removesuffix('/vars'), {})[node.ndim] = node

    def numbers(layer):
        return [int(number) for number in re.findall(r'\d+', os.path.basename(layer))]

    with h5py.File(path, 'r') as file:
        file.get('model_weights', file).visititems(collect)
        convs = sorted((layer for layer, arrays in layers.items() if {1, 4} <= arrays.keys()),
                       key=numbers)
        if len(convs) != len(CONVS):
            raise ValueError(f'it holds {len(convs)} convolutions, expected {len(CONVS)}')
        weights = {}
        for name, layer in zip(CONVS, convs):
            weights[f'{name}/filter'] = np.asarray(layers[layer][4], np.float32)
            weights[f'{name}/biases'] = np.asarray(layers[layer][1], np.float32)
        top = {}
        for name in ('fc6', 'fc7'):
            shape = shapes(with_top=True)[f'{name}/weights']
            for arrays in layers.values():
                # Keras flattens pool5 [7, 7, 512] in this order, so the matrix is the kernel. One
                # of another shape belongs to another classifier.
                if 2 in arrays and arrays[2].shape == (math.prod(shape[:3]), shape[3]):
                    top[f'{name}/weights'] = np.asarray(arrays[2], np.float32).reshape(shape)
                    top[f'{name}/biases'] = np.asarray(arrays[1], np.float32)
    return {**weights, **top} if len(top) == 4 else weights
