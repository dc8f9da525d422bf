"""`main.py check` and training's own check: every fault of a data folder by its file, and nothing else called a fault."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

import main
from road import check, kitti, kept
from road.errors import InputError


@pytest.fixture
def copy(scenes_dir, tmp_path):
    folder = str(tmp_path / 'data_road')
    shutil.copytree(scenes_dir, folder)
    return folder


def resave(path, change=lambda image: image, **kwargs):
    with Image.open(path) as image:
        changed = change(image.convert('RGB'))
    changed.save(path, **kwargs)


def grow(image):
    return image.resize((image.width * 2, image.height * 2))


def with_pixel(colour):
    def change(image):
        image.putpixel((5, 7), colour)
        return image
    return change


def flip(path):
    with open(path, 'r+b') as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 255]))


def replace(path, make):
    os.remove(path)
    make(path)


def write(path, content):
    with open(path, 'wb') as file:
        file.write(content)


IMAGE, TEST, LABEL, CALIB = ('training/image_2/um_000001.png', 'testing/image_2/uu_000000.png',
                             'training/gt_image_2/umm_road_000002.png', 'training/calib/uu_000000.txt')
FAULTS = [
    (IMAGE, lambda p: write(p, b''), 'the file is empty'),
    (IMAGE, lambda p: os.truncate(p, os.path.getsize(p) // 2), 'not a readable image'),
    (IMAGE, flip, 'not a readable image'),
    (TEST, lambda p: write(p, b'no picture' * 100), 'not a readable image'),
    (TEST, lambda p: resave(p, format='JPEG'), 'is JPEG under the name of a PNG'),
    (IMAGE, lambda p: resave(p, lambda i: i.convert('L')), 'has mode L, expected RGB'),
    (IMAGE, lambda p: resave(p, lambda i: i.convert('RGBA')), 'has mode RGBA, expected RGB'),
    (LABEL, lambda p: resave(p, lambda i: i.convert('P')), 'has mode P, expected RGB'),
    (TEST, lambda p: resave(p, grow), 'pixels, the others about'),
    (LABEL, lambda p: resave(p, lambda i: i.crop((0, 0, 90, 90))), 'but its image is'),
    (LABEL, lambda p: resave(p, with_pixel((0, 255, 0))), r'1 pixels have colours unknown .* \(0, 255, 0\)'),
    (LABEL, lambda p: resave(p, lambda i: i.resize((i.width + 1, i.height)).resize(i.size)), 'colours unknown'),
    (CALIB, lambda p: write(p, np.random.default_rng(0).bytes(800)), 'no text'),
    (CALIB, lambda p: write(p, b'P2: 1 2 3\n'), 'no line for R0_rect'),
    (IMAGE, lambda p: replace(p, lambda p: os.symlink('/nowhere/at/all', p)), 'a link to /nowhere/at/all'),
    (IMAGE, lambda p: replace(p, lambda p: os.symlink(os.path.basename(p), p)), 'a link to'),
    (IMAGE, lambda p: replace(p, os.mkfifo), 'is no file'),
    (IMAGE, lambda p: replace(p, os.mkdir), 'is no file'),
    (TEST, lambda p: os.rename(p, p.replace('.png', '.PNG')), r'uu_000000.PNG: expected the name in lower case'),
    (LABEL, os.remove, 'umm_000002.png: has no label'),
    (IMAGE, os.remove, 'is the label of an image that is missing')]


@pytest.mark.parametrize('name, break_it, complaint', FAULTS)
def test_each_fault_is_named_by_both(copy, name, break_it, complaint):
    break_it(os.path.join(copy, name))
    faults = check.check(copy).faults
    assert faults and all('\n' not in fault and fault.startswith(copy) for fault in faults)
    with pytest.raises(InputError, match=complaint):
        check.refuse_faults(copy, None)


def test_what_is_no_fault(copy, tmp_path):
    """Links to files, files of other names, no calibration: read, left out, noted."""
    outside = str(tmp_path / 'elsewhere.png')
    shutil.move(os.path.join(copy, IMAGE), outside)
    os.symlink(outside, os.path.join(copy, IMAGE))
    write(os.path.join(copy, 'training/image_2/Thumbs.db'), b'x')
    os.remove(os.path.join(copy, CALIB))
    report = check.check(copy)
    assert report.faults == [] and report.fine == {'training images': 9, 'labels': 9, 'test images': 3, 'calibration files': 11}
    assert [note.split(': ')[0][len(copy) + 1:] for note in report.notes] == ['training/image_2/Thumbs.db',
                                                                             'training/image_2/uu_000000.png']


def test_command(copy, vgg_dir, tmp_path, capsys):
    """All faults at once, exit 2; put right, exit 0 and the counts. Data and graph are as they were."""
    words = ['check', '--kitti-dir', copy, '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path / 'data')]
    assert main.main(words) == 0
    printed = capsys.readouterr().out
    assert '9 training images, 9 labels, 3 test images, 12 calibration files' in printed and 'No faults' in printed
    assert 'with fc6 and fc7' in printed
    for name, break_it, _ in (FAULTS[0], FAULTS[3], FAULTS[10], FAULTS[12]):
        break_it(os.path.join(copy, name))
    broken = tmp_path / 'vgg'
    (broken / 'variables').mkdir(parents=True)
    words[4] = str(broken)
    assert main.main(words) == 2
    shown = capsys.readouterr()
    for name in (IMAGE, TEST, LABEL, CALIB):
        assert f'Fault  {os.path.join(copy, name)}: ' in shown.out
    assert f'Fault  {broken}: not a complete VGG16 graph, saved_model.pb is missing' in shown.out
    assert '8 training images, 8 labels, 2 test images, 11 calibration files' in shown.out
    assert '5 faults' in shown.err and 'Traceback' not in shown.err
    assert main.main(['check', '--data-dir', str(tmp_path / 'none')]) == 2
    assert 'Fault  ' + kitti.missing_message(str(tmp_path / 'none' / 'data_road')) in capsys.readouterr().out


def test_training_looks_again_at_what_changed(copy, tmp_path, monkeypatch):
    path, decoded = str(tmp_path / 'cache' / 'checked.json'), []
    original = check._decode
    monkeypatch.setattr(check, '_decode', lambda path: decoded.append(path) or original(path))
    check.refuse_faults(copy, path)
    assert len(decoded) == 21
    decoded.clear()
    check.refuse_faults(copy, path)
    assert decoded == []
    flip(os.path.join(copy, IMAGE))
    os.utime(os.path.join(copy, IMAGE), (1, 1))
    with pytest.raises(InputError, match='not a readable image'):
        check.refuse_faults(copy, path)
    kept.write(path, {os.path.join(copy, LABEL): [None, 7]})
    with pytest.raises(InputError, match='not a readable image'):
        check.refuse_faults(copy, path)
