"""KITTI Road on disk: which frames there are, how labels are read, and how frames are split.

    <kitti_dir>/training/{image_2,gt_image_2,calib}    289 frames: um 95, umm 96, uu 98
    <kitti_dir>/testing/{image_2,calib}                290 frames

Image `um_000012.png` has the label `um_road_000012.png`; `um_lane_*.png` belongs to another task
and is never read. J. Fritsch, T. Kuehnl, A. Geiger, "A new performance measure and evaluation
benchmark for road detection algorithms", ITSC 2013.
"""

import os
import re
from typing import NamedTuple

import numpy as np

from road.data import IGNORE_LABEL
from road.data.dataset import Class, Dataset, Frame
from road.data.labels import LabelRule, read_values
from road.errors import InputError

PAGE = 'https://www.cvlibs.net/datasets/kitti/eval_road.php'
LINK = 'https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip'
LICENCE = 'CC BY-NC-SA 3.0'
FULL = {'training images': 289, 'labels': 289, 'test images': 290}
CATEGORIES = ('um', 'umm', 'uu')  # urban: marked, multiple marked lanes, unmarked

_IMAGE = re.compile(r'(um|umm|uu)_(\d{6})\.png')
_LABEL = re.compile(r'(um|umm|uu)_road_(\d{6})\.png')
_LANE = re.compile(r'um_lane_\d{6}\.png')
_CALIB = re.compile(r'(um|umm|uu)_(\d{6})\.txt')
EXAMPLES = {_IMAGE: 'um_000012.png', _LABEL: 'um_road_000012.png', _CALIB: 'um_000012.txt'}


CLASSES = Class('not road', (255, 0, 0)), Class('road', (255, 0, 255))
RULE = LabelRule(True, {0xFF0000: 0, 0xFF00FF: 1, 0x000000: IGNORE_LABEL, 0x0000FF: IGNORE_LABEL},
                 'KITTI Road has magenta road, red for what is not road, black for ignored pixels')


class Found(NamedTuple):
    """What a `training` or `testing` folder holds."""
    frames: list  # of Frame, sorted by name
    faults: list  # str, a line each
    unused_files: list  # paths of files without a KITTI Road name, which are not read


def find(folder, labelled):
    """Look through a `training` (labelled) or `testing` folder: Found, by names alone."""
    faults, unused_files = [], []
    images = _files(os.path.join(folder, 'image_2'), _IMAGE, faults, unused_files)
    labels, calibs = {}, {}
    if labelled:
        labels = _files(os.path.join(folder, 'gt_image_2'), _LABEL, faults, unused_files)
    if os.path.isdir(os.path.join(folder, 'calib')):
        calibs = _files(os.path.join(folder, 'calib'), _CALIB, faults, unused_files)
    if images and labels:
        for key in sorted(images.keys() - labels.keys()):
            label = os.path.join(folder, 'gt_image_2', '{}_road_{}.png'.format(*key))
            faults.append(f'{images[key]}: has no label; expected {label} (or remove the image)')
        for key in sorted(labels.keys() - images.keys()):
            image = os.path.join(folder, 'image_2', '{}_{}.png'.format(*key))
            faults.append(f'{labels[key]}: the image of this label is missing; expected {image} '
                          '(or remove the label)')
    frames = [Frame('_'.join(key), images[key], labels.get(key), calibs.get(key), key[0])
              for key in sorted(images)]
    return Found(frames, faults, unused_files)


def training_frames(folder):
    """The labelled frames of a `training` folder, sorted by name. No file is opened.

    Raises InputError where it is missing or empty, a name or link is wrong, or labels and images
    do not match.
    """
    return _frames(folder, labelled=True)


def testing_frames(folder):
    """The frames of a `testing` folder (image_2 and perhaps calib); raises as training_frames."""
    return _frames(folder, labelled=False)


def _frames(folder, labelled):
    found = find(folder, labelled)
    if found.faults:
        raise InputError(found.faults[0])
    return found.frames


