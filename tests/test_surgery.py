"""The VGG16 graph: shapes, input, frozen features, dropouts, the network frozen for export."""

import numpy as np
import pytest

from road.network import surgery, vgg16
from road.network.tf1 import tf
from tools.train_sample_encoder import random_weights


@pytest.mark.parametrize('fc_width', [None, 6])
def test_frozen_features_decide_the_outputs(fc_width):
    """Fed in place of the image they give the same layers; and no trained block is before them."""
    weights = random_weights((2, 3, 4, 5, 6), fc_width)
    image = np.random.default_rng(0).integers(256, size=(2, 37, 70, 3))
    feed, layers = {'keep_prob:0': 1.0}, vgg16.TENSORS[2:]
    pool3, pool4, pool5 = (2, 5, 9, 4), (2, 3, 5, 5), (2, 2, 3, 6)
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        vgg16.build_graph(sess, weights)
        expected = sess.run(layers, {**feed, 'image_input:0': image})
        for train_encoder, shapes in (
                ('all', [image.shape]), ('conv3', [(2, 10, 18, 3)]), ('conv4', [pool3]),
                ('conv5', [pool3, pool4]), ('none', [pool3, pool4, pool5])):
            features = surgery.frozen_features(graph, train_encoder)
            values = sess.run(features, {**feed, 'image_input:0': image})
            assert [value.shape for value in values] == shapes
            for got, wanted in zip(sess.run(layers, {**feed, features: values}), expected):
                np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
            trained = surgery.freeze_below(train_encoder)
            assert tf.trainable_variables() == trained
            assert tf.gradients(features, trained) == [None] * len(trained)


@pytest.mark.parametrize('fc_width, count', [(None, 1), (16, 2)])
def test_dropout_keeps_what_its_noise_says_and_is_left_out_of_the_frozen_network(fc_width, count):
    weights = random_weights((2, 3, 4, 5, 6), fc_width)
    image = np.random.default_rng(0).integers(256, size=(1, 64, 96, 3))
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        vgg16.build_graph(sess, weights)
        noise = surgery.dropout_noise(graph)
        assert len(noise) == count
        feed = {'image_input:0': image, 'keep_prob:0': 0.75}
        whole = sess.run('layer7_out:0', {**feed, 'keep_prob:0': 1.0})
        fed = {tensor: np.full((1, 2, 3, fc_width or 6), 0.25) for tensor in noise}
        kept = sess.run('layer7_out:0', {**feed, **fed})
        np.testing.assert_allclose(kept, whole / 0.75**count, rtol=1e-4)
        fed[noise[-1]] = fed[noise[-1]] - 0.01
        assert not sess.run('layer7_out:0', {**feed, **fed}).any()
        frozen = surgery.freeze(sess, 'layer7_out')
    assert not any('andom' in node.op for node in frozen.node)
    with tf.Graph().as_default(), tf.Session() as sess:
        output, = tf.import_graph_def(frozen, {'image_input:0': tf.constant(image, tf.float32)},
                                      ['layer7_out:0'])
        np.testing.assert_allclose(sess.run(output), whole, rtol=1e-5)
