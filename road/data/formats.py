"""The data set formats, and opening a data set: found, checked, counted."""

import dataclasses
import os
import shlex

import numpy as np

from road.data import IGNORE_LABEL, camvid, cityscapes, folder, kitti
from road.data.check import check_frames, class_pixels
from road.data.dataset import Class
from road.data.images import default_shape
from road.errors import InputError
from road.settings import DefaultSize

# How each is found, and which of its folders tells it from the others.
FORMATS = {
    'kitti-semantics': (cityscapes.find_kitti_semantics, 'training/semantic'),
    'kitti': (kitti.find_dataset, 'training'),
    'camvid': (camvid.find_dataset, 'trainannot'),
    'cityscapes': (cityscapes.find_cityscapes, 'leftImg8bit'),
    'folder': (folder.find_dataset, 'images')}


def find_dataset(data_format, path, val_frames=None, target=(), checked_path=None):
    """Find a data set by the names of its files: road.data.dataset.Dataset.

    Args:
        data_format: of road.settings.DATASETS; None detects it.
        path: its folder.
        val_frames: how many frames validate, where the data set does not say it; None: see --help;
            0: none.
        target: names of classes that become the positive class; () keeps all classes.
        checked_path: where road.data.check.inspect_files remembers what it found.
    Raises:
        InputError: the folder is missing or holds something else, or there is no such class.
    """
    if not os.path.isdir(path):
        raise InputError(kitti.missing_message(path) if data_format in (None, 'kitti') else
                         f'{path}: no such folder; name that of the data set with --dataset-dir')
    detected = detect(path)
    if data_format is None and detected is None:
        markers = ', '.join(f'{marker}/ ({name})' for name, (_, marker) in FORMATS.items())
        near = [os.path.dirname(os.path.abspath(path)), *sorted(
            entry.path for entry in os.scandir(path))]
        hint = next((f'; did you mean {each}?' for each in near if detect(each)), '')
        raise InputError(f'{path}: is no data set that is known here, because it holds none of '
                         f'{markers}{hint}')
    data_format = data_format or detected
    find, marker = FORMATS[data_format]
    if detected and not os.path.isdir(os.path.join(path, marker)):
        raise InputError(f'{path}: has the format {detected} and not {data_format}, because there '
                         f'is no {marker}/; leave --dataset out or give --dataset {detected}')
    options = {'checked_path': checked_path} if data_format == 'folder' else {}
    data = find(path, val_frames, **options)
    return with_target(data, target) if target else data


def detect(path):
    """The format of a folder; None if it has none of those known here."""
    return next((name for name, (_, marker) in FORMATS.items()
                 if os.path.isdir(os.path.join(path, marker))), None)


def open_dataset(args):
    """Find the data set of a training, inspect every image and label, and say what is there.

    Args:
        args: settings of road.settings.parse_training: dataset, dataset_dir, val_frames, target,
            data_dir, image_size.
    Returns:
        Dataset with digests and the usual image shape.
    Raises:
        InputError: a file is missing or damaged, or the labels cannot train or score anything.
    """
    checked_path = os.path.join(args.data_dir, 'checked.json')
    data = find_dataset(args.dataset, args.dataset_dir, args.val_frames, args.target, checked_path)
    if data.faults:
        raise InputError(_first(data.faults, args.dataset_dir))
    infos, faults, notes = check_frames(data, checked_path, trust=True)
    if faults:
        raise InputError(_first(faults, args.dataset_dir))
    training = [infos[frame.image] for frame in data.training]
    heights, widths = [each.height for each in training], [each.width for each in training]
    shape = int(np.median(heights)), int(np.median(widths))
    extent = kitti.extent(data) if data.format == 'kitti' else ''
    print(f'{data.title} in {data.folder}: {extent}'
          f'{len(data.training)} training, {len(data.validation)} validation and '
          f'{len(data.testing)} test images, mostly of {shape[0]}x{shape[1]} pixels')
    print(f'Classes by share of the training pixels: {_shares(data, infos)}')
    print(target_line(data))
    if not data.testing:
        print('Note: there are no test images, so none will be painted')
    for note in notes:
        print(f'Note: {note}')
    if args.image_size[0] > args.image_size[1] and all(w > h for h, w in zip(heights, widths)):
        print('Note: --image-size {}x{} is taller than wide, but all images are wide; it is given '
              'as HEIGHTxWIDTH'.format(*args.image_size))
    digests = {path: info.digest for path, info in infos.items()}
    return data._replace(digests=digests, image_shape=shape)


def fit_settings(args, data):
    """Complete settings by a Dataset of open_dataset: its format, and a default image size."""
    args.dataset, size = data.format, args.image_size
    if isinstance(size, DefaultSize) and data.format != 'kitti':
        args.image_size = DefaultSize(default_shape(data.image_shape, size))
        print(f'Images are resized to {args.image_size} pixels, which fits them; --image-size '
              'changes that')


def _first(faults, folder):
    more = ''
    if len(faults) > 1:
        more = (f' ({len(faults)} faults; `python main.py check --dataset-dir '
                f'{shlex.quote(folder)}` lists them)')
    return f'{faults[0]}{more}'


def _shares(data, infos):
    pixels = class_pixels(data, data.training, infos)
    names = [*(each.name for each in data.classes), 'ignored']
    return ', '.join(f'{name} {share:.1%}' for name, share in zip(names, pixels / pixels.sum())
                     if share or name != 'ignored')


def target_line(data):
    """A line that says which class of a Dataset is looked for, and its values in the labels."""
    if len(data.classes) != 2:
        return f'Target: all {len(data.classes)} classes'
    values = [data.rule.show(value) for value, index in data.rule.indices.items() if index == 1]
    return f'Target: {data.classes[1].name} ({", ".join(values)} in the masks)'


def with_target(data, names):
    """A Dataset with two classes: those of these names, and all others. Raises InputError."""
    known, names = [each.name for each in data.classes], tuple(dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise InputError(f'--target {name}: {data.title} has the classes {", ".join(known)}')
    table = np.full(256, IGNORE_LABEL, np.uint8)
    table[:len(known)] = [name in names for name in known]
    indices = {value: int(table[index]) for value, index in data.rule.indices.items()}
    colour = next(each.colour for each in data.classes if each.name == names[0])
    classes = Class(f'not {" or ".join(names)}', (0, 0, 0)), Class('+'.join(names), colour)
    return data._replace(
        classes=classes, rule=dataclasses.replace(data.rule, indices=indices),
        read_label=lambda path: table[data.read_label(path)])
