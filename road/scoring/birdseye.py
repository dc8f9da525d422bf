"""Bird's eye view: a plane of 40 by 20 metres in front of the car, 20 cells per metre.

    calibration = read_calibration('data/data_road/training/calib/um_000012.txt')
    from_above = to_birdseye(grey, calibration)  # [h, w] => [800, 400]

KITTI scores road and takes submissions on this plane, where a square metre far ahead counts as much
as a near one. Ahead is up: row 0 is 46 m ahead of the car, row 799 6 m. Column 0 is 10 m to the
left. Arrays must have the full size of the camera image. Which of its pixels belongs to a cell
follows the benchmark's devkit exactly, its rounding included.
"""

import numpy as np

from road.data.kitti import read_calibration
from road.errors import InputError

# The plane of the KITTI Road devkit, in metres: x to the right, z ahead, Y = 0 on the road.
X_RANGE = (-10., 10.)
Z_RANGE = (6., 46.)
RESOLUTION = 0.05  # metres per cell
ROWS = round((Z_RANGE[1] - Z_RANGE[0]) / RESOLUTION)  # 800
COLUMNS = round((X_RANGE[1] - X_RANGE[0]) / RESOLUTION)  # 400


def frame_calibration(frame, shape):
    """The Calibration of a road.data.dataset.Frame, whose image has the shape (height, width).

    Raises InputError if it is missing or damaged, or does not fit, because the image was resized:
    its principal point is not near the centre.
    """
    if frame.calib is None:
        raise InputError(f"{frame.image}: has no calibration file; bird's eye view needs "
                         f'calib/{frame.name}.txt beside image_2')
    calibration = read_calibration(frame.calib)
    u, v = calibration.P2[:2, 2]
    height, width = shape
    if max(abs(u / width - 0.5), abs(v / height - 0.5)) > 0.06:  # KITTI's cameras: 0.04 at most
        raise InputError(
            f'{frame.calib}: does not fit {frame.image} of {width}x{height} pixels: it is of an '
            f'image of about {2 * u:.0f}x{2 * v:.0f}; use the images at their original size')
    return calibration


def road_to_image(calibration):
    """The projection from road coordinates to the image, float64 [3, 4].

    It takes (x, y, z, 1) in metres (x right, y down and 0 on the road, z ahead) to (u, v, 1) times
    the depth in metres; u and v count pixels from 1, as in the devkit.
    """
    rectify, camera_to_road = np.eye(4), np.eye(4)
    rectify[:3, :3], camera_to_road[:3] = calibration.R0_rect, calibration.Tr_cam_to_road
    return calibration.P2 @ rectify @ np.linalg.inv(camera_to_road)


def lookup(calibration, height, width):
    """The pixel of each cell in an image of this size: (row, column, inside), arrays [800, 400].

    row and column are integers, 0 outside the image; inside, bool: whether the camera sees it.
    """
    # in float32, as the devkit rounds its grid: a micrometre may lead to the next pixel
    x = (X_RANGE[0] + RESOLUTION * (np.arange(COLUMNS) + 0.5)).astype(np.float32)
    z = (Z_RANGE[1] - RESOLUTION * (np.arange(ROWS) + 0.5)).astype(np.float32)
    centres = np.stack([*np.meshgrid(x, z), np.ones((ROWS, COLUMNS), np.float32)]).reshape(3, -1)
    homography = road_to_image(calibration)[:, [0, 2, 3]]
    u, v, depth = (homography @ centres).reshape(3, ROWS, COLUMNS)
    ahead = depth > 1e-6  # a point behind the camera has an image too, upside down
    depth = np.where(ahead, depth, 1)
    u, v = u / depth, v / depth
    inside = ahead & (u >= 1) & (u <= width) & (v >= 1) & (v <= height)
    row, column = (np.where(inside, np.floor(place) - 1, 0).astype(int) for place in (v, u))
    return row, column, inside


def to_birdseye(plane, calibration):
    """An array seen from above: [h, w, ...] => [800, 400, ...], same dtype, 0 outside the image.

    Each cell takes the one pixel that its centre lies in: labels and grey levels are not mixed.
    """
    row, column, inside = lookup(calibration, *plane.shape[:2])
    from_above = plane[row, column]
    from_above[~inside] = 0
    return from_above
