"""Own pictures: masks of every kind, classes.txt, splits, and a folder with one fault each."""

import io
import os
import re
import shutil
import subprocess
import unicodedata
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import main
from road import settings
from road.data import check, formats
from road.data.folder import read_classes_file
from road.errors import InputError

NAMES = 'a', 'b c', 'sub/d.1', 'sub/é', 'sub/f', 'g', 'h'  # the last of them is sub/é
ROAD = np.tri(20, 30, dtype=bool)


def save(path, picture, **options):
    """`picture` may be a file in memory too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, io.BytesIO):
        path.write_bytes(picture.getvalue())
    else:
        picture.save(path, **options)


def photo(seed, height=20, width=30):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def grey(low, high, kind=np.uint8):
    return lambda road: Image.fromarray(np.where(road, high, low).astype(kind))


def colours(mode, low, high):
    return lambda road: Image.fromarray(
        np.where(road[..., np.newaxis], high, low).astype(np.uint8), mode)


def palette(*table):
    def draw(road):
        image = Image.fromarray(np.uint8(road))
        image.putpalette(np.uint8(table).tobytes())
        return image
    return draw


RED, GREY, BINARY, BIT = palette((0, 0, 0), (128, 0, 0)), grey(0, 1), grey(0, 255), Image.fromarray


def write_folder(folder, *masks, names=NAMES, classes=None):
    """Pictures whose masks are drawn by each of `masks` in turn; BINARY where there is none."""
    for i, name in enumerate(sorted(names)):
        save(folder / f'images/{name}.png', photo(i))
        draw = masks[i % len(masks)] if masks else BINARY
        save(folder / f'masks/{name}.png', draw(ROAD))
    if classes:
        (folder / 'classes.txt').write_text(classes, encoding='utf-8')
    return folder


@pytest.fixture
def mine(tmp_path):
    return write_folder(tmp_path / 'my pictures é')


def find(folder, val_frames=None):
    return formats.find_dataset('folder', str(folder), val_frames)


def train_on(folder, *words):
    """The settings and the Dataset that a training would start with."""
    args = settings.parse_training(
        ['--dataset-dir', str(folder), '--data-dir', f'{folder}/../data', *words])
    data = formats.open_dataset(args)
    formats.fit_settings(args, data)
    return args, data


def faults_of(folder, data_format='folder'):
    """The faults that check finds, of which a training raises the first."""
    try:
        faults = check.check(formats.find_dataset(data_format, str(folder))).faults
    except InputError as error:
        faults = [str(error)]
    assert all('\n' not in fault for fault in faults)
    if faults:
        with pytest.raises(InputError) as raised:
            train_on(folder, *(['--dataset', data_format] if data_format else []))
        assert str(raised.value).startswith(faults[0])
    return faults


RGB_ROAD = colours('RGB', (0, 0, 0), (128, 64, 128))
IDS, COLOURS = '0 sky\n1 road\n', '#000000 sky\n#800000 road\n'


def swapped(road):
    return palette((128, 0, 0), (0, 0, 0))(~road)


def third(*table):
    return lambda road: palette(*table)(np.where(road, 2, 0))


# masks in turn, and classes.txt
READ = {
    'grey': ((BINARY,), None), 'grey ids': ((GREY,), None), 'without 0': ((grey(1, 2),), None),
    '16 bits': ((grey(0, 700, np.uint16),), None), '1 bit': ((BIT,), None),
    'RGB': ((RGB_ROAD,), None), 'no black': ((colours('RGB', (9, 20, 3), (255, 0, 0)),), None),
    'the darker colour': ((colours('RGB', (195, 0, 0), (100, 0, 255)),), None),
    'RGBA': ((colours('RGBA', (9, 9, 9, 0), (255, 0, 0, 255)),), None), 'palette': ((RED,), None),
    'black is not first': ((swapped,), None), 'palettes in another order': ((RED, swapped), None),
    'quantized': ((lambda road: RGB_ROAD(road).quantize(2), RGB_ROAD), None),
    'bit and 0/255': ((BIT, BINARY), None),
    '8 and 16 bits, scaled': ((BINARY, grey(0, 65535, np.uint16)), None),
    '16-bit ids': ((grey(0, 300, np.uint16),), '0 sky\n300 road way\n'),
    'parts': ((colours('RGBA', (7, 8, 9, 0), (255, 0, 255, 255)),),
              '0,0,0 sky\n255, 0 ,255 road\n'),
    'parts of CamVid': ((RGB_ROAD,), '0 0 0\t\tsky\n128 64 128 road\n'),
    'a class of two values': ((grey(0, 9), GREY), '0 sky\n1 road\n9 road\n'),
    'palette by colour': ((RED, swapped), COLOURS), 'palette by id': ((RED,), IDS),
    'unused entries differ': ((RED, palette((0, 0, 0), (128, 0, 0), (1, 2, 3))), IDS),
    'two entries of one colour': ((third((0, 0, 0), (9, 9, 9), (9, 9, 9)),), '0 sky\n2 road'),
    'palette of grey levels': ((palette(*([i] * 3 for i in range(256))), GREY), IDS),
    'ids and alpha': ((lambda road: GREY(road).convert('LA'),), IDS),
    'ids in RGB': ((lambda road: GREY(road).convert('RGB'),), IDS),
    'grey by colour': ((BINARY,), '#000000 sky\n#ffffff road\n'),
    '1-bit ids': ((BIT,), IDS), '8 and 16 bits': ((GREY, grey(0, 1, np.uint16)), IDS)}


@pytest.mark.parametrize('masks, classes', READ.values(), ids=READ)
def test_masks_of_two_values_are_background_and_road(tmp_path, masks, classes):
    folder = write_folder(tmp_path / 'mine', *masks,
                          classes=classes and f'\ufeff# mine\n\n{classes}')
    assert faults_of(folder) == []
    data = find(folder)
    assert data.classes[0].name == ('sky' if classes else 'background')
    for frame in data.training + data.validation:
        np.testing.assert_array_equal(data.read_label(frame.label), np.uint8(ROAD), strict=True)


@pytest.mark.parametrize('empty, other', [(RED, RED), (BIT, GREY), (GREY, RED)])
def test_masks_of_black_alone_may_be_of_another_mode(tmp_path, empty, other):
    folder = write_folder(tmp_path / 'mine', other, lambda road: empty(road & False), classes=IDS)
    assert faults_of(folder) == []


def test_a_folder_that_cannot_be_read_is_no_missing_data(mine, monkeypatch):
    scandir, refused = os.scandir, Mock(side_effect=PermissionError)
    monkeypatch.setattr(
        os, 'scandir', lambda path: (refused if str(path).endswith('sub') else scandir)(path))
    with pytest.raises(PermissionError):
        find(mine)


def test_classes_file_gives_names_colours_and_what_does_not_count(tmp_path):
    path = tmp_path / 'classes.txt'
    path.write_text('#comment\n  5   traffic light\t#0A0B0C \n255 Ignore\n9 ignore #ffffff\n'
                    '2 x #010203\n0 background\n#\n1 a #1 b\n15 c\n', encoding='utf-8')
    classes, rule = read_classes_file(str(path))
    assert classes == (('background', (0, 0, 0)), ('traffic light', (10, 11, 12)), ('x', (1, 2, 3)),
                       ('a #1 b', (128, 0, 0)), ('c', (192, 128, 128)))  # as in VOC's palette
    assert rule.indices == {0: 0, 5: 1, 2: 2, 1: 3, 15: 4, 255: 255, 9: 255} and not rule.by_colour
    path.write_text('#010203 a\n#040506 b #0a0b0c\n#070809 a\n')
    assert [each.colour for each in read_classes_file(str(path))[0]] == [(1, 2, 3), (10, 11, 12)]


@pytest.mark.parametrize('text, complaint', [
    ('', 'has 0 classes; give 2 to 254'), ('0 sky\n255 ignore\n', 'has 1 classes'),
    ('0 sky\nroad\n', ':2: road: expected VALUE NAME'), ('0 sky\n1\n', ':2: 1: expected VALUE'),
    ('#ff0000\n1 sky\n', ':1: #ff0000: expected VALUE NAME'),
    ('0 sky #12345\n', ':1: 0 sky #12345: expected VALUE NAME .#RRGGBB.'),
    ('0 sky\n#ff0000 road\n', ':2: #ff0000 road: expected .* all of them ids, 0 to 65535, or'),
    ('0 sky\n0 road\n', ':2: 0 road: expected .* each value once'),
    ('0 sky\n\n1 sky\n', 'has 1 classes'),
    ('0 sky #ff0000\n1 road #ff0000\n', 'sky, road: would be painted in one colour'),
    ('0 300 0 sky\n', ':1: 0 300 0 sky: expected VALUE .* parts 0 to 255'),
    ('70000 sky\n', ':1: .*ids, 0 to 65535'), (b'0 sk\xff\n', 'is not a text file in UTF-8'),
    ('\n'.join(f'{i} c{i}' for i in range(255)), 'has 255 classes')])
def test_faults_of_classes_file_name_the_line(mine, text, complaint):
    path = mine / 'classes.txt'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f'^{path}(: )?{complaint}') as raised:
        find(mine)
    assert faults_of(mine) == [str(raised.value)]


def smooth(road):
    return BINARY(road[::4, ::4]).resize(road.shape[::-1], Image.Resampling.BILINEAR)


def jpeg(road, kind='JPEG'):
    file = io.BytesIO()
    BINARY(road).save(file, kind)
    return file


# masks in turn, classes.txt, and the fault
REFUSED = {
    'palettes in another order': ((RED, swapped), IDS, '/b c.png: the value 1 is #000000 here, but '
                                  '#800000 in .*/a.png; .* list colours in classes.txt'),
    'an unused entry was removed': ((RED, third((0, 0, 0), (1, 2, 3), (128, 0, 0))), IDS + '2 car',
                                    '#800000 is the value 2 here, but the value 1 in .*/a.png'),
    'palette and grey': ((RED, GREY), IDS, 'the image is grey here, but of a palette in .*/a.png'),
    'palette and grey, no classes': ((RED, GREY), None, 'b c.png: is a grey image, where colours'),
    'palette made of grey': ((palette((0, 0, 0), (255, 255, 255)), BINARY), IDS + '255 car',
                             'the image is grey here, but of a palette'),
    'bit and grey': ((BIT, GREY), IDS, 'the image is grey here, but of 1 bit in .*/a.png'),
    'bit and palette': ((BIT, RED), IDS, 'the image is of a palette here, but of 1 bit'),
    'places in another order': ((swapped,), '0 background\n1 road', 'a.png: black is 1, and not '
                                'background; .* list colours in classes.txt'),
    'JPEG': ((jpeg,), None, r'masks/a.png: is a JPEG .*in 7 of 7 labels .*; export labels as PNG$'),
    'WebP': ((lambda road: jpeg(road, 'WEBP'),), None, 'masks/a.png: is a WEBP image, which cha'),
    'JPEG of known values': ((GREY, lambda road: jpeg(road & False)), IDS,
                             r'b c.png: is a JPEG image, .* at edges; .* in 3 of 7 labels'),
    'resized smoothly': ((BINARY, smooth) + (BINARY,) * 5, None,
                         r'masks/b c.png: has values between .*\(b c.png\); resize labels'),
    'of another size': ((BINARY, lambda road: smooth(road).resize((15, 10))), None,
                        'masks/b c.png: is 10x15 pixels, but its image is 20x30; a label must be'),
    'two words for road': ((BINARY, GREY, GREY), None, 'a.png: the value 255 is no class; .* masks '
                           'are 0 for background and 1 for target; for other values write .*/mine/'
                           r'classes.txt, a line .* \(several may have one name, and ignore marks'),
    'all black': ((grey(0, 0),), None, r'masks: no mask has a pixel of a target, every pixel is 0 '
                  r'\(or transparent\); save the target with another value$'),
    'photographs': ((lambda road: photo(3),), None, 'has more than 8 values that are no class'),
    'RGB and ids': ((RGB_ROAD,), IDS, 'a.png: is an RGB image, where ids are .*; list colours in'),
    'ids and colours': ((GREY,), COLOURS, 'is a grey image, where colours .*; list ids in'),
    'a value of no class': (
        (BINARY, grey(0, 9)), '0 sky\n255 road\n', r'masks/b c.png: the value 9 is no class; 630 '
        r'pixels in 3 of 7 labels \(b c.png, h.png, f.png\); give it a line in '
        '.*/classes.txt, with the name ignore for ignored pixels$')}


@pytest.mark.parametrize('masks, classes, complaint', REFUSED.values(), ids=REFUSED)
def test_faults_of_masks_name_the_cause(tmp_path, masks, classes, complaint):
    folder = write_folder(tmp_path / 'mine', *masks, classes=classes)
    fault = faults_of(folder)[0]
    assert re.search(complaint, fault)
    assert fault.startswith(f'{folder}/masks')
    assert len(fault) < 1500


@pytest.mark.parametrize('low, high, classes, line', [
    (0, 1, None, 'target (1'), (255, 0, None, 'target (255'), (2, 1, None, 'target (2'),
    ((0, 255, 0), (255, 0, 0), None, 'target (#00ff00'),
    ((9, 9, 9), (0, 0, 255), None, 'target (#0000ff'),
    ((255, 255, 255), (0, 0, 128), None, 'target (#000080'),
    *((1, 0, f'0 road\n1 {name}\n', 'road (0') for name in (
        'background', 'Background', '_background_', 'BACKGROUND', 'not road')),
    (0, 1, '0 a\n1 b\n', 'b (1'), (0, 9, '0 background\n9 road\n8 road\n', 'road (9, 8')])
def test_the_class_that_is_looked_for_is_told(tmp_path, capsys, low, high, classes, line):
    mask = grey(low, high) if isinstance(low, int) else colours('RGB', low, high)
    folder = write_folder(tmp_path / 'mine', mask, classes=classes)
    train_on(folder)
    assert main.main(['check', '--dataset-dir', str(folder), '--data-dir', str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(f'Target: {line} in the masks)\n') == 2


def test_images_of_any_format_and_masks_pair_by_stem(tmp_path):
    """The stem's accents may be composed or not."""
    for name in ('a.JPG', 'b.jpeg', 'c.webp', 'd.bmp', 'e.TIF', 'f.gif', 'é.png'):
        save(tmp_path / 'images' / unicodedata.normalize('NFD', name), photo(1))
        save(tmp_path / 'masks' / unicodedata.normalize('NFC', f'{name[0]}.png'), BINARY(ROAD))
    os.rename(tmp_path / 'masks/a.png', tmp_path / 'masks/a.PNG')
    assert names_of(find(tmp_path, 0)) == [list('abcdefé'), [], []]
    assert faults_of(tmp_path) == []


