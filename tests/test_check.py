"""Faults of a data folder: each is named by its file, and nothing else is called a fault."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main
from road import settings
from road.data import check, formats, images, labels
from road.errors import InputError

IMAGE, TEST = 'training/image_2/um_000001.png', 'testing/image_2/uu_000000.png'
LABEL, CALIB = 'training/gt_image_2/umm_road_000002.png', 'training/calib/uu_000000.txt'


def resave(path, change=lambda image: image, **options):
    change(Image.open(path).convert('RGB')).save(path, **options)


def with_pixel(colour):
    def change(image):
        image.putpixel((5, 7), colour)
        return image
    return change


def flip(path):
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 255
    write(path, content)


def write(path, content):
    Path(path).write_bytes(content)


def open_data(folder, tmp_path, *words):
    return formats.open_dataset(settings.parse_training(
        ['--dataset-dir', folder, '--data-dir', str(tmp_path), '--val-frames', '1', *words]))


def check_kitti(folder):
    return check.check(formats.find_dataset('kitti', folder, 0))


LINKS = pytest.mark.skipif(os.name == 'nt', reason='links need rights on Windows')
FAULTS = [
    (IMAGE, lambda p: write(p, b''), 'the file is empty'),
    (IMAGE, lambda p: os.truncate(p, os.path.getsize(p) // 2), 'not a readable image'),
    (IMAGE, flip, 'not a readable image'),
    (LABEL, lambda p: resave(p, lambda i: i.crop((0, 0, 90, 90))), 'but its image is'),
    (LABEL, lambda p: resave(p, with_pixel((0, 255, 0))), '#00ff00 is no class; 1 pixels'),
    pytest.param(IMAGE, lambda p: (os.remove(p), os.symlink('/nowhere', p)), 'links to /nowhere',
                 marks=LINKS),
    (TEST, lambda p: (os.remove(p), os.mkdir(p)), 'is not a file'),
    (LABEL, os.remove, 'umm_000002.png: has no label')]


@pytest.mark.parametrize('name, break_it, complaint', FAULTS)
def test_check_and_training_name_a_fault(copied_scenes, tmp_path, name, break_it, complaint):
    break_it(os.path.join(copied_scenes, name))
    faults = check_kitti(copied_scenes).faults
    assert faults and all('\n' not in each and each.startswith(copied_scenes) for each in faults)
    with pytest.raises(InputError, match=complaint):
        open_data(copied_scenes, tmp_path)


@pytest.mark.parametrize('name, break_it', [
    (IMAGE, lambda p: resave(p, lambda i: i.convert('L'))),
    (LABEL, lambda p: resave(p, lambda i: i.convert('RGBA'))),
    (LABEL, lambda p: resave(p, lambda i: i.quantize(4))),
    (TEST, lambda p: resave(p, format='JPEG')),
    (CALIB, lambda p: write(p, b'P2: 1 2 3\n')), (CALIB, os.remove),
    ('testing', shutil.rmtree), (TEST, lambda p: resave(p, lambda i: i.resize((700, 300))))])
def test_training_takes_what_it_can_read(copied_scenes, tmp_path, name, break_it):
    """Other modes of one meaning, another camera, no test images, calibration it does not need."""
    before = open_data(copied_scenes, tmp_path / 'before')
    break_it(os.path.join(copied_scenes, name))
    data = open_data(copied_scenes, tmp_path)
    assert [f.name for f in data.training] == [f.name for f in before.training]
    for frame in data.training + data.validation:
        assert {0, 1} <= set(data.read_label(frame.label).ravel().tolist()) <= {0, 1, 255}


@LINKS
def test_check_notes_what_is_no_fault(copied_scenes, tmp_path):
    folder = Path(copied_scenes)
    shutil.move(folder / IMAGE, tmp_path / 'elsewhere.png')
    os.symlink(tmp_path / 'elsewhere.png', folder / IMAGE)
    write(folder / 'training/image_2/Thumbs.db', b'x')
    os.remove(folder / CALIB)
    resave(folder / LABEL, lambda i: Image.new('RGB', i.size))
    resave(folder / TEST, lambda i: i.resize((700, 300)))
    report = check_kitti(copied_scenes)
    assert report.faults == [] and report.readable == {
        'training images': 9, 'training labels': 9, 'test images': 3, 'calibration files': 11}
    assert [note[len(copied_scenes) + 1:].split(': ')[0] for note in report.notes] == [
        'training/image_2/Thumbs.db', 'training/image_2/uu_000000.png', TEST, LABEL]
    assert '700x300' in report.notes[2]
    assert 'all pixels of this label are ignored' in report.notes[3]


@pytest.mark.parametrize('rule, complaint', [
    (lambda red, blue: (blue, red), 'every pixel .* is road.*blue without red.*swapped'),
    (lambda red, blue: (red & blue, red & blue), 'every pixel .* is road.*what is not'),
    (lambda red, blue: (red & False, blue), 'a pixel that is not ignored.*blue without red'),
    (lambda red, blue: (red | True, blue & False), 'no .* label has a pixel of road')])
@pytest.mark.parametrize('split', ['training', 'validation'])
def test_labels_without_meaning_are_refused(copied_scenes, tmp_path, rule, complaint, split):
    """Red and blue swapped, road on black, blue on black, all red: of one split or of all."""
    pattern = '*' if split == 'training' else '*000002*'
    for path in Path(copied_scenes, 'training', 'gt_image_2').glob(pattern):
        label = np.asarray(Image.open(path))
        red, blue = rule(label[..., 0] > 0, label[..., 2] > 0)
        Image.fromarray(np.stack([red, red & False, blue], -1) * np.uint8(255)).save(path)
    with pytest.raises(InputError, match=f'{split} label.*') as raised:
        open_data(copied_scenes, tmp_path)
    assert re.search(complaint, str(raised.value)) and '\n' not in str(raised.value)
    if split == 'training':
        assert any('label' in fault for fault in check_kitti(copied_scenes).faults)


@pytest.mark.parametrize('size', [(150, 90), (310, 40), (900, 94), (310, 200)])
def test_image_of_another_size_is_noted(copied_scenes, size):
    """Narrower, lower, wider or higher than the others, which have 310x94."""
    resave(os.path.join(copied_scenes, TEST), lambda image: image.resize(size))
    note, = check_kitti(copied_scenes).notes
    assert '{}x{} pixels, where 30'.format(*size) in note and '(1 such images)' in note


def test_check_command(copied_scenes, vgg_dir, tmp_path, capsys):
    """All faults at once and exit code 2; without faults exit code 0 and the counts."""
    words = ['check', '--dataset-dir', copied_scenes, '--data-dir', str(tmp_path / 'data')]
    assert main.main([*words, '--vgg-dir', vgg_dir]) == 0
    printed = capsys.readouterr().out
    for text in ('9 training labels, 3 test images, 12 calibration', 'No faults', 'fc6 and fc7',
                 f'Note   {copied_scenes}: training needs another split: --val-frames 16: category',
                 '% of pixels  training\nnot road '):
        assert text in printed
    for name in (IMAGE, TEST, LABEL, CALIB):
        write(os.path.join(copied_scenes, name), b'P2: 1 2 3\n')
    broken = tmp_path / 'vgg'
    broken.mkdir()
    assert main.main([*words, '--vgg-dir', str(broken)]) == 2
    shown = capsys.readouterr()
    for name in (IMAGE, TEST, LABEL, CALIB):
        assert f'Fault  {os.path.join(copied_scenes, name)}: ' in shown.out
    assert f'Fault  {broken}: cannot be read as VGG16 weights' in shown.out
    assert '8 training images, 8 training labels, 2 test images, 11 calibration files' in shown.out
    assert 'faults found: 5;' in shown.err and 'Traceback' not in shown.err
    assert main.main(['check', '--data-dir', str(tmp_path / 'none')]) == 2
    assert 'KITTI Road is not there' in capsys.readouterr().out
    (tmp_path / 'none/data_road').mkdir(parents=True)
    assert main.main(['check', '--data-dir', str(tmp_path / 'none')]) == 2
    assert 'data_road/training/image_2: no such folder; KITTI Road has' in capsys.readouterr().out


def test_size_mix_up_and_empty_labels_are_noted(copied_scenes, tmp_path, capsys):
    resave(os.path.join(copied_scenes, LABEL), lambda image: Image.new('RGB', image.size))
    for size, noted in (('320x96', True), ('96x320', False)):
        open_data(copied_scenes, tmp_path, '--image-size', size)
        printed = capsys.readouterr().out
        assert ('320x96 is taller than wide' in printed) == noted
        assert 'umm_road_000002.png: all pixels of this label are ignored' in printed


def test_only_changed_files_are_read_again(copied_scenes, tmp_path, monkeypatch):
    read, original = [], images.open_image
    for module in (images, labels):
        monkeypatch.setattr(module, 'open_image', lambda path: read.append(path) or original(path))
    first = open_data(copied_scenes, tmp_path)
    assert len(read) == 21 and len(first.digests) == 21
    read.clear()
    assert open_data(copied_scenes, tmp_path) == first and read == []
    checked, image = tmp_path / 'checked.json', os.path.join(copied_scenes, IMAGE)
    good, label = json.loads(checked.read_text()), os.path.join(copied_scenes, LABEL)
    nested = [*good[label][:5], [[1, None, 2]], *good[label][6:]]
    for damage in (good | {image: [None, 7]}, good | {label: nested}, [], None):
        checked.write_text(json.dumps(damage))
        assert open_data(copied_scenes, tmp_path) == first
    # what is remembered of other files is kept
    check.inspect_files([os.path.join(copied_scenes, TEST)], [], str(checked), trust=False)
    resave(image, with_pixel((1, 2, 3)))
    read.clear()
    changed = open_data(copied_scenes, tmp_path).digests
    assert {path for path in changed if changed[path] != first.digests[path]} == {image}
    assert read == [image]
    check.check(formats.find_dataset('kitti', copied_scenes, 0), str(checked))
    assert len(read) == 1 + 21  # the command reads all


@pytest.mark.parametrize('exchange', [
    lambda old, new: [write(old / path.name, path.read_bytes()) for path in new.iterdir()],
    lambda old, new: (old.rename(f'{old}_old'), new.rename(old))])
def test_corrected_labels_are_read_again(copied_scenes, tmp_path, exchange):
    """Though sizes and times are those of before, as rsync -t, unzip and mv leave them."""
    folder, new = Path(copied_scenes, 'training/gt_image_2'), tmp_path / 'new'
    new.mkdir()
    for path in folder.iterdir():
        for image, to in ((Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT), new),
                          (Image.open(path), folder)):
            image.save(to / path.name, 'BMP')
    stamp(folder)
    first = open_data(copied_scenes, tmp_path).digests
    stamp(new)
    exchange(folder, new)
    stamp(folder)
    second = open_data(copied_scenes, tmp_path).digests
    assert {path for path in first if first[path] != second[path]} == set(
        map(str, folder.glob('*_road_*')))


def stamp(folder):
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))


def test_what_was_found_is_kept_in_a_folder_that_is_made(copied_scenes, tmp_path):
    open_data(copied_scenes, tmp_path / 'new' / 'data')
    assert (tmp_path / 'new' / 'data' / 'checked.json').exists()
