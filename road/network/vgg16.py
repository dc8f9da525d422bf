"""VGG16 as a fully convolutional graph, built from weights.

The weights decide between three kinds of graph: the full network (fc6 and fc7 as convolutions),
the 13 convolutions alone (`layer7_out` is then pool5), and a narrow one for the sample. Names and
shapes are those of the classic download, so that main.load_vgg loads any of them.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015
(configuration D). Fully connected layers as convolutions: Long, Shelhamer, Darrell, 2015.
"""

import numpy as np

from road.network.tf1 import tf

TAG = 'vgg16'
TENSORS = ('image_input:0', 'keep_prob:0', 'layer3_out:0', 'layer4_out:0', 'layer7_out:0')

# ImageNet's mean in BGR, as in the Caffe model from which all VGG16 weights descend.
MEAN_BGR = (103.939, 116.779, 123.68)

BLOCKS = (2, 2, 3, 3, 3)  # convolutions per block; a 2x2 max pooling ends each block
CONVS = [f'conv{block}_{i}' for block, count in enumerate(BLOCKS, 1) for i in range(1, count + 1)]
WIDTHS = (64, 128, 256, 512, 512)
FC_WIDTH = 4096
NARROW_WIDTHS = (8, 16, 24, 32, 32)


def shapes(with_top, widths=None, fc_width=None):
    """Variable name -> shape; those of the published network if no widths are given."""
    shapes, channels = {}, 3
    layers = [(name, 'filter', 3, (widths or WIDTHS)[int(name[4]) - 1]) for name in CONVS]
    if with_top:
        layers += [(name, 'weights', size, fc_width or FC_WIDTH)
                   for name, size in (('fc6', 7), ('fc7', 1))]
    for name, kernel, size, width in layers:
        shapes[f'{name}/{kernel}'] = size, size, channels, width
        shapes[f'{name}/biases'] = width,
        channels = width
    return shapes


def random_weights(widths=NARROW_WIDTHS, fc_width=None, seed=0):
    """He-initialised weights of a VGG16 with the given channels per block, all biases 0.

    Args:
        fc_width: channels of fc6 and fc7; None leaves them out.
    Returns:
        dict of float32 arrays, as road.network.vgg_weights.read_weights returns.
    """
    rng, weights = np.random.default_rng(seed), {}
    for name, shape in shapes(bool(fc_width), widths, fc_width).items():
        if name.endswith('/biases'):
            weights[name] = np.zeros(shape, np.float32)
        else:
            deviation = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
            weights[name] = rng.standard_normal(shape, np.float32) * deviation
    return weights


def build_graph(weights):
    """Add the VGG16 graph to the default graph; the shapes are those of `weights`.

    Returns:
        dict of the variables by name. The variables start as zeros: assign them, or restore them.
    """
    variables = {}

    def variable(name):
        variables[name] = tf.get_variable(name, weights[name].shape,
                                          initializer=tf.zeros_initializer())
        return variables[name]

    def conv(x, name, kernel):
        with tf.name_scope(name):
            x = tf.nn.conv2d(x, variable(f'{name}/{kernel}'), strides=1, padding='SAME')
            return tf.nn.relu(tf.nn.bias_add(x, variable(f'{name}/biases')))

    # RGB, 0 to 255
    image_input = tf.placeholder(tf.float32, [None, None, None, 3], name='image_input')
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
