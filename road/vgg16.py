"""VGG16 as a fully convolutional graph: build it from weights, save it, find where it is frozen.

    weights = read_weights('vgg16_weights_tf_dim_ordering_tf_kernels.h5')
    save_graph(weights, 'data/vgg')          # a SavedModel with tag 'vgg16' for main.load_vgg

Three kinds of graph come from the same code, told apart by the weights given: the full network (fc6 and fc7 as
convolutions), the thirteen convolutions alone (`layer7_out` is then pool5), and a narrow one for the sample.
Names and shapes are those of the classic download, so either loads through main.load_vgg.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015 (configuration D);
fully connected layers as convolutions: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic
segmentation", 2015.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile

import h5py
import numpy as np

from road.errors import InputError
from road.tf1 import tf

TAG = 'vgg16'
TENSORS = ('image_input:0', 'keep_prob:0', 'layer3_out:0', 'layer4_out:0', 'layer7_out:0')

# ImageNet mean of the training images in BGR, as in the Caffe model that all VGG16 weights descend from.
MEAN_BGR = (103.939, 116.779, 123.68)

BLOCKS = (2, 2, 3, 3, 3)  # convolutions a block, each block followed by a 2x2 max pooling
CONVS = [f'conv{block}_{i}' for block, count in enumerate(BLOCKS, 1) for i in range(1, count + 1)]
WIDTHS = (64, 128, 256, 512, 512)
FC_WIDTH = 4096
NARROW_WIDTHS = (8, 16, 24, 32, 32)


# ---------------------------------------------------------------------------------------------------- weights


def read_weights(path):
    """Read VGG16 weights from a file into the graph's variable names.

    Args:
        path: `.h5` of Keras' VGG16 (ImageNet download, `model.save` or `model.save_weights`; with or without the
            fully connected top), or `.npz` with the 13 convolutions under `conv1_1_W` [3, 3, in, out] (HWIO) and
            `conv1_1_b` [out] to `conv5_3_b`. Both for BGR input with the mean subtracted.
    Returns:
        dict of float32 arrays: `conv1_1/filter` [3, 3, 3, 64], `conv1_1/biases` [64] and so on; with a Keras top
        also `fc6/weights` [7, 7, 512, 4096], `fc6/biases`, `fc7/weights` [1, 1, 4096, 4096], `fc7/biases`.
    Raises:
        InputError: the file is missing, broken, or not VGG16.
    """
    readers = {'.npz': _read_npz, '.h5': _read_keras}
    reader = readers.get(os.path.splitext(path)[1].lower())
    if reader is None:
        raise InputError(f"{path}: VGG16 weights come as .h5 (Keras' VGG16) or .npz (the 13 convolutions)")
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such file; --vgg-weights takes a .h5 or .npz file of VGG16 weights')
    try:
        weights = reader(path)
    # What h5py, zipfile and NumPy raise on damaged bytes is not documented as one type.
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile, MemoryError) as error:
        raise InputError(f'{path}: not readable as VGG16 weights ({_first_line(error)}); get the file again') from error
    for name, shape in shapes(with_top='fc6/weights' in weights).items():
        if name not in weights:
            raise InputError(f'{path}: not VGG16: {name} is missing')
        if weights[name].shape != shape:
            raise InputError(f'{path}: not VGG16: {name} has shape {list(weights[name].shape)}, expected {list(shape)}')
        if not np.isfinite(weights[name]).all():
            raise InputError(f'{path}: {name} holds values that are not finite; get the file again')
    return weights


def _first_line(error):
    return str(error).strip("'\"").split('\n')[0] or type(error).__name__


def shapes(with_top):
    """Variable name -> shape of the published network."""
    shapes, channels = {}, 3
    for name in CONVS:
        width = WIDTHS[int(name[4]) - 1]
        shapes[f'{name}/filter'], shapes[f'{name}/biases'] = (3, 3, channels, width), (width,)
        channels = width
    if with_top:
        shapes['fc6/weights'], shapes['fc6/biases'] = (7, 7, channels, FC_WIDTH), (FC_WIDTH,)
        shapes['fc7/weights'], shapes['fc7/biases'] = (1, 1, FC_WIDTH, FC_WIDTH), (FC_WIDTH,)
    return shapes


def _read_npz(path):
    weights = {}
    with np.load(path, allow_pickle=False) as file:
        for name in CONVS:
            weights[f'{name}/filter'] = file[f'{name}_W'].astype(np.float32)
            weights[f'{name}/biases'] = file[f'{name}_b'].astype(np.float32)
    return weights


def _read_keras(path):
    """Keras has written VGG16 in three layouts; all keep a group a layer with the kernel before the bias."""
    with h5py.File(path, 'r') as file:
        root = file.get('model_weights', file.get('layers', file))
        layers = {}

        def collect(name, node):
            if isinstance(node, h5py.Dataset):
                layers.setdefault(name.split('/')[0], []).append(np.asarray(node, np.float32))

        root.visititems(collect)
    weights, block_names = {}, 'block1_conv1' in layers
    for i, name in enumerate(CONVS):
        # `save_weights('x.weights.h5')` of Keras 3 counts layers by class instead of naming them
        layer = f'block{name[4]}_conv{name[6]}' if block_names else 'conv2d' + (f'_{i}' if i else '')
        weights[f'{name}/filter'], weights[f'{name}/biases'] = _kernel_and_bias(layers[layer])
    for name, layer, kernel_shape in (('fc6', 'fc1' if block_names else 'dense', (7, 7, 512, 4096)),
                                      ('fc7', 'fc2' if block_names else 'dense_1', (1, 1, 4096, 4096))):
        if layers.get(layer):
            # Keras flattens pool5 [7, 7, 512] in row, column, channel order, so the matrix is the kernel
            kernel, bias = _kernel_and_bias(layers[layer])
            weights[f'{name}/weights'], weights[f'{name}/biases'] = kernel.reshape(kernel_shape), bias
    return weights


def _kernel_and_bias(arrays):
    kernel, bias = sorted(arrays, key=np.ndim, reverse=True)
    return kernel, bias


def random_weights(widths=NARROW_WIDTHS, fc_width=None, seed=0):
    """He-initialised weights of a VGG16 with the given channels a block; `fc_width` adds fc6 and fc7.

    Returns:
        dict of float32 arrays as read_weights gives.
    """
    rng = np.random.default_rng(seed)

    def he(*shape):
        deviation = np.sqrt(2 / np.prod(shape[:-1]))
        return rng.standard_normal(shape, np.float32) * np.float32(deviation)

    weights, channels = {}, 3
    for name in CONVS:
        width = widths[int(name[4]) - 1]
        weights[f'{name}/filter'] = he(3, 3, channels, width)
        weights[f'{name}/biases'] = np.zeros(width, np.float32)
        channels = width
    if fc_width:
        weights['fc6/weights'], weights['fc6/biases'] = he(7, 7, channels, fc_width), np.zeros(fc_width, np.float32)
        weights['fc7/weights'], weights['fc7/biases'] = he(1, 1, fc_width, fc_width), np.zeros(fc_width, np.float32)
    return weights


# ------------------------------------------------------------------------------------------------------ graph


def build_graph(weights):
    """Add the VGG16 graph to the default graph; the shapes come from `weights` (see read_weights).

    Returns:
        dict of the variables by name. The variables start as zeros: assign them, or restore them.
    """
    variables = {}

    def variable(name):
        variables[name] = tf.get_variable(name, weights[name].shape, initializer=tf.zeros_initializer())
        return variables[name]

    def conv(x, name, kernel):
        with tf.name_scope(name):
            x = tf.nn.conv2d(x, variable(f'{name}/{kernel}'), strides=1, padding='SAME')
            return tf.nn.relu(tf.nn.bias_add(x, variable(f'{name}/biases')))

    image_input = tf.placeholder(tf.float32, [None, None, None, 3], name='image_input')  # RGB, 0 to 255
    keep_prob = tf.placeholder(tf.float32, [], name='keep_prob')
    with tf.name_scope('processing'):
        x = image_input[..., ::-1] - tf.constant(MEAN_BGR)
    pools = []
    for block, count in enumerate(BLOCKS, 1):  # [n, h, w, c] => [n, h/2, w/2, c']
        for i in range(1, count + 1):
            x = conv(x, f'conv{block}_{i}', 'filter')
        x = tf.nn.max_pool2d(x, ksize=2, strides=2, padding='SAME', name=f'pool{block}')
        pools.append(x)
    if 'fc6/weights' in weights:
        x = tf.nn.dropout(conv(x, 'fc6', 'weights'), rate=1 - keep_prob, name='dropout')
        x = conv(x, 'fc7', 'weights')
    x = tf.nn.dropout(x, rate=1 - keep_prob, name='dropout_1')
    for name, tensor in (('layer3_out', pools[2]), ('layer4_out', pools[3]), ('layer7_out', x)):
        tf.identity(tensor, name=name)
    return variables


def save_graph(weights, vgg_dir, source='random weights'):
    """Write a SavedModel with tag `vgg16`; the folder appears under its name only when it is whole.

    Args:
        weights: dict of float32 arrays as read_weights or random_weights gives.
        vgg_dir: the folder to make; it must not exist.
        source: what the weights are, recorded in `source.json` beside the graph.
    """
    parent = os.path.dirname(os.path.abspath(vgg_dir))
    os.makedirs(parent, exist_ok=True)
    building = tempfile.mkdtemp(prefix=f'.{os.path.basename(vgg_dir)}-', dir=parent)
    try:
        folder = os.path.join(building, 'vgg')
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as sess:
            for name, variable in build_graph(weights).items():
                # a placeholder, not a constant: the weights would not fit under a graph's 2 GB limit twice
                value = tf.placeholder(tf.float32, variable.shape)
                sess.run(tf.assign(variable, value), {value: weights[name]})
            builder = tf.saved_model.Builder(folder)
            builder.add_meta_graph_and_variables(sess, [TAG])
            builder.save()
        write_source(folder, source)
        os.chmod(folder, 0o755)
        os.replace(folder, vgg_dir)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def missing_file(vgg_dir):
    """The first of a SavedModel's files that is not there (graph, index, values), or None when it is complete."""
    for name in ('saved_model.pb', 'variables/variables.index'):
        if not os.path.isfile(os.path.join(vgg_dir, name)):
            return name
    if not any(re.fullmatch(r'variables\.data-\d+-of-\d+', name) for name in os.listdir(os.path.join(vgg_dir, 'variables'))):
        return 'variables/variables.data-*'
    return None


