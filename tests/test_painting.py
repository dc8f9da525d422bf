"""How road and classes are shown in an image."""

import numpy as np
import pytest
from PIL import Image

from road.data import camvid, kitti
from road.data.dataset import Class
from road.runs import painting


def of_road(confidence):
    """Probabilities float32 [..., 2] for the probability of road."""
    return np.stack([np.subtract(1, confidence), confidence], axis=-1).astype(np.float32)


IMAGE = np.full((5, 6, 3), 100, np.uint8)
ROAD = of_road(np.pad(np.full((3, 3), 0.9), ((1, 1), (1, 2))))
CLASSES = Class('sky', (0, 0, 200)), Class('road', (200, 0, 0)), Class('grass', (0, 200, 0))


@pytest.mark.parametrize('classes, probabilities, tint, mask', [
    (kitti.CLASSES, of_road([[0, 0.5, 1]]), [[100, 100, 100], [75, 139, 75], [50, 178, 50]],
     [[0, 0, 0], [255, 255, 255], [255, 255, 255]]),
    (CLASSES, np.float32([[[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.2, 0.6]]]),
     [[50, 50, 150], [100, 50, 100], [70, 110, 70]], [[0, 0, 200], [0, 0, 200], [0, 200, 0]])])
def test_tint_is_as_strong_as_the_probability(classes, probabilities, tint, mask):
    image = IMAGE[:1, :3]
    assert painting.paint(image, probabilities, 'tint', classes)[0].tolist() == tint
    assert painting.paint(image, probabilities, 'mask', classes)[0].tolist() == mask
    assert (IMAGE == 100).all()


def test_outline_is_the_edge_of_the_road():
    painted = painting.paint(IMAGE, ROAD, 'outline')
    expected = np.zeros((5, 6), bool)
    expected[1:4, 1:4] = True
    expected[2, 2] = False
    np.testing.assert_array_equal((painted == painting.OUTLINE_COLOUR).all(axis=2), expected)
    assert (painted[~expected] == 100).all()
    at_border = painting.paint(IMAGE, of_road(np.ones((5, 6))), 'outline')
    assert (at_border == IMAGE).all()  # the border of the image is no edge


def test_lines_in_class_colours_are_between_classes():
    bands = np.eye(3, dtype=np.float32)[np.newaxis].repeat(3, axis=1)  # three pixels of each
    image = np.full((1, 9, 3), 100, np.uint8)
    lines, both, tint = (painting.paint(image, bands, overlay, CLASSES)
                         for overlay in ('outline', 'both', 'tint'))
    grey, (sky, road, grass) = [100] * 3, [list(each.colour) for each in CLASSES]
    assert lines.tolist() == [[grey, grey, sky, road, grey, road, grass, grey, grey]]
    on_line = (lines != 100).any(axis=2)
    np.testing.assert_array_equal(both, np.where(on_line[..., None], 255, tint))
    bright = painting.paint(image + 100, bands, 'both', CLASSES)
    assert (bright[on_line] == 0).all()
    large = painting.paint(*(np.tile(each.repeat(200, axis=1), (800, 1, 1))
                             for each in (image, bands)), 'outline', CLASSES)
    changed = np.flatnonzero((large[400] != 100).any(axis=1))
    assert changed.tolist() == [*range(598, 602), *range(1198, 1202)]


def test_legend_names_every_class_within_the_width():
    heights = []
    for width in (40, 200, 480, 3000):
        strip = painting.legend(camvid.CLASSES, width)
        heights.append(len(strip))
        assert strip.shape[1:] == (width, 3)
        for each in camvid.CLASSES[1:]:  # the sky is as grey as the edges of letters
            patch = np.argwhere((strip == each.colour).all(axis=2))
            height, wide = np.ptp(patch, axis=0) + 1
            assert height == wide == max(12, width // 60) - 2, each.name  # without the frame
    assert heights[0] > heights[1] > heights[2]


@pytest.mark.parametrize('name, missing', [
    ('Straße', ''), ('дорога', ''), ('道路', '路道'), ('\U0001f697', '\U0001f697')])
def test_letters_that_the_font_lacks_are_named_once(capsys, name, missing):
    for _ in range(2):
        painting.legend([Class(name, (0, 0, 0))] * 3, 300)
    assert capsys.readouterr().out.count(f'lacks {missing}') == bool(missing)


@pytest.mark.parametrize('label_values, values', [
    ({'0': 'sky', '7': 'road', '8': 'road', '26': 'grass', '255': 'ignored'}, [0, 7, 26]),
    ({'#0000c8': 'sky', '#c80000': 'road', '#00c800': 'grass'}, [0, 1, 2]),
    ({'0': 'sky', '7': 'road', '256': 'grass'}, [0, 1, 2])])
def test_maps_have_the_values_of_the_masks_in_the_colours_of_the_classes(
        tmp_path, label_values, values):
    path = str(tmp_path / 'a.png')
    bands = np.eye(3, dtype=np.float32)[np.newaxis]
    painting.write_map(path, bands, (2, 6), CLASSES, label_values)
    with Image.open(path) as written:
        assert written.mode == 'P'
        assert np.asarray(written).tolist() == [np.repeat(values, 2).tolist()] * 2
        assert np.asarray(written.convert('RGB'))[0, ::2].tolist() == [
            list(each.colour) for each in CLASSES]


def test_errors_have_colours_on_the_grey_image():
    label, found = np.uint8([[1, 1, 0, 0, 255]]), of_road([[0.9, 0.1, 0.9, 0.1, 0.9]])
    image = np.full((1, 5, 3), (100, 0, 0), np.uint8)
    grey = [30, 30, 30]
    right, missed, false = (np.uint8(np.dot([0.4, 0.6], [grey, colour])).tolist()
                            for colour in (painting.RIGHT, painting.MISSED, painting.FALSE))
    painted = painting.paint_errors(image, found, label)
    assert painted[0].tolist() == [right, missed, false, grey, grey]
    classes = np.eye(3, dtype=np.float32)[[[1, 2, 0, 1, 2]]]
    painted = painting.paint_errors(image, classes, label)
    assert painted[0].tolist() == [right, missed, right, missed, grey]
