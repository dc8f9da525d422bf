"""The zip that the KITTI Road server scores: a confidence map in bird's eye view per test image."""

import zipfile

import imageio.v3 as iio

from road.errors import InputError
from road.files import atomic_path
from road.prefetch import prefetch
from road.progress import tqdm
from road.scoring import birdseye, scores


def submission_name(frame):
    """The server's name for a frame's map: um_000012 => um_road_000012.png."""
    return frame.name.replace('_', '_road_') + '.png'


def write_submission(outputs, frames, path):
    """Write the zip of 8-bit grey PNGs of 800x400.

    Args:
        outputs: yields (Frame, image, confidence), confidence float32 [h, w] in [0, 1] of the
            image's own size.
        frames: the frames in `outputs`.
    Raises:
        InputError: a calibration is missing, damaged or does not fit, or a map is all black.
    """
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, 'w') as archive:  # PNG is compressed already
            for name, data in tqdm(prefetch(_encode, outputs, depth=8), total=len(frames),
                                   desc='submission', unit='image'):
                archive.writestr(name, data)


def _encode(output):
    frame, _, confidence = output
    calibration = birdseye.frame_calibration(frame, confidence.shape)
    from_above = birdseye.to_birdseye(scores.to_grey(confidence), calibration)
    if not from_above.any():
        raise InputError(f'{frame.image}: its map is black throughout, so it holds no road; check '
                         f'{frame.calib} and the painted image')
    return submission_name(frame), iio.imwrite('<bytes>', from_above, extension='.png')