def write_source(vgg_dir, source):
    """Record beside the graph where its weights come from, and its fingerprint, by which a change is noticed."""
    with open(os.path.join(vgg_dir, 'source.json'), 'w') as file:
        json.dump({'source': source, 'fingerprint': fingerprint(vgg_dir)}, file)


def read_source(vgg_dir, key='source'):
    """What write_source recorded under 'source' or 'fingerprint', or None."""
    try:
        with open(os.path.join(vgg_dir, 'source.json')) as file:
            return json.load(file).get(key)
    except (OSError, ValueError, AttributeError):
        return None


def fingerprint(vgg_dir):
    """MD5 (hex) of the SavedModel's graph and variables: equal for equal encoders from the same file."""
    digest = hashlib.md5()
    variables = os.path.join(vgg_dir, 'variables')
    for path in [os.path.join(vgg_dir, 'saved_model.pb')] + sorted(
            os.path.join(variables, name) for name in os.listdir(variables) if name.startswith('variables.')):
        with open(path, 'rb') as file:
            for block in iter(lambda: file.read(1 << 20), b''):
                digest.update(block)
    return digest.hexdigest()


# --------------------------------------------------------------------------------------------------- frontier


# What --train-encoder may name, and the first block that is then trained.
FIRST_TRAINED = {'none': None, 'conv5': 5, 'conv4': 4, 'conv3': 3, 'all': 1}


