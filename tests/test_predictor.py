"""From images to confidences: sizes, proportions, order; the softmax of the logits."""

import numpy as np
import pytest

from road.data import images
from road.network.predictor import Predictor
from road.network.tf1 import tf


@pytest.mark.parametrize('shape, expected', [
    ((375, 1242), (192, 672)), ((192, 672), (192, 672)), ((376, 1100), (192, 672)),
    ((360, 480), (320, 416)), ((4000, 3000), (416, 320)), ((10, 2000), (32, 5088))])
def test_shape_keeps_proportions_and_the_number_of_pixels(shape, expected):
    assert images.fit_shape(shape, (192, 672)) == expected


@pytest.fixture
def brightness():
    """A predictor whose logits are (0, red / 32 - 4), and the shapes of its batches."""
    seen = []
    with tf.Graph().as_default(), tf.Session() as sess:
        image = tf.placeholder(tf.float32, [None, None, None, 3])
        keep_prob = tf.placeholder(tf.float32, [])
        red = tf.reshape(image[..., 0] * keep_prob / 32 - 4, [-1])
        predictor = Predictor(sess, tf.stack([tf.zeros_like(red), red], -1), keep_prob, image,
                              (64, 96), light=0.26)
        confidences = predictor.confidences
        predictor.confidences = lambda values, shape: (
            seen.append((len(values), shape)) or confidences(values, shape))
        yield predictor, seen


@pytest.mark.parametrize('full_size', [False, True])
def test_images_of_any_shape_give_their_own_softmax_in_order(brightness, full_size):
    predictor, seen = brightness
    shapes = [(64, 96)] * 5 + [(90, 40), (33, 50), (33, 50), (1, 1)]
    levels = [20, *range(80, 240, 20)]  # the first image is dark, so it is brightened
    pairs = [(i, np.full((*shape, 3), level, np.uint8))
             for i, (shape, level) in enumerate(zip(shapes, levels))]
    outputs = list(predictor.predict(pairs, full_size))
    assert [key for key, *_ in outputs] == list(range(9))
    for (key, image), (_, same, confidence) in zip(pairs, outputs):
        assert same is image
        shape = image.shape[:2] if full_size else images.fit_shape(image.shape[:2], (64, 96))
        assert confidence.shape == (*images.network_shape(shape), 2)
        expected = 1 / (1 + np.exp(4 - max(levels[key], 66) / 32))
        np.testing.assert_allclose(confidence[..., 1], expected, rtol=1e-4)
        np.testing.assert_allclose(confidence[..., 0], 1 - expected, rtol=1e-4)
    if full_size:
        assert seen == [(1, shape) for shape in shapes]
    else:
        assert [n for n, _ in seen] == [4, 1, 1, 2, 1]
        assert seen[0][1] == (64, 96)
        assert seen[2][1][0] > seen[2][1][1]


def test_more_than_two_classes_give_all_probabilities():
    with tf.Graph().as_default(), tf.Session() as sess:
        image = tf.placeholder(tf.float32, [None, None, None, 3])
        keep_prob = tf.placeholder(tf.float32, [])
        logits = tf.reshape(image * keep_prob / 64, [-1, 3])
        predictor = Predictor(sess, logits, keep_prob, image, (64, 96))
        pairs = [(i, np.full((*shape, 3), (160, 100 + 20 * i, 200), np.uint8))
                 for i, shape in enumerate([(64, 96), (90, 40), (80, 100)])]
        outputs = list(predictor.predict(pairs))
        assert predictor.confidences(np.zeros([2, 64, 96, 3])).shape == (2, 64, 96, 3)
    for (key, image), (_, _, probabilities) in zip(pairs, outputs):
        assert probabilities.shape == (*images.fit_shape(image.shape[:2], (64, 96)), 3)
        assert probabilities.dtype == np.float32
        expected = np.exp(np.divide((160, 100 + 20 * key, 200), 64))
        np.testing.assert_allclose(probabilities[5, 7], expected / expected.sum(), rtol=1e-4)
        np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-5)
