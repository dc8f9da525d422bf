"""Calibration files: as KITTI writes them, and damaged."""

import numpy as np
import pytest

from road.data.calibration import read_calibration
from road.errors import InputError

TEXT = ('P0: 1 2 3\nP2: 5.0e+02 0 320 0 0 500.0 100 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\n\n'
        'Tr_cam_to_road: 1 0 0 0 0 1 0 -1.5 0 0 1 0\n')


@pytest.mark.parametrize('text', [TEXT, TEXT.replace('\n', '\r\n').replace(': ', ':\t')])
def test_read_calibration(tmp_path, text):
    (tmp_path / 'calib.txt').write_bytes(text.encode())
    P2, R0_rect, Tr_cam_to_road = read_calibration(tmp_path / 'calib.txt')
    np.testing.assert_array_equal(P2, [[500, 0, 320, 0], [0, 500, 100, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(R0_rect, np.eye(3))
    np.testing.assert_array_equal(Tr_cam_to_road, [[1, 0, 0, 0], [0, 1, 0, -1.5], [0, 0, 1, 0]])


@pytest.mark.parametrize('old, new, complaint', [
    ('P2:', '\udc89PNG', 'expected a line P2 of 3x4 numbers'),
    ('P2:', 'P9:', 'expected a line P2 of 3x4 numbers'),
    (' 0\n', '\n', 'line P2 .*array of size 11'),
    ('-1.5', 'x', 'line Tr_cam_to_road of 3x4 numbers .*convert'),
    ('-1.5', 'nan', 'line Tr_cam_to_road .*no inverse'),
    ('100 0 0 0 1 0', '100 0 0 0 0 1', 'line P2 .*no inverse')])
@pytest.mark.filterwarnings('error')
def test_damaged_calibration_is_refused(tmp_path, old, new, complaint):
    path = tmp_path / 'calib.txt'
    path.write_bytes(TEXT.replace(old, new).encode(errors='surrogateescape'))
    with pytest.raises(InputError, match=f'^{path}: .*{complaint}.*; copy the file again'):
        read_calibration(path)
