"""Scores of a run's frames, at the images' full size: KITTI's with two classes, IoU with more.

    histograms, fault = evaluate(outputs, total, read_label)  # outputs: (frame, image, confidence)
    print(text(histograms))                   # rows um, umm, uu, URBAN, in per cent

    matrix = evaluate_classes(outputs, total, read_label, len(classes))
    print(text_of_classes(matrix, classes))   # a row per class

KITTI's scores are there in bird's eye view too, where the frames have calibrations.
"""

import math

import numpy as np

from road import files
from road.errors import InputError
from road.prefetch import prefetch
from road.progress import tqdm
from road.scoring import birdseye, confusion, scores
from road.tables import table

VIEWS = {'perspective': "perspective, at the images' full size",
         'birdseye': "bird's eye, 40 x 20 m at 0.05 m per pixel"}
COLUMNS = scores.Scores._fields[:-1]  # without the threshold


def evaluate(outputs, total, read_label):
    """Count the grey levels of all frames, for each view and category.

    Args:
        outputs: yields `total` times (road.data.dataset.Frame, image, confidence float32 [h, w] in
            [0, 1] of the image's own size).
        read_label: of the Dataset.
    Returns:
        ({'perspective': {'um': histogram, ..., 'URBAN': histogram}, 'birdseye': the same}, fault).
        fault is None, or the line that says why bird's eye view is left out: the calibration of a
        frame is missing, damaged or does not fit.
    Raises:
        InputError: a label is missing, damaged, or not as large as its image.
    """
    counted = prefetch(lambda output: _count(output, read_label), outputs, depth=8)
    counted = list(tqdm(counted, total=total, desc='scoring', unit='image'))
    faults = [fault for *_, fault in counted if fault]
    histograms = {view: scores.pool([(category, levels[view]) for category, levels, _ in counted])
                  for view in VIEWS if view == 'perspective' or not faults}
    return histograms, faults[0] if faults else None


def _count(output, read_label):
    """(category, {view: histogram}, fault of the calibration or None)."""
    frame, _, confidence = output
    grey, label = scores.to_grey(confidence), _read_label(frame, confidence.shape, read_label)
    levels = {'perspective': scores.histogram(grey, label)}
    try:
        calibration = birdseye.frame_calibration(frame, grey.shape)
    except InputError as error:
        return frame.category, levels, str(error)
    # outside the image nothing is valid
    label = ~birdseye.to_birdseye(~label, calibration)
    levels['birdseye'] = scores.histogram(birdseye.to_birdseye(grey, calibration), label)
    return frame.category, levels, None


def evaluate_classes(outputs, total, read_label, num_classes):
    """The confusion matrix of all frames, int64 [classes, classes]; see evaluate.

    The confidences in outputs are the probabilities of more than two classes, [h, w, classes].
    """
    def count(output):
        frame, _, probabilities = output
        label = _read_label(frame, probabilities.shape[:2], read_label)
        return confusion.confusion(confusion.predicted(probabilities), label, num_classes)

    counted = prefetch(count, outputs, depth=1)  # probabilities of large images are gigabytes
    return sum(tqdm(counted, total=total, desc='scoring', unit='image'))


def _read_label(frame, shape, read_label):
    label = read_label(frame.label)
    if label.shape != shape:
        raise InputError('{0}: is {2}x{1} pixels, but its image is {4}x{3}; a label must be as '
                         'large as its image'.format(frame.label, *label.shape, *shape))
    return label


def text(histograms):
    """The scores in per cent as text: a block per view, a row per category."""
    lines = []
    for view, of_view in histograms.items():
        rows = [(category, *(f'{100 * value:.2f}' for value in scores.scores(levels)[:-1]))
                for category, levels in of_view.items()]
        lines += [VIEWS[view], table([('', *COLUMNS), *rows])]
    return '\n'.join(lines)


def text_of_classes(matrix, classes):
    """A confusion matrix in per cent as text: a row per class, the mean IoU, the accuracy."""
    shares = matrix.sum(axis=1) / max(matrix.sum(), 1)
    rows = [(each.name, f'{100 * iou:.2f}', f'{100 * share:.2f}')
            for each, iou, share in zip(classes, confusion.ious(matrix), shares)]
    rows += [('mean IoU', f'{100 * confusion.mean_iou(matrix):.2f}', ''),
             ('global accuracy', f'{100 * confusion.accuracy(matrix):.2f}', '')]
    return table([('', 'IoU', 'share of pixels'), *rows])


def write_json(path, histograms, facts):
    """Write `facts` and all scores as JSON; scores are fractions, null where not defined."""
    tables = {view: {category: {name: _or_null(value) for name, value in
                                scores.scores(levels)._asdict().items()}
                     for category, levels in of_view.items()}
              for view, of_view in histograms.items()}
    files.write_json(path, {**facts, **tables})


def write_json_of_classes(path, matrix, classes, facts):
    """As write_json, of a confusion matrix, which is written too: rows label, columns predicted."""
    ious = {each.name: _or_null(iou) for each, iou in zip(classes, confusion.ious(matrix).tolist())}
    files.write_json(path, {**facts, 'mean_IoU': _or_null(confusion.mean_iou(matrix)),
                            'accuracy': _or_null(confusion.accuracy(matrix)), 'IoU': ious,
                            'confusion': matrix.tolist()})


def _or_null(value):
    return None if math.isnan(value) else value


def plot_curves(path, histograms, title):
    """Draw precision over recall as PNG, a panel per view, a line per category."""
    from matplotlib.figure import Figure  # here, because importing it takes longer than scoring
    figure = Figure(figsize=(11, 5), layout='constrained')
    figure.suptitle(title)
    panels = figure.subplots(1, len(histograms), squeeze=False)[0]
    for axes, (view, of_view) in zip(panels, histograms.items()):
        for category, levels in of_view.items():
            precision, recall = scores.curve(levels)
            row = scores.scores(levels)
            axes.plot(recall, precision, label=f'{category}: MaxF {row.MaxF:.2%}, AP {row.AP:.2%}')
        axes.set(title=VIEWS[view], xlabel='recall', ylabel='precision', ylim=(0.5, 1.005))
        axes.legend(loc='lower left')
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def plot_classes(path, matrix, classes, title):
    """Draw the IoU of each class as PNG, a bar in the class's colour."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 1.5 + 0.3 * len(classes)), layout='constrained')
    axes, values = figure.subplots(), confusion.ious(matrix)
    names = [f'{each.name}  {iou:.1%}' for each, iou in zip(classes, values)]
    axes.barh(range(len(classes)), np.nan_to_num(values), edgecolor='black', linewidth=0.5,
              color=[np.divide(each.colour, 255) for each in classes])
    axes.set_yticks(range(len(classes)), names)
    axes.invert_yaxis()
    axes.set(title=f'{title}\nmean IoU {confusion.mean_iou(matrix):.2%}', xlabel='IoU', xlim=(0, 1))
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
