"""The road seen from above: a metric plane of 40 by 20 metres in front of the car, 20 pixels a metre.

    calibration = read_calibration('data/data_road/training/calib/um_000012.txt')
    from_above = to_birdseye(grey, calibration)                         # [h, w] => [800, 400]
    road, counts = birdseye_labels(road, counts, calibration)           # the same pixels, outside does not count
    picture = birdseye_picture(image, calibration)                      # smooth, for looking at

KITTI scores road on this plane, and takes submissions on it, so that a square metre far ahead counts as much as a near
one, which has hundreds of times its pixels in the image. Ahead is up, right is right: row 0 is 46 m ahead of the car,
row 799 6 m, and column 0 is 10 m to the left. Arrays must have the size of the camera image that the calibration is of
(KITTI's files: the full size, about 375x1242), because the camera matrix is in its pixels.

Which image pixel a cell of the plane gets is the rule of the benchmark's devkit to the pixel, its rounding included. It
is worked out once for a calibration and image size, then looked up.
"""
import functools
import re
from typing import NamedTuple

import numpy as np

from road.errors import InputError

# The benchmark's plane (the KITTI Road devkit's default). Metres, in the road's coordinates: x to the right, z ahead,
# Y = 0 on the road.
X_RANGE = (-10., 10.)
Z_RANGE = (6., 46.)
RESOLUTION = 0.05                                               # metres a cell
ROWS = round((Z_RANGE[1] - Z_RANGE[0]) / RESOLUTION)            # 800
COLUMNS = round((X_RANGE[1] - X_RANGE[0]) / RESOLUTION)         # 400

SHAPES = {'P2': (3, 4), 'R0_rect': (3, 3), 'Tr_cam_to_road': (3, 4)}
LARGEST = 1e7           # KITTI's largest number is the focal length, below 1e3; near this an exponent is damaged
SINGULAR = 1e12         # condition number; that of KITTI's camera matrices is 1.3e3
LOOKUPS_KEPT = 64       # about 1.6 MB each: the 48 frames of a validation split stay, 290 test images pass through


class Calibration(NamedTuple):
    """From the road's coordinates to image pixels; float64."""
    P2: np.ndarray                  # [3, 4], rectified camera coordinates => pixels of the left colour camera
    R0_rect: np.ndarray             # [3, 3], camera => rectified camera
    Tr_cam_to_road: np.ndarray      # [3, 4], camera => road, metres


class Lookup(NamedTuple):
    """The image pixel of each cell of the plane: unsigned integers and bool, [800, 400], read-only because shared."""
    row: np.ndarray                 # 0 outside the image, so that indexing with it is always allowed
    column: np.ndarray
    inside: np.ndarray              # False where the camera does not see the cell


def read_calibration(path):
    """`Calibration` from a KITTI calibration file: lines of `key: numbers`, of which three are needed.

    Raises InputError, which names the file and the key, if the file or a key is missing, a key is there twice, or its
    numbers are too few, too many, not numbers, not finite, beyond all sense, or make a matrix without an inverse.
    """
    cure = "copy the file again from KITTI's data_road.zip"
    try:
        with open(path, 'rb') as file:
            text = file.read().decode('utf-8')
    except OSError as error:
        raise InputError(f'{path}: cannot read this calibration file ({error.strerror}); {cure}') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: expected a calibration text file, found bytes that are no text at {error.start}; '
                         f'{cure}') from error

    found = {}
    for line in text.splitlines():
        key, colon, numbers = line.partition(':')
        key = key.strip()
        if not colon or key not in SHAPES:
            continue
        if key in found:
            raise InputError(f'{path}: {key} is there twice, expected once; {cure}')
        found[key] = numbers
    missing = [key for key in SHAPES if key not in found]
    if missing:
        raise InputError(f'{path}: no line for {" and ".join(missing)}, expected {", ".join(SHAPES)}; {cure}')
    matrices = {}
    for key, shape in SHAPES.items():
        try:
            matrices[key] = _matrix(found[key].split(), shape)
        except ValueError as error:
            raise InputError(f'{path}: {key} {error}; {cure}') from error
    return Calibration(**matrices)


def _matrix(words, shape):
    """float64 array of `shape` from its numbers as text, row by row; ValueError says what is wrong with `words`."""
    if len(words) != shape[0] * shape[1]:
        raise ValueError(f'has {len(words)} numbers, expected {shape[0] * shape[1]}')
    for word in words:
        # float() takes more than a number in a file may look like: 7_2 is 72 to it, and the digits of every script.
        if not re.fullmatch(r'[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?', word):
            raise ValueError(f'holds {word[:30]!r}, expected a finite number')
        if abs(float(word)) > LARGEST:
            raise ValueError(f'holds {word[:30]!r}, expected a number of at most {LARGEST:g}')
    matrix = np.array(words, dtype=np.float64).reshape(shape)
    if np.linalg.cond(matrix[:, :3]) > SINGULAR:
        raise ValueError('has no inverse, expected three independent rows')
    return matrix


