"""CamVid: which files are read, its classes, and what is refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from road.data import check, formats
from road.errors import InputError


@pytest.fixture
def folder(camvid_dir, tmp_path):
    return Path(shutil.copytree(camvid_dir, tmp_path / 'CamVid'))


def find(folder, val_frames=0):
    return formats.find_dataset('camvid', str(folder), val_frames)


def test_splits_and_labels(folder):
    data = find(folder)
    assert [[frame.name for frame in part] for part in (
            data.training, data.validation, data.testing)] == [
        [f'train/train_{i}' for i in range(4)], ['val/val_0', 'val/val_1'], ['test/test_0']]
    assert data.testing[0].label == f'{folder}/testannot/test_0.png'
    assert data.named(['val/val_0']) == data.validation[:1]
    assert [each.name for each in data.classes] == (
        'sky building pole road pavement tree sign fence car pedestrian bicyclist'.split())
    label = data.read_label(data.training[0].label)
    assert label[0, ::5].tolist() == [*range(11), 255, 0]
    report = check.check(data)
    assert report.faults == report.notes == []
    assert report.pixels['validation'].sum() == 2 * 48 * 64


def test_test_images_and_their_labels_are_optional(folder):
    shutil.rmtree(folder / 'testannot')
    assert [frame.label for frame in find(folder).testing] == [None]
    shutil.rmtree(folder / 'test')
    assert find(folder).testing == []
    assert check.check(find(folder)).faults == []


@pytest.mark.parametrize('break_it, complaint', [
    (lambda d: shutil.rmtree(d / 'val'), 'val: no such folder, or .*; CamVid has train/NAME.png'),
    (lambda d: os.remove(d / 'valannot/val_1.png'), 'val/val_1.png: has no label in .*/valannot'),
    (lambda d: os.remove(d / 'val/val_1.png'), 'valannot/val_1.png: there is no image of this'),
    (lambda d: Image.new('L', (64, 48), 12).save(d / 'trainannot/train_1.png'),
     'trainannot/train_1.png: the value 12 is no class; 3072 pixels, 14.29% of all labels, '
     r'in 1 of them \(train_1.png\); CamVid has the ids 0 to 10'),
    (lambda d: Image.new('L', (47, 36)).save(d / 'testannot/test_0.png'),
     'testannot/test_0.png: is 47x36 pixels, but its image is 64x48')])
def test_one_fault_is_named(folder, break_it, complaint):
    break_it(folder)
    with pytest.raises(InputError, match=f'^{folder}/{complaint}'):
        raise InputError(check.check(find(folder)).faults[0])


def test_validation_images_are_given(folder):
    with pytest.raises(InputError, match='--val-frames 3: .*CamVid has validation images of its'):
        find(folder, 3)


def test_classes_that_never_occur_are_noted(folder):
    for path in (folder / 'valannot').iterdir():
        label = np.asarray(Image.open(path))
        Image.fromarray(np.where(label < 2, 3, label).astype(np.uint8)).save(path)
    assert check.check(find(folder)).notes == [
        f'{folder}: no validation label has a pixel of sky, building']
