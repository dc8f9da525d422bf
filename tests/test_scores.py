"""The scores against counting by hand in whole numbers and fractions, and cases worked on paper."""

import math
from fractions import Fraction

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from road.scoring.scores import HALF, Scores, curve, histogram, pool, scores, to_grey


def count_by_hand(images):
    """(TP, FP, FN, TN) at each threshold, pixel by pixel, over images of (grey, label)."""
    pixels = [(level / 255, value == 1) for grey, label in images for level, value
              in zip(grey.ravel().tolist(), label.ravel().tolist()) if value != 255]
    cells = (True, True), (True, False), (False, True), (False, False)
    return [[sum((confidence >= i / 255, is_road) == cell for confidence, is_road in pixels)
             for cell in cells] for i in range(256)]


def score_by_hand(table):
    """The definitions in fractions: nothing is rounded before the end."""
    roads = table[0][0] + table[0][2]
    if not roads:
        return [math.nan] * len(Scores._fields)
    points = [(Fraction(tp, tp + fp), Fraction(tp, roads), i)
              for i, (tp, fp, _, _) in enumerate(table) if tp]
    best_f, best = max((2 * p * r / (p + r), -i) for p, r, i in points)
    tp, fp, fn, tn = table[-best]
    # recalls as floats, because the devkit steps by 0.1 and 0.1 * 3 is not three tenths
    average = math.fsum(max(float(p) for p, r, _ in points if float(r) >= 0.1 * i)
                        for i in range(11)) / 11
    return [float(best_f), average, tp / (tp + fp), tp / roads,
            fp / (fp + tn) if fp + tn else math.nan, fn / roads,
            table[128][0] / sum(table[128][:3]), -best / 255]


@st.composite
def labelled_images(draw):
    """(grey, label) of a small image; few grey levels make many ties."""
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=6))
    levels = st.sampled_from(draw(st.lists(st.integers(0, 255), min_size=1, max_size=8)))
    return (draw(arrays.arrays(np.uint8, shape, elements=levels)),
            draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255]))))


@pytest.mark.filterwarnings('error')
@settings(max_examples=60, deadline=None)
@example([(np.uint8([[9] * 3 + [5] * 8]), np.uint8(np.arange(11)[None] < 10))])  # recall 0.3
@given(st.lists(labelled_images(), min_size=1, max_size=3))
def test_scores_and_curve_equal_counting_by_hand(images):
    together, table = sum(histogram(*image) for image in images), count_by_hand(images)
    np.testing.assert_array_equal(scores(together), score_by_hand(table))
    expected = [(tp / (tp + fp) if tp + fp else np.nan, tp / (tp + fn) if tp + fn else np.nan)
                for tp, fp, fn, _ in table]
    np.testing.assert_array_equal(np.transpose(curve(together)), expected)


@pytest.mark.filterwarnings('error')
@settings(deadline=None)
@given(arrays.arrays(np.float32, 50, elements=st.floats(0, 1, width=32)))
def test_grey_levels_keep_ranking_and_decision(confidence):
    grey = to_grey(np.sort(confidence))
    assert grey.dtype == np.uint8 and (np.diff(grey.astype(int)) >= 0).all()
    np.testing.assert_array_equal(grey >= HALF, np.sort(confidence) >= 0.5)
    np.testing.assert_array_equal(to_grey([0, 0.5, 1, 1 + 1e-7]), [0, 128, 255, 255])
    inner = np.array([1e-7, 1e-4, 0.01, 0.3, 0.99])  # missed road is told apart
    odds = (inner / (1 - inner)) ** (1 / 8)
    np.testing.assert_allclose(to_grey(inner), 255 * odds / (1 + odds), atol=0.5)


@pytest.mark.parametrize('value', [-0.01, 255., math.nan])
def test_wrong_confidence_or_shape_is_refused(value):
    label = np.ones((1, 2), np.uint8)
    with pytest.raises(ValueError, match=r'\[0, 1\]'):
        histogram(np.array([[0.5, value]], np.float32), label)
    with pytest.raises(ValueError, match='one shape'):
        histogram(np.zeros((1, 1), np.uint8), label)


def test_pool():
    counts = [('uu', 100), ('um', 1), ('um', 2), ('umm', 10)]
    pooled = pool([(category, np.array([count])) for category, count in counts])
    assert list(pooled.items()) == [('um', 3), ('umm', 10), ('uu', 100), ('URBAN', 113)]
    assert list(pool([('', np.array([1])), ('', np.array([2]))]).items()) == [('all', 3)]
    assert pool([]) == {}