def names_of(data):
    return [[frame.name for frame in part]
            for part in (data.training, data.validation, data.testing)]


def test_the_last_names_validate_or_those_of_a_list(mine):
    ordered = sorted(NAMES)
    assert names_of(find(mine)) == [ordered[:-1], ordered[-1:], []]  # 15 % of 7
    assert names_of(find(mine, 3)) == [ordered[:-3], ordered[-3:], []]
    assert names_of(find(mine, 0)) == [ordered, [], []]
    with pytest.raises(InputError, match='--val-frames 7: .*: only 7 labelled images, so '):
        find(mine, 7)
    (mine / 'val.txt').write_text(
        unicodedata.normalize('NFD', '# those of March\n\nb c\né.PNG\nsub/d.1\nb c\n'), 'utf-8')
    data = find(mine)
    assert names_of(data) == [['a', 'g', 'h', 'sub/f'], ['b c', 'sub/d.1', 'sub/é'], []]
    assert data.faults == () == find(mine, 0).faults


@pytest.mark.parametrize('folders', [
    ('train', 'val', 'test'), ('Train', 'Val', 'Test'), ('TRAIN', 'VAL', 'TEST'),
    ('training', 'validation', 'testing'), ('train', 'valid', 'test'), ('train', 'val', None),
    ('berlin', 'Valid', 'testing'), ('valencia', 'val', 'TEST'), ('train/train_01', 'val', 'test')])
