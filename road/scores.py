"""KITTI Road's official scores, in NumPy alone.

    levels = histogram(confidence, road, counts)      # one image: int64 [2, 256]; about 1 ms at 1242x375
    scores(levels).MaxF                               # a fraction, as all scores
    scores(pool({'um_000012': levels, 'uu_000003': ...})['URBAN'])

Each image is passed over once: how many road and how many not-road pixels have each of the 256 grey levels. Everything
else follows from these 512 numbers, and those of several images, of whatever sizes, simply add up. There is no second
definition of a score in this project.

The benchmark's rules (J. Fritsch, T. Kuehnl, A. Geiger: A New Performance Measure and Evaluation Benchmark for Road
Detection Algorithms, ITSC 2013): a pixel is positive at threshold i/255 where its confidence is at least i/255; pixels
that do not count enter nowhere; counts are summed over a category's images before anything is divided.
"""
import math
from typing import NamedTuple

import numpy as np

from road.errors import InputError

LEVELS = 256                            # grey levels of a confidence image, and as many thresholds
CATEGORIES = ('um', 'umm', 'uu')        # KITTI Road's: urban marked, urban multiple marked lanes, urban unmarked
HALF = 128                              # the first grey level that is at least 0.5: 127/255 is below it
ROUNDING_ERROR = 1e-6                   # a float32 softmax or resize may leave [0, 1] by less than this


class Scores(NamedTuple):
    """Fractions in [0, 1], as Python floats; NaN where there is nothing to divide by (see `scores`)."""
    MaxF: float                 # the largest F measure over the thresholds
    AP: float                   # average precision at 11 recalls; a hard 0/1 mask stays near 0.92 whatever it shows
    PRE: float                  # precision, recall, false positive rate, false negative rate
    REC: float                  # at the threshold of MaxF
    FPR: float
    FNR: float
    IoU: float                  # at confidence >= 0.5
    best_IoU: float             # the largest over the thresholds
    threshold: float            # of MaxF: a pixel is road where confidence >= threshold; the lowest one if several tie
    best_IoU_threshold: float


def to_grey(confidence):
    """The 8-bit form in which confidences are written and scored: uint8, 255 times the confidence, rounded to nearest.

    `confidence`: float or bool array of any shape, values in [0, 1]. Halves go to the even level, so 0.5 becomes 128.
    Raises ValueError for values outside [0, 1] (by more than rounding error) and for NaN.
    """
    confidence = np.asarray(confidence)
    lowest, highest = (confidence.min(), confidence.max()) if confidence.size else (0, 1)
    # Written so that NaN, for which every comparison is false, is refused too.
    if not (lowest >= -ROUNDING_ERROR and highest <= 1. + ROUNDING_ERROR):
        raise ValueError(f'confidences must lie in [0, 1], got {lowest:g} to {highest:g}: give probabilities, '
                         'not logits, and 8-bit grey levels as uint8')
    # In float64, because float16 and float32 products can land on the wrong side of a half.
    levels = np.asarray(np.multiply(confidence, 255., dtype=np.float64))
    return np.rint(levels, out=levels).astype(np.uint8)


def histogram(confidence, road, counts):
    """How many pixels that count have each grey level: int64 [2, 256], row 0 of not-road pixels, row 1 of road.

    `confidence`: [h, w], uint8 grey levels, or float or bool in [0, 1], which is rounded by `to_grey`.
    `road`, `counts`: bool [h, w]. Histograms of several images add up.
    Raises ValueError if the shapes differ or the confidences are neither.
    """
    confidence = np.asarray(confidence)
    road, counts = np.asarray(road, dtype=bool), np.asarray(counts, dtype=bool)
    if not confidence.shape == road.shape == counts.shape:
        raise ValueError(f'confidence {list(confidence.shape)}, road {list(road.shape)} and counts '
                         f'{list(counts.shape)} must have one shape, [height, width]')
    if confidence.dtype == bool or np.issubdtype(confidence.dtype, np.floating):
        confidence = to_grey(confidence)
    elif confidence.dtype != np.uint8:
        raise ValueError(f'confidences must be uint8, or float in [0, 1], not {confidence.dtype}')
    # One code a pixel, [does not count | road | grey level], and one bincount: six times as fast as selecting the
    # pixels by mask. In uint16, because bincount's own widening to 64 bits is the larger part of the time.
    code = confidence + np.uint16(LEVELS) * road + np.uint16(2 * LEVELS) * ~counts
    return np.bincount(code.ravel(), minlength=4 * LEVELS)[:2 * LEVELS].reshape(2, LEVELS).astype(np.int64)


