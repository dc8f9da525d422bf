"""Augmentation: each change does what it says, to image and label alike, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from road.data import IGNORE_LABEL, augmentation
from road.data.augmentation import MIRRORED, PLAIN, draw_augmentation, draw_copies
from road.data.images import resize_image, resize_label
from road.settings import AUGMENTATIONS

SEEDS = st.integers(0, 2**32)


def draw(seed, augment):
    return draw_augmentation(np.random.default_rng(seed), augment)


@given(SEEDS, st.sampled_from(AUGMENTATIONS))
def test_a_change_is_drawn_alone_and_its_absence_leaves_the_others(seed, name):
    both, others = draw(seed, AUGMENTATIONS), [other for other in AUGMENTATIONS if other != name]
    assert draw(seed, [name]) == PLAIN._replace(**{name: getattr(both, name)})
    assert draw(seed, others) == both._replace(**{name: getattr(PLAIN, name)})


def test_copies_are_a_fixed_set_of_which_half_is_mirrored():
    copies, others = (draw_copies(name, 8, AUGMENTATIONS) for name in ('um_000001', 'um_000002'))
    assert copies[:3] == draw_copies('um_000001', 3, AUGMENTATIONS)
    assert copies[:2] == [PLAIN, MIRRORED]
    assert len({*copies, *others}) == 14  # all others differ
    assert [copy.mirror for copy in copies] == [False, True] * 4


@given(SEEDS)
def test_image_and_label_move_together(seed):
    """The image of a label gives the label of the image; what rotation brings in is ignored."""
    copy = draw(seed, ['mirror', 'crop', 'rotation'])
    rows, columns = np.mgrid[:90, :300]
    road = np.abs(columns - 170) < rows  # not symmetric
    picture = np.repeat(np.uint8(255) * road[..., None], 3, axis=2)
    image = resize_image(picture, (96, 320), copy)[..., 0] > 127
    label = resize_label(np.uint8(road), (96, 320), copy)
    assert image.shape == label.shape == (96, 320)
    inside = label != IGNORE_LABEL
    assert (image == label)[inside].mean() > 0.98
    assert inside.mean() > 0.9
    assert resize_label(np.uint8(road), (96, 320), copy._replace(rotation=0.0)).max() == 1


def test_mirror_flips_crop_enlarges_and_rotation_turns():
    rows, columns = np.mgrid[:100, :300]
    picture = np.stack([columns // 2, rows, rows], -1).astype(np.uint8)
    plain = resize_image(picture, (96, 288))
    np.testing.assert_allclose(plain[[0, -1], [0, -1]], [[0, 0, 0], [149, 99, 99]], atol=1)
    np.testing.assert_array_equal(resize_image(picture, (96, 288), MIRRORED), plain[:, ::-1])
    cropped = resize_image(picture, (96, 288), PLAIN._replace(crop=(0.5, 0.25, 1, 0.75)))
    assert cropped[0, 0].tolist() == pytest.approx([75, 25, 25], abs=1)
    turned = resize_image(picture, (96, 288), PLAIN._replace(rotation=3.0))  # counter-clockwise
    assert turned[48, 220, 1] > plain[48, 220, 1] + 2
    assert turned[48, 60, 1] < plain[48, 60, 1] - 2
    assert turned[0, 0].tolist() == list(augmentation.OUTSIDE)


@given(SEEDS)
def test_light_changes_by_the_formula(seed):
    image = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    copy = draw(seed, ['brightness', 'contrast', 'gamma', 'colour'])
    levels = (image - image.mean()) * copy.contrast + image.mean() + copy.brightness
    levels = 255 * (levels.clip(0, 255) / 255) ** copy.gamma * copy.colour
    np.testing.assert_allclose(augmentation.relight(image, copy), levels.clip(0, 255), atol=0.51)
    assert augmentation.relight(image, PLAIN) is image
