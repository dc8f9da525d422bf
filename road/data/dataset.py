"""A data set as training takes it: found, checked, split."""

import os
from typing import NamedTuple

import numpy as np

from road.data import kitti
from road.data.check import label_fault, look
from road.errors import InputError

TRAIN_SCORED = 12  # training frames that are scored after every epoch, beside the validation frames


class Data(NamedTuple):
    """Frames (road.data.kitti.Frame) of each split, and the digest of every file."""
    folder: str
    training: list
    validation: list
    testing: list
    digests: dict  # path of image or label => MD5, hex

    @property
    def scored_training(self):
        """A few training frames, evenly spaced, whose scores are shown beside validation."""
        return evenly_spaced(self.training, TRAIN_SCORED)

    @property
    def scored(self):
        """All frames that are scored after every epoch."""
        return self.scored_training + self.validation


def open_data(kitti_dir, val_frames, data_dir, image_size=None):
    """Find KITTI Road, look at every image and label, and say what is there: Data.

    Args:
        kitti_dir: holds training/ and perhaps testing/.
        val_frames: how many frames of each category validate.
        data_dir: where to remember which files were fine.
        image_size: (height, width) of training; a line is printed if it looks like a mix-up.
    Raises:
        InputError: a file is missing or damaged, or the labels cannot train or score anything.
    """
    if not os.path.isdir(kitti_dir):
        raise InputError(kitti.missing_message(kitti_dir))
    labelled = kitti.training_frames(os.path.join(kitti_dir, 'training'))
    testing_dir = os.path.join(kitti_dir, 'testing')
    testing = kitti.testing_frames(testing_dir) if os.path.isdir(testing_dir) else []
    seen, faults = look(labelled + testing, os.path.join(data_dir, 'checked.json'), trust=True)
    if faults:
        first, *more = faults.values()
        more = more and (f' ({len(faults)} faults; `python main.py check --kitti-dir {kitti_dir}` '
                         'lists them)')
        raise InputError(f'{first}{more or ""}')
    if os.path.exists(os.path.join(kitti_dir, 'drawn.txt')):
        print(f'Drawn scenes in {kitti_dir}: {len(labelled)} training images, {len(testing)} test '
              'images')
    else:
        differing = kitti.differing_counts(labelled, testing)
        print(f'KITTI Road in {kitti_dir}: ' + (
            f'partial ({"; ".join(differing)})' if differing else
            f'complete ({len(labelled)} training images with labels, {len(testing)} test images)'))
    if not testing:
        print(f'Note: {testing_dir} does not exist, so no test images will be painted')
    for frame in labelled:
        if not seen[frame.label].valid:
            print(f'Note: {frame.label}: no pixel of this label counts')
    wide = all(seen[frame.image].width > seen[frame.image].height for frame in labelled)
    if image_size and wide and image_size[0] > image_size[1]:
        print('Note: --image-size {}x{} is taller than wide, but all images are wide; it is given '
              'as HEIGHTxWIDTH'.format(*image_size))
    training, validation = kitti.split(labelled, val_frames)
    for frames, name in ((training, 'training'), (validation, 'validation')):
        fault = label_fault([seen[frame.label] for frame in frames], name)
        if fault:
            raise InputError(f'{kitti_dir}: {fault}')
    print(f'Training on {len(training)} frames, validating on {len(validation)}: the last '
          f'{val_frames} of each category')
    return Data(kitti_dir, training, validation, testing,
                {path: each.digest for path, each in seen.items()})


def evenly_spaced(items, count):
    """At most `count` of the items, evenly spaced, in their order."""
    places = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[i] for i in np.unique(places)] if items else []
