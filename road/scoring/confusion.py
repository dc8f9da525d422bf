"""Predicted classes, and counts of pixels, in NumPy: every score follows from such counts."""

import numpy as np

from road.data.images import resize_confidence


def predicted(probabilities, shape=None, threshold=0.5):
    """The predicted class: float32 [h, w, classes] => uint8 [h, w].

    Of two classes the second from a probability of `threshold` on; else the first of the most
    probable ones. `shape`: to resize the probabilities to; by default theirs.
    """
    shape = shape or probabilities.shape[:2]
    if probabilities.shape[-1] == 2:
        return (resize_confidence(probabilities[..., 1], shape) >= threshold).astype(np.uint8)
    highest = resize_confidence(probabilities[..., 0], shape)
    prediction = np.zeros(shape, np.uint8)
    for i in range(1, probabilities.shape[-1]):  # to save memory, one class at a time
        plane = resize_confidence(probabilities[..., i], shape)
        np.putmask(prediction, plane > highest, np.uint8(i))
        highest = np.maximum(plane, highest)
    return prediction


def confusion(prediction, label, num_classes, num_values=None):
    """The confusion matrix, int64 [num_classes, num_values], without ignored pixels.

    Row i, column j: number of pixels labelled i, below num_classes (at most 254), and predicted as
    j, below num_values (num_classes by default). Other labels are ignored. Both: uint8 [h, w].
    """
    num_values = num_values or num_classes
    # One code per pixel and one bincount: six times as fast as masks. In uint16, because most of
    # the time goes into bincount's widening to 64 bits. Ignored labels get the highest codes.
    code = prediction + np.uint16(num_values) * label
    size = num_classes * num_values
    counted = np.bincount(code.ravel(), minlength=size)[:size]
    return counted.reshape(num_classes, num_values).astype(np.int64)
