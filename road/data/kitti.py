"""KITTI Road on disk: which frames there are, labels, camera calibrations.

    <kitti_dir>/training/{image_2,gt_image_2,calib}    289 frames: um 95, umm 96, uu 98
    <kitti_dir>/testing/{image_2,calib}                290 frames

Image `um_000012.png` has the label `um_road_000012.png`; `um_lane_*.png` belongs to another task
and is never read. J. Fritsch, T. Kuehnl, A. Geiger, "A new performance measure and evaluation
benchmark for road detection algorithms", ITSC 2013.
"""

import os
from typing import NamedTuple

import numpy as np

from road.data import IGNORE_LABEL
from road.data.dataset import Class, Dataset, find_frames
from road.data.labels import LabelRule, read_classes
from road.errors import InputError

PAGE = 'https://www.cvlibs.net/datasets/kitti/eval_road.php'
LINK = 'https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip'
LICENCE = 'CC BY-NC-SA 3.0'
FULL = {'training images': 289, 'test images': 290}
CATEGORIES = ('um', 'umm', 'uu')  # urban: marked, multiple marked lanes, unmarked
# see road.data.dataset.list_images
IMAGE, LABEL = r'(.*/|)(umm?|uu)(_\d{6})', r'(.*/|)(umm?|uu)_road(_\d{6})'
EXPECTED = ('KITTI Road has training/image_2/um_000012.png, training/gt_image_2/um_road_000012.png '
            'and testing/image_2/um_000012.png')
CLASSES = Class('not road', (255, 0, 0)), Class('road', (255, 0, 255))
# a few pixels are blue: ignored road
RULE = LabelRule(True, {0xFF0000: 0, 0xFF00FF: 1, 0x000000: IGNORE_LABEL, 0x0000FF: IGNORE_LABEL},
                 'KITTI Road has magenta road, red for what is not road, black for ignored pixels')


class Calibration(NamedTuple):
    """From road coordinates to image pixels; float64."""
    P2: np.ndarray  # [3, 4], rectified camera coordinates => pixels of the left colour camera
    R0_rect: np.ndarray  # [3, 3], camera => rectified camera
    Tr_cam_to_road: np.ndarray  # [3, 4], camera => road, metres


def training_frames(folder, labels='gt_image_2'):
    """The frames of a `training` folder; raises InputError where images or labels are missing."""
    frames, faults = _find(folder, labels)
    if faults:
        raise InputError(faults[0])
    return frames


def testing_frames(folder):
    """The frames of a `testing` folder; raises as training_frames."""
    return training_frames(folder, labels=None)


def _find(folder, labels, optional=False):
    frames, faults = find_frames(os.path.join(folder, 'image_2'),
                                 labels and os.path.join(folder, labels), EXPECTED,
                                 (IMAGE, LABEL), optional=optional)
    for i, frame in enumerate(frames):
        calib = os.path.join(folder, 'calib', f'{frame.name}.txt')
        frames[i] = frame._replace(category=os.path.basename(frame.name).split('_')[0],
                                   calib=calib if os.path.exists(calib) else None)
    return frames, faults


def read_label(path):
    """Read a KITTI Road label: uint8 [h, w], 1 road, 0 not road, 255 ignored."""
    return read_classes(path, RULE)


def read_calibration(path):
    """Calibration of lines `key: numbers`. Raises InputError, which names the key, or OSError."""
    with open(path, encoding='utf-8', errors='replace') as file:
        lines = dict(line.partition(':')[::2] for line in file)
    matrices = {}
    for key, shape in {'P2': (3, 4), 'R0_rect': (3, 3), 'Tr_cam_to_road': (3, 4)}.items():
        try:
            matrix = np.array(lines.get(key, '').split(), np.float64).reshape(shape)
            # the condition number of KITTI's camera matrices is 1.3e3
            if not (np.isfinite(matrix).all() and np.linalg.cond(matrix[:, :3]) < 1e12):
                raise ValueError('the matrix has no inverse')
        except ValueError as error:
            raise InputError(
                f'{path}: expected a line {key} of {shape[0]}x{shape[1]} numbers ({error}); copy '
                "the file again from KITTI's data_road.zip") from error
        matrices[key] = matrix
    return Calibration(**matrices)


def find_dataset(folder):
    """The Dataset of a KITTI Road folder, by names alone; its faults are lines, not raised."""
    training, faults = _find(os.path.join(folder, 'training'), 'gt_image_2')
    testing, missing = _find(os.path.join(folder, 'testing'), None, optional=True)
    drawn = os.path.exists(os.path.join(folder, 'drawn.txt'))
    return Dataset('kitti', 'Drawn scenes' if drawn else 'KITTI Road', folder, CLASSES, RULE,
                   training, [], testing, (*faults, *missing))


def missing_message(kitti_dir):
    """What to tell a user who has no KITTI Road at `kitti_dir`."""
    images = os.path.join(kitti_dir, 'training', 'image_2')
    return (f'{kitti_dir}: KITTI Road is not there. Get it from {PAGE} (direct link: {LINK}; '
            f'licence {LICENCE}) and unpack it so that {images} exists; or run '
            '`python main.py --download-kitti`, or `python main.py --sample` without a download')


def differing_counts(training, testing):
    """What differs from the full set, ['training images 150 of 289', ...]; empty if nothing."""
    found = zip(FULL.items(), (len(training), len(testing)))
    return [f'{what} {count} of {full}' for (what, full), count in found if count != full]
