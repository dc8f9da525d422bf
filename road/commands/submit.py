"""`main.py submit RUN`: test frames for KITTI's server, 800x400 grey PNGs in bird's eye view."""

import os
import zipfile

import imageio.v3 as iio

from road.data import images, kitti
from road.errors import InputError
from road.files import atomic_path
from road.prefetch import prefetch
from road.progress import tqdm
from road.runs import run_folder
from road.scoring import birdseye, scores


def run(args, open_run):
    """Write submission.zip into the run folder."""
    with open_run(args.run, args.vgg_dir) as opened:
        data = run_folder.find_dataset(opened.run, args.dataset_dir)
        if data.format != 'kitti':
            raise InputError(f'{args.run}: submit is for KITTI Road, but this run was trained on '
                             f'{data.title}; use evaluate or predict')
        frames = kitti.testing_frames(os.path.join(data.folder, 'testing'))
        path = os.path.join(opened.run.folder, 'submission.zip')
        outputs = opened.predictor.predict(images.read_frames(frames))
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, 'w') as archive:
            for name, png in tqdm(prefetch(encode_map, outputs, depth=8), total=len(frames),
                                  desc='submission', unit='image'):
                archive.writestr(name, png)  # PNG is compressed already
    print(f'{path}: {len(frames)} confidence maps')
    if len(frames) != kitti.FULL['test images']:
        print(f"Warning: the benchmark's server expects {kitti.FULL['test images']}")


def encode_map(output):
    """The server's name and the PNG, bytes, of (Frame, image, probabilities). Raises InputError."""
    frame, image, probabilities = output
    calibration = birdseye.frame_calibration(frame, image.shape[:2])
    grey = scores.to_grey(images.resize_confidence(probabilities, image.shape[:2]))
    from_above = birdseye.to_birdseye(grey, calibration)
    if not from_above.any():
        raise InputError(f'{frame.image}: its map is black throughout, so it holds no road; check '
                         f'{frame.calib} and the painted image')
    name = frame.name.replace('_', '_road_')  # um_000012 => um_road_000012
    return f'{name}.png', iio.imwrite('<bytes>', from_above, extension='.png')
