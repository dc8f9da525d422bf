"""Pictures of a complete run, and of one without scores."""

import math
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
from PIL import Image

from road.data import camvid, kitti
from road.data.dataset import Frame
from road.runs import figures, painting
from road.runs.metrics import columns
from tests.test_painting import of_road


def draw(folder, classes, images, shape, outputs):
    """Draw the figures of a run of two epochs without scores, with so many painted test images.

    The second image is turned.
    """
    for i in range(images):
        image = folder / 'images' / ('city' if i % 2 else '') / f'{i}.png'
        image.parent.mkdir(parents=True, exist_ok=True)
        painted = np.full((*(shape[::-1] if i == 1 else shape), 3), 3 * i, np.uint8)
        iio.imwrite(image, painting.add_legend(painted, classes))
    rows = [dict.fromkeys(columns(len(classes)), math.nan) | {'epoch': epoch, 'l2': 0.5}
            for epoch in (1, 2)]
    run = SimpleNamespace(folder=str(folder), classes=classes, threshold=0.25)
    figures.draw(run, rows, outputs, 'validation')


def test_contact_sheet_and_curves(tmp_path, capsys):
    folder = tmp_path / 'run[1]$x^$'  # no pattern, no formula
    (folder / 'images' / 'folder.png').mkdir(parents=True)
    iio.imwrite(tmp_path / 'image.png', np.zeros((9, 16, 3), np.uint8))
    frame, road = Frame('um_0', str(tmp_path / 'image.png')), np.eye(9, 16) > 0
    outputs = [(frame, np.uint8(road & (i > 0)), of_road(road * 0.1 * i)) for i in range(6)]
    draw(folder, kitti.CLASSES, 70, (9, 16), outputs)
    sheet = iio.imread(folder / 'contact_sheet.png')
    # tiles of 400x225, as the images are 16:9
    assert sheet.shape == (6 + (225 + 24) * 7, 6 + 406 * 4, 3)
    assert (sheet[-231:-6, -406:-6] == 27).all()  # city/9, the last of all
    assert sheet[26, 820, 0] > 200  # an outline, though the threshold of 0.5 finds no road there
    assert (folder / 'curves.png').exists()
    assert capsys.readouterr().out == f'70 validation images are in {folder}/images\n'


def test_contact_sheet_of_classes_has_one_legend(tmp_path):
    """The legends of the test images are cut off before they become tiles."""
    iio.imwrite(tmp_path / 'image.png', np.zeros((60, 80, 3), np.uint8))
    frame, sky = Frame('a', str(tmp_path / 'image.png')), np.eye(11, dtype=np.float32)[[[0]]]
    draw(tmp_path, camvid.CLASSES, 3, (60, 80), [(frame, np.zeros((60, 80), np.uint8), sky)])
    sheet = iio.imread(tmp_path / 'contact_sheet.png')
    legend = painting.legend(camvid.CLASSES, sheet.shape[1], figures.TEXT_SIZE)
    assert len(sheet) == 6 + 300 + 24 + len(legend)
    np.testing.assert_array_equal(sheet[-len(legend):], legend)
    assert (sheet[24:324, 412:812] == 0).all()
    assert (sheet[24:324, 818:1218] == 6).all()


def test_best_and_worst_frames_are_marked(tmp_path):
    """By the mean IoU of the frame, over the classes that are in it."""
    label, image = np.uint8([[0, 0, 1, 1, 2, 2, 255, 255]]), np.zeros((1, 8, 3), np.uint8)
    iio.imwrite(tmp_path / 'image.png', image)
    outputs = []
    for name, right in (('half', 4), ('all', 8), ('none', 0), ('most', 5), ('few', 2)):
        found = np.where(np.arange(8) < right, label[0] % 255, 10)
        probabilities = np.eye(11, dtype=np.float32)[found][None]
        outputs.append((Frame(name, str(tmp_path / 'image.png')), label, probabilities))
    outputs.insert(2, (outputs[0][0], np.full_like(label, 255), probabilities))  # has no score
    marked = list(figures.best_and_worst(iter(outputs), camvid.CLASSES))
    assert [text for text, _ in marked] == [
        'worst, IoU 0.0%: validation none (missed red, false blue)',
        'worst, IoU 25.0%: validation few (missed red, false blue)',
        'best, IoU 62.5%: validation most', 'best, IoU 100.0%: validation all']
    expected = painting.paint(image, outputs[1][2], classes=camvid.CLASSES)
    np.testing.assert_array_equal(marked[3][1], expected)
    Image.fromarray(np.full((1, 8), 800, np.uint16)).save(tmp_path / 'image.png')
    alone, road = outputs[0][0]._replace(bits=10), of_road(0.3 * (label == 1))
    label[label == 2] = 0
    (text, painted), = figures.best_and_worst([(alone, label, road)], kitti.CLASSES, 0.25)
    assert text.startswith('worst, IoU 100.0%: validation half')
    expected = painting.paint_errors(image + 200, road, label, 0.25)
    np.testing.assert_array_equal(painted, expected)
