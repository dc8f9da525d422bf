"""The scores against counting by hand in whole numbers and fractions, and cases worked on paper."""

import collections
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import softmax

from road.data import camvid, kitti
from road.data.dataset import Frame
from road.data.images import resize_confidence
from road.data.kitti import read_calibration
from road.scoring.birdseye import lookup
from road.scoring.confusion import confusion, predicted
from road.scoring.scorers import VIEWS, MulticlassScorer, TwoClassScorer
from road.scoring.scores import LEVELS, PROBABILITIES, Scores, curve, scores, to_grey
from tests.test_painting import of_road


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
    iou = table[128][0] / sum(table[128][:3])
    return [float(best_f), PROBABILITIES[-best], average, tp / (tp + fp), tp / roads,
            fp / (fp + tn) if fp + tn else math.nan, fn / roads, iou, iou]


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('seed', range(60))
def test_scores_and_curve_equal_counting_by_hand(seed):
    rng, images = np.random.default_rng(seed), []
    for _ in range(rng.integers(1, 4)):  # of few levels, which make many ties
        shape, levels = rng.integers(1, 7, 2), rng.integers(0, 256, rng.integers(1, 9))
        images.append([np.uint8(rng.choice(each, shape)) for each in (levels, [0, 1, 255])])
    if seed == 0:
        images = [(np.uint8([[9] * 3 + [5] * 8]), np.uint8(np.arange(11)[None] < 10))]  # recall 0.3
    histogram, table = sum(confusion(*image, 2, LEVELS) for image in images), count_by_hand(images)
    np.testing.assert_array_equal(scores(histogram), score_by_hand(table))
    expected = [(tp / (tp + fp) if tp + fp else np.nan, tp / (tp + fn) if tp + fn else np.nan)
                for tp, fp, fn, _ in table]
    np.testing.assert_array_equal(np.transpose(curve(histogram)), expected)


@pytest.mark.filterwarnings('error')
def test_grey_levels_tell_apart_how_sure_a_network_is():
    """Up to both ends: 254 is a logit of 44, where a float32 probability has been 1 since 17."""
    logits = np.linspace(-80, 80, 1000)
    probabilities = softmax(np.stack([0 * logits, logits], -1).astype(np.float32), axis=-1)
    grey = to_grey(probabilities)
    np.testing.assert_array_equal(grey, np.rint(255 / (1 + np.exp(-np.float32(logits) / 8))))
    assert {*range(228, 255)} <= {*grey.tolist()}
    assert to_grey(of_road([0, 0.49999, 0.5, 1, 1 + 1e-7])).tolist() == [0, 127, 128, 255, 255]
    for value in (-0.01, 255., math.nan):
        with pytest.raises(ValueError, match=r'\[0, 1\]'):
            to_grey(of_road([[0.5, value]]))


@pytest.mark.parametrize('shift', [-20.0, -3.0, 0.0, 8.0])
def test_a_mask_at_the_threshold_has_the_largest_f_measure(shift):
    rng = np.random.default_rng(0)
    label = np.uint8(rng.random((40, 50)) < 0.4)
    logits = shift + 2 * label + rng.normal(size=label.shape)
    probabilities = softmax(np.stack([0 * logits, logits], -1).astype(np.float32), axis=-1)
    histogram = confusion(to_grey(probabilities), label, 2, LEVELS)
    found = scores(histogram, mask_threshold=scores(histogram).threshold)
    mask = probabilities[..., 1] >= found.threshold
    hits = (mask & label).sum()
    assert found.MaxF == 2 * hits / (mask.sum() + label.sum())
    assert found.mask_IoU == hits / (mask | label).sum()


@pytest.mark.parametrize('shape', [(16, 24), (40, 50), (9, 11)])
def test_first_of_the_most_probable_classes_is_predicted(shape):
    probabilities = np.random.default_rng(0).dirichlet([1] * 5, (16, 24)).astype(np.float32)
    probabilities[:4] = 0.2
    prediction = predicted(probabilities, shape)
    expected = resize_confidence(probabilities, shape).argmax(axis=2)  # takes the first of equals
    np.testing.assert_array_equal(prediction, np.uint8(expected), strict=True)
    assert predicted(np.full((1, 1, 2), 0.5, np.float32)).tolist() == [[1]]  # of two, road


