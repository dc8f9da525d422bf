"""The scores against counting by hand: 256 comparisons in whole numbers and fractions, and cases worked on paper."""
import math
import time
from fractions import Fraction

import numpy as np
import pytest

from road.errors import InputError
from road.scores import Scores, curve, histogram, pool, scores, to_grey


def count_by_hand(images):
    """(TP, FP, FN, TN) at each threshold, pixel by pixel, over images of (grey, road, counts)."""
    table = []
    for i in range(256):
        cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        for grey, road, counts in images:
            for level, is_road, does_count in zip(grey.ravel(), road.ravel(), counts.ravel()):
                if does_count:
                    cells[int(level) / 255 >= i / 255, bool(is_road)] += 1
        table.append((cells[True, True], cells[True, False], cells[False, True], cells[False, False]))
    return table


def score_by_hand(images):
    """The definitions in DESIGN.md's words, in fractions: nothing is rounded before the end."""
    table = count_by_hand(images)
    roads = table[0][0] + table[0][2]
    points = [(Fraction(tp, tp + fp), Fraction(tp, roads), i) for i, (tp, fp, _, _) in enumerate(table) if tp]
    best_f, best = max((2 * p * r / (p + r), -i) for p, r, i in points)
    best_iou, best_iou_at = max((Fraction(tp, tp + fp + fn), -i) for i, (tp, fp, fn, _) in enumerate(table))
    tp, fp, fn, tn = table[-best]
    at_half = table[128]
    # The recalls as floats, because 0.3 written as 0.1 * 3 is not three tenths, and the devkit's steps are like that.
    average = math.fsum(max(float(p) for p, r, _ in points if float(r) >= 0.1 * i) for i in range(11)) / 11
    return Scores(float(best_f), average, tp / (tp + fp), tp / roads, fp / (fp + tn), fn / roads,
                  at_half[0] / sum(at_half[:3]), float(best_iou), -best / 255, -best_iou_at / 255)


def random_image(rng, height, width, levels):
    """Confidences that know a little about the road; few `levels` make many ties."""
    road = rng.random((height, width)) < 0.4
    chance = np.clip(rng.normal(0.35 + 0.3 * road, 0.25), 0, 1)
    grey = np.rint(np.rint(chance * (levels - 1)) / (levels - 1) * 255).astype(np.uint8)
    return grey, road, rng.random((height, width)) < 0.8


@pytest.mark.parametrize('seed, levels', [(0, 256), (1, 256), (2, 20), (3, 5), (4, 3), (5, 2)])
def test_equals_counting_by_hand(seed, levels):
    images = [random_image(np.random.default_rng(seed), 7, 9, levels)]
    assert scores(histogram(*images[0])) == score_by_hand(images)


def test_images_of_different_sizes_are_summed_before_anything_is_divided():
    rng = np.random.default_rng(6)
    images = [random_image(rng, *size, 64) for size in [(3, 5), (8, 6), (1, 11)]]
    together = sum(histogram(*image) for image in images)
    assert scores(together) == score_by_hand(images)
    assert scores(together).MaxF != pytest.approx(np.mean([scores(histogram(*image)).MaxF for image in images]))


def test_curve_by_hand():
    image = random_image(np.random.default_rng(7), 6, 6, 256)
    precision, recall = curve(histogram(*image))
    assert precision.shape == recall.shape == (256,) and precision.dtype == recall.dtype == np.float64
    for i, (tp, fp, fn, _) in enumerate(count_by_hand([image])):
        assert recall[i] == tp / (tp + fn)
        assert precision[i] == tp / (tp + fp) if tp + fp else np.isnan(precision[i])


def test_histogram_by_hand():
    grey = np.array([[0, 7, 7], [255, 7, 0]], np.uint8)
    road = np.array([[0, 1, 1], [1, 0, 0]], bool)
    counts = np.array([[1, 1, 1], [1, 1, 0]], bool)
    expected = np.zeros((2, 256), np.int64)
    expected[0, [0, 7]] = 1
    expected[1, [7, 255]] = 2, 1
    got = histogram(grey, road, counts)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(histogram(grey[:, ::-1].T, road[:, ::-1].T, counts[:, ::-1].T), expected)


