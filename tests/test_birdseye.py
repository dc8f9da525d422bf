"""The road plane: points projected step by step."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from road.data.dataset import Frame
from road.data.kitti import Calibration
from road.errors import InputError
from road.scoring.birdseye import frame_calibration, lookup, to_birdseye
from tests.test_kitti import CALIB

# A camera 1.5 m above the road that looks along it: x right, y down, z ahead; the road is Y = 0.
PLAIN = Calibration(np.array([[500., 0, 320, 0], [0, 500, 100, 0], [0, 0, 1, 0]]), np.eye(3),
                    np.array([[1., 0, 0, 0], [0, 1, 0, -1.5], [0, 0, 1, 0]]))
X, Z = np.meshgrid(-9.975 + 0.05 * np.arange(400), 45.975 - 0.05 * np.arange(800))  # cells' centres


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('shift', [(0.03, -1.65, 0.3), (0.03, 1.65, 20)])
@pytest.mark.parametrize('turned', [(0, 0, 0), (0.02, -0.3, 0.1), (-0.1, 0.2, -0.3)])
@pytest.mark.parametrize('size', [(375, 1242), (370, 1224), (37, 70), (1, 1)])
def test_every_camera_and_size_against_projection_by_steps(size, shift, turned):
    """Cameras are turned twice and moved three ways, also past the plane's start and below it.

    Centres are rounded to float32, as in the devkit.
    """
    (height, width), shift, angles = size, np.transpose([shift]), [(-0.004, 0.007, 0.01), turned]
    rectify, turn = Rotation.from_euler('xyz', angles).as_matrix()
    P2 = np.array([[width, 0, width / 2, 40], [0, width, height / 3, 0.2], [0, 0, 1, 0.003]])
    calibration = Calibration(P2, rectify, np.hstack([turn, shift]))
    numbers = np.arange(1, height * width + 1, dtype=np.int32).reshape(size)  # a number per pixel
    from_above = to_birdseye(np.dstack([numbers, numbers > 0]), calibration)
    np.testing.assert_array_equal(from_above[..., 1], lookup(calibration, height, width)[2])
    points = np.stack([X, 0 * X, Z]).reshape(3, -1).astype(np.float32)
    u, v, depth = P2[:, :3] @ rectify @ np.linalg.inv(turn) @ (points - shift) + P2[:, 3:]
    u, v = u / depth, v / depth
    seen = (depth > 0) & (u >= 1) & (u <= width) & (v >= 1) & (v <= height)
    pixel = np.where(seen, (np.floor(v) - 1) * width + np.floor(u), 0)
    sure = (np.abs(u - np.round(u)) > 1e-6) & (np.abs(v - np.round(v)) > 1e-6)
    np.testing.assert_array_equal(from_above[..., 0].ravel()[sure], pixel[sure])


@pytest.mark.parametrize('text', [CALIB, CALIB.replace('\n', '\r\n').replace(': ', ':\t')])
def test_calibration_is_read_and_must_fit_the_image(tmp_path, text):
    path = tmp_path / 'um_000001.txt'
    path.write_bytes(text.encode())
    frame = Frame('um_000001', 'um_000001.png', None, str(path))
    for shape in ((200, 640), (216, 660)):
        for found, expected in zip(frame_calibration(frame, shape), PLAIN, strict=True):
            np.testing.assert_array_equal(found, expected)
    for shape in ((100, 320), (400, 1280), (200, 500), (280, 640)):
        with pytest.raises(InputError, match=f'^{path}: does not fit um_000001.png .*640x200;'):
            frame_calibration(frame, shape)
    with pytest.raises(InputError, match="um_000001.png: has no .* bird's eye view needs calib/um"):
        frame_calibration(frame._replace(calib=None), (200, 640))
