"""Which format a folder has, its frames, classes and faults; what opening it says and fits."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from road import settings
from road.data import check, formats, images
from road.errors import InputError
from tests.test_folder import faults_of, names_of, photo, save, train_on

MARKERS = {
    'kitti': 'training/gt_image_2', 'kitti-semantics': 'training/semantic',
    'camvid': 'trainannot', 'cityscapes': 'leftImg8bit/train', 'folder': 'images'}
# cityscapesScripts: id => train id, of the 19 classes that are scored
TRAIN_ID = dict(zip([7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33], range(19)))
IDS = np.uint8([*range(34), 255])


def write_camvid(folder, height=36, width=48, values=12):
    label = np.uint8(np.arange(height * width).reshape(height, width) % values)
    for seed, name in enumerate(('train/0', 'train/1', 'val/2')):
        save(folder / f'{name}.png', photo(seed, height, width))
        save(folder / f'{name}.png'.replace('/', 'annot/'), Image.fromarray(label))
    return folder


FRAMES = {
    'camvid': [[f'train/train_{i}' for i in range(4)], ['val/val_0', 'val/val_1'], ['test/test_0']],
    'cityscapes': [[f'{split}/{city}/{city}_{i}' for city in ('aachen', 'ulm') for i in range(2)]
                   for split in ('train', 'val', 'test')],
    'kitti-semantics': [[f'{i}_10' for i in range(8)], ['8_10', '9_10'],  # 15 % validate
                        [f'{i}_10' for i in range(10)]]}


@pytest.fixture
def drawn(tmp_path, camvid_dir):
    """A folder with a data set of each of these formats, called so."""
    shutil.copytree(camvid_dir, tmp_path / 'camvid')
    ids, folder = np.tile(IDS, (7, 1)), tmp_path / 'cityscapes'
    table = np.uint8([TRAIN_ID.get(value, 255) for value in range(256)])
    for seed, name in enumerate(sum(FRAMES['cityscapes'], [])):
        save(folder / f'leftImg8bit/{name}_leftImg8bit.png', photo(seed, 7, 35))
        label = ids * (seed < 8)  # public labels of test images are empty
        for kind, values in (('labelIds', label), ('labelTrainIds', table[label]),
                             ('instanceIds', label * np.uint16(1000))):
            save(folder / f'gtFine/{name}_gtFine_{kind}.png', Image.fromarray(values))
    folder = tmp_path / 'kitti-semantics'
    for seed in range(10):
        save(folder / f'training/image_2/{seed}_10.png', photo(seed, 7, 35))
        save(folder / f'training/semantic/{seed}_10.png', Image.fromarray(ids))
        save(folder / f'testing/image_2/{seed}_10.png', photo(20 + seed, 7, 35))
    return tmp_path


CAMVID = 'sky building pole road pavement tree sign fence car pedestrian bicyclist'
CITY = ('road sidewalk building wall fence pole traffic light traffic sign vegetation terrain sky '
        'person rider car truck bus train motorcycle bicycle')
CITY_IDS = {value: TRAIN_ID.get(value, 255) for value in IDS.tolist()}


@pytest.mark.parametrize('data_format, unused, classes, meanings', [
    ('camvid', 'none', CAMVID, {**{i: i for i in range(11)}, 11: 255}),
    ('cityscapes', 'none', CITY, CITY_IDS), ('kitti-semantics', 'none', CITY, CITY_IDS),
    ('cityscapes', '_labelIds', CITY, {**{i: i for i in range(19)}, 255: 255})])
def test_frames_classes_and_labels(drawn, data_format, unused, classes, meanings):
    folder = drawn / data_format
    for path in folder.rglob(f'*{unused}.png'):
        path.unlink()
    data = formats.find_dataset(None, str(folder))
    assert data.format == data_format
    assert names_of(data) == FRAMES[data_format]
    assert ' '.join(each.name for each in data.classes) == classes
    label = data.validation[0].label
    values = np.asarray(Image.open(label)).ravel().tolist()
    assert dict(zip(values, data.read_label(label).ravel().tolist())) == meanings
    assert {bool(frame.label) for frame in data.testing} == {data_format == 'camvid'}
    if data.testing[0].label:  # one class in all test labels is no fault
        Image.new('L', (64, 48), 3).save(data.testing[0].label)
    assert faults_of(folder, None) == []
    for part in ('testannot', 'test', 'leftImg8bit/test', 'testing'):  # these are optional
        shutil.rmtree(folder / part, ignore_errors=True)
        assert faults_of(folder, None) == []


@pytest.mark.parametrize('path, change, complaint', [
    ('camvid/val', shutil.rmtree, 'val: no such folder, or .*; CamVid has train/NAME.png'),
    ('camvid/valannot/val_1.png', os.remove, 'val/val_1.png: has no label in .*/valannot'),
    ('camvid/trainannot/train_1.png', lambda path: Image.new('L', (64, 48), 12).save(path),
     'trainannot/train_1.png: the value 12 is no class; 3072 pixels in 1 of 7 labels '
     r'\(train_1.png\); CamVid has the ids 0 to 10'),
    ('camvid/testannot/test_0.png', lambda path: Image.new('L', (47, 36)).save(path),
     'testannot/test_0.png: is 36x47 pixels, but its image is 48x64'),
    ('cityscapes/gtFine', shutil.rmtree, 'gtFine/train: no such folder, .*; Cityscapes has leftIm'),
    ('cityscapes/gtFine/val/ulm/ulm_1_gtFine_labelIds.png', os.remove,
     'leftImg8bit/val/ulm/ulm_1_.*: has no label in .*/CITY/NAME_gtFine_labelIds.png'),
    ('cityscapes/gtFine/val/ulm/ulm_1_gtFine_labelIds.png', lambda path: save(path, Image.new(
        'L', (35, 7), 40)), 'gtFine/.*_1_.*: the value 40 is no class; .*; labelIds are 0 to 33'),
    ('kitti-semantics/training/image_2', shutil.rmtree, 'training/image_2: no such folder, or no')])
def test_a_fault_of_a_format(drawn, path, change, complaint):
    change(drawn / path)
    folder = drawn / path.split('/')[0]
    assert re.match(f'{folder}/{complaint}', faults_of(folder, None)[0])


TRAIN_IDS = [0, 8, 13], [*range(19), 255], [7, 8, 255]  # the last: 255 is no id
REAL_IDS = [7, 21, 26], [7, 8, 11], [0, 7, 7, 7, 8], [*range(34), 255]


@pytest.mark.parametrize('values', [*TRAIN_IDS, *REAL_IDS], ids=str)
def test_train_ids_in_place_of_ids_are_refused(drawn, values):
    for path in drawn.glob('cityscapes/gtFine/*/*/*_labelIds.png'):
        save(path, Image.fromarray(np.resize(np.uint8(values), (7, 35))))
    faults = check.check(formats.find_dataset(None, str(drawn / 'cityscapes'))).faults
    found = [fault for fault in faults if re.match(
        '.*/gtFine/train/.*: holds train ids .* name them .*_gtFine_labelTrainIds.png', fault)]
    assert len(found) == (values in TRAIN_IDS)


@pytest.mark.parametrize('layout', MARKERS)
def test_layouts_are_told_by_their_folders(tmp_path, layout):
    """A layout that is not the folder's is refused with the one that is."""
    (tmp_path / MARKERS[layout]).mkdir(parents=True)
    for other in settings.DATASETS:
        if other not in (layout, 'kitti'):  # which has training/ too
            with pytest.raises(InputError, match=(
                    f'^{tmp_path}: has the format {layout} and not {other}, because there is no '
                    f'.*; name another folder .*, or train with --dataset {layout}$')):
                formats.find_dataset(other, str(tmp_path), 0)
    assert set(MARKERS) == set(formats.FORMATS) == set(settings.DATASETS)


