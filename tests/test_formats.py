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
            with pytest.raises(InputError, match=f'^{tmp_path}: has the format {layout} and not '
                                                 f'{other}, because there is no .*; leave --data'):
                formats.find_dataset(other, str(tmp_path), 0)
    assert formats.detect(str(tmp_path)) == layout
    assert set(MARKERS) == set(formats.FORMATS) == set(settings.DATASETS)


def test_folders_of_no_known_layout_are_refused(tmp_path):
    with pytest.raises(InputError, match=f'^{tmp_path}: is no data set .* none of training/.*fold'):
        formats.find_dataset(None, str(tmp_path))
    write_camvid(tmp_path / 'inner')
    with pytest.raises(InputError, match=f'did you mean {tmp_path}/inner[?]$'):
        formats.find_dataset(None, str(tmp_path))
    with pytest.raises(InputError, match=f'did you mean {tmp_path}/inner[?]$'):
        formats.find_dataset(None, str(tmp_path / 'inner/train'))
    for layout, complaint in ((None, 'no such folder; name'), ('kitti', 'KITTI Road is not'),
                              ('camvid', 'no such folder; name that of the data set')):
        with pytest.raises(InputError, match=f'^{tmp_path}/none: {complaint}'):
            formats.find_dataset(layout, str(tmp_path / 'none'))


@pytest.mark.parametrize('folders, hint', [
    (('train/images', 'val/images', 'test/images'), 'move val/images to images/val, and its masks'),
    (('test/images',), 'move test/images to images/test'),
    (('training/images', 'validation/images'), 'move validation/images to images/validation'),
    (('test/leftImg8bit',), '[(]folder[)]'), (('TestSet/images',), '[(]folder[)]'),
    (('a_test/images', 'z/training/image_2'), 'did you mean .*/z[?]'),
    (('training/x',), '[(]folder[)]')])
def test_hints_never_lead_to_the_test_images(tmp_path, folders, hint):
    folder = tmp_path / 'test'
    for name in folders:
        (folder / name / 'inner').mkdir(parents=True)
    with pytest.raises(InputError, match=f'^{folder}: is no data set .*{hint}($|,| )'):
        formats.find_dataset(None, str(folder))
    with pytest.raises(InputError, match='[(]folder[)]$'):
        formats.find_dataset(None, str(folder / folders[0]))


@pytest.mark.parametrize('data_format', [None, 'kitti', 'folder'])
@pytest.mark.parametrize('path, complaint', [
    ('a.zip', 'a.zip: is a file; unpack it'), ('a', 'a.zip: is a file; unpack it'),
    ('~/mine', '~/mine: .*with a space'), ('~', '~: no such folder, because the shell')])
def test_wrong_paths_are_named(tmp_path, monkeypatch, data_format, path, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.zip').write_bytes(b'PK')
    with pytest.raises(InputError, match=f'^{complaint}'):
        formats.find_dataset(data_format, path)


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
    for text in ('1 test images, of 2 sizes, such as 30x90 pixels',
                 'images of 16 bits use 12 of them, so grey levels are divided by 16',
                 'train/0.png: is turned by its EXIF data (1 such images)',
                 'Note: 1 of 2 training images have other proportions than 32x96 and are squeezed'):
        assert text in printed
    read = [image[0, 0, 0] for _, image in images.read_frames(
        data.training + data.validation + data.testing)]
    assert read == [500 >> 4, 255, 90 >> 4, 255]


def test_target_leaves_two_classes(tmp_path):
    folder = str(write_camvid(tmp_path))
    data = formats.find_dataset(None, folder)
    assert formats.target_line(data) == 'Target: all 11 classes'
    for names, title in ((('road',), 'not road'), (('car', 'road'), 'not car or road')):
        two = formats.find_dataset(None, folder, target=names + names)
        assert [each.name for each in two.classes] == [title, '+'.join(names)]
        assert two.classes[1].colour == {'road': (128, 64, 128), 'car': (64, 0, 128)}[names[0]]
        assert formats.target_line(two) == (
            f'Target: {"+".join(names)} ({"3" if len(names) == 1 else "3, 8"} in the masks)')
        label, full = (each.read_label(each.training[0].label) for each in (two, data))
        expected = np.isin(full, [{'road': 3, 'car': 8}[name] for name in names])
        np.testing.assert_array_equal(label, np.where(full == 255, 255, expected))
        known, unknown = two.rule.count([[3, 0, 5], [8, 0, 7], [0, 0, 2], [11, 0, 1], [12, 0, 9]])
        assert known == ({0: 2, 1: 12, 255: 1} if len(names) == 2 else {0: 9, 1: 5, 255: 1})
        assert unknown == {12: 9}
    with pytest.raises(InputError, match='--target moon: CamVid has the classes sky, building, '):
        formats.find_dataset(None, folder, target=('road', 'moon'))


def test_kitti_targets_are_its_own_classes(scenes_dir):
    data = formats.find_dataset('kitti', scenes_dir, 1)
    two = formats.find_dataset('kitti', scenes_dir, 1, ('road',))
    assert [each.name for each in two.classes] == ['not road', 'road']
    path = data.training[0].label
    np.testing.assert_array_equal(two.read_label(path), data.read_label(path))


def test_open_dataset_says_what_is_there(tmp_path, capsys):
    folder = write_camvid(tmp_path, values=5)
    args = parse(folder)
    data = formats.open_dataset(args)
    formats.fit_settings(args, data)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == (f'CamVid in {folder}: 2 training, 1 validation and 0 test images, mostly '
                          'of 36x48 pixels')
    assert printed[1] == ('Classes by share of the training pixels: sky 20.0%, building 20.0%, '
                          'pole 20.0%, road 20.0%, pavement 20.0%, tree 0.0%, sign 0.0%, fence '
                          '0.0%, car 0.0%, pedestrian 0.0%, bicyclist 0.0%')
    assert 'no test images' in printed[3]
    assert 'classes that never occur in the training labels: tree, sign, fence,' in printed[4]
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


def test_open_dataset_counts_the_faults_and_names_the_first(tmp_path):
    folder = write_camvid(tmp_path / 'my data')
    os.remove(folder / 'trainannot/0.png')
    os.remove(folder / 'val/2.png')
    with pytest.raises(InputError, match=rf'train/0.png: has no label; .* \(2 faults; `python '
                                         f'main.py check --dataset-dir .{folder}.` lists them'):
        formats.open_dataset(parse(folder))


@pytest.mark.parametrize('target, complaint', [
    ('bicyclist', 'no training label has a pixel of bicyclist. Label more'),
    ('sky,building',
     r'in the training labels every pixel that is not ignored is sky\+building. Label')])
def test_targets_that_cannot_be_learned_are_refused(tmp_path, target, complaint):
    folder = write_camvid(tmp_path, values=2)
    with pytest.raises(InputError, match=f'^{folder}: {complaint}'):
        formats.open_dataset(parse(folder, '--target', target))


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
