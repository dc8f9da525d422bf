"""Labels: files, palettes and pages of masks; test_folder.py has the kinds of their pixels."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from road.data import IGNORE_LABEL
from road.data.labels import LabelRule, balanced_weights, count_values, read_classes
from road.errors import InputError

COLOURS = np.uint8([(0, 0, 0), (255, 0, 255), (0, 128, 0), (255, 255, 255), (1, 2, 3)])
NUMBERS = [r << 16 | g << 8 | b for r, g, b in COLOURS.tolist()]
IDS = [0, 1, 7, 255, 3]  # of the classes 0, 1, 2, 3, and of what is ignored


def draw(classes, values):
    """A picture of classes; values: an id or a colour of each, then of what is ignored."""
    return Image.fromarray(values[np.where(classes == IGNORE_LABEL, 4, classes)])


def palette(classes):
    image = draw(classes, np.uint8(IDS))
    table = np.zeros([256, 3], np.uint8)
    table[IDS] = COLOURS
    image.putpalette(table.tobytes())  # it then has the mode P
    return image


def rule(by_colour, values):
    return LabelRule(by_colour, dict(zip(values, (0, 1, 2, 3, IGNORE_LABEL))), 'so it is')


def test_class_weights_balance_the_images_where_a_class_occurs():
    weights = balanced_weights([Counter({0: 6, 1: 2, 255: 3}), Counter({0: 8})], num_classes=3)
    median = (14 / 16 + 2 / 8) / 2  # of two classes; the third has no pixels
    np.testing.assert_allclose(weights, [median / (14 / 16), median / (2 / 8), 1], rtol=1e-6)


@pytest.mark.parametrize('ending', ['.bmp', '.tif', '.webp', '.gif', '.tga'])
def test_formats_without_loss_are_read_back(tmp_path, ending):
    classes = np.random.default_rng(0).choice(np.uint8([0, 1, 2, 3, IGNORE_LABEL]), (8, 9))
    image, path = draw(classes, COLOURS), str(tmp_path / f'mask{ending}')
    if ending == '.gif':
        image = palette(classes)
    image.save(path, **({'lossless': True} if ending == '.webp' else {}))
    np.testing.assert_array_equal(read_classes(path, rule(True, NUMBERS)), classes)


def test_transparent_places_of_a_palette_are_black(tmp_path):
    path = str(tmp_path / 'mask.png')
    palette(np.uint8([[1, 2, 2]])).save(path, transparency=IDS[1])
    for by_colour, values in ((True, (0, 0x008000)), (False, (1, 7))):
        assert read_classes(path, rule(by_colour, values)).tolist() == [[0, 1, 1]]
    assert count_values(path) == ((1, 3), 'PNG P', [[7, 0x008000, 2], [1, 0, 1]])


@pytest.mark.parametrize('name, size, pages', [
    ('mask.tif', (9, 9), 2), ('mask.gif', (9, 9), 2), ('mask.png', (9, 9), 2),
    ('mask.tif', (4, 4), 1)])  # an overview, as in a GeoTIFF
def test_masks_with_several_pages_are_refused(tmp_path, name, size, pages):
    path, page = str(tmp_path / name), Image.new('L', (9, 9))
    page.save(path, save_all=True, append_images=[Image.new('L', size, 255)])
    if pages == 1:
        assert count_values(path)[2] == [[0, 0, 81]]
    else:
        with pytest.raises(InputError, match=f'^{path}: has 2 pages, where a label has one; save'):
            count_values(path)