def road_to_image(calibration):
    """The homography from the road plane to the image: float64 [3, 3].

    It takes (x, z, 1), metres, to (u, v, 1) times the depth in metres, where u and v count pixels from 1, as the
    devkit does. P2 R0_rect Tr_cam_to_road^-1 without its column for Y, since Y = 0 on the road.
    """
    rectify, camera_to_road = np.eye(4), np.eye(4)
    rectify[:3, :3], camera_to_road[:3] = calibration.R0_rect, calibration.Tr_cam_to_road
    return (calibration.P2 @ rectify @ np.linalg.inv(camera_to_road))[:, [0, 2, 3]]


def lookup(calibration, height, width):
    """The `Lookup` of a calibration for images of height x width pixels: worked out once, then the same object."""
    # Arrays are no dictionary keys, their bytes are.
    return _lookup(road_to_image(calibration).tobytes(), height, width)


@functools.lru_cache(maxsize=LOOKUPS_KEPT)
def _lookup(homography, height, width):
    """`lookup` for the bytes of a float64 homography."""
    u, v, ahead = _project(np.frombuffer(homography).reshape(3, 3))
    inside = ahead & (u >= 1) & (u <= width) & (v >= 1) & (v <= height)
    kind = np.min_scalar_type(max(height, width))           # uint16 for KITTI's sizes: a quarter of the memory of int64
    row = np.where(inside, np.floor(v) - 1, 0).astype(kind)
    column = np.where(inside, np.floor(u) - 1, 0).astype(kind)
    for array in (row, column, inside):
        array.setflags(write=False)
    return Lookup(row, column, inside)


def _project(homography):
    """Where the cells' centres lie in the image: u, v float64 [800, 400], in pixels from 1; ahead, bool [800, 400].

    u and v mean nothing where `ahead` is False: behind the camera a point has an image too, upside down.
    """
    # Through float32, as the devkit rounds its grid: a centre that moves by a micrometre can land in the next pixel.
    x = (X_RANGE[0] + RESOLUTION * (np.arange(COLUMNS) + 0.5)).astype(np.float32)
    z = (Z_RANGE[1] - RESOLUTION * (np.arange(ROWS) + 0.5)).astype(np.float32)
    plane = np.stack([*np.meshgrid(x, z), np.ones((ROWS, COLUMNS), np.float32)]).reshape(3, -1)
    u, v, depth = (homography @ plane).reshape(3, ROWS, COLUMNS)
    ahead = depth > 1e-6                                    # a micrometre, so that the division cannot overflow
    depth = np.where(ahead, depth, 1)
    return u / depth, v / depth, ahead


def to_birdseye(plane, calibration):
    """An image plane from above: [h, w] => [800, 400], [h, w, c] => [800, 400, c], same dtype, 0 outside the image.

    Each cell gets the one pixel its centre lies in, so that labels stay labels and confidences keep their grey levels.
    """
    plane = np.asarray(plane)
    row, column, inside = lookup(calibration, *plane.shape[:2])
    from_above = plane[row, column]
    from_above[~inside] = 0
    return from_above


def birdseye_labels(road, counts, calibration):
    """A label from above: bool [h, w] each => (road, counts), bool [800, 400] each; outside nothing counts."""
    return tuple(to_birdseye(np.asarray(plane, dtype=bool), calibration) for plane in (road, counts))


def birdseye_picture(image, calibration):
    """A picture from above to look at: uint8 [h, w, c] or [h, w] => uint8 [800, 400, c] or [800, 400], black outside.

    Interpolated between pixels, because 40 m ahead one image row is more than a metre of road; never score on it.
    """
    image = np.asarray(image)
    height, width = image.shape[:2]
    u, v, _ = _project(road_to_image(calibration))
    inside = lookup(calibration, height, width).inside
    # Pixel 0 covers 1 to 2 in the devkit's count, its centre is at 1.5: the pixel of `to_birdseye` weighs most.
    down, top = np.modf(np.clip(v[inside] - 1.5, 0, height - 1))
    right, left = np.modf(np.clip(u[inside] - 1.5, 0, width - 1))
    top, left = top.astype(int), left.astype(int)
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, right = (share.reshape(-1, *[1] * (image.ndim - 2)) for share in (down, right))
    picture = np.zeros((ROWS, COLUMNS) + image.shape[2:], np.uint8)
    picture[inside] = np.rint((1 - down) * ((1 - right) * image[top, left] + right * image[top, beside])
                              + down * ((1 - right) * image[below, left] + right * image[below, beside]))
    return picture
