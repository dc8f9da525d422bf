"""VGG16 weights from files of Keras or NumPy, or from a SavedModel."""

import math
import os
import re

import numpy as np

from road.errors import InputError
from road.network.tf1 import tf
from road.network.vgg16 import CONVS, shapes

# The layers in Keras: by name, and as `save_weights` of Keras 3 counts them by class.
LAYERS = {name: f'block{name[4]}_conv{name[6]}' for name in CONVS} | {'fc6': 'fc1', 'fc7': 'fc2'}
COUNTED = {name: f'conv2d_{i}' if i else 'conv2d' for i, name in enumerate(CONVS)} | {
    'fc6': 'dense', 'fc7': 'dense_1'}

# Of some filters of the published conv1_1: the sum of the nine blue weights minus that of the red.
BLUE_MINUS_RED = {1: 2.9, 5: 2.8, 9: 1.8, 13: 1.8, 16: -2.2, 19: -2.3, 22: 3.0, 25: 2.5, 29: -3.1,
                  36: 2.4, 49: 1.8, 59: -3.3}


def read_weights(path):
    """Read VGG16 weights from a file or folder into the graph's variable names.

    Args:
        path: `.h5` of Keras' VGG16 (ImageNet download, `model.save` or `model.save_weights`; with
            or without the fully connected top, perhaps as a layer of another model); `.npz` with
            the 13 convolutions under `conv1_1_W` [3, 3, in, out] (HWIO) and `conv1_1_b` [out] to
            `conv5_3_b`; or a SavedModel with the variable names of the classic download. All for
            BGR input with the mean subtracted; the published weights in RGB order are recognised
            and reordered.
    Returns:
        dict of float32 arrays: `conv1_1/filter` [3, 3, 3, 64], `conv1_1/biases` [64] and so on;
        with a top also `fc6/weights` [7, 7, 512, 4096], `fc6/biases`, `fc7/weights`
        [1, 1, 4096, 4096], `fc7/biases`. A SavedModel may have other numbers of channels.
    Raises:
        InputError: the file is missing, damaged, or not VGG16.
    """
    ending = os.path.splitext(path)[1].lower()
    read = {'.h5': _read_keras, '.npz': _read_npz}.get(ending)
    if os.path.isdir(path):
        read = _read_saved_model
    elif not os.path.isfile(path):
        raise InputError(f'{path}: no such file; --vgg-weights takes a .h5 or .npz file, or the '
                         'folder of a SavedModel')
    elif read is None:
        raise InputError(f"{path}: VGG16 weights come as .h5 (Keras' VGG16), .npz (the 13 "
                         'convolutions), or as the folder of a SavedModel')
    try:
        weights = read(path)
        _check(weights, own_widths=read is _read_saved_model)
    except MemoryError:
        raise
    except Exception as error:  # what is raised on damaged bytes is not documented
        line = str(error).strip("'\"").split('\n')[0] or type(error).__name__
        raise InputError(f'{path}: cannot be read as VGG16 weights ({line}); it is damaged or '
                         'another model') from error
    if is_rgb(weights['conv1_1/filter']):
        print(f'{path}: the weights are for RGB input; conv1_1 is reordered to BGR')
        weights['conv1_1/filter'] = weights['conv1_1/filter'][:, :, ::-1]
    return weights


def _check(weights, own_widths):
    """Raise ValueError if shapes are not VGG16's, with its widths or its own, or values not finite.
    """
    widths = fc_width = None
    with_top = 'fc6/weights' in weights
    if own_widths:
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

    The cosine with BLUE_MINUS_RED is 1 for the published weights, -1 for them in RGB order, and
    near 0 for random ones. Fine-tuning changes it little.
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
        for name in file.files:
            if re.fullmatch(r'conv\d_\d_W', name) and name[:-2] not in CONVS:
                raise ValueError(f'it holds {name}, which VGG16 does not have')
        for name in CONVS:
            weights[f'{name}/filter'] = file[f'{name}_W'].astype(np.float32)
            weights[f'{name}/biases'] = file[f'{name}_b'].astype(np.float32)
    return weights


def _read_keras(path):
    """Find the layers by their names in the file, which may hold other layers too.

    Keras itself loads a nested model by the order of its weights, trained ones first, and so mixes
    up layers of equal shape if only some of them are frozen.
    """
    import h5py  # here, because it is slow and few starts need it

    groups = {}  # path of a layer in the file -> {number of dimensions: its kernel or biases}

    def collect(name, node):
        if isinstance(node, h5py.Dataset) and not name.startswith('optimizer'):
            groups.setdefault(os.path.dirname(name).removesuffix('/vars'), {})[node.ndim] = node

    with h5py.File(path, 'r') as file:
        file.get('model_weights', file).visititems(collect)
        convs = [group for group, arrays in groups.items() if 4 in arrays]
        if len(convs) != len(CONVS):
            raise ValueError(f'it holds {len(convs)} convolutions, expected {len(CONVS)}')
        shape = list(groups[convs[0]][4].shape)
        if shape[:2] != [3, 3]:
            raise ValueError(f'its first convolution has shape {shape}, expected [3, 3, in, out]; '
                         "convert it from Theano's order")
        names, layers = LAYERS, {os.path.basename(group): groups[group] for group in groups}
        if 'conv2d' in layers:
            names, folder = COUNTED, os.path.dirname(convs[0])  # a nested model counts its own
            layers = {name: groups.get(f'{folder}/{name}', {}) for name in names.values()}
        # a dense layer has two dimensions; one of another shape belongs to another classifier
        with_top = all(
            getattr(layers.get(names[name[:3]], {}).get(2), 'shape', None)
            == (math.prod(shape[:3]), shape[3])
            for name, shape in shapes(with_top=True).items() if name.endswith('/weights'))
        weights = {}
        for name, shape in shapes(with_top).items():
            layer = names[name.split('/')[0]]
            array = layers.get(layer, {}).get(2 if name.endswith('/weights') else len(shape))
            if array is None:
                found = ', '.join(sorted(map(os.path.basename, convs))[:3])
                raise ValueError(f'{name} is missing, expected in a layer {layer}; its '
                                 f'convolutions are named {found} ...')
            weights[name] = np.asarray(array, np.float32)
            # Keras flattens pool5 [7, 7, 512] in this order, so the matrix is the kernel
            if array.ndim == 2:
                weights[name] = weights[name].reshape(shape)
    return weights
