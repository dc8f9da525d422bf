"""The KITTI folder: files, label rule, split, calibrations, and what is refused."""

import os
import shutil

import imageio.v3 as iio
import numpy as np
import pytest

from road.data import formats, kitti
from road.data.kitti import read_calibration
from road.errors import InputError

CALIB = ('P0: 1 2 3\nP2: 5.0e+02 0 320 0 0 500.0 100 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\n\n'
         'Tr_cam_to_road: 1 0 0 0 0 1 0 -1.5 0 0 1 0\n')


def test_frames_pair_images_with_road_labels_only(frames, scenes_dir):
    assert [f.name for f in frames] == [f'{c}_00000{i}' for c in kitti.CATEGORIES for i in range(3)]
    for frame in frames:
        category, number = frame.name.split('_')
        assert frame.label.endswith(f'{category}_road_{number}.png') and frame.category == category
        assert frame.calib.endswith(f'{frame.name}.txt')
    assert any('lane' in name for name in os.listdir(f'{scenes_dir}/training/gt_image_2'))
    testing = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))
    assert len(testing) == 3 and testing[0].label is None
    assert kitti.differing_counts(frames, testing) == [
        'training images 9 of 289', 'test images 3 of 290']


def test_label_rule(tmp_path):
    """Magenta is road, red is not, and black and pure blue are ignored."""
    path = str(tmp_path / 'label.png')
    iio.imwrite(path, np.uint8([[[255, 0, 255], [255, 0, 0], [0, 0, 0], [0, 0, 255]]]))
    label = kitti.read_label(path)
    assert label.dtype == np.uint8
    assert label.tolist() == [[1, 0, 255, 255]]
    iio.imwrite(path, np.uint8([[[0, 255, 0], [255, 0, 0]]]))
    with pytest.raises(InputError, match=f'^{path}: 50.0% .* no class, as in #00ff00; KITTI Road '
                       'has magenta road, red for'):
        kitti.read_label(path)


def test_split_takes_the_last_of_each_category_and_named_keeps_the_order(frames, scenes_dir):
    data = formats.find_dataset('kitti', scenes_dir, 1)
    assert [f.name for f in data.validation] == ['um_000002', 'umm_000002', 'uu_000002']
    assert sorted(data.training + data.validation) == sorted(frames)
    with pytest.raises(InputError, match='--val-frames 3: .*: only 3 labelled images of um'):
        formats.find_dataset('kitti', scenes_dir, 3)
    assert data.named(['uu_000001', 'um_000002']) == [frames[7], frames[2]]
    with pytest.raises(InputError, match=f'^{scenes_dir}: frame um_000009 of the run is missing'):
        data.named(['um_000009'])


@pytest.mark.parametrize('break_it, complaint', [
    (lambda d: os.remove(d / 'image_2/um_000001.png'),
     'um_road_000001.png: there is no image of this .* KITTI Road has training/image_2/um_000012'),
    (lambda d: os.rename(d / 'image_2/um_000001.png', d / 'image_2/UM_000001.png'),
     'um_road_000001.png: there is no image of this label in'),
    (shutil.rmtree, 'image_2: no such folder')])
def test_names_that_do_not_fit_are_refused(copied_scenes, tmp_path, break_it, complaint):
    break_it(tmp_path / 'data_road' / 'training')
    with pytest.raises(InputError, match=complaint):
        kitti.training_frames(os.path.join(copied_scenes, 'training'))


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
    path.write_bytes(CALIB.replace(old, new).encode(errors='surrogateescape'))
    with pytest.raises(InputError, match=f'^{path}: .*{complaint}.*; copy the file again'):
        read_calibration(path)