def curve(histogram):
    """Precision and recall at the thresholds 0/255, 1/255 ... 255/255: float64 [256] each.

    Precision is NaN where no pixel is positive, recall where there is no road; a plot leaves NaN out.
    """
    true_positives, false_positives, roads, _ = _positives(histogram)
    return (_ratio(true_positives, true_positives + false_positives), _ratio(true_positives, roads))


def scores(histogram):
    """`Scores` of a histogram as `histogram` makes it, of one image or summed over many.

    Without a road pixel that counts (an image without any pixel that counts included) all of them are NaN: recall is
    not defined, and an IoU that nothing could raise above 0 would only pull means down. Without a not-road pixel
    FPR alone is NaN. Raises ValueError if the array is not [2, 256].
    """
    true_positives, false_positives, roads, others = _positives(histogram)
    if roads == 0:
        return Scores(*[math.nan] * len(Scores._fields))
    precision, recall = curve(histogram)

    # F = 2PR/(P+R), written in whole numbers: no 0/0 where nothing is found, and equal F stay equal, so that argmax,
    # which takes the first of equals, takes the lowest threshold.
    f_measure = 2 * true_positives / (roads + true_positives + false_positives)
    iou = true_positives / (roads + false_positives)
    best, best_iou = int(f_measure.argmax()), int(iou.argmax())

    # Thresholds that find no road have precision 0/n or 0/0; the devkit drops them before it takes the maximum.
    found = true_positives > 0
    precision_found, recall_found = precision[found], recall[found]
    # 0.1 * i and not i / 10: the two differ in the last bit for 3, 6 and 7, and the devkit steps by 0.1.
    best_precisions = [precision_found[recall_found >= 0.1 * i].max() for i in range(11)]

    false_positive_rate = float(false_positives[best] / others) if others else math.nan
    return Scores(MaxF=float(f_measure[best]),
                  AP=math.fsum(best_precisions) / 11,
                  PRE=float(precision[best]),
                  REC=float(recall[best]),
                  FPR=false_positive_rate,
                  FNR=float((roads - true_positives[best]) / roads),
                  IoU=float(iou[HALF]),
                  best_IoU=float(iou[best_iou]),
                  threshold=best / 255,
                  best_IoU_threshold=best_iou / 255)


def pool(histograms_by_frame):
    """Histograms summed by category and over all: {'um': [2, 256], 'umm': ..., 'uu': ..., 'URBAN': ...}, in this order.

    `histograms_by_frame`: {frame name: histogram}; a frame's category is its name up to the first underscore, as in
    `um_000012` or `um_000012.png`. A category without frames is absent, and so is URBAN where there are no frames.
    Raises InputError for a name of no category.
    """
    pooled = {}
    for category in CATEGORIES + ('URBAN',):
        members = [counts for frame, counts in histograms_by_frame.items()
                   if category in (_category(frame), 'URBAN')]
        if members:
            pooled[category] = np.sum(members, axis=0, dtype=np.int64)
    return pooled


def _category(frame):
    """The part of a frame's name before the first underscore; InputError where that is none of the categories."""
    category, underscore, _ = frame.partition('_')
    if not underscore or category not in CATEGORIES:
        raise InputError(f'frame {frame!r}: expected a name that starts with um_, umm_ or uu_ (as um_000012); '
                         'rename the image, because scores are summed by this category')
    return category


def _positives(histogram):
    """(true positives int64 [256], false positives int64 [256], road pixels, not-road pixels) over the thresholds."""
    histogram = np.asarray(histogram)
    if histogram.shape != (2, LEVELS):
        raise ValueError(f'a histogram has the shape [2, {LEVELS}], not {list(histogram.shape)}')
    # Positive at threshold i are the levels i and above: sums from the bright end.
    not_road, road = np.cumsum(histogram[:, ::-1], axis=1, dtype=np.int64)[:, ::-1]
    return road, not_road, int(road[0]), int(not_road[0])


def _ratio(part, whole):
    """part / whole as float64 of the larger shape, NaN (and no warning) where whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
