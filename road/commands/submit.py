"""`main.py submit RUN`: the zip of the test frames' confidence maps for KITTI's server."""

import os

from road.data import images, kitti
from road.runs import run_folder
from road.scoring.submission import write_submission


def run(args, open_run):
    """Write submission.zip into the run folder."""
    with open_run(args.run, args.vgg_dir) as opened:
        kitti_dir = run_folder.find_kitti(opened.run, args.kitti_dir)
        frames = kitti.testing_frames(os.path.join(kitti_dir, 'testing'))
        path = os.path.join(opened.run.folder, 'submission.zip')
        write_submission(opened.predictor.predict(images.read_frames(frames)), frames, path)
    print(f'{path}: {len(frames)} confidence maps')
    if len(frames) != kitti.FULL['test images']:
        print(f"Warning: the benchmark's server expects {kitti.FULL['test images']}")
