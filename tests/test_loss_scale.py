"""Gradients in float16: a loss scale keeps small ones, and skips steps whose gradients overflow."""

from types import SimpleNamespace

import numpy as np
import pytest

import main
from road.network.tf1 import tf


def steps(feeds, *, half=False, **options):
    """Train [1, 1, 2, 2] logits of two variables, x and y, one step per feed (a, b).

    logits = x + a * y, and b multiplies the gradient that reaches y. With `half`, that gradient
    passes through float16. Returns the values of the variables, {name: value}, before all steps and
    after each, and the losses.
    """
    start = np.random.default_rng(0).normal(size=(2, 1, 1, 2, 2)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as sess:
        a, b = (tf.placeholder(tf.float32, []) for _ in 'ab')
        x, y = (tf.get_variable(name, initializer=value) for name, value in zip('xy', start))

        @tf.custom_gradient
        def backward(value):
            def gradient(upstream):
                upstream = b * upstream
                return tf.cast(tf.cast(upstream, tf.float16), tf.float32) if half else upstream
            return tf.identity(value), gradient

        _, train_op, loss = main.optimize(x + a * backward(y), tf.eye(2)[None, None], 0.1, 2,
                                          encoder=[y], encoder_factor=0.5, **options)
        sess.run(tf.global_variables_initializer())
        variables = {v.op.name: v for v in tf.global_variables()}
        values, losses = [sess.run(variables)], []
        for feed in feeds:
            losses.append(sess.run([loss, train_op], dict(zip((a, b), feed)))[0])
            values.append(sess.run(variables))
    return values, losses


SCALE, COUNT = 'loss_scale/current_loss_scale', 'loss_scale/good_steps'


@pytest.mark.parametrize('clip_norm', [None, 0.01])
def test_scaled_steps_are_the_steps_without_a_scale(clip_norm):
    feeds = [(1, 1), (0.5, 2), (2, 0.1)]
    plain, losses = steps(feeds, clip_norm=clip_norm)
    scaled, scaled_losses = steps(feeds, clip_norm=clip_norm, scale_loss=True)
    np.testing.assert_allclose(scaled_losses, losses, rtol=1e-6)
    for name, value in plain[-1].items():
        np.testing.assert_allclose(scaled[-1][name], value, rtol=1e-5, atol=1e-9)
    assert [value[COUNT] for value in scaled] == [0, 1, 2, 3]
    assert scaled[-1][SCALE] == 2 ** 15


def test_gradients_too_small_for_float16_survive_with_a_scale_alone():
    feeds = [(1, 1e-8)]
    (_, exact), _ = steps(feeds)
    (_, scaled), _ = steps(feeds, half=True, scale_loss=True)
    (_, plain), _ = steps(feeds, half=True)
    assert not plain['y/Adam'].any()
    np.testing.assert_allclose(scaled['y/Adam'], exact['y/Adam'], rtol=1e-2)


def test_processes_exchange_gradients_before_a_step_is_skipped():
    """What a step leaves out would never be sent, and the others would wait for it."""
    def all_reduce_mean(loss, gradients, _):
        assert 'Switch' not in {gradient.op.type for gradient in gradients}
        return loss, gradients

    steps([], scale_loss=True, workers=SimpleNamespace(all_reduce_mean=all_reduce_mean))


@pytest.mark.parametrize('bad', [np.inf, np.nan, 1e9])
def test_a_gradient_that_is_not_finite_skips_the_step_and_halves_the_scale(bad):
    """1e9 times the scale is too large for float16. The loss stays finite, and training goes on."""
    values, losses = steps([(1, 1), (1, bad), (1, 1)], half=True, scale_loss=True, clip_norm=1.0)
    _, before, after, last = values
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {SCALE, COUNT}  # not the weights, not Adam's moments and powers
    assert (after[SCALE], after[COUNT]) == (2 ** 14, 0)
    assert losses[1] == losses[2] < losses[0]
    assert all((last[name] != after[name]).any() for name in ('x', 'y', 'x/Adam', 'y/Adam_1'))


def rewritten(model, graph):
    """The GraphDef that TensorFlow's float16 rewriter makes for a GPU, which need not be there."""
    from tensorflow.core.protobuf import device_properties_pb2
    from tensorflow.python.grappler import cluster, tf_optimizer
    gpu = device_properties_pb2.NamedDevice(name='/job:localhost/replica:0/task:0/device:GPU:0')
    gpu.properties.type = 'GPU'
    gpu.properties.environment.update(architecture='8.0', cuda='12050', cudnn='90300')
    config = tf.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.auto_mixed_precision, rewrite.meta_optimizer_iterations = rewrite.ON, rewrite.ONE
    rewrite.optimizers.append('auto_mixed_precision')
    meta = tf.train.export_meta_graph(graph=graph)
    meta.collection_def['train_op'].node_list.value.extend([model.train_op.name])
    for node in meta.graph_def.node:
        node.device = gpu.name
    return tf_optimizer.OptimizeGraph(config, meta, cluster=cluster.Cluster(devices=[gpu]))


@pytest.mark.slow
def test_the_rewriter_for_gpus_keeps_loss_and_division_in_float32(vgg_dir):
    options = {'train_encoder': 'all', 'scale_loss': True, 'clip_norm': 1.0}
    with main.open_model(vgg_dir, **options) as (sess, model):
        made = rewritten(model, sess.graph)
    types = {}
    for node in made.node:
        types.setdefault(node.op, set()).add(node.attr['T'].type)
    half, single = tf.float16.as_datatype_enum, tf.float32.as_datatype_enum
    assert half in types['Conv2D'] & types['Conv2DBackpropFilter'] & types['MaxPoolGrad']
    for name in ('LogSoftmax', 'Exp', 'Sum', 'L2Loss', 'DivNoNan', 'IsFinite', 'Switch',
                 'ResourceApplyAdam'):
        assert types[name] == {single}, name
