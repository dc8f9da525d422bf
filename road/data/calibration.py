"""KITTI's calibration files: how the camera sees the road."""

from typing import NamedTuple

import numpy as np

from road.errors import InputError

SHAPES = {'P2': (3, 4), 'R0_rect': (3, 3), 'Tr_cam_to_road': (3, 4)}
SINGULAR = 1e12  # condition number; that of KITTI's camera matrices is 1.3e3


class Calibration(NamedTuple):
    """From road coordinates to image pixels; float64."""
    P2: np.ndarray  # [3, 4], rectified camera coordinates => pixels of the left colour camera
    R0_rect: np.ndarray  # [3, 3], camera => rectified camera
    Tr_cam_to_road: np.ndarray  # [3, 4], camera => road, metres


def read_calibration(path):
    """Calibration from a KITTI calibration file: lines of `key: numbers`, of which three are used.

    Raises InputError, which names the file and the key that is missing or damaged, or OSError.
    """
    with open(path, encoding='utf-8', errors='replace') as file:
        lines = dict(line.partition(':')[::2] for line in file)
    matrices = {}
    for key, shape in SHAPES.items():
        try:
            matrix = np.array(lines.get(key, '').split(), np.float64).reshape(shape)
            if not (np.isfinite(matrix).all() and np.linalg.cond(matrix[:, :3]) < SINGULAR):
                raise ValueError('the matrix has no inverse')
        except ValueError as error:
            raise InputError(
                f'{path}: expected a line {key} of {shape[0]}x{shape[1]} numbers ({error}); copy '
                "the file again from KITTI's data_road.zip") from error
        matrices[key] = matrix
    return Calibration(**matrices)
