"""Scores of more than two classes, all from one confusion matrix, in NumPy.

    matrix = confusion(predicted(probabilities), label, 11)  # one image: int64 [11, 11]
    mean_iou(matrix), accuracy(matrix)                       # fractions

Matrices of several images add up.
"""

import math

import numpy as np

from road.data.images import resize_confidence


def predicted(probabilities):
    """The most probable class: float32 [h, w, classes] => uint8 [h, w], the first of equals."""
    return probabilities.argmax(axis=-1).astype(np.uint8)


def predicted_at(probabilities, shape):
    """predicted(resize_confidence(probabilities, shape)), in half the time and little memory."""
    highest, found = np.float32(-1), np.zeros(shape, np.uint8)
    for i in range(probabilities.shape[-1]):  # one class at a time is at full size
        plane = resize_confidence(np.ascontiguousarray(probabilities[..., i]), shape)
        found[plane > highest] = i
        highest = np.maximum(plane, highest)
    return found


def confusion(prediction, label, num_classes):
    """Number of valid pixels per pair of classes: int64 [classes, classes].

    Row i, column j: pixels labelled i and predicted as j.

    Args:
        prediction: uint8 [h, w], 0 to num_classes - 1.
        label: uint8 [h, w]; other values than 0 to num_classes - 1 are not valid.
        num_classes: at most 254.
    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != label.shape:
        raise ValueError(f'prediction {prediction.shape} and label {label.shape} must have one '
                         'shape, (height, width)')
    # One code per pixel, which 16 bits hold; labels that are not valid get the highest codes.
    code = prediction + np.uint16(num_classes) * label
    counted = np.bincount(code.ravel(), minlength=num_classes**2)[:num_classes**2]
    return counted.reshape(num_classes, num_classes).astype(np.int64)


def ious(matrix):
    """IoU of each class: float64 [classes], NaN for a class neither labelled nor predicted."""
    hits = np.diag(matrix)
    with np.errstate(invalid='ignore'):  # 0/0
        return hits / (matrix.sum(axis=0) + matrix.sum(axis=1) - hits)


def mean_iou(matrix):
    """Mean IoU over the classes that are labelled or predicted; NaN if there is none."""
    values = ious(matrix)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else math.nan


def accuracy(matrix):
    """Global accuracy, the share of valid pixels that are right; NaN if there is none."""
    return float(np.trace(matrix) / matrix.sum()) if matrix.any() else math.nan
