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
        loss = build(variables)
        exact, ours = (function(loss, list(variables.values()))
                       for function in (tf.gradients, conv_gradient.gradients_with_matmul))
        sess.run(tf.global_variables_initializer())
        assert [g is None for g in exact] == [g is None for g in ours]
        exact, ours = sess.run([[g for g in gradients if g is not None]
                                for gradients in (exact, ours)])
    for a, b in zip(exact, ours):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('image, kernel, options', [
    *(((*image, 4), (size, size, 4, 6), {}) for size in (3, 5, 7)
      for image in ((1, 1, 1), (2, 4, 7), (3, 2, 1))),
    # the others stay with TensorFlow
    ((2, 5, 6, 4), (3, 3, 4, 6), {'strides': 2}),
    ((2, 5, 6, 4), (3, 3, 4, 6), {'padding': 'VALID'}),
    ((2, 5, 6, 4), (3, 3, 4, 6), {'padding': [[0, 0], [2, 2], [1, 1], [0, 0]]}),
    ((2, 5, 6, 4), (2, 2, 4, 6), {}), ((2, 5, 6, 4), (1, 3, 4, 6), {}),
    ((2, 5, 6, 4), (1, 1, 4, 6), {})])
def test_gradients_of_any_convolution(image, kernel, options):
    def loss(v):
        return tf.reduce_sum(tf.tanh(tf.nn.conv2d(
            v['x'], v['kernel'], **{'strides': 1, 'padding': 'SAME', **options})))

    assert_same(loss, x=image, kernel=kernel)


def test_two_convolutions_with_l2_terms():
    def loss(v):
        x = tf.nn.relu(tf.nn.conv2d(v['x'], v['a'], 1, 'SAME'))
        x = tf.nn.relu(tf.nn.conv2d(x, v['b'], 1, 'SAME'))
        return tf.reduce_sum(x ** 2) + 3 * tf.nn.l2_loss(v['a']) + tf.nn.l2_loss(v['b'])

    assert_same(loss, x=(2, 5, 6, 3), a=(3, 3, 3, 4), b=(3, 3, 4, 5))


def test_a_kernel_of_two_convolutions():
    def loss(v):
        x = tf.tanh(tf.nn.conv2d(v['x'], v['kernel'], 1, 'SAME'))
        return tf.reduce_sum(tf.tanh(tf.nn.conv2d(x, v['kernel'], 1, 'SAME')))

    assert_same(loss, x=(2, 5, 6, 4), kernel=(3, 3, 4, 4))


def test_a_kernel_that_the_loss_does_not_need_has_no_gradient():
    def loss(v):
        tf.nn.conv2d(v['x'], v['kernel'], 1, 'SAME')
        return tf.reduce_sum(v['x'])

    assert_same(loss, x=(1, 4, 4, 2), kernel=(3, 3, 2, 2))


@pytest.mark.parametrize('gpus, bfloat16, expected', [
    ([], False, 'products'), ([], True, "TensorFlow's"), (['GPU:0'], False, "TensorFlow's")])
def test_products_are_used_where_they_are_faster(monkeypatch, gpus, bfloat16, expected):
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: gpus)
    monkeypatch.setattr(conv_gradient, 'cpu_has_bfloat16', lambda: bfloat16)
    monkeypatch.setattr(conv_gradient, 'gradients_with_matmul', lambda *_: 'products')
    monkeypatch.setattr(tf, 'gradients', lambda *_: "TensorFlow's")
    assert conv_gradient.gradients(None, []) == expected