@pytest.mark.parametrize('level', [0, 100, 255])
def test_everything_road_at_one_confidence(level):
    road = np.arange(40).reshape(5, 8) < 12                          # 12 of 40
    got = scores(histogram(np.full((5, 8), level, np.uint8), road, np.ones((5, 8), bool)))
    assert (got.PRE, got.REC, got.FPR, got.FNR) == (0.3, 1, 1, 0)    # precision is the share of road
    assert got.MaxF == 2 * 12 / (12 + 40) and got.AP == pytest.approx(0.3, abs=1e-15)
    assert got.best_IoU == 0.3 and got.IoU == (0.3 if level >= 128 else 0)
    assert got.threshold == got.best_IoU_threshold == 0              # of equal thresholds the first


def test_perfect_soft_mask():
    road = np.arange(64).reshape(8, 8) % 3 == 1
    confidence = np.where(road, np.linspace(0.6, 1, 64).reshape(8, 8), np.linspace(0, 0.4, 64).reshape(8, 8))
    got = scores(histogram(confidence, road, np.ones((8, 8), bool)))
    assert got[:8] == (1, 1, 1, 1, 0, 0, 1, 1)
    assert got.threshold == 103 / 255                                # the largest of the others, 0.4, is grey 102


def test_hard_mask_caps_average_precision():
    # 1000 road pixels of 5000, 920 of them found, 80 others too. A 0/1 mask has two working points: its own
    # (precision 0.92, recall 0.92), for the recalls 0 to 0.9, and everything, precision 0.2, for the recall 1.
    road = np.arange(5000) < 1000
    mask = (np.arange(5000) >= 80) & (np.arange(5000) < 1080)
    got = scores(histogram(mask[None], road[None], np.ones((1, 5000), bool)))
    assert got.PRE == got.REC == got.MaxF == 0.92
    assert got.AP == pytest.approx((10 * 0.92 + 0.2) / 11)
    # Missing one pixel of a thousand is enough to lose the last of the eleven: (10 + 0.2) / 11 = 0.927.
    assert scores(histogram((road & (np.arange(5000) > 0))[None], road[None],
                            np.ones((1, 5000), bool))).AP == pytest.approx(10.2 / 11)


def test_pixels_that_do_not_count_change_nothing():
    grey, road, counts = random_image(np.random.default_rng(8), 9, 9, 256)
    other_grey, other_road = np.where(counts, grey, 255 - grey), np.where(counts, road, ~road)
    np.testing.assert_array_equal(histogram(other_grey, other_road, counts), histogram(grey, road, counts))
    assert histogram(grey, road, counts).sum() == counts.sum()


def test_half_is_grey_128():
    # 127/255 = 0.498 is below 0.5, 128/255 = 0.502 is not.
    road = np.array([[True, True, False]])
    grey = np.array([[128, 127, 0]], np.uint8)
    assert scores(histogram(grey, road, np.ones((1, 3), bool))).IoU == 0.5
    assert to_grey(0.5) == 128 and to_grey(127 / 255) == 127


def test_a_confidence_equal_to_the_threshold_is_positive():
    recall = curve(histogram(np.array([[77]], np.uint8), np.array([[True]]), np.array([[True]])))[1]
    assert recall[77] == 1 and recall[78] == 0


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_grey_levels_come_back(dtype):
    levels = np.arange(256)
    np.testing.assert_array_equal(to_grey((levels / 255).astype(dtype)), levels)
    np.testing.assert_array_equal(to_grey(((levels[:-1] + 0.49) / 255).astype(dtype)), levels[:-1])
    np.testing.assert_array_equal(to_grey(((levels[:-1] + 0.51) / 255).astype(dtype)), levels[1:])
    assert to_grey(levels.astype(dtype) / 255).dtype == np.uint8