@pytest.mark.parametrize('data_format, path, complaint', [
    (None, '', 'has no image with a mask; .* docs/data.md lists the formats that are known'),
    (None, 'none', 'no such folder; name one .*unpack archives'),
    ('camvid', 'none', 'no such folder'), ('kitti', 'none', 'KITTI Road is not there'),
    ('kitti', 'a.zip', 'no such folder; name one .*unpack archives'),
    ('folder', 'a.zip', 'no such folder; name one .*unpack archives'),
    ('kitti', '~/a', 'no such folder; .* expand ~ only after a space')])
def test_wrong_paths_are_named(tmp_path, data_format, path, complaint):
    (tmp_path / 'a.zip').write_bytes(b'PK')
    (tmp_path / 'train/images').mkdir(parents=True)
    wrong = path if path[:1] == '~' else os.path.join(tmp_path, path)
    with pytest.raises(InputError, match=f'^{wrong}: {complaint}'):
        formats.find_dataset(data_format, wrong)


def test_bits_sizes_and_turns_are_noted(tmp_path, capsys):
    """The levels of the brightest image decide for all, and test images are read alike."""
    folder, exif = tmp_path / 'camvid', Image.Exif()
    exif[0x0112] = 3
    for path, level, height, width in (
            ('train/0', 500, 48, 36), ('train/1', 4095, 30, 90), ('val/2', 90, 48, 36),
            ('test/3', 20000, 48, 36)):
        label = np.uint8(np.arange(height * width).reshape(height, width) % 12)
        save(folder / f'{path}.png', Image.fromarray(np.full(label.shape, level, np.uint16)),
             exif=exif if level == 500 else None)
        save(folder / f'{path}.png'.replace('/', 'annot/'), Image.fromarray(label))
    _, data = train_on(folder, '--image-size', '32x96')
    printed = capsys.readouterr().out
    for text in ('1 test images, such as of 30x90 pixels',
                 'images of 16 bits use 12 of them, so grey levels are divided by 16',
                 'train/0.png: is turned by its EXIF data; labels must be of'):
        assert text in printed
    swapped = data._replace(training=data.validation, validation=data.training)
    assert check.check(swapped).bits == 12
    read = [image[0, 0, 0] for _, image in images.read_frames(
        data.training + data.validation + data.testing)]
    assert read == [500 >> 4, 255, 90 >> 4, 255]


