"""Gradients of kernels by matrix products: those of TensorFlow, wherever they take their place."""

import numpy as np
import pytest

import main
from road.network import conv_gradient
from road.network.tf1 import tf


def both(build, **shapes):
    """The gradients of the two functions, and the operations in front of ours.

    build(variables) gives a scalar Tensor; the variables have these shapes and random values.
    """
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        variables = {name: tf.get_variable(name, initializer=rng.normal(size=shape))
                     for name, shape in shapes.items()}
        loss = build(variables)
        exact, ours = (function(loss, list(variables.values()))
                       for function in (tf.gradients, conv_gradient.gradients_with_matmul))
        sess.run(tf.global_variables_initializer())
        assert [g is None for g in exact] == [g is None for g in ours]
        given = [g for g in ours if g is not None]
        before = tf.graph_util.extract_sub_graph(graph.as_graph_def(), [g.op.name for g in given])
        return (*sess.run([[g for g in exact if g is not None], given]),
                [node.op for node in before.node])


def same(build, products, **shapes):
    """Assert equal gradients, this many of them by matrix products and not by TensorFlow's own."""
    exact, ours, operations = both(build, **shapes)
    for a, b in zip(exact, ours):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10)
    assert operations.count('MatMul') == products
    return operations.count('Conv2DBackpropFilter')


@pytest.mark.parametrize('size', [3, 5, 7])
@pytest.mark.parametrize('image', [(1, 1, 1), (2, 4, 7), (3, 2, 1)])
def test_convolutions_of_any_size(size, image):
    def loss(v):
        return tf.reduce_sum(tf.tanh(tf.nn.conv2d(v['x'], v['kernel'], 1, 'SAME')))

    assert same(loss, size, x=(*image, 4), kernel=(size, size, 4, 6)) == 0


def test_two_convolutions_with_l2_terms():
    def loss(v):
        x = tf.nn.relu(tf.nn.conv2d(v['x'], v['a'], 1, 'SAME'))
        x = tf.nn.relu(tf.nn.conv2d(x, v['b'], 1, 'SAME'))
        return tf.reduce_sum(x ** 2) + 3 * tf.nn.l2_loss(v['a']) + tf.nn.l2_loss(v['b'])

    assert same(loss, 6, x=(2, 5, 6, 3), a=(3, 3, 3, 4), b=(3, 3, 4, 5)) == 0


@pytest.mark.parametrize('kernel, options', [
    ((3, 3, 4, 6), {'strides': 2, 'padding': 'SAME'}),
    ((3, 3, 4, 6), {'strides': 1, 'padding': 'VALID'}),
    ((3, 3, 4, 6), {'strides': 1, 'padding': [[0, 0], [2, 2], [1, 1], [0, 0]]}),
    ((2, 2, 4, 6), {'strides': 1, 'padding': 'SAME'}),
    ((1, 3, 4, 6), {'strides': 1, 'padding': 'SAME'}),
    ((1, 1, 4, 6), {'strides': 1, 'padding': 'SAME'})])
def test_other_convolutions_stay_with_tensorflow(kernel, options):
    def loss(v):
        return tf.reduce_sum(tf.tanh(tf.nn.conv2d(v['x'], v['kernel'], **options)))

    assert same(loss, 0, x=(2, 5, 6, 4), kernel=kernel) == 1


def test_dilated_convolutions_and_shared_kernels_stay_with_tensorflow():
    def dilated(v):
        return tf.reduce_sum(tf.tanh(
            tf.raw_ops.Conv2D(input=v['x'], filter=v['kernel'], strides=[1] * 4, padding='SAME',
                              dilations=[1, 2, 2, 1], data_format='NHWC')))

    def shared(v):
        x = tf.tanh(tf.nn.conv2d(v['x'], v['kernel'], 1, 'SAME'))
        return tf.reduce_sum(tf.tanh(tf.nn.conv2d(x, v['kernel'], 1, 'SAME')))

    assert same(shared, 0, x=(2, 5, 6, 4), kernel=(3, 3, 4, 4)) == 2
    with tf.Graph().as_default() as graph:
        v = {'x': tf.zeros([1, 4, 4, 1]), 'kernel': tf.zeros([3, 3, 1, 1])}
        dilated(v)
        assert conv_gradient._convolutions(graph) == {}


def test_a_kernel_that_the_loss_does_not_need_has_no_gradient():
    def loss(v):
        tf.nn.conv2d(v['x'], v['kernel'], 1, 'SAME')
        return tf.reduce_sum(v['x'])

    same(loss, 0, x=(1, 4, 4, 2), kernel=(3, 3, 2, 2))


@pytest.mark.parametrize('gpus, bfloat16, own', [
    ([], False, 4), ([], True, 0), (['GPU:0'], False, 0)])
def test_trained_convolutions_use_it_where_it_is_faster(vgg_dir, monkeypatch, gpus, bfloat16, own):
    """Of 11 trained convolutions those larger than 1x1 and not transposed: conv5 and fc6."""
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: gpus)
    monkeypatch.setattr(conv_gradient, 'cpu_has_bfloat16', lambda: bfloat16)
    with main.open_model(vgg_dir, train_encoder='conv5') as (sess, model):
        steps = tf.graph_util.extract_sub_graph(sess.graph.as_graph_def(), [model.train_op.name])
    operations = [node.op for node in steps.node]
    assert operations.count('Conv2DBackpropFilter') == 11 - own
    assert operations.count('MatMul') == (3 * 3 + 7 if own else 0)
