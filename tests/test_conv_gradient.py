"""Gradients of kernels by matrix products: those of TensorFlow, wherever they take their place."""

import numpy as np
import pytest

from road.network import conv_gradient, vgg16
from road.network.tf1 import tf
from tools.train_sample_encoder import random_weights


def test_gradients_are_those_of_tensorflow():
    """For all variables of VGG16; those after the layer that the loss needs have none."""
    weights = random_weights((2, 3, 4, 5, 6), fc_width=4)
    image = np.random.default_rng(0).uniform(0, 255, (2, 37, 70, 3))
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        vgg16.build_graph(sess, weights)
        variables = tf.global_variables()
        for layer, without in ('layer7_out:0', 0), ('layer4_out:0', 10):
            loss = tf.reduce_mean(graph.get_tensor_by_name(layer) ** 2)
            exact = tf.gradients(loss, variables)
            ours = conv_gradient.gradients_with_matmul(loss, variables)
            assert [a is None for a in exact] == [b is None for b in ours]
            assert exact.count(None) == without
            pairs = [(a, b) for a, b in zip(exact, ours) if a is not None]
            for a, b in sess.run(pairs, {'image_input:0': image, 'keep_prob:0': 1.0}):
                assert a.any()
                tolerance = 1e-4 * np.abs(a).max()
                np.testing.assert_allclose(b, a, rtol=1e-3, atol=tolerance, strict=True)


@pytest.mark.parametrize('gpus, bfloat16, expected', [
    ([], False, 'products'), ([], True, "TensorFlow's"), (['GPU:0'], False, "TensorFlow's")])
def test_products_are_used_where_they_are_faster(monkeypatch, gpus, bfloat16, expected):
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: gpus)
    monkeypatch.setattr(conv_gradient, 'cpu_has_bfloat16', lambda: bfloat16)
    monkeypatch.setattr(conv_gradient, 'gradients_with_matmul', lambda *_: 'products')
    monkeypatch.setattr(tf, 'gradients', lambda *_: "TensorFlow's")
    assert conv_gradient.gradients(None, []) == expected
