"""The KITTI folder: which files are read, the label rule, resizing, and refusal of what does not fit."""

import os
import shutil

import imageio.v3 as iio
import numpy as np
import pytest

from road import kitti
from road.errors import InputError


@pytest.fixture
def copy(scenes_dir, tmp_path):
    folder = str(tmp_path / 'data_road')
    shutil.copytree(scenes_dir, folder)
    return folder


def test_frames_pair_images_with_road_labels_only(scenes_dir):
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    assert [f.name for f in frames] == [f'{c}_00000{i}' for c in kitti.CATEGORIES for i in range(3)]
    for frame in frames:
        category, number = frame.name.split('_')
        assert frame.label.endswith(f'{category}_road_{number}.png') and frame.calib.endswith(f'{frame.name}.txt')
    assert any('lane' in name for name in os.listdir(os.path.join(scenes_dir, 'training', 'gt_image_2')))
    testing = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))
    assert len(testing) == 3 and testing[0].label is None
    assert kitti.differing_counts(frames, testing) == ['training images 9 of 289', 'labels 9 of 289', 'test images 3 of 290']


def test_label_rule(tmp_path):
    """Red counts, blue is road: magenta, red, black, pure blue, and a dim magenta."""
    colours = np.array([[[255, 0, 255], [255, 0, 0], [0, 0, 0], [0, 0, 255], [1, 0, 7]]], np.uint8)
    path = str(tmp_path / 'label.png')
    iio.imwrite(path, colours)
    road, counts = kitti.read_label(path)
    assert road.tolist() == [[True, False, False, True, True]]
    assert counts.tolist() == [[True, True, False, False, True]]
    label = kitti.resize_label(road, counts, (1, 5))
    assert label[0, :5].tolist() == [[0, 1], [1, 0], [0, 0], [0, 0], [0, 1]]


def test_planes_are_resized_apart():
    """A road edge stays an edge: no pixel becomes uncounted or changes class but where the nearest pixel says so."""
    rng = np.random.default_rng(0)
    road, counts = rng.random((64, 96)) < 0.5, rng.random((64, 96)) < 0.8
    label = kitti.resize_label(road, counts, (32, 32))
    rows, cols = (np.arange(32) * 2 + 1), (np.arange(32) * 3 + 1)  # the source pixel under each target centre
    expected_road, expected_counts = road[np.ix_(rows, cols)], counts[np.ix_(rows, cols)]
    np.testing.assert_array_equal(label[..., 1], expected_counts & expected_road)
    np.testing.assert_array_equal(label[..., 0], expected_counts & ~expected_road)


def test_any_size_is_padded_with_pixels_that_do_not_count():
    image = kitti.resize_image(np.full((20, 30, 3), 9, np.uint8), (37, 70))
    label = kitti.resize_label(np.ones((20, 30), bool), np.ones((20, 30), bool), (37, 70))
    assert image.shape == (64, 96, 3) and (image == 9).all()
    assert label.shape == (64, 96, 2) and label[:37, :70, 1].all() and label.sum() == 37 * 70


def test_split_takes_the_last_of_each_category(scenes_dir):
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    training, validation = kitti.split(frames, 1)
    assert [f.name for f in validation] == ['um_000002', 'umm_000002', 'uu_000002']
    assert sorted(training + validation) == sorted(frames)
    with pytest.raises(InputError, match='--val-frames 3'):
        kitti.split(frames, 3)


def damage(folder, what):
    image = os.path.join(folder, 'training', 'image_2', 'um_000001.png')
    label = os.path.join(folder, 'training', 'gt_image_2', 'umm_road_000001.png')
    if what == 'no image':
        os.remove(image)
        return 'um_000001.png'
    if what == 'no label':
        os.remove(label)
        return 'umm_000001.png.*umm_road_000001.png'
    if what == 'other size':
        iio.imwrite(label, np.zeros((50, 50, 3), np.uint8))
        return 'umm_road_000001.png: is 50x50'
    if what == 'empty file':
        open(image, 'w').close()
        return 'um_000001.png: the file is empty'
    if what == 'text':
        with open(image, 'w') as file:
            file.write('this is not an image' * 10)
        return 'um_000001.png: not a readable image'
    if what == 'empty folder':
        shutil.rmtree(os.path.dirname(image))
        os.mkdir(os.path.dirname(image))
        return 'image_2: holds no KITTI'
    shutil.rmtree(os.path.join(folder, 'training'))
    return 'image_2: no such folder'


@pytest.mark.parametrize('what', ['no image', 'no label', 'other size', 'empty file', 'text', 'empty folder', 'no folder'])
def test_what_does_not_fit_is_named(copy, what):
    complaint = damage(copy, what)
    with pytest.raises(InputError, match=complaint) as raised:
        kitti.training_frames(os.path.join(copy, 'training'))
    assert '\n' not in str(raised.value)


def test_image_cut_short_is_named_when_read(copy):
    path = os.path.join(copy, 'training', 'image_2', 'um_000001.png')
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(InputError, match='um_000001.png: not a readable image'):
        kitti.read_image(path)
