"""How road and classes are shown in an image."""

import imageio.v3 as iio
import numpy as np

from road.data import camvid
from road.data.dataset import Class
from road.runs import painting

IMAGE = np.full((5, 6, 3), 100, np.uint8)
CONFIDENCE = np.pad(np.full((3, 3), 0.9, np.float32), ((1, 1), (1, 2)))


def test_tint_is_as_strong_as_the_confidence():
    confidence = np.array([[0.0, 0.5, 1.0]], np.float32)
    painted = painting.paint(IMAGE[:1, :3], confidence, 'tint')
    assert painted[0].tolist() == [[100, 100, 100], [75, 139, 75], [50, 178, 50]]
    mask = painting.paint(IMAGE, CONFIDENCE, 'mask')
    assert (mask == 255 * (CONFIDENCE >= 0.5)[..., np.newaxis]).all() and (IMAGE == 100).all()


def test_outline_is_the_edge_of_the_road():
    painted = painting.paint(IMAGE, CONFIDENCE, 'outline')
    outline = (painted == painting.OUTLINE_COLOUR).all(axis=2)
    assert outline.sum() == 8 and outline[1:4, 1:4].sum() == 8 and not outline[2, 2]
    assert (painted[~outline] == 100).all()
    at_border = painting.paint(IMAGE, np.ones((5, 6), np.float32), 'outline')
    assert (at_border == IMAGE).all()  # the border of the image is no edge


def test_png_holds_the_image(tmp_path):
    for shape in ((40, 60, 3), (40, 60)):
        image = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
        painting.write_png(str(tmp_path / 'a.png'), image)
        np.testing.assert_array_equal(iio.imread(tmp_path / 'a.png'), image)


CLASSES = Class('sky', (0, 0, 200)), Class('road', (200, 0, 0)), Class('grass', (0, 200, 0))


def bands(*widths):
    """Probabilities [5, sum(widths), 3] of vertical bands of the three classes, all of them 1."""
    return np.repeat(np.eye(3, dtype=np.float32)[None].repeat(5, 0), widths, axis=1)


def test_classes_are_tinted_by_their_probabilities():
    probabilities = np.float32([[[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.2, 0.6]]])
    painted = painting.paint(IMAGE[:1, :3], probabilities, 'tint', CLASSES)
    assert painted[0].tolist() == [[50, 50, 150], [100, 50, 100], [70, 110, 70]]
    mask = painting.paint(IMAGE[:1, :3], probabilities, 'mask', CLASSES)
    assert mask[0].tolist() == [[0, 0, 200], [0, 0, 200], [0, 200, 0]]
    assert (IMAGE == 100).all()


def test_lines_in_class_colours_are_between_classes():
    image = np.full((5, 9, 3), 100, np.uint8)
    lines = painting.paint(image, bands(3, 3, 3), 'outline', CLASSES)
    grey, (sky, road, grass) = [100] * 3, [list(each.colour) for each in CLASSES]
    for row in lines.tolist():
        assert row == [grey, grey, sky, road, grey, road, grass, grey, grey]
    both = painting.paint(image, bands(3, 3, 3), 'both', CLASSES)
    tint = painting.paint(image, bands(3, 3, 3), 'tint', CLASSES)
    on_line = (lines != 100).any(axis=2)
    np.testing.assert_array_equal(both, np.where(on_line[..., None], lines, tint))
    large = painting.paint(np.full((800, 900, 3), 100, np.uint8),
                           bands(300, 300, 300).repeat(160, 0), 'outline', CLASSES)
    changed = np.flatnonzero((large[400] != 100).any(axis=1))
    assert changed.tolist() == [*range(298, 302), *range(598, 602)]


def test_legend_names_every_class_within_the_width():
    for width in (40, 200, 480, 3000):
        strip = painting.legend(camvid.CLASSES, width)
        assert strip.shape[1:] == (width, 3) and strip.dtype == np.uint8
        for each in camvid.CLASSES[1:]:  # the sky is as grey as the edges of letters
            patch = np.argwhere((strip == each.colour).all(axis=2))
            height, wide = np.ptp(patch, axis=0) + 1
            assert height == wide >= 10, each.name  # without the black frame
    heights = [len(painting.legend(camvid.CLASSES, width)) for width in (100, 200, 480)]
    assert heights == sorted(heights, reverse=True) and heights[0] > heights[2]
    below = painting.add_legend(IMAGE, CLASSES)
    np.testing.assert_array_equal(below[:5], IMAGE)
    np.testing.assert_array_equal(below[5:], painting.legend(CLASSES, 6))
    assert painting.add_legend(IMAGE, CLASSES[:2]) is IMAGE


def test_class_colours_are_black_where_nothing_counts():
    found = painting.class_colours(np.uint8([[0, 2, 255]]), CLASSES)
    assert found.tolist() == [[[0, 0, 200], [0, 200, 0], [0, 0, 0]]]
