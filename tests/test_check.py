"""Faults of a data folder: each is named by its file, and nothing else is called a fault."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main
from road.data import check, formats, images, labels
from road.errors import InputError
from tests.test_folder import train_on, write_folder

IMAGE, TEST = 'training/image_2/um_000001.png', 'testing/image_2/uu_000000.png'
LABEL, CALIB = 'training/gt_image_2/umm_road_000002.png', 'training/calib/uu_000000.txt'


def resave(path, change=lambda image: image, **options):
    change(Image.open(path).convert('RGB')).save(path, **options)
    os.utime(path, (1e9, 1e9))


def open_data(folder):
    return train_on(folder, '--val-frames', '1')[1]


@pytest.mark.parametrize('name, break_it', [
    (LABEL, lambda p: resave(p, lambda i: i.quantize(4))), (CALIB, os.remove),
    (CALIB, lambda p: Path(p).write_bytes(b'P2: 1 2 3\n')), ('testing', shutil.rmtree),
    (TEST, lambda p: resave(p, lambda i: i.resize((700, 300)), format='JPEG'))])
def test_training_takes_what_it_can_read(copied_scenes, name, break_it):
    """Another mode, another camera, no test images, calibration it does not need."""
    before = open_data(copied_scenes)
    break_it(os.path.join(copied_scenes, name))
    data = open_data(copied_scenes)
    assert [f.name for f in data.training] == [f.name for f in before.training]
    for frame in data.training + data.validation:
        assert {0, 1} <= set(data.read_label(frame.label).ravel().tolist()) <= {0, 1, 255}


def test_check_notes_what_is_no_fault(copied_scenes):
    folder = Path(copied_scenes)
    (folder / 'training/image_2/um_1.png').write_bytes(b'x')
    os.remove(folder / CALIB)
    resave(folder / LABEL, lambda i: Image.new('RGB', i.size))
    resave(folder / TEST, lambda i: i.resize((500, 120)))
    shutil.copy(folder / IMAGE, folder / 'testing/image_2/um_000000.png')
    report = check.check(formats.find_dataset('kitti', copied_scenes, 0))
    assert report.faults == []
    assert [note[len(copied_scenes) + 1:].split('; ')[0] for note in report.notes] == [
        'training/image_2/um_1.png: is left out, by its name or format (1 such files)',
        "training/image_2/uu_000000.png: has no calibration file, so there are no scores in bird's "
        'eye view (1 such files)', f'{TEST}: is of another size than the usual 91x302 pixels '
        '(1 such files)', f'{LABEL}: all pixels of this label are ignored (1 such files)',
        f'testing/image_2/um_000000.png: is the same image as {folder / IMAGE} in another split, '
        'so scores may be too high (1 such files)']


@pytest.mark.parametrize('rule, complaint', [
    (lambda red, blue: (blue, red), 'is blue without red, as if .* swapped'),
    (lambda red, blue: (red & False, blue), 'is blue without red'),
    (lambda red, blue: (red & blue, red & blue), 'no {} label has a pixel of not road; label'),
    (lambda red, blue: (red & False, blue & False), 'no {} label has a pixel of not road, road;'),
    (lambda red, blue: (red | True, blue & False), 'no {} label has a pixel of road; label more')])
@pytest.mark.parametrize('split', ['training', 'validation'])
def test_labels_without_meaning_are_refused(copied_scenes, rule, complaint, split):
    """Red and blue swapped, blue on black, road on black, all ignored, all red: of one split."""
    for path in Path(copied_scenes, 'training', 'gt_image_2').glob('*_road_*'):
        if ('000002' in path.name) == (split == 'validation'):
            label = np.asarray(Image.open(path))
            red, blue = rule(label[..., 0] > 0, label[..., 2] > 0)
            Image.fromarray(np.stack([red, red & False, blue], -1) * np.uint8(255)).save(path)
    with pytest.raises(InputError, match=complaint.format(split)):
        open_data(copied_scenes)


def test_check_command(copied_scenes, vgg_dir, tmp_path, capsys):
    """All faults at once and exit code 2; without faults exit code 0 and the counts."""
    words = ['check', '--dataset-dir', copied_scenes, '--data-dir', str(tmp_path / 'data')]
    assert main.main([*words, '--vgg-dir', vgg_dir]) == 0
    printed = capsys.readouterr().out
    for text in ('9 training, 0 validation and 3 test images', 'No faults', 'fc6 and fc7',
                 f'Note: {copied_scenes}: training needs another split: ',
                 'Classes by share of the training pixels: not road '):
        assert text in printed
    broken_files = IMAGE, TEST, LABEL, CALIB, 'testing/calib/um_000000.txt'
    for name in broken_files:
        Path(copied_scenes, name).write_bytes(b'P2: 1 2 3\n')
    broken = tmp_path / 'vgg'
    broken.mkdir()
    assert main.main([*words, '--vgg-dir', str(broken)]) == 2
    shown = capsys.readouterr()
    for name in broken_files:
        assert f'Fault: {os.path.join(copied_scenes, name)}: ' in shown.out
    assert f'Fault: {broken}: cannot be read as VGG16 weights' in shown.out
    assert 'faults found: 6;' in shown.err
    assert main.main(['check', '--data-dir', str(tmp_path / 'none')]) == 2
    assert 'KITTI Road is not there' in capsys.readouterr().out


def test_only_changed_files_are_read_again(copied_scenes, tmp_path, monkeypatch):
    read, original = [], images.open_image
    for module in (images, labels):
        monkeypatch.setattr(module, 'open_image', lambda path: read.append(path) or original(path))
    first = open_data(copied_scenes)
    assert len(read) == 21 and len(first.digests) == 21
    other = write_folder(tmp_path / 'mine')  # where the values of masks tell the classes
    mine = train_on(other)
    read.clear()
    assert open_data(copied_scenes) == first
    assert train_on(other) == mine
    assert read == []
    checked, image = tmp_path / 'data/checked.json', os.path.join(copied_scenes, IMAGE)
    good = json.loads(checked.read_text())
    for damage in (dict.fromkeys(good, [None, 7]), dict.fromkeys(good), [], None):
        checked.write_text(json.dumps(damage))
        assert open_data(copied_scenes) == first
    resave(image, lambda image: image.rotate(180))
    read.clear()
    changed = open_data(copied_scenes).digests
    assert {path for path in changed if changed[path] != first.digests[path]} == {image}
    assert read == [image]
    check.check(formats.find_dataset('kitti', copied_scenes, 0), str(checked))
    assert len(read) == 1 + 21  # the command reads all
    monkeypatch.setattr(check, 'VERSION', 0)
    open_data(copied_scenes)
    assert len(read) == 1 + 2 * 21


@pytest.mark.parametrize('exchange', [
    lambda old, new: shutil.copytree(new, old, dirs_exist_ok=True),  # with the times
    lambda old, new: (old.rename(f'{old}_old'), new.rename(old))])
def test_corrected_labels_are_read_again(copied_scenes, tmp_path, exchange):
    """Though sizes and times are those of before, as rsync -t, unzip and mv leave them."""
    folder = Path(copied_scenes, 'training/gt_image_2')
    new = shutil.copytree(folder, tmp_path / 'new')
    for path in folder.iterdir():
        resave(path, format='BMP')
        resave(new / path.name, lambda image: image.rotate(180), format='BMP')
    first = open_data(copied_scenes).digests
    exchange(folder, new)
    second = open_data(copied_scenes).digests
    assert {path for path in first if first[path] != second[path]} == set(
        map(str, folder.glob('*_road_*')))
