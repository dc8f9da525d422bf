"""Scores of a trained run as KITTI gives them, in perspective and bird's eye, and the file for its server.

    histograms = evaluate(outputs)            # outputs: (frame, image, confidence) as helper.confidences yields
    table(histograms)                         # rows um, umm, uu, URBAN, in per cent
    write_submission(outputs, frames, 'runs/first/submission.zip')
"""

import io
import json
import math
import os
import zipfile

import imageio.v3 as iio
from PIL import Image
from tqdm import tqdm

from road import birdseye, kitti, scores
from road.ahead import map_ahead
from road.errors import InputError

VIEWS = {'perspective': "perspective, at the images' full size", 'birdseye': "bird's eye, 40 x 20 m at 0.05 m a pixel"}
COLUMNS = ('MaxF', 'AP', 'PRE', 'REC', 'FPR', 'FNR', 'IoU')


def evaluate(outputs, total):
    """Count: {'perspective': {'um': histogram, ..., 'URBAN': histogram}, 'birdseye': the same}.

    Args:
        outputs: yields (frame, image, confidence), confidence float32 [h, w] in [0, 1] of the image's own size.
        total: their number, for the progress bar.
    """
    def count(output):
        frame, _, confidence = output
        grey, (road, counts) = scores.to_grey(confidence), kitti.read_label(frame.label)
        calibration = birdseye.read_calibration(_calibration_path(frame))
        from_above = birdseye.to_birdseye(grey, calibration)
        return (frame.name, scores.histogram(grey, road, counts),
                scores.histogram(from_above, *birdseye.birdseye_labels(road, counts, calibration)))

    counted = list(tqdm(map_ahead(count, outputs, depth=8), total=total, desc='scoring', unit='image'))
    return {'perspective': scores.pool({name: histogram for name, histogram, _ in counted}),
            'birdseye': scores.pool({name: histogram for name, _, histogram in counted})}


def _calibration_path(frame):
    if frame.calib is None:
        raise InputError(f'{frame.image}: has no calibration file; bird\'s eye needs calib/{frame.name}.txt beside image_2')
    return frame.calib


def table(histograms):
    """The scores as text: a block a view, rows um, umm, uu, URBAN, in per cent."""
    lines = []
    for view, title in VIEWS.items():
        lines += [title, ' ' * 7 + ''.join(f'{column:>8s}' for column in COLUMNS)]
        for name, histogram in histograms[view].items():
            row = scores.scores(histogram)
            lines.append(f'{name:7s}' + ''.join(f'{100 * getattr(row, column):8.2f}' for column in COLUMNS))
    return '\n'.join(lines)


def write_json(path, histograms, facts):
    """Write `facts` and all scores (fractions; null where a score is not defined) as JSON."""
    def defined(row):
        return {key: None if math.isnan(value) else value for key, value in row._asdict().items()}

    tables = {view: {name: defined(scores.scores(histogram)) for name, histogram in of_view.items()}
              for view, of_view in histograms.items()}
    with open(path, 'w') as file:
        json.dump({**facts, **tables}, file, indent=1)


def plot_curves(path, histograms, title):
    """Draw precision over recall of each category as PNG, a panel a view."""
    from matplotlib.figure import Figure  # here, because importing it takes longer than scoring
    figure = Figure(figsize=(11, 5), layout='constrained')
    figure.suptitle(title)
    for axes, (view, of_view) in zip(figure.subplots(1, 2), histograms.items()):
        for name, histogram in of_view.items():
            precision, recall = scores.curve(histogram)
            row = scores.scores(histogram)
            axes.plot(recall, precision, label=f'{name}: MaxF {row.MaxF:.2%}, AP {row.AP:.2%}',
                      linewidth=2.5 if name == 'URBAN' else 1.2)
        axes.set(title=VIEWS[view], xlabel='recall', ylabel='precision', xlim=(0, 1.005), ylim=(0.5, 1.005))
        axes.grid(alpha=0.3)
        axes.legend(loc='lower left')
    figure.savefig(path, dpi=110)


def submission_name(frame):
    """As the benchmark's server wants it: um_000012 => um_road_000012.png."""
    category, number = frame.name.split('_')
    return f'{category}_road_{number}.png'


def write_submission(outputs, frames, path):
    """Write a zip of 8-bit confidence maps in bird's eye view, 800x400, one a frame; it is whole or not there."""
    def encode(output):
        frame, _, confidence = output
        calibration = birdseye.read_calibration(_calibration_path(frame))
        from_above = birdseye.to_birdseye(scores.to_grey(confidence), calibration)
        return submission_name(frame), iio.imwrite('<bytes>', from_above, extension='.png')

    part = f'{path}.part'
    try:
        with zipfile.ZipFile(part, 'w') as archive:  # PNG is compressed already
            for name, data in tqdm(map_ahead(encode, outputs, depth=8), total=len(frames), desc='submission', unit='image'):
                archive.writestr(name, data)
        check_submission(part, frames)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def check_submission(path, frames):
    """Read a finished zip back. Raises InputError that names what is wrong: names, count, size, 8-bit grey."""
    with zipfile.ZipFile(path) as archive:
        names, expected = archive.namelist(), [submission_name(frame) for frame in frames]
        if sorted(names) != sorted(expected):
            wrong = sorted(set(names) ^ set(expected)) or [name for name in names if names.count(name) > 1]
            raise InputError(f'{path}: holds {len(names)} files, expected {len(expected)}; the first that differs is {wrong[0]}')
        for name in names:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                if image.format != 'PNG' or image.mode != 'L' or image.size != (birdseye.COLUMNS, birdseye.ROWS):
                    raise InputError(f'{path}: {name} is {image.format} {image.mode} {image.size[1]}x{image.size[0]}, expected '
                                     f'8-bit grey PNG {birdseye.ROWS}x{birdseye.COLUMNS}')
