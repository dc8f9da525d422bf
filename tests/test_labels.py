"""Labels: files, palettes and pages of masks; test_folder.py has the kinds of their pixels."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from road.data import IGNORE_LABEL
from road.data.labels import LabelRule, balanced_weights, count_values, read_classes
from road.errors import InputError

COLOURS = np.uint8([(0, 0, 0), (255, 0, 255), (0, 128, 0), (255, 255, 255)])


def test_class_weights_balance_the_images_where_a_class_occurs():
    weights = balanced_weights([Counter({0: 6, 1: 2, 255: 3}), Counter({0: 8})], num_classes=3)
    median = (14 / 16 + 2 / 8) / 2  # of two classes; the third has no pixels
    np.testing.assert_allclose(weights, [median / (14 / 16), median / (2 / 8), 1], rtol=1e-6)


@pytest.mark.parametrize('ending', ['.bmp', '.tif', '.webp', '.gif', '.tga'])
def test_formats_without_loss_are_read_back(tmp_path, ending):
    classes, path = np.random.default_rng(0).integers(4, size=(8, 9)), str(tmp_path / f'a{ending}')
    Image.fromarray(COLOURS[classes]).save(path, lossless=True)
    rule = LabelRule(True, {0: 0, 0xff00ff: 1, 0x008000: 2, 0xffffff: IGNORE_LABEL}, 'so it is')
    expected = np.where(classes == 3, IGNORE_LABEL, classes)
    np.testing.assert_array_equal(read_classes(path, rule), expected)


def test_transparent_places_of_a_palette_are_black(tmp_path):
    image, path = Image.fromarray(np.uint8([[1, 2, 2]])), str(tmp_path / 'mask.png')
    image.putpalette(COLOURS.tobytes())
    image.save(path, transparency=1)
    for rule in LabelRule(True, {0: 0, 0x008000: 1}, ''), LabelRule(False, {1: 0, 2: 1}, ''):
        assert read_classes(path, rule).tolist() == [[0, 1, 1]]
    assert count_values(path) == ((1, 3), 'PNG P', [[2, 0x008000, 2], [1, 0, 1]])
    Image.fromarray(np.uint8([[(0, 128, 0, 1), (0, 128, 0, 0)]])).save(path)
    assert count_values(path)[2] == [[0, 0, 1], [-1, 0x008000, 1]]  # hardly seen is seen


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
