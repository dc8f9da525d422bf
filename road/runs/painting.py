"""Show road, or more than two classes, in an image, and write images as PNG."""

import functools
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from road.data import IGNORE_LABEL
from road.data.images import resize_confidence
from road.files import atomic_path
from road.progress import tqdm
from road.scoring.confusion import predicted

TINT_COLOUR = (0, 255, 0)
RIGHT, MISSED, FALSE = (0, 200, 80), (255, 50, 40), (40, 110, 255)  # as in page.html
TINT_STRENGTH = 0.5  # where the probability is 1
OUTLINE_COLOUR = (255, 255, 0)
_print_once = functools.cache(tqdm.write)


def paint(image, probabilities, overlay='both', classes=(), threshold=0.5):
    """Show in an image what a network found: uint8 [h, w, 3] => uint8 [h, w, 3].

    Probabilities, float32 [h, w, classes], are resized to the image; from `threshold` on a pixel is
    road. overlay: 'tint', green as strong as the probability of road; 'outline', a thin yellow line
    along the inner edge of the road; 'both'; or 'mask', the road in white on black, without the
    image. More than two `classes` have the tint, the outline and the mask in their own colours;
    outlines on a tint are white or black.
    """
    found = predicted(probabilities, image.shape[:2], threshold)
    two = probabilities.shape[-1] == 2
    colours = np.uint8([[0] * 3, [255] * 3] if two else [each.colour for each in classes])
    if overlay == 'mask':
        return colours[found]
    painted = image.copy() if overlay == 'outline' else _tint(image, probabilities, classes)
    if overlay != 'tint':
        edge = _edge(found)
        if two:
            painted[edge & (found == 1)] = OUTLINE_COLOUR
        elif overlay == 'both':  # on their tint, the colours of classes could not be seen
            painted[edge] = 255 if image.mean() < 128 else 0
        else:
            painted[edge] = colours[found[edge]]
    return painted


def _tint(image, probabilities, classes):
    def resized(values):  # 8 bits and few copies, because images may have 48 megapixels
        small = Image.fromarray(np.rint(values).astype(np.uint8))
        return small.resize(image.shape[1::-1], Image.Resampling.BILINEAR)

    painted = Image.fromarray(image)
    if probabilities.shape[-1] == 2:
        painted.paste(TINT_COLOUR, mask=resized(255 * TINT_STRENGTH * probabilities[..., 1]))
    else:
        colours = np.float32([each.colour for each in classes])
        painted = Image.blend(painted, resized(probabilities @ colours), TINT_STRENGTH)
    return np.array(painted)


def paint_errors(image, probabilities, label, threshold=0.5):
    """The grey image with what is right, missed and false: uint8 [h, w, 3] => uint8 [h, w, 3].

    Of more than two classes all that is wrong is called missed. label: uint8 [h, w].
    """
    found = predicted(probabilities, label.shape, threshold)
    wrong, right = (label != IGNORE_LABEL) & (found != label), found == label
    false = np.zeros_like(wrong)
    if probabilities.shape[-1] == 2:
        false, right = wrong & (found == 1), right & (found == 1)
    painted = np.array(Image.fromarray(image).convert('L').convert('RGB'))
    for where, colour in ((right, RIGHT), (wrong & ~false, MISSED), (false, FALSE)):
        painted[where] = 0.4 * painted[where] + 0.6 * np.array(colour)
    return painted


def _edge(values):
    """The pixels of an [h, w] next to another value, bool; the border of the image is no edge."""
    inner = _equals_neighbours(values)
    for _ in range(round(min(values.shape) / 400) - 1):  # a 400th of the smaller side thick
        inner = inner & _equals_neighbours(inner)
    return ~inner


def _equals_neighbours(values):
    around = np.pad(values, 1, mode='edge')
    return ((values == around[:-2, 1:-1]) & (values == around[2:, 1:-1])
            & (values == around[1:-1, :-2]) & (values == around[1:-1, 2:]))


def font(size, text):
    """Matplotlib's DejaVu Sans, `size` pixels high; a line says if it lacks letters of `text`."""
    import matplotlib.ft2font  # here, because --help must not wait for it
    path = f'{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf'
    known = matplotlib.ft2font.FT2Font(path).get_charmap()
    missing = ''.join(sorted(letter for letter in {*text}
                             if letter.isprintable() and ord(letter) not in known))
    if missing:
        _print_once(f'Note: the font of the pictures lacks {missing}; boxes stand for it')
    return ImageFont.truetype(path, size)


def legend(classes, width, size=None):
    """The colours and names of classes on white: uint8 [h, width, 3]; size: of the text, pixels."""
    size = size or max(12, width // 60)
    gap, line = size // 2, 3 * size // 2
    letters = font(size, ''.join(each.name for each in classes))
    strip = Image.new('RGB', (width, gap + len(classes) * line), 'white')  # with room for all
    draw = ImageDraw.Draw(strip)
    x, y = gap, gap
    for each in classes:
        needed = size + gap + round(letters.getlength(each.name)) + 2 * gap
        if x > gap and x + needed - gap > width:
            x, y = gap, y + line
        draw.rectangle((x, y, x + size - 1, y + size - 1), each.colour, 'black')
        draw.text((x + size + gap, y + size / 2), each.name, 'black', letters, anchor='lm')
        x += needed
    return np.asarray(strip)[:y + line]


def add_legend(picture, classes, size=None):
    """A picture with the legend of more than two classes below it; of two, as it is."""
    if len(classes) < 3:
        return picture
    return np.concatenate([picture, legend(classes, picture.shape[1], size)])


def map_values(classes, label_values):
    """The value of each class in maps: its first in masks; its index if not all fit into 8 bits."""
    own = {name: int(value) for value, name in reversed(label_values.items())
           if value.isdecimal() and int(value) < 256}
    values = [own.get(each.name) for each in classes]
    return list(range(len(classes))) if None in values else values


def write_map(path, probabilities, shape, classes, label_values):
    """Write probabilities, float32 [h, w, classes], resized to `shape`, as a PNG: see write_png.

    Of two classes, 16-bit grey levels: 65535 times the probability of the second. Of more, the
    values of the most probable classes in masks (label_values: of Run), in the classes' colours.
    """
    if len(classes) == 2:
        levels = 65535 * resize_confidence(probabilities[..., 1], shape)
        write_png(path, np.rint(levels).astype(np.uint16))
    else:
        values = map_values(classes, label_values)
        palette = np.zeros((256, 3), np.uint8)
        palette[values] = [each.colour for each in classes]
        write_png(path, np.uint8(values)[predicted(probabilities, shape)], palette)


def write_png(path, image, palette=None):
    """Write uint8 [h, w, 3] or [h, w], or uint16 [h, w], as PNG, complete or not at all.

    palette: uint8 [256, 3], the colours of an image uint8 [h, w]. Raises OSError.
    """
    image = Image.fromarray(image)
    if palette is not None:
        image.putpalette(palette.tobytes())
    with atomic_path(path) as temporary:  # as large as by the defaults, in a quarter of the time
        image.save(temporary, 'PNG', compress_level=1, compress_type=zlib.Z_RLE)
