"""The VGG16 graph: shapes, and what it does to its input."""

import numpy as np
import pytest

from road.network import vgg16
from road.network.tf1 import tf


def run(weights, fetched, image):
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, variable in vgg16.build_graph(weights).items():
            variable.load(weights[name], sess)
        return sess.run(fetched, {'image_input:0': image, 'keep_prob:0': 1})


@pytest.mark.parametrize('fc_width', [None, 16])
def test_shapes_for_any_image_size(fc_width):
    """layer3 h/8, layer4 h/16, layer7 h/32, each rounded up; 30 variables, 26 without fc6, fc7."""
    weights = vgg16.random_weights((2, 3, 4, 5, 6), fc_width)
    values = run(weights, vgg16.TENSORS[2:], np.zeros([2, 37, 70, 3]))
    assert [v.shape for v in values] == [(2, 5, 9, 4), (2, 3, 5, 5), (2, 2, 3, fc_width or 6)]
    assert len(weights) == (30 if fc_width else 26)
    assert sum(np.prod(shape) for shape in vgg16.shapes(with_top=True).values()) == 134_260_544


def test_input_is_rgb_and_the_mean_is_subtracted():
    weights = vgg16.random_weights((3, 3, 3, 3, 3))
    weights['conv1_1/filter'][:] = 0
    weights['conv1_1/filter'][1, 1] = np.eye(3)  # passes its three channels on
    bgr = run(weights, 'conv1_1/Relu:0', np.full([1, 2, 2, 3], [200.0, 150.0, 110.0]))[0, 0, 0]
    np.testing.assert_allclose(bgr, [110 - 103.939, 150 - 116.779, 200 - 123.68], rtol=1e-5)
