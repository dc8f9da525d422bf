"""Which layout a folder has, --target, the default image size, and what is said and refused."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from road import settings
from road.data import formats, images
from road.errors import InputError
from tests.test_folder import grey, save, write_folder

MARKERS = {
    'kitti': 'training/gt_image_2', 'kitti-semantics': 'training/semantic',
    'camvid': 'trainannot', 'cityscapes': 'leftImg8bit/train', 'folder': 'images'}


def parse(folder, *words):
    return settings.parse_training(['--dataset-dir', str(folder), '--data-dir',
                                    str(folder / 'data'), *words])


def write_camvid(folder, height=36, width=48, values=12):
    rng = np.random.default_rng(0)
    for i, split in enumerate(('train', 'train', 'val')):
        save(folder / split / f'{i}.png',
             Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)))
        save(folder / f'{split}annot' / f'{i}.png', Image.fromarray(
            np.uint8(np.arange(height * width).reshape(height, width) % values)))
    return folder


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
    (None, '', 'is no data set .* none of training/.*; .* move SPLIT/images to images/SPLIT'),
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
    folder, exif = write_camvid(tmp_path), Image.Exif()
    exif[0x0112] = 3
    for path, level, height, width in (
            ('train/0', 500, 48, 36), ('train/1', 4095, 30, 90), ('val/2', 90, 48, 36),
            ('test/3', 65535, 48, 36)):
        label = np.uint8(np.arange(height * width).reshape(height, width) % 12)
        save(folder / f'{path}.png', Image.fromarray(np.full(label.shape, level, np.uint16)),
             exif=exif if level == 500 else None)
        save(folder / f'{path}.png'.replace('/', 'annot/'), Image.fromarray(label))
    args = parse(folder, '--image-size', '32x96')
    data = formats.open_dataset(args)
    formats.fit_settings(args, data)
    printed = capsys.readouterr().out
    for text in ('1 test images, such as of 30x90 pixels',
                 'images of 16 bits use 12 of them, so grey levels are divided by 16',
                 'train/0.png: is turned by its EXIF data; labels must be of',
                 'Note: 1 of 2 training images have other proportions than 32x96 and are squeezed'):
        assert text in printed
    read = [image[0, 0, 0] for _, image in images.read_frames(
        data.training + data.validation + data.testing)]
    assert read == [500 >> 4, 255, 90 >> 4, 255]


@pytest.mark.parametrize('names, title, ids', [
    (('road', 'road'), 'not road', '3'), (('car', 'road'), 'not car or road', '3, 8')])
def test_target_leaves_two_classes(tmp_path, names, title, ids):
    folder = str(write_camvid(tmp_path))
    data = formats.find_dataset(None, folder)
    two = formats.find_dataset(None, folder, target=names)
    target = '+'.join(dict.fromkeys(names))
    assert [each.name for each in two.classes] == [title, target]
    assert two.classes[1].colour == {'road': (128, 64, 128), 'car': (64, 0, 128)}[names[0]]
    assert formats.target_line(two) == f'Target: {target} ({ids} in the masks)'
    label, full = (each.read_label(each.training[0].label) for each in (two, data))
    expected = np.isin(full, list(map(int, ids.split(','))))
    np.testing.assert_array_equal(label, np.where(full == 255, 255, expected))


def test_targets_are_classes(tmp_path):
    folder = str(write_camvid(tmp_path))
    assert formats.target_line(formats.find_dataset(None, folder)) == 'Target: all 11 classes'
    write_camvid(tmp_path, values=2)
    with pytest.raises(InputError, match=f'^{folder}: no training label has a pixel of bicyclist'):
        formats.open_dataset(parse(tmp_path, '--target', 'bicyclist'))
    with pytest.raises(InputError, match='--target moon: CamVid has the classes sky, building, '):
        formats.find_dataset(None, folder, target=('road', 'moon'))


def test_open_dataset_says_what_is_there(tmp_path, capsys):
    folder = write_camvid(tmp_path, values=5)
    args = parse(folder)
    data = formats.open_dataset(args)
    formats.fit_settings(args, data)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == (f'CamVid in {folder}: 2 training, 1 validation and 0 test images, such '
                          'as of 36x48 pixels')
    assert printed[1].startswith('Classes by share of the training pixels: sky 20.0%, building ')
    assert printed[4] == (f'Note: {folder}: no training label has a pixel of tree, sign, fence, '
                          'car, pedestrian, bicyclist')
    assert 'Note: there are no test images, so none will be painted' in printed
    assert printed[-1].startswith('Images are resized to 32x64 pixels')
    assert args.dataset == 'camvid' and args.image_size == (32, 64)
    assert isinstance(args.image_size, settings.DefaultSize)
    assert data.digests.keys() == {path for frame in data.training + data.validation
                                   for path in (frame.image, frame.label)}


def test_default_image_size_fits_the_data_and_a_given_one_stays(tmp_path, scenes_dir, capsys):
    folder = write_camvid(tmp_path, 360, 480)
    for words, size in (((), (320, 416)), (('--preset', 'laptop'), (352, 480)),
                        (('--image-size', '192x672'), (192, 672))):
        args = parse(folder, *words)
        formats.fit_settings(args, formats.open_dataset(args))
        assert args.image_size == size
        assert ('Images are resized' in capsys.readouterr().out) == ('--image-size' not in words)
    words = ['--dataset-dir', scenes_dir, '--data-dir', str(tmp_path), '--val-frames', '1']
    args = settings.parse_training(words)
    formats.fit_settings(args, formats.open_dataset(args))
    assert args.image_size == (192, 672) and args.dataset == 'kitti'


def test_open_dataset_names_the_first_fault(tmp_path):
    folder = write_camvid(tmp_path / 'my data')
    os.remove(folder / 'trainannot/0.png')
    os.remove(folder / 'val/2.png')
    with pytest.raises(InputError, match=rf'train/0.png: has no label .* \(`python main.py check '
                                         f"--dataset-dir '{folder}'` lists all faults"):
        formats.open_dataset(parse(folder))


def test_masks_are_read_once_for_several_starts(tmp_path, monkeypatch):
    """Also where their values tell the classes, and another data set was opened between."""
    folder = write_folder(tmp_path / 'mine', grey(0, 1))
    other = write_camvid(tmp_path / 'camvid')
    first = formats.open_dataset(parse(folder))
    shutil.copytree(folder / 'data', other / 'data')
    formats.open_dataset(parse(other))
    shutil.copytree(other / 'data', folder / 'data', dirs_exist_ok=True)
    monkeypatch.delattr('road.data.labels.open_image')
    monkeypatch.delattr('road.data.images.open_image')
    second = formats.open_dataset(parse(folder))
    assert second.digests == first.digests and second.classes == first.classes
