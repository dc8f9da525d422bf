"""KITTI's scores of a run's frames, at the images' full size and in bird's eye view.

    histograms, fault = evaluate(outputs, total)  # outputs: (frame, image, confidence)
    print(text(histograms))                       # rows um, umm, uu, URBAN, in per cent
"""

import math

import numpy as np

from road import files
from road.data import kitti
from road.errors import InputError
from road.prefetch import prefetch
from road.progress import tqdm
from road.scoring import birdseye, scores
from road.tables import table

VIEWS = {'perspective': "perspective, at the images' full size",
         'birdseye': "bird's eye, 40 x 20 m at 0.05 m per pixel"}
COLUMNS = scores.Scores._fields[:-1]  # without the threshold


def evaluate(outputs, total):
    """Count the grey levels of all frames, for each view and category.

    Args:
        outputs: yields `total` times (kitti.Frame, image, confidence float32 [h, w] in [0, 1] of
            the image's own size).
    Returns:
        ({'perspective': {'um': histogram, ..., 'URBAN': histogram}, 'birdseye': the same}, fault).
        fault is None, or the line that says why bird's eye view is left out: the calibration of a
        frame is missing, damaged or does not fit.
    Raises:
        InputError: a label is missing, damaged, or not as large as its image.
    """
    counted = list(tqdm(prefetch(_count, outputs, depth=8), total=total, desc='scoring',
                        unit='image'))
    faults = [fault for *_, fault in counted if fault]
    histograms = {view: scores.pool({name: levels[view] for name, levels, _ in counted})
                  for view in VIEWS if view == 'perspective' or not faults}
    return histograms, faults[0] if faults else None


def _count(output):
    """(frame name, {view: histogram}, fault of the calibration or None)."""
    frame, _, confidence = output
    grey, (road, valid) = scores.to_grey(confidence), kitti.read_label(frame.label)
    if grey.shape != road.shape:
        raise InputError('{0}: is {2}x{1} pixels, but its image is {4}x{3}; a label must be as '
                         'large as its image'.format(frame.label, *road.shape, *grey.shape))
    levels = {'perspective': scores.histogram(grey, road, valid)}
    try:
        calibration = birdseye.frame_calibration(frame, grey.shape)
    except InputError as error:
        return frame.name, levels, str(error)
    planes = birdseye.to_birdseye(np.dstack([grey, road, valid]), calibration)
    grey, road, valid = np.moveaxis(planes, -1, 0)
    levels['birdseye'] = scores.histogram(grey, road > 0, valid > 0)
    return frame.name, levels, None


def text(histograms):
    """The scores in per cent as text: a block per view, a row per category."""
    lines = []
    for view, of_view in histograms.items():
        rows = [(category, *(f'{100 * value:.2f}' for value in scores.scores(levels)[:-1]))
                for category, levels in of_view.items()]
        lines += [VIEWS[view], table([('', *COLUMNS), *rows])]
    return '\n'.join(lines)


def write_json(path, histograms, facts):
    """Write `facts` and all scores as JSON; scores are fractions, null where not defined."""
    tables = {view: {category: {name: None if math.isnan(value) else value
                                for name, value in scores.scores(levels)._asdict().items()}
                     for category, levels in of_view.items()}
              for view, of_view in histograms.items()}
    files.write_json(path, {**facts, **tables})


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
