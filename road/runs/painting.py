"""Show road, or more than two classes, in an image, and write images as PNG."""

import zlib

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from road.files import atomic_path
from road.scoring.confusion import predicted

TINT_COLOUR = (0, 255, 0)
TINT_STRENGTH = 0.5  # where the confidence is 1
OUTLINE_COLOUR = (255, 255, 0)
OUTLINE_SHARE = 400  # the outline is one pixel thick for so many pixels of the image's smaller side
LEGEND_SHARE, LEGEND_TEXT = 60, 12  # the text is a 60th of the image's width high, but 12 pixels


def paint(image, confidence, overlay='both', classes=()):
    """Show in an image what a network found: uint8 [h, w, 3] => uint8 [h, w, 3].

    Args:
        confidence: float32 [h, w] in [0, 1], of road, or [h, w, classes], the probabilities of more
            than two classes.
        overlay: one of road.settings.OVERLAYS: 'tint', green as strong as the confidence;
            'outline', a thin yellow line along the inner edge of the road (confidence at least
            0.5); 'both'; or 'mask', the road in white on black, without the image. More than two
            classes have the tint, the outline and the mask in their own colours.
        classes: of road.data.dataset.Class, for more than two.
    """
    many = confidence.ndim == 3
    found = predicted(confidence) if many else confidence >= 0.5
    if overlay == 'mask':
        return (class_colours(found, classes) if many else
                np.repeat(np.uint8(255) * found[..., np.newaxis], 3, axis=2))
    painted = image.copy()
    if overlay != 'outline' and many:
        colours = np.float32([each.colour for each in classes])
        blend = TINT_STRENGTH * (confidence @ colours) + (1 - TINT_STRENGTH) * image
        painted = np.rint(blend).clip(0, 255).astype(np.uint8)
    elif overlay != 'outline':  # Pillow takes a quarter of NumPy's time for this
        alpha = Image.fromarray(np.rint(confidence * (255 * TINT_STRENGTH)).astype(np.uint8))
        tint = Image.new('RGB', alpha.size, TINT_COLOUR)
        painted = np.array(Image.composite(tint, Image.fromarray(image), alpha))
    if overlay != 'tint':
        edge = _edge(found) if many else found & _edge(found)
        painted[edge] = class_colours(found[edge], classes) if many else OUTLINE_COLOUR
    return painted


def class_colours(indices, classes):
    """The colour of each class: uint8 [...] => uint8 [..., 3]; black for other indices."""
    colours = np.zeros((256, 3), np.uint8)
    colours[:len(classes)] = [each.colour for each in classes]
    return colours[indices]


def _edge(values):
    """The pixels of an [h, w] next to another value, bool; the border of the image is no edge."""
    inner = _equals_neighbours(values)
    for _ in range(max(1, round(min(values.shape) / OUTLINE_SHARE)) - 1):
        inner = inner & _equals_neighbours(inner)
    return ~inner


def _equals_neighbours(values):
    around = np.pad(values, 1, mode='edge')
    return ((values == around[:-2, 1:-1]) & (values == around[2:, 1:-1])
            & (values == around[1:-1, :-2]) & (values == around[1:-1, 2:]))


def legend(classes, width):
    """The colour and the name of each class on white: uint8 [h, width, 3], with line breaks."""
    size = max(LEGEND_TEXT, width // LEGEND_SHARE)
    font, gap, line = ImageFont.load_default(size), size // 2, 3 * size // 2
    places, x, y = [], gap, gap
    for each in classes:
        needed = size + gap + round(font.getlength(each.name)) + 2 * gap
        if x > gap and x + needed - gap > width:
            x, y = gap, y + line
        places.append((each, x, y))
        x += needed
    strip = Image.new('RGB', (width, y + line), 'white')
    draw = ImageDraw.Draw(strip)
    for each, x, y in places:
        draw.rectangle((x, y, x + size - 1, y + size - 1), each.colour, 'black')
        draw.text((x + size + gap, y + size / 2), each.name, 'black', font, anchor='lm')
    return np.asarray(strip)


def add_legend(picture, classes):
    """A picture with the legend of more than two classes below it; of two, as it is."""
    if len(classes) < 3:
        return picture
    return np.concatenate([picture, legend(classes, picture.shape[1])])


def write_png(path, image):
    """Write a uint8 [h, w, 3] or [h, w] array as PNG, complete or not at all. Raises OSError."""
    with atomic_path(path) as temporary:
        # a quarter of the time of the default settings, for a file of the same size
        iio.imwrite(temporary, image, plugin='pillow', extension='.png', compress_level=1,
                    compress_type=zlib.Z_RLE)
