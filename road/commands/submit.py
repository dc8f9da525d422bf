"""`main.py submit RUN`: the zip of the test frames' confidence maps for KITTI's server."""

import os

from road.data import images, kitti
from road.errors import InputError
from road.runs import run_folder
from road.scoring.submission import write_submission


def run(args, open_run):
    """Write submission.zip into the run folder."""
    with open_run(args.run, args.vgg_dir) as opened:
        data = run_folder.find_dataset(opened.run, args.dataset_dir)
        if data.format != 'kitti':
            raise InputError(f'{args.run}: submit is for KITTI Road, but this run was trained on '
                             f'{data.title}; use evaluate or predict')
        frames = kitti.testing_frames(os.path.join(data.folder, 'testing'))
        path = os.path.join(opened.run.folder, 'submission.zip')
        write_submission(opened.predictor.predict(images.read_frames(frames)), frames, path)
    print(f'{path}: {len(frames)} confidence maps')
    if len(frames) != kitti.FULL['test images']:
        print(f"Warning: the benchmark's server expects {kitti.FULL['test images']}")