def trained_variables(variables, train_encoder):
    """Those of the encoder's variables that train: of the block that `train_encoder` names and all above, fc6 and fc7 too."""
    first = FIRST_TRAINED[train_encoder]

    def trains(variable):
        found = re.match(r'(?:conv(\d)_\d|fc[67])/', variable.op.name)
        return first is not None and found is not None and int(found[1] or 6) >= first

    return [variable for variable in variables if trains(variable)]


def frontier_and_noise(image_input, keep_prob, layer3_out, layer4_out, layer7_out, trained=()):
    """Where the graph stops being the same for the same image, and what makes it differ.

    Everything up to the frontier depends on the image alone; behind it stand the dropouts, what trains, and what follows
    them. The dropouts' uniform noise is returned as tensors to be *fed*: the random ops of a downloaded graph carry the
    seeds (0, 0), which TensorFlow takes for "a new stream in every session", whatever seed the program was given.

    Args:
        the five Tensors of main.load_vgg; call it before anything else is added behind them.
        trained: variables of the encoder that are not frozen.
    Returns:
        (frontier, noise): tuples of float32 Tensors. frontier is the deepest tensors on each way to the three layers that
        do not change: frozen, pool3, pool4 and what is before the first dropout; image_input alone where all is trained.
        noise is the dropouts' uniform [0, 1) tensors, of the dropped layers' shapes.
    """
    graph = image_input.graph
    of_image = _downstream([image_input])
    noise = [op.outputs[0] for op in graph.get_operations()  # in the order of the graph
             if op.type == 'RandomUniform' and op in of_image]
    names = {variable.op.name for variable in trained}
    weights = [op.outputs[0] for op in graph.get_operations() if op.name in names]
    if any(name.startswith('conv1_1/') for name in names):  # what is before that is only the image, in another form
        return (image_input,), tuple(noise)
    varying, frontier = _downstream([keep_prob] + noise + weights), []

    def cut(tensor):
        while tensor.op.type == 'Identity':  # so that a pool and layer4_out, the same under two names, are one
            tensor = tensor.op.inputs[0]
        if tensor.op in varying:
            for source in tensor.op.inputs:
                if source.op.type != 'RandomUniform':  # its input is only a shape
                    cut(source)
        elif tensor.op in of_image and tensor.dtype == tf.float32 and not any(tensor is t for t in frontier):
            frontier.append(tensor)

    for tensor in (layer3_out, layer4_out, layer7_out):
        cut(tensor)
    return tuple(frontier), tuple(noise)


