"""`main.py check`: read every file of the data and of the VGG16 graph, and list the faults."""

import os

from road import errors
from road.data.check import check
from road.data.formats import describe, find_dataset
from road.data.kitti import read_calibration
from road.errors import InputError
from road.network import vgg_folder


def run(args, open_run):
    faults = []
    for check_part in (check_dataset, check_encoder):
        try:
            faults += check_part(args)
        except InputError as error:
            faults.append(str(error))
    for fault in faults:
        print(f'Fault: {fault}')
    if faults:
        raise InputError(f'faults found: {len(faults)}; fix them before training')
    print('No faults')


def check_encoder(args):
    """Check the VGG16 graph, if it is there, and print what it holds."""
    vgg_dir = args.vgg_dir or os.path.join(args.data_dir, 'vgg')
    graph = 'not there yet; training makes it'
    if args.vgg_dir or os.path.lexists(vgg_dir):
        graph = vgg_folder.check(vgg_dir).summary
    print(f'Encoder in {vgg_dir}: {graph}')
    return []


def check_dataset(args):
    """Check the data set, print what it holds, and return its faults, a line each."""
    checked_path = os.path.join(args.data_dir, 'checked.json')
    data_format, folder = args.dataset, args.dataset_dir
    if folder is None:
        data_format, folder = data_format or 'kitti', os.path.join(args.data_dir, 'data_road')
    try:
        data, unsplit = find_dataset(data_format, folder, None, args.target, checked_path), None
    except InputError as error:  # of the split alone, if it is not raised without one
        data, unsplit = find_dataset(data_format, folder, 0, args.target, checked_path), error
    report = check(data, checked_path)
    print('\n'.join(describe(data, report)))
    if unsplit:
        print(f'Note: {data.folder}: training needs another split: {unsplit}')
    for frame in data.training + data.validation + data.testing:
        if frame.calib:
            try:
                read_calibration(frame.calib)
            except (InputError, OSError) as error:
                report.faults.append(errors.describe(error, {}))
    return report.faults