def test_split_folders(tmp_path, folders):
    names = [[f'{folder}/{i}' for i in range(2)] if folder else [] for folder in folders]
    folder = write_folder(tmp_path / 'mine', names=sum(names, []))
    shutil.rmtree(folder / f'masks/{folders[2]}', ignore_errors=True)  # they need no masks
    assert names_of(find(folder)) == names
    assert faults_of(folder) == []
    with pytest.raises(InputError, match='--val-frames 1: .* has validation images of its own'):
        find(folder, 1)


CVAT = '# label:color_rgb:parts:actions\nVoid:9,9,9::\nsky:0,0,0::\nroad way:128,64,128:a,b:c\n'
CAMVID, KAGGLE = '0 0 0\tsky\n128 64 128\t\troad way', 'name,r,g,b\nsky,0,0,0\nroad way,128,64,128'
ROBOFLOW = 'Pixel Value, Class\n0, sky\n1, road way\n'
LAYOUTS = {
    'splits': ('SPLIT/images/NAME.jpg', 'SPLIT/masks/NAME.png', 'labelmap.txt', CVAT),
    'suffix': ('images/SPLIT/NAME.jpg', 'masks/SPLIT/NAME_mask.png', 'label_colors.txt', CAMVID),
    'CamVid': ('SPLIT/images/NAME.png', 'SPLIT/masks/NAME_L.png', 'class_dict.csv', KAGGLE),
    'beside': ('images/SPLIT/NAME.jpg', 'images/SPLIT/NAME_mask.png', 'labelmap.txt', CAMVID),
    'Roboflow': ('SPLIT/NAME.jpg', 'SPLIT/NAME_mask.png', 'train/_classes.csv', ROBOFLOW),
    'CVAT': ('SPLIT/NAME.jpg', 'SPLITannot/NAME.png', 'label_colors.txt', f'# color\n{CAMVID}')}
