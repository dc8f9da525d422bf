"""Augmented variants of a training image: mirrored, brighter or darker, more or less contrast, slightly cropped.

A variant is a few numbers, drawn once from the seed, so that it can be named (its activations are cached under it) and
drawn again the same. Variant 0 is the image as it is.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image


class Variant(NamedTuple):
    """How an image is changed. The box is what of it is kept: left, top, right, bottom in [0, 1]."""
    mirrored: bool = False
    brightness: float = 0.0  # added, in grey levels
    contrast: float = 1.0  # around the mean grey level
    box: tuple = (0.0, 0.0, 1.0, 1.0)


PLAIN = Variant()


def draw_variants(name, count, seed):
    """`count` variants of the frame called `name`; the first is PLAIN, every second one is mirrored."""
    variants = [PLAIN]
    for i in range(1, count):
        rng = np.random.default_rng([seed, i, *name.encode()])
        scale = rng.uniform(0.85, 1)
        left, top = rng.uniform(0, 1 - scale, 2)
        values = rng.uniform(-30, 30), rng.uniform(0.8, 1.2), left, top, left + scale, top + scale
        brightness, contrast, *box = (round(float(value), 4) for value in values)
        variants.append(Variant(i % 2 == 1, brightness, contrast, tuple(box)))
    return variants


def resize(plane, shape, variant, resample):
    """Resize a uint8 [h, w, 3] or bool [h, w] array to `shape`, with the variant's crop and mirroring."""
    height, width = plane.shape[:2]
    left, top, right, bottom = variant.box
    resized = Image.fromarray(plane).resize((shape[1], shape[0]), resample,
                                            box=(left * width, top * height, right * width, bottom * height))
    resized = np.asarray(resized)
    return resized[:, ::-1] if variant.mirrored else resized


def relight(image, variant):
    """Change contrast and brightness of a uint8 image."""
    if (variant.contrast, variant.brightness) == (1.0, 0.0):
        return image
    mean = image.mean()
    return np.clip((image - mean) * variant.contrast + mean + variant.brightness, 0, 255).astype(np.uint8)