def _files(folder, pattern, faults, unused):
    """{(category, number): path} of files with such names; adds to faults and unused."""
    if not os.path.isdir(folder):
        faults.append(f'{folder}: no such folder; KITTI Road has training/image_2, '
                      'training/gt_image_2 and testing/image_2')
        return {}
    files, before = {}, len(faults)
    for name in sorted(os.listdir(folder)):
        path, match = os.path.join(folder, name), pattern.fullmatch(name)
        if match and os.path.isfile(path):  # also a link to a file
            files[match.groups()] = path
        elif match and os.path.islink(path):
            faults.append(f'{path}: links to {os.readlink(path)}, which is no file; copy the file')
        elif match:
            faults.append(f'{path}: is not a file; move it away')
        elif pattern.fullmatch(name.lower()):
            faults.append(f'{path}: expected the name in lower case, {name.lower()}; rename it')
        elif not (pattern is _LABEL and _LANE.fullmatch(name)):
            unused.append(path)
    if not files and len(faults) == before:
        others = [os.path.basename(path) for path in unused if os.path.dirname(path) == folder]
        cure = 'unpack data_road.zip'
        if others:
            cure = f'found {len(others)} others, as in {others[0]}; convert to PNG and rename them'
        faults.append(f'{folder}: holds no file with a name as in {EXAMPLES[pattern]}; {cure}')
    return files


def read_label(path):
    """Read a KITTI Road label: uint8 [h, w], 1 road, 0 not road, 255 ignored.

    Blue > 0 means road, and red = 0 that the pixel is ignored: magenta is road, red is not road,
    black is ignored. A few pixels are pure blue (ignored road), so channels are compared and never
    whole colours.
    """
    colours = read_values(path, by_colour=True)
    road, ignored = colours & 0xFF > 0, colours >> 16 == 0
    return np.where(ignored, IGNORE_LABEL, road).astype(np.uint8)


def find_dataset(folder, val_frames=None):
    """The Dataset of a KITTI Road folder, by names alone; its faults are lines, not raised.

    The last val_frames (16 if None) of each category validate. Raises InputError if a category
    would have no training frame left.
    """
    labelled = find(os.path.join(folder, 'training'), labelled=True)
    testing_dir = os.path.join(folder, 'testing')
    testing = Found([], [], [])
    if os.path.isdir(testing_dir):
        testing = find(testing_dir, labelled=False)
    training, validation = split(labelled.frames, 16 if val_frames is None else val_frames)
    drawn = os.path.exists(os.path.join(folder, 'drawn.txt'))
    return Dataset('kitti', 'Drawn scenes' if drawn else 'KITTI Road', folder, CLASSES, RULE,
                   read_label, training, validation, testing.frames,
                   (*labelled.faults, *testing.faults),
                   (*labelled.unused_files, *testing.unused_files))


def missing_message(kitti_dir):
    """What to tell a user who has no KITTI Road at `kitti_dir`."""
    images = os.path.join(kitti_dir, 'training', 'image_2')
    return (f'{kitti_dir}: KITTI Road is not there. Get it from {PAGE} (direct link: {LINK}; '
            f'licence {LICENCE}) and unpack it so that {images} exists; or run '
            '`python main.py --download-kitti`, or `python main.py --sample` without a download')


def differing_counts(training, testing):
    """What differs from the full set, ['training images 150 of 289', ...]; empty if nothing."""
    found = {'training images': len(training), 'test images': len(testing),
             'labels': sum(frame.label is not None for frame in training)}
    return [f'{what} {found[what]} of {full}' for what, full in FULL.items() if found[what] != full]


def extent(data):
    """Whether a Dataset is the whole of KITTI Road, in words before its counts."""
    if data.title != 'KITTI Road':  # other data sets, and drawn scenes
        return ''
    differing = differing_counts(data.training + data.validation, data.testing)
    return f'partial ({"; ".join(differing)}); ' if differing else 'complete; '


def split(frames, val_frames):
    """Split into (training, validation): the last `val_frames` of each category validate.

    Neighbouring frames show the same street, so a random split would leak; published numbers use
    the last 16. Raises InputError where a category would have no training frame left.
    """
    training, validation = [], []
    for category in CATEGORIES:
        own = [frame for frame in frames if frame.category == category]
        if own and len(own) <= val_frames:
            raise InputError(f'--val-frames {val_frames}: category {category} has only {len(own)} '
                             f'frames; give at most {len(own) - 1}')
        training += own[:len(own) - val_frames]
        validation += own[len(own) - val_frames:]
    return training, validation