def strides(frontier):
    """By how much less high and wide than the image each tensor of the frontier is, a list of int: 2 for each pooling."""
    def pools(op, seen):
        for source in op.inputs:
            if source.op not in seen:
                seen.add(source.op)
                pools(source.op, seen)
        return sum(each.type == 'MaxPool' for each in seen)

    return [2 ** pools(tensor.op, {tensor.op}) for tensor in frontier]


def dropouts(image_input, keep_prob):
    """Which tensors stand behind the dropouts of a graph, and which before: {name behind: name before}, as a GraphDef
    spells its inputs. With a keep_prob of 1 the two are equal.

    A dropout is x times something of keep_prob, times (or selected by) something of a random uniform tensor.
    """
    graph, of_image, of_keep = image_input.graph, _downstream([image_input]), _downstream([keep_prob])
    found = {}
    for op in graph.get_operations():
        if op.type != 'RandomUniform' or op not in of_image:
            continue
        of_noise = _downstream(op.outputs)
        behind, before = next((merge, source) for merge in graph.get_operations() if merge in of_noise
                              for source in merge.inputs if source.op in of_image - of_noise - {op})
        while any(source is keep_prob or source.op in of_keep and source.op not in of_image for source in before.op.inputs):
            before, = (source for source in before.op.inputs if source.op in of_image or source is image_input)
        found[_input_name(behind.outputs[0])] = _input_name(before)
    return found


def _input_name(tensor):
    return tensor.name.removesuffix(':0')  # a GraphDef leaves the :0 out


def _downstream(tensors):
    """The set of operations that need one of the tensors."""
    reached, waiting = set(), list(tensors)
    while waiting:
        for op in waiting.pop().consumers():
            if op not in reached:
                reached.add(op)
                waiting.extend(op.outputs)
    return reached
