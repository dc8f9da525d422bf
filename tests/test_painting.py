"""How the road is shown in an image."""

import imageio.v3 as iio
import numpy as np

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
