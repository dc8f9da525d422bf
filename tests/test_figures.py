"""Pictures of a complete run, and of one without test images or scores."""

import math
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from road.data import camvid, kitti
from road.data.dataset import Frame
from road.runs import figures, painting
from road.runs.metrics import columns


def make_run(folder, classes, images, shape):
    """A run folder with painted test images, and rows of two epochs: (run, rows)."""
    for i in range(images):
        image = folder / 'images' / ('city' if i % 2 else '') / f'{i}.png'
        image.parent.mkdir(parents=True, exist_ok=True)
        painted = np.full((*shape, 3), 3 * i, np.uint8)
        iio.imwrite(image, painting.add_legend(painted, classes))
    rows = [dict.fromkeys(columns(len(classes)), math.nan) | {'epoch': epoch, 'l2': 0.5}
            for epoch in (1, 2)]
    return SimpleNamespace(folder=str(folder), classes=classes), rows


@pytest.mark.parametrize('images', [0, 70])
def test_contact_sheet_and_gif(tmp_path, images):
    folder = tmp_path / 'run[1]'  # not a pattern
    folder.mkdir()
    (folder / 'images/folder.png').mkdir(parents=True)
    run, rows = make_run(folder, kitti.CLASSES, images, (9, 16))
    iio.imwrite(tmp_path / 'image.png', np.zeros((9, 16, 3), np.uint8))
    frame, road = Frame('um_0', str(tmp_path / 'image.png')), np.eye(9, 16) > 0
    outputs = [(frame, np.uint8(road & (i > 0)), road * np.float32(0.1 * i)) for i in range(6)]
    figures.draw(run, rows, outputs)
    sheet = iio.imread(folder / 'contact_sheet.png')
    # tiles of 400x225, as the images are 16:9
    assert sheet.shape == (6 + (225 + 22) * (7 if images else 1), 6 + 406 * 4, 3)
    assert (folder / 'curves.png').exists() and (folder / 'road.gif').exists() == bool(images)
    if images:
        gif = iio.imread(folder / 'road.gif')
        assert gif.shape[:3] == (figures.GIF_FRAMES, 233, 414)


def test_contact_sheet_of_classes_has_one_legend(tmp_path):
    """The legends of the test images are cut off before they become tiles."""
    run, rows = make_run(tmp_path, camvid.CLASSES, 3, (60, 80))
    figures.draw(run, rows, [])
    sheet = iio.imread(tmp_path / 'contact_sheet.png')
    legend = painting.legend(camvid.CLASSES, sheet.shape[1])
    assert len(sheet) == 6 + 300 + 22 + len(legend)
    np.testing.assert_array_equal(sheet[-len(legend):], legend)
    assert (sheet[22:322, 6:406] == 0).all() and (sheet[22:322, 412:812] == 6).all()
    legend = painting.legend(camvid.CLASSES, 414)
    assert iio.imread(tmp_path / 'road.gif').shape[1:3] == (310 + len(legend), 414)


def test_best_and_worst_frames_are_marked(tmp_path, monkeypatch):
    """By the mean IoU of the frame, over the classes that are in it."""
    label = np.uint8([[0, 0, 1, 1, 2, 2, 255, 255]])
    outputs = []
    for name, right in (('half', 4), ('all', 8), ('none', 0), ('most', 5), ('few', 2)):
        found = np.where(np.arange(8) < right, label[0] % 255, 10)
        probabilities = np.eye(11, dtype=np.float32)[found][None]
        frame = Frame(name, str(tmp_path / 'image.png'))
        outputs.append((frame, label, probabilities))
    outputs.insert(2, (frame, np.full_like(label, 255), probabilities))  # has no score
    iio.imwrite(tmp_path / 'image.png', np.zeros((1, 8, 3), np.uint8))
    run, rows = make_run(tmp_path, camvid.CLASSES, 0, (1, 8))
    sheets = []
    monkeypatch.setattr(figures, 'draw_contact_sheet', lambda *args: sheets.append(args))
    figures.draw(run, rows, iter(outputs))
    marked = sheets[0][1]
    assert [text for text, _ in marked] == [
        'worst: validation none, mean IoU 0.0%', 'worst: validation few, mean IoU 25.0%',
        'best: validation most, mean IoU 62.5%', 'best: validation all, mean IoU 100.0%']
    np.testing.assert_array_equal(
        marked[3][1], painting.paint(np.zeros((1, 8, 3), np.uint8), outputs[1][2],
                                     classes=camvid.CLASSES))
