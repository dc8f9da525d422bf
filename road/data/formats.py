"""The data set formats, and opening a data set: found, checked, counted."""

import dataclasses
import os
import shlex

from road.data import IGNORE_LABEL, camvid, cityscapes, folder, kitti
from road.data.check import check, usual_shape
from road.data.dataset import Class, with_validation
from road.data.images import default_shape
from road.data.labels import balanced_weights
from road.errors import InputError
from road.settings import DefaultEpochs, DefaultSize, option_text

# How each is found, and which of its folders tell it from the others.
FORMATS = {
    'kitti-semantics': (cityscapes.find_kitti_semantics, 'training/semantic'),
    'kitti': (kitti.find_dataset, 'training/image_2', 'training/gt_image_2'),
    'camvid': (camvid.find_dataset, 'trainannot'),
    'cityscapes': (cityscapes.find_cityscapes, 'leftImg8bit'),
    'folder': (folder.find_dataset, 'images')}


def find_dataset(data_format, path, val_frames=None, target=(), checked_path=None):
    """Find a data set by the names of its files: road.data.dataset.Dataset.

    `data_format` is of road.settings.DATASETS, or None to detect it; `val_frames` is of
    with_validation, `target` of with_target, where () keeps all classes, and `checked_path` of
    road.data.check.inspect_files. Raises InputError.
    """
    if data_format == 'kitti' and not os.path.lexists(path) and not path.startswith('~'):
        raise InputError(kitti.missing_message(path))
    if not os.path.isdir(path):
        raise InputError(f'{path}: no such folder; name one that exists (unpack archives; shells '
                         'expand ~ only after a space, as in --dataset-dir ~/mine)')
    found = [name for name, (_, *markers) in FORMATS.items()
             if any(os.path.isdir(os.path.join(path, marker)) for marker in markers)]
    if 'camvid' in found and folder.class_lists(path):
        found.insert(0, 'folder')  # CVAT exports CamVid's folders with a list of other classes
    data_format = data_format or [*found, 'folder'][0]
    find, marker, *_ = FORMATS[data_format]
    if found and data_format not in found:
        raise InputError(f'{path}: has the format {found[0]} and not {data_format}, because there '
                         f'is no {marker}/; name another folder with --dataset-dir, or train with '
                         f'--dataset {found[0]}')
    options = {'checked_path': checked_path} if data_format == 'folder' else {}
    data = with_validation(find(path, **options), val_frames)
    return with_target(data, target) if target else data


def open_dataset(args):
    """Find the data set of a training, inspect every image and label, and say what is there.

    args: settings of road.settings.parse_training. Raises InputError where a file is missing or
    damaged, or labels cannot train or score anything.
    """
    checked_path = os.path.join(args.data_dir, 'checked.json')
    data = find_dataset(args.dataset, args.dataset_dir, args.val_frames, args.target, checked_path)
    _refuse(data.faults, args)
    report = check(data, checked_path, trust=True)
    _refuse(report.faults, args)
    print('\n'.join(describe(data, report)))
    if not data.testing:
        print('Note: there are no test images, so the validation images will be painted')
    data = data.with_infos(report.infos, report.bits)
    if args.image_size[0] > args.image_size[1] and all(
            frame.shape[1] > frame.shape[0] for frame in data.training):
        print('Note: --image-size {}x{} is taller than wide, but all images are wide; it is given '
              'as HEIGHTxWIDTH'.format(*args.image_size))
    if args.class_weights == 'balanced':
        counts = [data.rule.count(report.infos[frame.label].values)[0] for frame in data.training]
        data = data._replace(class_weights=balanced_weights(counts, len(data.classes)))
    return data


def fit_settings(args, data):
    """Complete settings by a Dataset of open_dataset: its format, default epochs and image size."""
    args.dataset = data.format
    if isinstance(args.epochs, DefaultEpochs):
        steps = -(-len(data.training) // args.batch_size)
        kitti_steps = -(-241 // args.batch_size)  # KITTI Road has 241 training images
        needed = round(args.epochs * kitti_steps / 2 / steps)
        if needed > args.epochs:
            print(f'--epochs is raised from {args.epochs} to {needed}, because images are few')
            args.epochs = needed
    if isinstance(args.image_size, DefaultSize) and data.format != 'kitti':
        shapes = [frame.shape for frame in data.training]
        args.image_size = DefaultSize(default_shape(usual_shape(shapes), args.image_size))
        print('Images are resized to {}x{} pixels, or as many in their own proportions; '
              '--image-size changes that'.format(*args.image_size))


def describe(data, report):
    """What a Dataset holds, by its road.data.check.Report: lines."""
    sizes = [report.infos[frame.image].size for frame in data.training
             if frame.image in report.infos]
    lines = [f'{data.title} in {data.folder}: {len(data.training)} training, '
             f'{len(data.validation)} validation and {len(data.testing)} test images']
    if sizes:
        lines[0] += ', such as of {}x{} pixels'.format(*usual_shape(sizes)[::-1])
    if data.recognised:
        image, mask, *lists = (os.path.relpath(path, data.folder) for path in data.recognised)
        source = lists[0] if lists else 'values of the masks'
        lines.append(f'Recognised: image {image}, mask {mask}, classes from {source}')
    names = [*(each.name for each in data.classes), 'ignored']
    for split, pixels in report.pixels.items():
        shares = [f'{name} {count / max(sum(pixels), 1):.1%}' for name, count in zip(names, pixels)]
        lines.append(f'Classes by share of the {split} pixels: {", ".join(shares)}')
    return [*lines, target_line(data), *(f'Note: {note}' for note in report.notes)]


def _refuse(faults, args):
    if faults:
        words = ['check', '--dataset-dir', args.dataset_dir]
        if args.target:
            words += option_text('target', args.target)
        raise InputError(f'{faults[0]} (`python main.py {shlex.join(words)}` lists all faults)')


def target_line(data):
    """A line that says which class of a Dataset or Run is looked for, and its values in labels."""
    if len(data.classes) != 2:
        return f'Target: all {len(data.classes)} classes'
    target = data.classes[1].name
    values = [value for value, name in data.label_values.items() if name == target]
    return f'Target: {target} ({", ".join(values)} in the masks)'


def with_target(data, names):
    """A Dataset with two classes: those of these names, and all others. Raises InputError."""
    known = [each.name for each in data.classes]
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise InputError(f'--target {name}: {data.title} has the classes {", ".join(known)}')
    indices = {value: index if index == IGNORE_LABEL else int(known[index] in names)
               for value, index in data.rule.indices.items()}
    colour = next(each.colour for each in data.classes if each.name == names[0])
    classes = Class(f'not {" or ".join(names)}', (0, 0, 0)), Class('+'.join(names), colour)
    return data._replace(classes=classes, rule=dataclasses.replace(data.rule, indices=indices))
