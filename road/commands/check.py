"""`main.py check`: read every file of the data and of the VGG16 graph, and list the faults."""

import os

from road.data.check import check
from road.errors import InputError
from road.network import vgg_folder


def run(args, open_run):
    kitti_dir = args.kitti_dir or os.path.join(args.data_dir, 'data_road')
    vgg_dir = args.vgg_dir or os.path.join(args.data_dir, 'vgg')
    report = check(kitti_dir, os.path.join(args.data_dir, 'checked.json'))
    faults = list(report.faults)
    graph = 'not there yet; training makes it'
    if args.vgg_dir or os.path.lexists(vgg_dir):
        try:
            graph = vgg_folder.check(vgg_dir).summary
        except InputError as error:
            graph = 'has a fault'
            faults.append(str(error))
    fine = ', '.join(f'{number} {kind}' for kind, number in report.fine.items()) or 'nothing'
    print(f'KITTI Road in {kitti_dir}: without fault are {fine}')
    print(f'Encoder in {vgg_dir}: {graph}')
    for note in report.notes:
        print(f'Note   {note}')
    for fault in faults:
        print(f'Fault  {fault}')
    if faults:
        raise InputError(f'faults found: {len(faults)}; mend every one before training')
    print('No faults')