def test_kitti_scores_of_each_view_and_category(frames):
    outputs, levels = [], {view: collections.defaultdict(int) for view in VIEWS}
    for frame in frames[::2]:
        label = kitti.read_label(frame.label)
        noise = np.random.default_rng(0).random(label.shape, dtype=np.float32)
        outputs.append((frame, label, of_road(0.4 * (label == 1) + 0.6 * noise)))
        grey = to_grey(outputs[-1][-1])
        row, column, inside = lookup(read_calibration(frame.calib), *label.shape)
        from_above = [plane[row, column][inside] for plane in (grey, label)]
        for category in (frame.category, 'URBAN'):
            levels['perspective'][category] += confusion(grey, label, 2, LEVELS)
            levels['birdseye'][category] += confusion(*from_above, 2, LEVELS)
    scorer = TwoClassScorer(with_birdseye=True)
    scorer.add(outputs)
    assert scorer.as_json() == {view: {name: scores(levels[view][name])._asdict()
                                       for name in ('um', 'umm', 'uu', 'URBAN')} for view in VIEWS}
    assert scorer.scores() == scorer.as_json()['perspective']['URBAN']
    for axes, view, title in zip(scorer.plot('$1 or $x^$').axes, VIEWS, (
            "perspective, at the images' full size", "bird's eye, 40 x 20 m at 0.05 m per pixel")):
        labels = axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), axes.get_ylim()
        assert labels == (title, 'recall', 'precision', (0.5, 1.005))
        for line, (name, row) in zip(axes.get_lines(), scorer.as_json()[view].items(), strict=True):
            precision, recall = curve(levels[view][name])
            np.testing.assert_array_equal(line.get_data(), (recall, precision))
            assert line.get_label() == f'{name}: MaxF {row["MaxF"]:.2%}, AP {row["AP"]:.2%}'
    scorer.add([(frame._replace(calib=None), label, outputs[-1][-1]), outputs[-1]])
    assert list(scorer.as_json()) == ['perspective']
    assert re.search("No scores in bird's eye view: .* has no calibration", scorer.format_scores())


def test_two_classes_of_other_data_have_one_row():
    scorer, probabilities = TwoClassScorer(), of_road([[0.1, 0.9, 0.2, 0.9]])
    scorer.add([(Frame('a', 'a.png'), np.uint8([[0, 0, 0, 255]]), probabilities)])
    assert scorer.format_scores().count('nan') == 9  # not defined without road
    assert set(scorer.as_json()['perspective']['all'].values()) == {None}
    scorer.add([(Frame('b', 'b.png'), np.uint8([[0, 1, 1, 255]]), probabilities)])
    assert [line.split()[0] for line in scorer.format_scores().split('\n')[2:]] == ['all']
    assert list(scorer.as_json()['perspective']) == ['all']
    assert scorer.scores()['IoU'] == 1 / 3


def test_multiclass_scores_have_a_row_per_class():
    scorer = MulticlassScorer(camvid.CLASSES)
    assert all(map(math.isnan, scorer.scores().values()))
    scorer.add([(None, np.uint8([[0, 0, 1, 1, 2, 255]]), np.eye(11)[[[0, 1, 1, 1, 0, 3]]])] * 2)
    _, *rows = scorer.format_scores().split('\n')
    assert [row.split() for row in rows] == [
        ['sky', '33.33', '50.00', '50.00', '40.00', 'building', '50.0%'],
        ['building', '66.67', '100.00', '66.67', '40.00'],
        ['pole', '0.00', '0.00', 'nan', '20.00', 'sky', '100.0%'],
        *([each.name, 'nan', 'nan', 'nan', '0.00'] for each in camvid.CLASSES[3:]),
        ['mean', 'IoU', '33.33'], ['global', 'accuracy', '60.00']]
    written = scorer.as_json()
    assert (written['accuracy'], written['mean_IoU']) == pytest.approx((0.6, 1 / 3))
    assert written['confusion'][0] == [2, 2, *[0] * 9]
    assert written['IoU']['pole'] == 0 and written['IoU']['road'] is None
    assert (written['recall']['sky'], written['precision']['building']) == (0.5, 2 / 3)
    axes, = scorer.plot('$1 or $x^$').axes
    assert axes.get_title().endswith('\nmean IoU 33.33%')
    assert (axes.get_xlabel(), axes.get_xlim(), axes.yaxis_inverted()) == ('IoU', (0, 1), True)
    for bar, text, each in zip(axes.patches, axes.get_yticklabels(), camvid.CLASSES, strict=True):
        assert text.get_text().startswith(f'{each.name}  ')
        assert bar.get_width() == (written['IoU'][each.name] or 0)
        assert bar.get_facecolor()[:3] == pytest.approx(np.divide(each.colour, 255))
    scorer.matrix[5, :6] = 70, 9, 0, 30, 2, 889
    assert scorer.format_scores().split('\n')[6].endswith('  sky 7.0%, road 3.0%, building 0.9%')
