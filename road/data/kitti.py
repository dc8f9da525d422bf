"""KITTI Road on disk: which frames there are, how labels are read, and how frames are split.

    <kitti_dir>/training/{image_2,gt_image_2,calib}    289 frames: um 95, umm 96, uu 98
    <kitti_dir>/testing/{image_2,calib}                290 frames

Image `um_000012.png` has the label `um_road_000012.png`; `um_lane_*.png` belongs to another task
and is never read. J. Fritsch, T. Kuehnl, A. Geiger, "A new performance measure and evaluation
benchmark for road detection algorithms", ITSC 2013.
"""

import os

from road.data import IGNORE_LABEL
from road.data.dataset import Class, Dataset, find_frames, find_unlabelled
from road.data.labels import LabelRule, read_classes
from road.errors import InputError

PAGE = 'https://www.cvlibs.net/datasets/kitti/eval_road.php'
LINK = 'https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip'
LICENCE = 'CC BY-NC-SA 3.0'
FULL = {'training images': 289, 'labels': 289, 'test images': 290}
CATEGORIES = ('um', 'umm', 'uu')  # urban: marked, multiple marked lanes, unmarked

# see road.data.dataset.list_images
IMAGE, LABEL = r'(umm?|uu)(_\d{6})', r'(umm?|uu)_road(_\d{6})'
EXPECTED = ('KITTI Road has training/image_2/um_000012.png, training/gt_image_2/um_road_000012.png '
            'and testing/image_2/um_000012.png')
CLASSES = Class('not road', (255, 0, 0)), Class('road', (255, 0, 255))
# a few pixels are blue: ignored road
RULE = LabelRule(True, {0xFF0000: 0, 0xFF00FF: 1, 0x000000: IGNORE_LABEL, 0x0000FF: IGNORE_LABEL},
                 'KITTI Road has magenta road, red for what is not road, black for ignored pixels')


def training_frames(folder):
    """The labelled frames of a `training` folder, sorted by name. No file is opened.

    Raises InputError where it is missing or empty, or labels and images do not match.
    """
    frames, faults = _find_training(folder)
    if faults:
        raise InputError(faults[0])
    return frames


def testing_frames(folder):
    """The frames of a `testing` folder (image_2 and perhaps calib); raises InputError if none."""
    frames = _find_testing(folder)
    if not frames:
        raise InputError(f'{folder}/image_2: holds no test images; {EXPECTED}')
    return frames


def _find_training(folder):
    frames, faults = find_frames(os.path.join(folder, 'image_2'),
                                 os.path.join(folder, 'gt_image_2'), EXPECTED, (IMAGE, LABEL))
    return _complete(frames, folder), faults


def _find_testing(folder):
    return _complete(find_unlabelled(os.path.join(folder, 'image_2'), IMAGE), folder)


def _complete(frames, folder):
    """Frames with their category, and their calibration file if there is one."""
    calibs = [os.path.join(folder, 'calib', f'{frame.name}.txt') for frame in frames]
    return [frame._replace(category=os.path.basename(frame.name).split('_')[0],
                           calib=calib if os.path.exists(calib) else None)
            for frame, calib in zip(frames, calibs)]


def read_label(path):
    """Read a KITTI Road label: uint8 [h, w], 1 road, 0 not road, 255 ignored."""
    return read_classes(path, RULE)


def find_dataset(folder):
    """The Dataset of a KITTI Road folder, by names alone; its faults are lines, not raised."""
    frames, faults = _find_training(os.path.join(folder, 'training'))
    title = 'KITTI Road'
    if os.path.exists(os.path.join(folder, 'drawn.txt')):
        title = 'Drawn scenes'
    return Dataset('kitti', title, folder, CLASSES, RULE, frames, [],
                   _find_testing(os.path.join(folder, 'testing')), tuple(faults))


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
