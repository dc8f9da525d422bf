"""Gradients of convolutions, faster than TensorFlow's own on processors without bfloat16."""

from road.network.device import cpu_has_bfloat16
from road.network.tf1 import tf
from road.network.vgg16 import CONVS


def gradients(loss, variables):
    """As tf.gradients: a list of Tensors and None; processors without bfloat16 use matrix products.

    TensorFlow's operation for the gradient of a kernel is slow there. In bfloat16 the products gain
    3 % from conv4 on, and lose below (docs/speed.csv). On GPUs they were not measured.
    """
    if tf.config.list_physical_devices('GPU') or cpu_has_bfloat16():
        return tf.gradients(loss, variables)
    return gradients_with_matmul(loss, variables)


def gradients_with_matmul(loss, variables):
    """As tf.gradients, but the gradients of VGG16's kernels are a few matrix products.

    The loss must need these kernels for their convolutions alone: none may have an L2 term.
    """
    operations = {op.name: op for op in loss.graph.get_operations()}
    # TensorFlow's own operation is good enough for the 1x1 of fc7.
    names = {f'{layer}/filter': f'{layer}/Conv2D' for layer in CONVS}
    names['fc6/weights'] = 'fc6/Conv2D'
    # None for other variables, and in a graph from elsewhere, of other names
    convs = [operations.get(names.get(v.op.name)) for v in variables]
    found = tf.gradients(loss, [op.outputs[0] if op else v for op, v in zip(convs, variables)])
    for i, op in enumerate(convs):
        if op and found[i] is not None:
            found[i] = kernel_gradient(op.inputs[0], found[i], variables[i].shape)
    return found


def kernel_gradient(x, gradient, shape):
    """The gradient of the kernel of tf.nn.conv2d(x, kernel, strides=1, padding='SAME').

    x is [n, h, w, c], the output's gradient [n, h, w, d], shape [size, size, c, d] with odd size.
    """
    size, _, c, d = shape.as_list()
    more = size - 1
    # Padded alike, both lie flat, and a shift in the image is an offset: the kernel's element i, j
    # gets the product of x, from row i * width + j on, and the gradient.
    x = tf.pad(x, [[0, 0], [more // 2] * 2, [more // 2] * 2, [0, 0]])
    gradient = tf.pad(gradient, [[0, 0], [0, more], [0, more], [0, 0]])
    width = tf.shape(x)[2]
    x, gradient = tf.reshape(x, [-1, c]), tf.reshape(gradient, [-1, d])
    length = tf.shape(x)[0]
    # One product for all j. Slices along the first axis are not copied, so x is only copied here.
    shifted = tf.concat([x[j:length - more + j] for j in range(size)], axis=1)
    count = length - more * (width + 1)
    return tf.reshape([tf.matmul(shifted[i * width:i * width + count], gradient[:count],
                                 transpose_a=True) for i in range(size)], shape)
