"""From images to confidences: sizes, proportions, order; the softmax of the logits."""

import numpy as np
import pytest

from road.data import images
from road.network.predictor import MEMORY, Predictor, output_bytes
from road.network.tf1 import tf


@pytest.mark.parametrize('classes', [2, 3])
@pytest.mark.parametrize('full_size, memory', [(False, MEMORY), (True, MEMORY), (False, 48e3)])
def test_images_of_any_shape_give_their_own_softmax_in_order(classes, full_size, memory,
                                                             monkeypatch):
    monkeypatch.setattr('road.network.predictor.MEMORY', memory)
    shapes, seen = [(64, 96)] * 5 + [(90, 40), (33, 50), (33, 50), (1, 1)], []
    colours = np.linspace((20, 10, 20), (220, 250, 240), len(shapes))  # the first is too dark
    pairs = [(i, np.full((*shape, 3), colour, np.uint8))
             for i, (shape, colour) in enumerate(zip(shapes, colours))]
    with tf.Graph().as_default(), tf.Session() as sess:
        image = tf.placeholder(tf.float32, [None, None, None, 3])
        keep_prob = tf.placeholder(tf.float32, [])
        logits = tf.reshape(image[..., :classes] * keep_prob / 2, [-1, classes])
        predictor = Predictor(sess, logits, keep_prob, image, (64, 96), light=0.26)
        confidences = predictor.confidences
        predictor.confidences = lambda values, shape: (
            seen.append((len(values), shape)) or confidences(values, shape))
        outputs = list(predictor.predict(pairs, full_size))
        assert confidences(np.zeros([2, 64, 96, 3])).shape == (2, 64, 96, classes)
    assert [key for key, *_ in outputs] == list(range(9))
    assert output_bytes(outputs[0]) == 64 * 96 * (3 + 4 * classes)
    for (_, image), (_, same, confidence) in zip(pairs, outputs):
        assert same is image
        shape = image.shape[:2] if full_size else images.fit_shape(image.shape[:2], (64, 96))
        exponentials = np.exp(images.brighten(image, 0.26)[0, 0, :classes] / 2)
        expected = exponentials / exponentials.sum()
        assert confidence.dtype == np.float32
        assert confidence.shape == (*images.network_shape(shape), classes)
        np.testing.assert_allclose(confidence - expected, 0, atol=1e-4)
    if full_size:
        assert seen == [(1, shape) for shape in shapes]
    else:
        batches = [4, 1] if memory == MEMORY else [1] * 5  # these are large then
        assert [n for n, _ in seen] == [*batches, 1, 2, 1]
        assert seen[0][1] == (64, 96)
        assert seen[-3][1][0] > seen[-3][1][1]
