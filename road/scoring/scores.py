"""KITTI Road's official scores, in NumPy.

    histogram = confusion(to_grey(probabilities), label, 2, LEVELS)  # int64 [2, 256]
    scores(histogram).MaxF                                        # a fraction, as all scores

A histogram counts pixels at each grey level: row 0 those that are not road, row 1 road. Rules of
the benchmark (J. Fritsch, T. Kuehnl, A. Geiger: A New Performance Measure and Evaluation Benchmark
for Road Detection Algorithms, ITSC 2013): a pixel is positive at threshold i/255 if its grey level
is at least i; ignored pixels are left out; a category's counts are summed, then divided.
"""

import math
from typing import NamedTuple

import numpy as np

LEVELS = 256  # grey levels of a confidence map, and as many thresholds
HALF = 128  # grey level of the probability 0.5
GREY_TEMPERATURE = 8.0  # see to_grey; 1 would be a straight line
# The probability at which each grey level begins, sigmoid(8 * logit(grey / 255)): float64 [256].
# to_grey rounds, so a level begins half a level below itself; HALF begins at exactly 0.5.
_GREYS = ((np.arange(LEVELS) - 0.5) / 255).clip(0)
_ODDS = (_GREYS / (1 - _GREYS))**GREY_TEMPERATURE
PROBABILITIES = _ODDS / (1 + _ODDS)
ROUNDING_ERROR = 1e-6  # by this much a float32 softmax or resize may leave [0, 1]


class Scores(NamedTuple):
    """Python floats in [0, 1]; NaN where a score is not defined (see `scores`)."""
    MaxF: float  # largest F measure over the thresholds
    threshold: float  # of MaxF, the lowest one if several tie; a probability
    AP: float  # average precision at 11 recalls; a hard 0/1 mask stays near 0.92
    PRE: float  # precision, recall, false positive rate and false negative rate
    REC: float  # at the threshold of MaxF
    FPR: float
    FNR: float
    IoU: float  # at a probability >= 0.5
    mask_IoU: float  # at the probability from which on masks are painted


def to_grey(probabilities):
    """The 8-bit confidence map: uint8 [h, w], round(255 * sigmoid(logit / GREY_TEMPERATURE)).

    The logit is log(probability of road / probability of not road). Only 8-bit maps, which are
    scored and submitted, follow this curve. On a straight line a network that is sure would put all
    the road it missed at grey level 0, and most of the road it found at 255, where they cannot be
    ranked. The curve keeps every ranking, and 0, 0.5 (grey level 128) and 1. It takes float arrays
    [h, w, 2] of not road and of road: floats near 1 are too coarse for the logit. Raises ValueError
    if a probability is NaN, or outside [0, 1] by more than rounding error.
    """
    from scipy.special import expit  # here, because --help must not wait for SciPy
    lowest, highest = probabilities.min(), probabilities.max()
    if not (lowest >= -ROUNDING_ERROR and highest <= 1 + ROUNDING_ERROR):  # true for NaN as well
        raise ValueError(f'confidences must lie in [0, 1], got {lowest:g} to {highest:g}: give '
                         'probabilities, not logits, and 8-bit grey levels as uint8')
    with np.errstate(divide='ignore'):  # infinite logits are fine
        not_road, road = np.moveaxis(np.log(probabilities.clip(0, 1), dtype=np.float64), -1, 0)
    return np.rint(255 * expit((road - not_road) / GREY_TEMPERATURE)).astype(np.uint8)


def curve(histogram):
    """(precision, recall) at the thresholds 0/255, ..., 255/255: float64 [256], NaN for 0/0."""
    true_positives, false_positives, roads, _ = _positives(histogram)
    with np.errstate(invalid='ignore'):  # 0/0
        return true_positives / (true_positives + false_positives), true_positives / roads


def scores(histogram, mask_threshold=0.5):
    """The `Scores` of a histogram of one image, or summed over many.

    mask_threshold: the probability from which on masks are painted, 0 to 1. Without a road pixel
    all scores are NaN; without a pixel that is not road, only FPR is.
    """
    true_positives, false_positives, roads, others = _positives(histogram)
    if roads == 0:
        return Scores(*[math.nan] * len(Scores._fields))
    precision, recall = curve(histogram)
    # F = 2PR / (P + R) in whole numbers: never 0/0, and equal F stay equal, so that argmax takes
    # the lowest threshold.
    f_measure = 2 * true_positives / (roads + true_positives + false_positives)
    best = int(f_measure.argmax())
    # The devkit drops thresholds that find no road (precision 0/n or 0/0). It steps by 0.1, and
    # 0.1 * i differs from i / 10 in the last bit for 3, 6 and 7.
    found = true_positives > 0
    precisions = [precision[found & (recall >= 0.1 * i)].max() for i in range(11)]
    ious = true_positives / (roads + false_positives)
    return Scores(MaxF=float(f_measure[best]),
                  threshold=float(PROBABILITIES[best]),
                  AP=math.fsum(precisions) / 11,
                  PRE=float(precision[best]),
                  REC=float(recall[best]),
                  FPR=float(false_positives[best] / others) if others else math.nan,
                  FNR=float((roads - true_positives[best]) / roads),
                  IoU=float(ious[HALF]),
                  mask_IoU=float(ious[np.searchsorted(PROBABILITIES[:-1], mask_threshold)]))


def _positives(histogram):
    """True and false positives, int64 [256] each, and the numbers of road and other pixels."""
    # positive at threshold i are the levels from i up: sums from the bright end
    not_road, road = np.cumsum(histogram[:, ::-1], axis=1, dtype=np.int64)[:, ::-1]
    return road, not_road, int(road[0]), int(not_road[0])
