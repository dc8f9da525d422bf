"""Labels: image files whose pixel values stand for classes, as ids or as colours.

A mask may be grey (1, 8 or 16 bits), have a palette, or be RGB or RGBA. Each pixel then has an id
(grey level, or place in the palette), a colour, or both; a LabelRule says which of them counts.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from PIL import Image, ImageSequence

from road.data.images import DAMAGED, open_image, why_unreadable
from road.errors import InputError

UNKNOWN = 254  # in LabelRule.table; so there are at most 254 classes
MOST_VALUES = 1000  # values of a file that are remembered; a photograph has more


@dataclass
class LabelRule:
    """Which class each value of a mask stands for."""
    by_colour: bool  # values are colours, 0xRRGGBB; otherwise ids, 0 to 65535
    indices: dict  # value => index of the class, or IGNORE_LABEL
    hint: str  # ends errors: how a label has to be

    @cached_property
    def table(self):
        """uint8, from every value to its index; UNKNOWN for other values, -1 included."""
        table = np.full((2**24 if self.by_colour else 2**16) + 1, UNKNOWN, np.uint8)
        table[list(self.indices)] = list(self.indices.values())
        return table

    def count(self, *masks):
        """Pixels by class index, and by value of no class, of masks as count_values has them."""
        known, unknown = Counter(), Counter()
        for *id_and_colour, pixels in chain(*masks):
            value = id_and_colour[self.by_colour]
            if value in self.indices:
                known[self.indices[value]] += pixels
            else:
                unknown[value] += pixels
        return known, unknown

    def show(self, value):
        """A value as people write it: 7, or #ff00ff."""
        if value == -1:
            return 'a grey level of 16 bits' if self.by_colour else 'a colour'
        return f'#{value:06x}' if self.by_colour else str(value)


def balanced_weights(counts, num_classes):
    """Weights of classes by median frequency balancing, float32 [classes]; 1 if without pixels.

    Eigen and Fergus, "Predicting depth, surface normals and semantic labels", ICCV 2015: a class's
    frequency is its share of the images where it occurs. counts: of each image, {class: pixels}.
    """
    pixels = np.array([[count[i] for i in range(num_classes)] for count in counts])
    frequency = pixels.sum(axis=0) / np.maximum(pixels.sum(axis=1) @ (pixels > 0), 1)
    median = np.median(frequency[frequency > 0])
    return np.float32(median / np.where(frequency > 0, frequency, median))


def count_values(path):
    """The size, kind and values of a mask: ((height, width), kind, [[id, colour, pixels], ...]).

    The kind is Pillow's format and mode, as in 'PNG P'. An id is a grey level or a place in the
    palette; of RGB, the level of equal channels, else -1. A colour is 0xRRGGBB, black where
    transparent; a level of 16 bits has it if below 256 or a multiple of 257, else -1. The most
    frequent values come first. Raises InputError if the file is damaged or has several pages.
    """
    kind, values, colours = _read(path)
    if colours is None:
        colours, counts = np.unique(values, return_counts=True)
        ids = _grey_level(colours)
    else:
        counts = np.bincount(values.ravel())
        ids = counts.nonzero()[0]
        colours, counts = colours[ids], counts[ids]
    order = np.argsort(-counts, kind='stable')[:MOST_VALUES]
    return values.shape, kind, np.stack([ids, colours, counts], axis=1)[order].tolist()


def read_classes(path, rule):
    """Class indices, or IGNORE_LABEL: uint8 [h, w]. Raises InputError, also if one is no class."""
    _, values, colours = _read(path)
    if colours is not None and rule.by_colour:
        values = colours[values]
    elif colours is None and not rule.by_colour:
        values = _grey_level(values)
    classes = rule.table[values]
    unknown = classes == UNKNOWN
    if unknown.any():
        raise InputError(f'{path}: {unknown.mean():.1%} of the pixels have values that are no '
                         f'class, as in {rule.show(values[unknown][0])}; {rule.hint}')
    return classes


def _read(path):
    """(kind, ids int32 [h, w], the colour of each id), or (kind, colours int32 [h, w], None)."""
    image = open_image(path)
    try:
        with Image.open(path) as file:
            size = file.size  # overviews, as in a GeoTIFF, have another
            pages = sum(page.size == size for page in ImageSequence.Iterator(file))
    except DAMAGED as error:
        raise InputError(f'{path}: {why_unreadable(path, error)}') from error
    if pages > 1:
        raise InputError(f'{path}: has {pages} pages, where a label has one; save the page that '
                         'holds the classes as PNG')
    kind = image.info['kind']
    if image.mode.startswith('I'):  # 16 bits
        levels = np.arange(2**16, dtype=np.int32)
        colours = np.where(levels % 257, -1, levels // 257 * 0x010101)
        colours[:256] = levels[:256] * 0x010101
        return kind, np.asarray(image).astype(np.int32), colours
    if image.mode in ('1', 'L', 'P'):
        ramp = image.crop((0, 0, 256, 1))  # keeps palette and transparency
        ramp.putdata(range(256))
        return kind, np.asarray(image).astype(np.int32), _colours(ramp)[0]
    return kind, _colours(image), None


def _colours(image):
    red, green, blue, alpha = np.moveaxis(np.asarray(image.convert('RGBA'), np.int32), -1, 0)
    return np.where(alpha == 0, 0, red << 16 | green << 8 | blue)


def _grey_level(colours):
    level = colours & 255
    return np.where(colours == level * 0x010101, level, -1)
