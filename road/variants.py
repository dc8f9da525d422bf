"""Augmented variants of a training image: mirrored, relit, recoloured, cropped, turned by a few degrees.

    augment = ('mirror', 'brightness', 'crop')
    draw_variant(rng, augment)                          # one, drawn afresh
    draw_variants('um_000012', 8, seed, augment)        # a fixed set, the image as it is among them

A variant is a few numbers, so that it can be named (its activations are cached under it) and drawn again the same. The
image and both planes of its label go through the same steps; where turning brings in pixels from outside the image, the
label does not count.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

# The kinds of change and how far each goes. Chosen by what shadows, over-exposure and hills do to a road, and small enough
# for the road to stay in its place.
BRIGHTNESS = 30.0  # grey levels, up or down
CONTRAST = 0.3  # share by which distances from the mean grey level grow or shrink
GAMMA = 0.4  # of the exponent's natural logarithm, up or down
COLOUR = 0.1  # share by which each of red, green and blue grows or shrinks
SCALE = 0.7  # the smallest share of height and width that a crop keeps
ASPECT = 0.1  # of the natural logarithm of width over height, up or down
ROTATION = 3.0  # degrees, either way
AUGMENTATIONS = ('mirror', 'brightness', 'contrast', 'gamma', 'colour', 'crop', 'rotation')

OUTSIDE = (124, 117, 104)  # grey that VGG16's mean subtraction makes about zero (RGB; see road.vgg16.MEAN_BGR)


class Variant(NamedTuple):
    """How an image is changed, in this order: turned, cropped, mirrored, then its light."""
    angle: float = 0.0  # degrees, counter-clockwise
    box: tuple = (0.0, 0.0, 1.0, 1.0)  # what is kept: left, top, right, bottom as shares of width and height
    mirrored: bool = False
    contrast: float = 1.0  # around the mean grey level
    brightness: float = 0.0  # added, in grey levels
    gamma: float = 1.0  # exponent of the grey levels' share of 255
    colour: tuple = (1.0, 1.0, 1.0)  # factors of red, green and blue


PLAIN = Variant()
MIRRORED = Variant(mirrored=True)


def draw_variant(rng, augment):
    """Draw a Variant with those changes that `augment`, a part of AUGMENTATIONS, names."""
    # All numbers are drawn, whatever is used of them: leaving one change out leaves the others as they were.
    angle = rng.uniform(-ROTATION, ROTATION)
    height = rng.uniform(SCALE, 1)
    width = min(height * np.exp(rng.uniform(-ASPECT, ASPECT)), 1)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    mirrored = rng.random() < 0.5
    drawn = {'rotation': {'angle': angle},
             'crop': {'box': (left, top, left + width, top + height)},
             'mirror': {'mirrored': mirrored},
             'contrast': {'contrast': rng.uniform(1 - CONTRAST, 1 + CONTRAST)},
             'brightness': {'brightness': rng.uniform(-BRIGHTNESS, BRIGHTNESS)},
             'gamma': {'gamma': np.exp(rng.uniform(-GAMMA, GAMMA))},
             'colour': {'colour': tuple(rng.uniform(1 - COLOUR, 1 + COLOUR, 3))}}
    changes = {key: value for name in augment for key, value in drawn[name].items()}
    return Variant(**{key: _rounded(value) for key, value in changes.items()})


def _rounded(value):
    """Python floats of four decimals: a variant's name does not hang on the last bit."""
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    return value if isinstance(value, bool) else round(float(value), 4)


def draw_variants(name, count, seed, augment):
    """`count` variants of the frame called `name`: PLAIN, then (where mirroring is wanted) MIRRORED, then drawn ones.

    With mirroring every second one is mirrored, so that the two halves are equal.
    """
    mirror = 'mirror' in augment
    variants = [PLAIN, MIRRORED][:min(count, 1 + mirror)]
    for i in range(len(variants), count):
        variant = draw_variant(np.random.default_rng([seed, i, *name.encode()]), augment)
        variants.append(variant._replace(mirrored=mirror and i % 2 == 1))
    return variants


def resize(plane, shape, variant, resample):
    """Resize a uint8 [h, w, 3] or bool [h, w] array to `shape`, turned, cropped and mirrored as the variant says.

    Args:
        resample: of the resizing, a PIL.Image.Resampling. Turning takes the same one.
    """
    image = Image.fromarray(plane)
    if variant.angle:
        image = image.rotate(variant.angle, resample, fillcolor=OUTSIDE if plane.ndim == 3 else 0)
    left, top, right, bottom = variant.box
    resized = np.asarray(image.resize((shape[1], shape[0]), resample, box=(
        left * image.width, top * image.height, right * image.width, bottom * image.height)))
    return resized[:, ::-1] if variant.mirrored else resized


def relight(image, variant):
    """Change contrast, brightness, gamma and colour of a uint8 image, uint8 again."""
    if variant[3:] == PLAIN[3:]:
        return image
    mean = image.mean()
    # A table of 256 grey levels a channel: whatever the image's size, this is the whole arithmetic.
    levels = (np.arange(256) - mean) * variant.contrast + mean + variant.brightness
    levels = 255 * (levels.clip(0, 255) / 255) ** variant.gamma
    table = np.rint(np.multiply.outer(variant.colour, levels).clip(0, 255)).astype(np.uint8)
    return np.stack([table[c][image[..., c]] for c in range(3)], axis=-1)
