"""KITTI's calibration files: how the camera sees the road."""

import re
from typing import NamedTuple

import numpy as np

from road.errors import InputError

SHAPES = {'P2': (3, 4), 'R0_rect': (3, 3), 'Tr_cam_to_road': (3, 4)}
LARGEST = 1e7  # KITTI's largest number is the focal length, below 1e3; near this it is damaged
SINGULAR = 1e12  # condition number; that of KITTI's camera matrices is 1.3e3
CURE = "copy the file again from KITTI's data_road.zip"


class Calibration(NamedTuple):
    """From road coordinates to image pixels; float64."""
    P2: np.ndarray  # [3, 4], rectified camera coordinates => pixels of the left colour camera
    R0_rect: np.ndarray  # [3, 3], camera => rectified camera
    Tr_cam_to_road: np.ndarray  # [3, 4], camera => road, metres


def read_calibration(path):
    """Calibration from a KITTI calibration file: lines of `key: numbers`, of which three are used.

    Raises:
        InputError: names the file and the key if the file or a key is missing, a key is there
            twice, or its numbers are too few, too many, not numbers, not finite, too large, or make
            a matrix without an inverse.
    """
    try:
        with open(path, 'rb') as file:
            text = file.read().decode('utf-8')
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); {CURE}') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: expected a calibration text file, found bytes that are no text '
                         f'at {error.start}; {CURE}') from error
    found = {}
    for line in text.splitlines():
        key, colon, numbers = line.partition(':')
        key = key.strip()
        if not colon or key not in SHAPES:
            continue
        if key in found:
            raise InputError(f'{path}: {key} is there twice, expected once; {CURE}')
        found[key] = numbers
    missing = [key for key in SHAPES if key not in found]
    if missing:
        raise InputError(f'{path}: no line for {" and ".join(missing)}, expected '
                         f'{", ".join(SHAPES)}; {CURE}')
    matrices = {}
    for key, shape in SHAPES.items():
        try:
            matrices[key] = _matrix(found[key].split(), shape)
        except ValueError as error:
            raise InputError(f'{path}: {key} {error}; {CURE}') from error
    return Calibration(**matrices)


def _matrix(words, shape):
    """float64 array of `shape` from its numbers as text, row by row; ValueError names a fault."""
    if len(words) != shape[0] * shape[1]:
        raise ValueError(f'has {len(words)} numbers, expected {shape[0] * shape[1]}')
    for word in words:
        # float() accepts more than a number in a file may look like: 7_2 is 72 to it
        if not re.fullmatch(r'[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?', word):
            raise ValueError(f'holds {word[:30]!r}, expected a finite number')
        if abs(float(word)) > LARGEST:
            raise ValueError(f'holds {word[:30]!r}, expected a number of at most {LARGEST:g}')
    matrix = np.array(words, dtype=np.float64).reshape(shape)
    if np.linalg.cond(matrix[:, :3]) > SINGULAR:
        raise ValueError('has no inverse, expected three independent rows')
    return matrix
