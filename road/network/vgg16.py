"""VGG16 as a fully convolutional graph, built from weights.

The weights decide between three kinds of graph: the full network (fc6 and fc7 as convolutions),
the 13 convolutions alone (`layer7_out` is then pool5 after its dropout), and a narrow one for the
sample. Variables and tensors have the names and shapes of the classic download.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015
(configuration D). Fully connected layers as convolutions: Long, Shelhamer, Darrell, 2015.
"""

from road.network.tf1 import tf

TAG = 'vgg16'
TENSORS = ('image_input:0', 'keep_prob:0', 'layer3_out:0', 'layer4_out:0', 'layer7_out:0')

# ImageNet's mean in BGR, as in the Caffe model from which all VGG16 weights descend.
MEAN_BGR = (103.939, 116.779, 123.68)

BLOCKS = (2, 2, 3, 3, 3)  # convolutions per block; a 2x2 max pooling ends each block
CONVS = [f'conv{block}_{i}' for block, count in enumerate(BLOCKS, 1) for i in range(1, count + 1)]
WIDTHS = (64, 128, 256, 512, 512)
FC_WIDTH = 4096

# Frozen features: the deepest tensors, on each way to the decoder, that depend on the image alone.
FROZEN_FEATURES = {  # for each block that may be the first trained one
    'none': ('pool3', 'pool4', 'dropout_input'), 'conv5': ('pool3', 'pool4'), 'conv4': ('pool3',),
    'conv3': ('pool2',), 'all': ('image_input',)}
STRIDES = {'image_input': 1, 'pool2': 4, 'pool3': 8, 'pool4': 16, 'dropout_input': 32}
DROPOUTS = ('dropout', 'dropout_1')  # after fc6 and fc7; of the 13 convolutions the first alone


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


def build_graph(sess, weights):
    """Add VGG16 to the default graph, that of the session; its variables get the weights."""
    def variable(name):
        # Not constants, which would take 0.5 of the 2 GB that a graph may have.
        made = tf.get_variable(name, weights[name].shape, initializer=tf.zeros_initializer())
        made.load(weights[name], sess)
        return made

    def conv(x, name, kernel):
        with tf.name_scope(name):
            x = tf.nn.conv2d(x, variable(f'{name}/{kernel}'), strides=1, padding='SAME')
            return tf.nn.relu(tf.nn.bias_add(x, variable(f'{name}/biases')))

    def dropout(x, name):
        x = tf.identity(x, name=f'{name}_input')
        # With a seed, as deterministic processes demand; training feeds the noise, see Batches.
        noise = tf.identity(tf.random.uniform(tf.shape(x), seed=0), name=f'{name}_noise')
        return tf.where(noise >= 1 - keep_prob, x * (1 / keep_prob), tf.zeros_like(x), name=name)

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
        x = dropout(conv(x, 'fc6', 'weights'), DROPOUTS[0])
        x = dropout(conv(x, 'fc7', 'weights'), DROPOUTS[1])
    else:
        x = dropout(x, DROPOUTS[0])
    for name, tensor in (('layer3_out', pools[2]), ('layer4_out', pools[3]), ('layer7_out', x)):
        tf.identity(tensor, name=name)
