"""CamVid: which files are read, its classes, and what is refused."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from road import settings
from road.data import check, formats
from road.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Three training, two validation and one test image; the names of two splits are the same."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 2), ('test', 1)):
        for part in (split, f'{split}annot'):
            (tmp_path / 'CamVid' / part).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(rng.integers(0, 256, (36, 48, 3), np.uint8))
            image.save(tmp_path / 'CamVid' / split / f'000{number}.png')
            label = Image.fromarray(np.uint8(np.arange(36 * 48).reshape(36, 48) % 12))
            label.save(tmp_path / 'CamVid' / f'{split}annot' / f'000{number}.png')
    return tmp_path / 'CamVid'


def find(folder, val_frames=0):
    return formats.find_dataset('camvid', str(folder), val_frames)


def test_splits_and_labels(folder):
    data = find(folder)
    assert [[frame.name for frame in part] for part in (
            data.training, data.validation, data.testing)] == [
        ['train/0000', 'train/0001', 'train/0002'], ['val/0000', 'val/0001'], ['test/0000']]
    assert data.faults == () and data.testing[0].label == f'{folder}/testannot/0000.png'
    assert data.named(['val/0000']) == data.validation[:1]
    assert [each.name for each in data.classes] == (
        'sky building pole road pavement tree sign fence car pedestrian bicyclist'.split())
    label = data.read_label(data.training[0].label)
    assert label.shape == (36, 48) and label[0, :13].tolist() == [*range(11), 255, 0]
    report = check.check(data)
    assert report.faults == report.notes == []
    assert report.pixels['validation'].tolist() == [288] * 12


def test_test_images_and_their_labels_are_optional(folder):
    shutil.rmtree(folder / 'testannot')
    assert find(folder).testing[0].label is None and find(folder).faults == ()
    shutil.rmtree(folder / 'test')
    assert find(folder).testing == [] and find(folder).faults == ()


@pytest.mark.parametrize('break_it, complaint', [
    (lambda d: shutil.rmtree(d / 'val'), 'val: no such folder; CamVid has train, trainannot, val'),
    (lambda d: shutil.rmtree(d / 'valannot'), 'valannot: no such folder'),
    (lambda d: (shutil.rmtree(d / 'train'), (d / 'train').mkdir()), 'train: holds no images; Cam'),
    (lambda d: os.remove(d / 'valannot/0001.png'),
     'val/0001.png: has no label; expected .*valannot/0001.png'),
    (lambda d: os.remove(d / 'train/0001.png'), 'trainannot/0001.png: there is no image of this'),
    (lambda d: Image.new('L', (48, 36), 12).save(d / 'trainannot/0001.png'),
     'trainannot/0001.png: the value 12 is no class; 1728 pixels, 16.67% of all labels, '
     r'in 1 of them \(0001.png\); CamVid has the ids 0 to 10'),
    (lambda d: Image.new('L', (47, 36)).save(d / 'trainannot/0001.png'),
     'trainannot/0001.png: is 47x36 pixels, but its image is 48x36')])
def test_one_fault_is_named(folder, break_it, complaint):
    break_it(folder)
    with pytest.raises(InputError, match=f'^{folder}/{complaint}'):
        raise InputError(check.check(find(folder)).faults[0])
    with pytest.raises(InputError, match=f'^{folder}/{complaint}'):
        formats.open_dataset(settings.parse_training(
            ['--dataset-dir', str(folder), '--data-dir', str(folder.parent)]))


def test_validation_images_are_given(folder):
    with pytest.raises(InputError, match='--val-frames 3: CamVid has validation images of its own'):
        find(folder, 3)


def test_classes_that_never_occur_and_shared_images_are_noted(folder):
    shutil.copy(folder / 'train/0002.png', folder / 'test/0000.png')
    for path in (folder / 'valannot').iterdir():
        label = np.asarray(Image.open(path))
        Image.fromarray(np.where(label < 2, 3, label).astype(np.uint8)).save(path)
    report = check.check(find(folder))
    assert report.faults == [] and report.notes == [
        f'{folder}: classes that never occur in the validation labels: sky, building',
        f'{folder}/train/0002.png: is the same image as {folder}/test/0000.png; training and test '
        'images have 1 in common, so scores may be too high']
