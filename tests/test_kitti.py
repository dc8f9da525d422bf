"""The KITTI folder: which files are read, the label rule, the split, and what is refused."""

import os
import shutil

import imageio.v3 as iio
import numpy as np
import pytest

from road.data import kitti
from road.errors import InputError


def test_frames_pair_images_with_road_labels_only(scenes_dir):
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    assert [f.name for f in frames] == [f'{c}_00000{i}' for c in kitti.CATEGORIES for i in range(3)]
    for frame in frames:
        category, number = frame.name.split('_')
        assert frame.label.endswith(f'{category}_road_{number}.png') and frame.category == category
        assert frame.calib.endswith(f'{frame.name}.txt')
    assert any('lane' in name for name in os.listdir(f'{scenes_dir}/training/gt_image_2'))
    testing = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))
    assert len(testing) == 3 and testing[0].label is None
    assert kitti.differing_counts(frames, testing) == [
        'training images 9 of 289', 'labels 9 of 289', 'test images 3 of 290']


def test_label_rule(tmp_path):
    """Red counts, blue is road: magenta, red, black, pure blue, and a dim magenta."""
    path = str(tmp_path / 'label.png')
    iio.imwrite(path, np.array(
        [[[255, 0, 255], [255, 0, 0], [0, 0, 0], [0, 0, 255], [1, 0, 7]]], np.uint8))
    label = kitti.read_label(path)
    assert label.dtype == np.uint8 and label.tolist() == [[1, 0, 255, 255, 1]]


def test_split_takes_the_last_of_each_category_and_named_keeps_the_order(scenes_dir):
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    training, validation = kitti.split(frames, 1)
    assert [f.name for f in validation] == ['um_000002', 'umm_000002', 'uu_000002']
    assert sorted(training + validation) == sorted(frames)
    with pytest.raises(InputError, match='--val-frames 3.*um has only 3 frames; give at most 2'):
        kitti.split(frames, 3)
    data = kitti.find_dataset(scenes_dir, 1)
    assert data.training + data.validation == training + validation and len(data.testing) == 3
    assert data.named(['uu_000001', 'um_000002']) == [frames[7], frames[2]]
    with pytest.raises(InputError, match=f'^{scenes_dir}: frame um_000009 of the run is missing'):
        data.named(['um_000009'])


IMAGE, LABEL = 'image_2/um_000001.png', 'gt_image_2/umm_road_000001.png'


@pytest.mark.parametrize('break_it, complaint', [
    (lambda d: os.remove(d / IMAGE), 'um_road_000001.png: the image of this label is missing; '
     'expected .*training/image_2/um_000001.png '),
    (lambda d: os.remove(d / LABEL), 'umm_000001.png: has no label; expected .*umm_road_000001'),
    (lambda d: os.rename(d / IMAGE, d / 'image_2/UM_000001.png'), 'expected the name in lower'),
    (lambda d: (shutil.rmtree(d / 'image_2'), (d / 'image_2').mkdir()), 'unpack data_road.zip'),
    (lambda d: [os.rename(path, path.with_suffix('.jpg')) for path in (d / 'image_2').iterdir()],
     'as in um_000012.png; found 9 others, as in .*jpg; convert to PNG and rename'),
    (lambda d: shutil.rmtree(d), 'image_2: no such folder')])
def test_names_that_do_not_fit_are_refused(copied_scenes, tmp_path, break_it, complaint):
    break_it(tmp_path / 'data_road' / 'training')
    with pytest.raises(InputError, match=complaint) as raised:
        kitti.training_frames(os.path.join(copied_scenes, 'training'))
    assert '\n' not in str(raised.value)