def test_grey_of_half_precision_and_bool():
    confidence = np.linspace(0, 1, 999).astype(np.float16)
    np.testing.assert_array_equal(to_grey(confidence), np.rint(confidence.astype(np.float64) * 255))
    np.testing.assert_array_equal(to_grey(np.array([True, False])), [255, 0])
    assert to_grey(np.nextafter(np.float32(1), np.float32(2))) == 255         # what a float32 softmax may give


@pytest.mark.parametrize('value', [-0.01, 1.01, 255., math.nan, math.inf, -math.inf])
def test_no_confidence(value):
    with pytest.raises(ValueError, match=r'\[0, 1\]'):
        to_grey(np.array([0.5, value]))
    with pytest.raises(ValueError, match=r'\[0, 1\]'):
        histogram(np.array([[0.5, value]], np.float32), np.ones((1, 2), bool), np.ones((1, 2), bool))


def test_float_confidences_are_scored_as_they_are_written():
    rng = np.random.default_rng(9)
    confidence, road, counts = rng.random((6, 7), dtype=np.float32), rng.random((6, 7)) < 0.5, np.ones((6, 7), bool)
    np.testing.assert_array_equal(histogram(confidence, road, counts), histogram(to_grey(confidence), road, counts))


def test_histogram_refuses_what_does_not_fit():
    flags = np.ones((2, 3), bool)
    with pytest.raises(ValueError, match='one shape'):
        histogram(np.zeros((2, 4), np.uint8), flags, flags)
    with pytest.raises(ValueError, match='int64'):
        histogram(np.zeros((2, 3), np.int64), flags, flags)
    with pytest.raises(ValueError, match='256'):
        scores(np.zeros((2, 255)))


@pytest.mark.filterwarnings('error')
def test_nothing_to_divide_by():
    flags, grey = np.ones((2, 3), bool), np.full((2, 3), 9, np.uint8)
    for no_road in (histogram(grey, ~flags, flags), histogram(grey, flags, ~flags), np.zeros((2, 256), np.int64)):
        assert all(math.isnan(value) for value in scores(no_road))
        assert np.isnan(curve(no_road)[1]).all()
    only_road = scores(histogram(grey, flags, flags))
    assert math.isnan(only_road.FPR)
    assert only_road[:4] == (1, 1, 1, 1) and only_road.FNR == 0 and only_road.best_IoU == 1 and only_road.IoU == 0


def test_scores_are_plain_floats():
    got = scores(histogram(*random_image(np.random.default_rng(10), 5, 5, 256)))
    assert all(type(value) is float and 0 <= value <= 1 for value in got)


def test_pool():
    def ones(n):
        return np.full((2, 256), n)
    pooled = pool({'uu_000001': ones(100), 'um_000000': ones(1), 'um_000007.png': ones(2), 'umm_000000': ones(10)})
    assert list(pooled) == ['um', 'umm', 'uu', 'URBAN']
    assert [counts[1, 255] for counts in pooled.values()] == [3, 10, 100, 113]
    assert list(pool({'uu_000001': ones(1)})) == ['uu', 'URBAN']
    assert pool({}) == {}


@pytest.mark.parametrize('name', ['city_000001', 'um', 'um000001', '', 'URBAN_000001', 'u_000001'])
def test_unknown_category(name):
    with pytest.raises(InputError, match='um_, umm_ or uu_') as refusal:
        pool({name: np.zeros((2, 256))})
    assert repr(name) in str(refusal.value) and '\n' not in str(refusal.value)


def test_a_full_image_takes_at_most_10_ms():
    rng = np.random.default_rng(11)
    grey = rng.integers(0, 256, (375, 1242), dtype=np.uint8)
    road, counts = rng.random(grey.shape) < 0.2, rng.random(grey.shape) < 0.9
    seconds = []
    for _ in range(30):                                              # the best of them: other programs run here too
        start = time.perf_counter()
        histogram(grey, road, counts)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.010
