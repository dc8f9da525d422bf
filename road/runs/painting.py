"""Show road, or more than two classes, in an image, and write images as PNG."""

import functools
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from road.data.images import bands, resize_confidence
from road.files import atomic_path
from road.progress import tqdm
from road.scoring.confusion import predicted

TINT_COLOUR = (0, 255, 0)
TINT_STRENGTH = 0.5  # where the probability is 1
OUTLINE_COLOUR = (255, 255, 0)
OUTLINE_SHARE = 400  # the outline is one pixel thick for so many pixels of the image's smaller side
LEGEND_SHARE, LEGEND_TEXT = 60, 12  # the text is a 60th of the image's width high, but 12 pixels
_print_once = functools.cache(tqdm.write)


def paint(image, probabilities, overlay='both', classes=()):
    """Show in an image what a network found: uint8 [h, w, 3] => uint8 [h, w, 3].

    Args:
        probabilities: float32 [h, w, classes], resized to the image.
        overlay: one of road.settings.OVERLAYS: 'tint', green as strong as the probability of road;
            'outline', a thin yellow line along the inner edge of the road (probability at least
            0.5); 'both'; or 'mask', the road in white on black, without the image. More than two
            classes have the tint, the outline and the mask in their own colours.
        classes: of road.data.dataset.Class, for more than two.
    """
    shape, two = image.shape[:2], probabilities.shape[-1] == 2
    tint = None if two else probabilities @ np.float32([each.colour for each in classes])
    painted, found = image.copy(), np.empty(shape, np.uint8)
    for rows in bands(shape):
        if two:
            road = resize_confidence(probabilities[..., 1], shape, rows)
            found[rows] = road >= 0.5
        else:
            found[rows] = predicted(probabilities, shape, rows)
        if overlay == 'mask':
            painted[rows] = (255 * found[rows, :, np.newaxis] if two
                             else class_colours(found[rows], classes))
        elif overlay != 'outline' and two:
            painted[rows] = _tint_road(image[rows], road)
        elif overlay != 'outline':
            blend = TINT_STRENGTH * resize_confidence(tint, shape, rows)
            blend += (1 - TINT_STRENGTH) * image[rows]
            painted[rows] = np.rint(blend)
    if overlay in ('outline', 'both'):
        edge = _edge(found)
        if two:
            painted[edge & (found == 1)] = OUTLINE_COLOUR
        else:
            painted[edge] = class_colours(found[edge], classes)
    return painted


def _tint_road(image, confidence):  # Pillow takes a quarter of NumPy's time for this
    alpha = Image.fromarray(np.rint(confidence * (255 * TINT_STRENGTH)).astype(np.uint8))
    tint = Image.new('RGB', alpha.size, TINT_COLOUR)
    return np.array(Image.composite(tint, Image.fromarray(image), alpha))


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


def font(size, text):
    """Matplotlib's DejaVu Sans, `size` pixels high; a line says if it lacks letters of `text`."""
    import matplotlib.ft2font  # here, because --help must not wait for it
    path = os.path.join(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
    known = matplotlib.ft2font.FT2Font(path).get_charmap()
    missing = ''.join(sorted(letter for letter in {*text}
                             if letter.isprintable() and ord(letter) not in known))
    if missing:
        _print_once(f'Note: the font of the pictures lacks {missing}; boxes stand for it')
    return ImageFont.truetype(path, size)


def legend(classes, width):
    """The colour and the name of each class on white: uint8 [h, width, 3], with line breaks."""
    size = max(LEGEND_TEXT, width // LEGEND_SHARE)
    gap, line = size // 2, 3 * size // 2
    letters = font(size, ''.join(each.name for each in classes))
    places, x, y = [], gap, gap
    for each in classes:
        needed = size + gap + round(letters.getlength(each.name)) + 2 * gap
        if x > gap and x + needed - gap > width:
            x, y = gap, y + line
        places.append((each, x, y))
        x += needed
    strip = Image.new('RGB', (width, y + line), 'white')
    draw = ImageDraw.Draw(strip)
    for each, x, y in places:
        draw.rectangle((x, y, x + size - 1, y + size - 1), each.colour, 'black')
        draw.text((x + size + gap, y + size / 2), each.name, 'black', letters, anchor='lm')
    return np.asarray(strip)


def add_legend(picture, classes):
    """A picture with the legend of more than two classes below it; of two, as it is."""
    if len(classes) < 3:
        return picture
    return np.concatenate([picture, legend(classes, picture.shape[1])])


def map_values(classes, label_values):
    """The pixel value of each class in a map of more than two, a list: its (first) value in masks.

    It is the class's index if masks have colours or values above 255. label_values: Run's.
    """
    own = {name: value for value, name in reversed(label_values.items())}
    values = [own.get(each.name, '') for each in classes]
    are_levels = all(value.isdecimal() and int(value) < 256 for value in values)
    return [int(value) for value in values] if are_levels else list(range(len(classes)))


def write_map(path, probabilities, shape, classes, values):
    """Write what a network found as PNG, complete or not at all. Raises OSError.

    Of two classes, 16-bit grey levels: 65535 times the probability of the second. Of more, the
    values of the most probable classes, with a palette of their colours.

    Args:
        probabilities: float32 [h, w, classes], resized to `shape`, (height, width).
        values: of map_values; of two classes not used.
    """
    two, palette = len(classes) == 2, None
    image = np.empty(shape, np.uint16 if two else np.uint8)
    for rows in bands(shape):
        if two:
            image[rows] = np.rint(65535 * resize_confidence(probabilities[..., 1], shape, rows))
        else:
            image[rows] = np.take(values, predicted(probabilities, shape, rows))
    if not two:
        palette = np.zeros((256, 3), np.uint8)
        palette[values] = [each.colour for each in classes]
    write_png(path, image, palette)


def write_png(path, image, palette=None):
    """Write an array as PNG, complete or not at all; Pillow takes twice as long. Raises OSError.

    Args:
        image: uint8 [h, w, 3] or [h, w], or uint16 [h, w].
        palette: uint8 [256, 3], the colours of an image uint8 [h, w].
    """
    def write_chunk(name, data):
        file.write(struct.pack('>I', len(data)) + name + data)
        file.write(struct.pack('>I', zlib.crc32(name + data)))

    height, width, *colours = image.shape
    pixel = image.itemsize * max(colours, default=1)  # bytes
    kind = 3 if palette is not None else 2 if colours else 0
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    with atomic_path(path) as temporary, open(temporary, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n')
        write_chunk(b'IHDR', struct.pack('>2I5B', width, height, 8 * image.itemsize, kind, 0, 0, 0))
        if palette is not None:
            write_chunk(b'PLTE', palette.tobytes())
        for rows in bands(image.shape):
            values = image[rows].astype(image.dtype.newbyteorder('>'))
            values = values.reshape(len(values), -1).view(np.uint8)
            lines = np.ones((len(values), 1 + values.shape[1]), np.uint8)  # 1: filter "Sub",
            lines[:, 1:] = values  # by which each byte is less that of the pixel on its left
            lines[:, 1 + pixel:] -= values[:, :-pixel]
            write_chunk(b'IDAT', deflate.compress(lines))
        write_chunk(b'IDAT', deflate.flush())
        write_chunk(b'IEND', b'')