def test_target_leaves_two_classes(tmp_path):
    folder = str(write_camvid(tmp_path / 'camvid'))
    data = formats.find_dataset(None, folder)
    for names, title, target, ids, colour in (
            (('road', 'road'), 'not road', 'road', [3], (128, 64, 128)),
            (('car', 'road'), 'not car or road', 'car+road', [3, 8], (64, 0, 128))):
        two = formats.find_dataset(None, folder, target=names)
        assert [each.name for each in two.classes] == [title, target]
        assert two.classes[1].colour == colour
        assert formats.target_line(two) == f'Target: {target} ({str(ids)[1:-1]} in the masks)'
        label, full = (each.read_label(each.training[0].label) for each in (two, data))
        expected = np.where(full == 255, 255, np.isin(full, ids))
        np.testing.assert_array_equal(label, expected)
    write_camvid(tmp_path / 'camvid', values=2)
    with pytest.raises(InputError, match=f'^{folder}: no training label has a pixel of bicyclist'):
        train_on(folder, '--target', 'bicyclist')
    with pytest.raises(InputError, match='--target moon: CamVid has the classes sky, building, '):
        formats.find_dataset(None, folder, target=('road', 'moon'))


def test_open_dataset_says_what_is_there(tmp_path, capsys):
    folder = write_camvid(tmp_path / 'camvid', 120, 160, values=5)
    label = np.asarray(Image.open(folder / 'trainannot/0.png')).copy()
    label[0, 0] = 5
    save(folder / 'trainannot/0.png', Image.fromarray(label))
    args, data = train_on(folder)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == (f'CamVid in {folder}: 2 training, 1 validation and 0 test images, such '
                          'as of 120x160 pixels')
    assert printed[1].startswith('Classes by share of the training pixels: sky 20.0%, building ')
    assert printed[4].startswith(f'Note: {folder}: classes with less than 0.01% of the training '
                                 'pixels: tree (1 pixels), sign (0 pixels), fence ')
    assert 'Note: there are no test images, so the validation images will be painted' in printed
    assert printed[-1].startswith('Images are resized to 128x160 pixels')
    assert args.dataset == 'camvid' and args.image_size == (128, 160)
    assert isinstance(args.image_size, settings.DefaultSize)
    assert data.digests.keys() == {path for frame in data.training + data.validation
                                   for path in (frame.image, frame.label)}


def test_default_image_size_fits_the_data_and_a_given_one_stays(tmp_path, copied_scenes, capsys):
    camvid = write_camvid(tmp_path / 'camvid', 360, 480)
    for folder, words, size in (
            (camvid, (), (320, 416)), (camvid, ('--preset', 'laptop'), (352, 480)),
            (camvid, ('--image-size', '192x672'), (192, 672)),
            (camvid, ('--image-size', '320x96'), (320, 96)),  # mixed up
            (copied_scenes, ('--val-frames', '1'), (192, 672))):
        assert train_on(folder, *words)[0].image_size == size
        printed = capsys.readouterr().out
        assert ('Images are resized' in printed) == (size[1] in (416, 480))
        assert ('320x96 is taller than wide' in printed) == (size == (320, 96))
