"""Gradients of convolutions, faster than TensorFlow's own on processors without bfloat16."""

from road.network.device import cpu_has_bfloat16
from road.network.tf1 import tf


def gradients(loss, variables):
    """As tf.gradients: a list of Tensors and None; processors without bfloat16 use matrix products.

    TensorFlow's operation for the gradient of a kernel is slow there, and faster than the products
    in bfloat16 (docs/speed.md). On GPUs the products were not measured.
    """
    if tf.config.list_physical_devices('GPU') or cpu_has_bfloat16():
        return tf.gradients(loss, variables)
    return gradients_with_matmul(loss, variables)


def gradients_with_matmul(loss, variables):
    """As tf.gradients, but the gradients of convolutions' kernels are a few matrix products."""
    convolutions = _convolutions(loss.graph)
    kernels = [v for v in variables if v.op.name in convolutions]
    outputs = [convolutions[v.op.name].outputs[0] for v in kernels]
    # Besides its convolution, a kernel may have an L2 term in the loss.
    others = tf.gradients(loss, kernels, stop_gradients=outputs) if kernels else []
    rest = [v for v in variables if v.op.name not in convolutions]
    found = tf.gradients(loss, outputs + rest)
    by_name = {v.op.name: gradient for v, gradient in zip(rest, found[len(outputs):])}
    for kernel, output, gradient, other in zip(kernels, outputs, found, others):
        if gradient is not None:
            gradient = kernel_gradient(output.op.inputs[0], gradient, kernel.shape)
        terms = [term for term in (gradient, other) if term is not None]
        by_name[kernel.op.name] = tf.add_n(terms) if terms else None
    return [by_name[v.op.name] for v in variables]


def kernel_gradient(x, gradient, shape):
    """The gradient of the kernel of tf.nn.conv2d(x, kernel, strides=1, padding='SAME').

    Args:
        x: Tensor [n, h, w, c].
        gradient: Tensor [n, h, w, d], that of the convolution's output.
        shape: the kernel's, [size, size, c, d], size odd.
    """
    size, _, c, d = shape.as_list()
    more = size - 1
    # Padded alike, both lie flat, and a shift in the image is an offset: the kernel's element i, j
    # gets the product of x, from row i * width + j on, and the gradient.
    x = tf.pad(x, [[0, 0], [more // 2] * 2, [more // 2] * 2, [0, 0]])
    gradient = tf.pad(gradient, [[0, 0], [0, more], [0, more], [0, 0]])
    width, x, gradient = tf.shape(x)[2], tf.reshape(x, [-1, c]), tf.reshape(gradient, [-1, d])
    length = tf.shape(x)[0]
    # One product for all j. Slices along the first axis are not copied, so x is only copied here.
    shifted = tf.concat([x[j:length - more + j] for j in range(size)], axis=1)
    count = length - more * (width + 1)
    return tf.reshape([tf.matmul(shifted[i * width:i * width + count], gradient[:count],
                                 transpose_a=True) for i in range(size)], shape)


def _convolutions(graph):
    """Name of a kernel's variable => its convolution, where kernel_gradient holds for it."""
    found = {}
    for op in graph.get_operations():
        if op.type == 'Conv2D':
            kernel = op.inputs[1].op
            while kernel.type in ('Identity', 'ReadVariableOp'):
                kernel = kernel.inputs[0].op
            found.setdefault(kernel.name, []).append(op)
    return {name: ops[0] for name, ops in found.items() if len(ops) == 1 and _is_plain(ops[0])}


def _is_plain(op):
    height, width = op.inputs[1].shape[:2]
    # TensorFlow's own operation is good enough for 1x1.
    return (height == width and height % 2 == 1 and height > 1
            and op.get_attr('padding') == b'SAME' and op.get_attr('data_format') == b'NHWC'
            and {*op.get_attr('strides'), *op.get_attr('dilations')} == {1})