FRAMES = [[f'{split}/{split[:2]}.{i}' for i in range(2)] for split in ('train', 'valid', 'test')]


def write_layout(folder, image, mask, draw=RGB_ROAD):
    """Returns (image, mask) of each frame."""
    pairs = [[folder / path.replace('SPLIT', split).replace('NAME', name) for path in (image, mask)]
             for split, name in (frame.split('/') for frame in sum(FRAMES, []))]
    for i, (image_path, mask_path) in enumerate(pairs):
        save(image_path, photo(i))
        save(mask_path, draw(ROAD))
    return pairs


@pytest.mark.parametrize('image, mask, list_name, classes', LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_of_labelling_tools(tmp_path, capsys, image, mask, list_name, classes):
    pairs = write_layout(tmp_path, image, mask, GREY if classes == ROBOFLOW else RGB_ROAD)
    touch(tmp_path / list_name, classes)
    if 'annot' in mask:
        touch(tmp_path / 'val.txt', '/valid/va.0.jpg /validannot/va.0.png')
    _, data = train_on(tmp_path)
    printed = capsys.readouterr().out
    used = (*(path.relative_to(tmp_path) for path in pairs[0]), list_name)
    assert 'Recognised: image {}, mask {}, classes from {}\n'.format(*used) in printed
    assert 'is left out' not in printed
    assert names_of(data) == FRAMES
    assert [each.name for each in data.classes] == ['sky', 'road way']
    np.testing.assert_array_equal(data.read_label(data.testing[1].label), ROAD)
    os.remove(pairs[-1][1])  # masks of test images are optional
    assert faults_of(tmp_path, None) == []
    os.remove(pairs[0][1])
    assert faults_of(tmp_path, None)[0].startswith(f'{pairs[0][0]}: has no label in ')


UNKNOWN = {
    'VOC': ('JPEGImages/NAME.jpg', 'SegmentationClass/NAME.png'),
    'other words': ('my imgs/SPLIT/NAME.jpg', 'gt/SPLIT/NAME.png'),
    'in splits': ('SPLIT/img/NAME.jpg', 'SPLIT/label/NAME.png'),
    'Kaggle': ('SPLIT/NAME.png', 'SPLIT_labels/NAME_L.png'),
    'Supervisely': ('a SPLIT/img/NAME.jpg', 'a SPLIT/masks_machine/NAME.png'),
    'masks below': ('SPLIT/NAME.jpg', 'SPLIT/masks/NAME.png'),
    'BDD': ('images/10k/SPLIT/NAME.jpg', 'labels/sem_seg/masks/SPLIT/NAME.png'),
    'a space': ('my drive/rgb/NAME.jpg', 'my drive/gt/NAME.png'),
    'images alone': ('NAME.jpg', 'labels/NAME.png')}


@pytest.mark.parametrize('image, mask', UNKNOWN.values(), ids=UNKNOWN)
def test_commands_for_an_unknown_layout(tmp_path, image, mask):
    write_layout(tmp_path / 'my set', image, mask)
    with pytest.raises(InputError, match='my set: is in no known format; ') as raised:
        formats.find_dataset(None, str(tmp_path / 'my set'))
    subprocess.run(str(raised.value).split('masks/NAME: ')[1], shell=True, check=True)
    data = formats.find_dataset(None, str(tmp_path / 'my set'))
    assert data.faults == ()
    assert list(map(len, names_of(data))) == ([2, 2, 2] if 'SPLIT' in image else [5, 1, 0])


def test_split_folders_beside_other_images(tmp_path):
    folder = write_folder(tmp_path / 'mine', names=('x', 'val', 'val/a', 'test/a'))
    assert names_of(find(folder)) == [['val', 'x'], ['val/a'], ['test/a']]
    shutil.rmtree(folder / 'images/val')
    shutil.rmtree(folder / 'masks/val')
    assert names_of(find(folder)) == [['val'], ['x'], ['test/a']]


@pytest.mark.parametrize('stray, others', [
    ('dev', ['train', 'val']), ('train1', ['val1']), ('test2017', []), ('my-Test', ['berlin']),
    ('trainval', ['test']), ('berlin/test', ['berlin/train']), ('train/val', ['train']),
    ('training', ['train', 'val']), ('TestSet', ['a']), ('berlin', ['train'])])
def test_a_folder_that_looks_like_a_split_is_a_fault(tmp_path, stray, others):
    names = [f'{folder}/{i}' for folder in [stray, *others] for i in range(2)]
    folder = write_folder(tmp_path / 'mine', names=names)
    assert any(fault.startswith(f'{folder}/images/{stray}: holds images beside train, or is named')
               for fault in faults_of(folder))


@pytest.mark.parametrize('links, found', [
    ({'train/x': '../val', 'val/y': '../train'}, ''),
    ({'train/x': '.', 'val/y': '../..', 'val/z': '../../..'}, ''),
    ({'train/x': 'x', 'val/y': '/nowhere'}, ''),
    ({'train/x': '../../../more', 'val/y': '../../../more'}, 'train/x/d'),
    ({'train/x': '../../../more', 'val/y': '../../../more/deep'}, 'train/x/d'),
    ({'train/l.png': '../../../more/d.png'}, 'train/l'), ({'test': '../../more'}, 'test/d')])
def test_what_links_lead_to_is_read_once(tmp_path, links, found):
    small = ['train/a', 'train/b', 'val/c']
    folder = write_folder(tmp_path / 'mine', names=small)
    save(tmp_path / 'more/d.png', BINARY(ROAD))
    (tmp_path / 'more/deep').mkdir()
    os.symlink('../../more', tmp_path / 'more/deep/loop')
    for part in ('images', 'masks'):
        for path, target in links.items():
            os.symlink(target, folder / part / path)
    assert sorted(sum(names_of(find(folder)), [])) == sorted(small + found.split())
    assert faults_of(folder) == []


@pytest.mark.parametrize('name', [
    '@eaDir/a.png/THUMB.png', '__MACOSX/._a.png', '#recycle/a.png', '.ipynb_checkpoints/a.png',
    '.nfs0001', '._a.JPG', 'Thumbs.db', 'a.pcd', 'a.h5', 'sub/d.1.NEF', 'a.heic'])
def test_files_of_systems_and_cameras_beside_images_are_skipped(mine, name):
    save(mine / 'images/folder.png/x.png', photo(1))
    save(mine / 'masks/folder.png/x.png', BINARY(ROAD))
    touch(mine / 'images' / name, 'x')
    assert faults_of(mine) == []
    assert len(find(mine, 0).training) == 8


def touch(path, text=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


FAULTS = {
    'no masks': (lambda d: shutil.rmtree(d / 'masks'), ' has no image with a mask; put i'),
    'no mask': (lambda d: os.remove(d / 'masks/sub/f.png'), 'images/sub/f.png: has no label in'),
    'no image': (lambda d: os.remove(d / 'images/sub/f.png'),
                 'masks/sub/f.png: there is no image of this label'),
    'unreadable mask': (lambda d: touch(d / 'masks/a.png'), 'masks/a.png: not a readable image'),
    'unreadable image': (lambda d: touch(d / 'images/a.png', 'x'), 'images/a.png: not a readable'),
    'a pipe': (lambda d: (os.remove(d / 'masks/a.png'), os.mkfifo(d / 'masks/a.png')),
               'masks/a.png: is no file but a folder, pipe'),
    'a wrong byte': (lambda d: flip(d / 'images/a.png'), 'images/a.png: not a readable image'),
    'same stem': (lambda d: shutil.copy(d / 'images/a.png', d / 'images/a.jpg'),
                  r'images/a.(png|jpg): .*/a.(png|jpg) has the same name; rename one of them'),
    'other case': (lambda d: write_folder(d, names=['A']),
                   r'images/a.png: .*/A.png has the same name; rename one of them'),
    'turned': (lambda d: save(d / 'masks/a.png', BINARY(ROAD.T)), 'masks/a.png: is 30x20 pixels, '
               'but its image is 20x30; one of them is turned, perhaps by EXIF data'),
    'unknown stem': (lambda d: touch(d / 'val.txt', 'a\nnix\n'), 'val.txt:2: nix: 0 images have'),
    'two stems': (lambda d: (touch(d / 'val.txt', 'a'), write_folder(d, names=['sub/a'])),
                  'val.txt:1: a: 2 images have this stem'),
    'no stem': (lambda d: touch(d / 'val.txt', '\n'), 'val.txt: names no image'),
    'all validate': (lambda d: touch(d / 'val.txt', '\n'.join(NAMES)), 'images: no image is left'),
    'empty split': (lambda d: (d / 'images/val').mkdir(), 'images/val: holds no images'),
    'two splits': (lambda d: (write_folder(d, names=['val/a']), touch(d / 'val.txt', 'b c')),
                   'val.txt: .*images has images to validate too')}


@pytest.mark.parametrize('break_it, complaint', FAULTS.values(), ids=FAULTS)
def test_a_folder_with_one_fault(mine, break_it, complaint):
    """Found by check and by a training, and nothing else is called a fault."""
    break_it(mine)
    fault, = faults_of(mine)
    assert re.match(complaint, fault[len(f'{mine}/'):])


def test_check_from_another_working_directory(mine, monkeypatch, capsys):
    monkeypatch.chdir(mine / 'images')
    words = ['check', '--dataset-dir', f'../../{mine.name}', '--data-dir', '../../data']
    assert main.main(words) == 0
    printed = capsys.readouterr().out
    assert f'Own pictures in ../../{mine.name}: 6 training, 1 validation and 0 test' in printed
    for split in ('training', 'validation'):
        assert (f'Classes by share of the {split} pixels: background {1 - ROAD.mean():.1%}, target '
                f'{ROAD.mean():.1%}, ignored 0.0%\n') in printed
    os.remove(mine / 'masks/a.png')
    assert main.main(words) == 2
    assert capsys.readouterr().out.count(f'Fault: ../../{mine.name}/') == 1
