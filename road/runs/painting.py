"""Show the road in an image, and write images as PNG."""

import zlib

import imageio.v3 as iio
import numpy as np
from PIL import Image

from road.files import atomic_path

TINT_COLOUR = (0, 255, 0)
TINT_STRENGTH = 0.5  # where the confidence is 1
OUTLINE_COLOUR = (255, 255, 0)
OUTLINE_SHARE = 400  # the outline is one pixel thick for so many pixels of the image's smaller side


def paint(image, confidence, overlay='both'):
    """Show the road in an image: uint8 [h, w, 3] and float [h, w] in [0, 1] => uint8 [h, w, 3].

    Args:
        overlay: one of road.settings.OVERLAYS: 'tint', green as strong as the confidence;
            'outline', a thin yellow line along the inner edge of the road (confidence at least
            0.5); 'both'; or 'mask', the road in white on black, without the image.
    """
    road = confidence >= 0.5
    if overlay == 'mask':
        return np.repeat(np.uint8(255) * road[..., np.newaxis], 3, axis=2)
    painted = image.copy()
    if overlay != 'outline':  # Pillow takes a quarter of NumPy's time for this
        alpha = Image.fromarray(np.rint(confidence * (255 * TINT_STRENGTH)).astype(np.uint8))
        tint = Image.new('RGB', alpha.size, TINT_COLOUR)
        painted = np.array(Image.composite(tint, Image.fromarray(image), alpha))
    if overlay != 'tint':
        painted[_outline(road)] = OUTLINE_COLOUR
    return painted


def _outline(road):
    """The outermost road pixels of a bool [h, w]; the border of the image is no edge."""
    inner = road
    for _ in range(max(1, round(min(road.shape) / OUTLINE_SHARE))):
        around = np.pad(inner, 1, mode='edge')
        inner = (inner & around[:-2, 1:-1] & around[2:, 1:-1]
                 & around[1:-1, :-2] & around[1:-1, 2:])
    return road & ~inner


def write_png(path, image):
    """Write a uint8 [h, w, 3] or [h, w] array as PNG, complete or not at all. Raises OSError."""
    with atomic_path(path) as temporary:
        # a quarter of the time of the default settings, for a file of the same size
        iio.imwrite(temporary, image, plugin='pillow', extension='.png', compress_level=1,
                    compress_type=zlib.Z_RLE)
