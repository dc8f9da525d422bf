"""Gradients of kernels by matrix products: those of TensorFlow, wherever they take their place."""

import numpy as np
import pytest

from road.network import conv_gradient
from road.network.tf1 import tf


def assert_same(build, **shapes):
    """The two functions give equal gradients of the scalar build(variables).

    The variables have these shapes and random values.
    """
    rng = np.random.default_rng(0)
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = {name: tf.get_variable(name, initializer=rng.normal(size=shape))
                     for name, shape in shapes.items()}
        loss, nothing = build(variables), tf.constant(0.0)
        for_all = [function(loss, list(variables.values()))
                   for function in (tf.gradients, conv_gradient.gradients_with_matmul)]
        sess.run(tf.global_variables_initializer())
        exact, ours = sess.run([[nothing if gradient is None else gradient for gradient in found]
                                for found in for_all])
    for a, b in zip(exact, ours):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10, strict=True)


PLAIN = {'strides': 1, 'padding': 'SAME'}


@pytest.mark.parametrize('image, size, options', [
    *((image, (size, size), PLAIN) for size in (3, 5) for image in ((1, 1, 1), (2, 4, 7))),
    # the others stay with TensorFlow
    ((2, 5, 6), (3, 3), {**PLAIN, 'strides': 2}),
    ((2, 5, 6), (3, 3), {**PLAIN, 'padding': 'VALID'}),
    ((2, 5, 6), (2, 2), PLAIN), ((2, 5, 6), (1, 3), PLAIN), ((2, 5, 6), (1, 1), PLAIN)])
def test_gradients_of_any_convolution(image, size, options):
    def loss(v):
        return tf.reduce_sum(tf.tanh(tf.nn.conv2d(v['x'], v['kernel'], **options)))

    assert_same(loss, x=(*image, 4), kernel=(*size, 4, 6))


def test_several_convolutions():
    """With L2 terms; kernel b is used twice, and the loss does not need c, nor d's convolution."""
    def loss(v):
        x = v['x']
        for name in 'abb':
            x = tf.tanh(tf.nn.conv2d(x, v[name], **PLAIN))
        for name in 'cd':
            tf.nn.conv2d(x, v[name], **PLAIN)
        return tf.reduce_sum(x ** 2) + sum(tf.nn.l2_loss(v[name]) for name in 'abd')

    shapes = dict.fromkeys('bcd', (3, 3, 4, 4))
    assert_same(loss, x=(2, 5, 6, 3), a=(3, 3, 3, 4), **shapes)


@pytest.mark.parametrize('gpus, bfloat16, expected', [
    ([], False, 'products'), ([], True, "TensorFlow's"), (['GPU:0'], False, "TensorFlow's")])
def test_products_are_used_where_they_are_faster(monkeypatch, gpus, bfloat16, expected):
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: gpus)
    monkeypatch.setattr(conv_gradient, 'cpu_has_bfloat16', lambda: bfloat16)
    monkeypatch.setattr(conv_gradient, 'gradients_with_matmul', lambda *_: 'products')
    monkeypatch.setattr(tf, 'gradients', lambda *_: "TensorFlow's")
    assert conv_gradient.gradients(None, []) == expected
