"""Augmented copies of a training image: mirrored, relit, recoloured, cropped, rotated.

    draw_augmentation(rng, ('mirror', 'crop'))          # one, drawn anew
    draw_copies('um_000012', 8, ('mirror', 'crop'))     # a fixed set that holds the plain image

An augmentation is a few numbers, under which its features are cached. Image and label go through
the same steps; pixels that rotating brings in from outside the image are ignored.
"""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from road.data import IGNORE_LABEL

# How far each change goes: what shadows, over-exposure, hills and other cameras do to a road.
BRIGHTNESS = 40.0  # grey levels, up or down
CONTRAST = 0.4  # share by which distances from the mean grey level grow or shrink
GAMMA = 0.5  # of the exponent's natural logarithm, up or down
COLOUR = 0.13  # share by which each of red, green and blue grows or shrinks
SCALE = 0.5  # the smallest share of the height that a crop keeps; ASPECT varies the width
ASPECT = 0.17  # of the natural logarithm of width over height, up or down
ROTATION = 5.0  # degrees, either way
OUTSIDE = (124, 117, 104)  # RGB that VGG16's mean subtraction makes about zero


class Augmentation(NamedTuple):
    """How an image is changed: rotated, cropped, resized, mirrored, relit."""
    rotation: float = 0.0  # degrees, counter-clockwise
    crop: tuple = (0.0, 0.0, 1.0, 1.0)  # left, top, right, bottom, as shares
    mirror: bool = False
    contrast: float = 1.0  # around the mean grey level
    brightness: float = 0.0  # added, in grey levels
    gamma: float = 1.0  # exponent of the grey levels' share of 255
    colour: tuple = (1.0, 1.0, 1.0)  # factors of red, green and blue


PLAIN = Augmentation()
MIRRORED = Augmentation(mirror=True)


def draw_augmentation(rng, augment):
    """Draw an Augmentation with the changes in `augment`, names of road.settings.AUGMENTATIONS."""
    # All numbers are drawn, also those not used: leaving out one change does not alter the others.
    rotation = rng.uniform(-ROTATION, ROTATION)
    height = rng.uniform(SCALE, 1)
    width = min(height * np.exp(rng.uniform(-ASPECT, ASPECT)), 1)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    drawn = {'rotation': rotation, 'crop': (left, top, left + width, top + height),
             'mirror': rng.random() < 0.5, 'contrast': rng.uniform(1 - CONTRAST, 1 + CONTRAST),
             'brightness': rng.uniform(-BRIGHTNESS, BRIGHTNESS),
             'gamma': np.exp(rng.uniform(-GAMMA, GAMMA)),
             'colour': tuple(rng.uniform(1 - COLOUR, 1 + COLOUR, 3))}
    return Augmentation(**{name: _rounded(drawn[name]) for name in augment})


def _rounded(value):
    # so that the name of cached features does not depend on the last bit
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    return value if isinstance(value, bool) else round(float(value), 4)


def draw_copies(name, count, augment):
    """`count` Augmentations of a frame, PLAIN first; with 'mirror' every second one is mirrored."""
    mirror = 'mirror' in augment
    copies = [PLAIN, MIRRORED][:min(count, 1 + mirror)]
    for i in range(len(copies), count):
        copy = draw_augmentation(np.random.default_rng([i, *os.fsencode(name)]), augment)
        copies.append(copy._replace(mirror=mirror and i % 2 == 1))
    return copies


def resize(plane, shape, augmentation, resample):
    """Resize a uint8 image [h, w, 3] or label [h, w] to `shape`, rotated, cropped and mirrored."""
    image = Image.fromarray(plane)
    if augmentation.rotation:
        fill = OUTSIDE if plane.ndim == 3 else IGNORE_LABEL
        image = image.rotate(augmentation.rotation, resample, fillcolor=fill)
    height, width = shape
    left, top, right, bottom = np.multiply(augmentation.crop, image.size * 2)
    # in two steps, as exported models do: Pillow 13 begins with the height of many upright images
    image = image.resize((width, image.height), resample, (left, 0, right, image.height))
    image = image.resize((width, height), resample, (0, top, width, bottom))
    resized = np.asarray(image)
    return resized[:, ::-1] if augmentation.mirror else resized


def relight(image, augmentation):
    """Change contrast, brightness, gamma and colour of a uint8 image [h, w, 3]."""
    if augmentation._replace(rotation=0.0, crop=PLAIN.crop, mirror=False) == PLAIN:
        return image
    mean = image.mean()
    levels = (np.arange(256) - mean) * augmentation.contrast + mean + augmentation.brightness
    levels = 255 * (levels.clip(0, 255) / 255) ** augmentation.gamma
    table = np.rint(np.multiply.outer(augmentation.colour, levels).clip(0, 255)).astype(np.uint8)
    return np.asarray(Image.fromarray(image).point(table.ravel().tolist()))
