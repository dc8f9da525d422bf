"""The confusion matrix and what follows from it, against counting pixel by pixel."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from road.data.images import resize_confidence
from road.scoring.confusion import accuracy, confusion, ious, mean_iou, predicted, predicted_at


@st.composite
def predictions_and_labels(draw):
    """(number of classes, prediction, label) of a small image; some labels do not count."""
    classes = draw(st.sampled_from([3, 11, 254]))
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=5))
    few = st.sampled_from(sorted({0, 1, 2, classes - 1}))
    return (classes, draw(arrays.arrays(np.uint8, shape, elements=few)),
            draw(arrays.arrays(np.uint8, shape, elements=few | st.just(255))))


@pytest.mark.filterwarnings('error')
@settings(deadline=None)
@given(predictions_and_labels())
def test_scores_equal_counting_by_hand(example):
    classes, prediction, label = example
    matrix = confusion(prediction, label, classes)
    assert matrix.shape == (classes, classes) and matrix.dtype == np.int64
    pairs = [(of_label, found) for of_label, found in zip(label.ravel().tolist(),
                                                         prediction.ravel().tolist())
             if of_label != 255]
    for i in range(classes):
        for j in range(classes):
            assert matrix[i, j] == pairs.count((i, j))
    expected = []
    for i in range(classes):
        union = sum(i in pair for pair in pairs)
        expected.append(pairs.count((i, i)) / union if union else math.nan)
    np.testing.assert_allclose(ious(matrix), expected, rtol=1e-12)
    defined = [value for value in expected if not math.isnan(value)]
    mean = sum(defined) / len(defined) if defined else math.nan
    right = sum(i == j for i, j in pairs) / len(pairs) if pairs else math.nan
    np.testing.assert_allclose([mean_iou(matrix), accuracy(matrix)], [mean, right], rtol=1e-12)


def test_matrices_of_images_add_up():
    rng = np.random.default_rng(0)
    found, label = rng.integers(0, 5, (2, 8, 6), np.uint8)
    halves = confusion(found[:3], label[:3], 5) + confusion(found[3:], label[3:], 5)
    np.testing.assert_array_equal(confusion(found, label, 5), halves)
    assert halves.sum() == 48


@pytest.mark.parametrize('shape', [(16, 24), (40, 50), (9, 11)])
def test_classes_of_resized_probabilities(shape):
    probabilities = np.random.default_rng(0).dirichlet([1] * 5, (16, 24)).astype(np.float32)
    probabilities[:4] = 0.2  # equals: the first class
    found = predicted_at(probabilities, shape)
    assert found.dtype == np.uint8 and len(np.unique(found)) == 5
    np.testing.assert_array_equal(found, predicted(resize_confidence(probabilities, shape)))


def test_the_most_probable_class_is_predicted():
    probabilities = np.float32([[[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]])
    assert predicted(probabilities).tolist() == [[1, 0, 2]]
    assert predicted(probabilities).dtype == np.uint8
    with pytest.raises(ValueError, match='one shape'):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 3)
