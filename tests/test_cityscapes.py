"""Cityscapes and KITTI's semantic segmentation set: which files are read, ids, and refusals."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from road.data import check, formats
from road.errors import InputError

# cityscapesScripts: id => train id, of the 19 classes that are scored
TRAIN_ID = dict(zip([7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33], range(19)))
IDS = np.uint8([*range(34), 255])
EXPECTED = [TRAIN_ID.get(value, 255) for value in IDS.tolist()]


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def photo(number):
    return np.random.default_rng(number).integers(0, 256, (7, 35, 3), np.uint8)


@pytest.fixture
def cityscapes(tmp_path):
    """Two images of each split in each of two cities; labels in both forms."""
    for number in range(12):
        split, city = ('train', 'val', 'test')[number % 3], ('aachen', 'ulm')[number // 6]
        name = f'{split}/{city}/{city}_{number:06d}_000019'
        save(tmp_path / f'leftImg8bit/{name}_leftImg8bit.png', photo(number))
        label = np.tile(IDS, (7, 1)) if split != 'test' else np.zeros([7, 35], np.uint8)
        table = np.append(np.uint8([TRAIN_ID.get(value, 255) for value in range(255)]), 255)
        for kind, values in (('labelIds', label), ('labelTrainIds', np.uint8(table)[label]),
                             ('instanceIds', label.astype(np.uint16) * 1000),
                             ('color', photo(number))):
            save(tmp_path / f'gtFine/{name}_gtFine_{kind}.png', values)
    return tmp_path


def find(folder, layout=None, val_frames=0):
    return formats.find_dataset(layout, str(folder), val_frames)


@pytest.mark.parametrize('kind', ['labelIds', 'labelTrainIds'])
def test_cityscapes_frames_and_labels(cityscapes, kind):
    if kind == 'labelTrainIds':
        for path in cityscapes.glob('gtFine/*/*/*_labelIds.png'):
            os.remove(path)
    data = find(cityscapes)
    assert data.format == 'cityscapes'
    assert check.check(data).faults == []
    assert [frame.name for frame in data.training] == [
        'train/aachen/aachen_000000_000019', 'train/aachen/aachen_000003_000019',
        'train/ulm/ulm_000006_000019', 'train/ulm/ulm_000009_000019']
    assert len(data.validation) == len(data.testing) == 4
    assert all(frame.label.endswith(f'_gtFine_{kind}.png') for frame in data.validation)
    assert not any(frame.label for frame in data.testing)
    assert [data.classes[i].name for i in (0, 1, 13, 18)] == ['road', 'sidewalk', 'car', 'bicycle']
    assert data.read_label(data.training[0].label).tolist() == [EXPECTED] * 7


@pytest.mark.parametrize('break_it, complaint', [
    (lambda d: shutil.rmtree(d / 'gtFine'), 'gtFine/train: no such folder, .*; Cityscapes has lef'),
    (lambda d: os.remove(d / 'gtFine/val/ulm/ulm_000007_000019_gtFine_labelIds.png'),
     'leftImg8bit/val/ulm/ulm_000007_.*: has no label in .*/CITY/NAME_gtFine_labelIds.png'),
    (lambda d: save(d / 'gtFine/val/ulm/ulm_000007_000019_gtFine_labelIds.png',
                    np.full([7, 35], 40, np.uint8)),
     'gtFine/val/ulm/ulm_000007_.*: the value 40 is no class; .*; labelIds are 0 to 33')])
def test_one_fault_is_named(cityscapes, break_it, complaint):
    break_it(cityscapes)
    with pytest.raises(InputError, match=f'^{cityscapes}/{complaint}'):
        raise InputError(check.check(find(cityscapes)).faults[0])


TRAIN_IDS = [0, 8, 13], [*range(19), 255], [7, 8, 255]  # the last: 255 is no id
REAL_IDS = [7, 21, 26], [7, 8, 11], [0, 7, 7, 7, 8], [*range(34), 255]


@pytest.mark.parametrize('values', [*TRAIN_IDS, *REAL_IDS], ids=str)
def test_train_ids_in_place_of_ids_are_refused(cityscapes, values):
    for path in cityscapes.glob('gtFine/*/*/*_labelIds.png'):
        save(path, np.resize(np.uint8(values), (7, 35)))
    faults = [fault for fault in check.check(find(cityscapes)).faults if 'train ids' in fault]
    assert len(faults) == (values in TRAIN_IDS)
    if faults:
        assert faults[0].startswith(f'{cityscapes}/gtFine/train/')
        assert 'name them *_gtFine_labelTrainIds.png' in faults[0]


@pytest.fixture
def semantics(tmp_path):
    for number in range(10):
        save(tmp_path / f'training/image_2/{number:06d}_10.png', photo(number))
        save(tmp_path / f'training/semantic/{number:06d}_10.png', np.tile(IDS, (7, 1)))
        save(tmp_path / f'testing/image_2/{number:06d}_10.png', photo(20 + number))
    return tmp_path


def test_kitti_semantics_frames_and_labels(semantics):
    data = find(semantics, val_frames=None)
    assert data.format == 'kitti-semantics'
    assert check.check(data).faults == []
    assert [frame.name for frame in data.validation] == ['000008_10', '000009_10']
    assert len(data.training) == 8
    assert [frame.label for frame in data.testing] == [None] * 10
    assert data.read_label(data.training[0].label).tolist() == [EXPECTED] * 7
    assert len(find(semantics, val_frames=5).validation) == 5
    shutil.rmtree(semantics / 'training/image_2')
    fault, = check.check(find(semantics)).faults
    assert fault.startswith(f'{semantics}/training/image_2: no such folder, or no images of these')
