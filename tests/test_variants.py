"""Augmentation: each change does what it says, to image and label alike, and nothing else."""

import os

import numpy as np
import pytest

from road import kitti, variants
from road.variants import AUGMENTATIONS, MIRRORED, PLAIN, draw_variant, draw_variants

FIELDS = {'mirror': 'mirrored', 'brightness': 'brightness', 'contrast': 'contrast', 'gamma': 'gamma', 'colour': 'colour',
          'crop': 'box', 'rotation': 'angle'}


def drawn(augment, count=200):
    return [draw_variant(np.random.default_rng(i), augment) for i in range(count)]


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_a_change_that_is_named_is_the_only_one_and_one_left_out_leaves_the_others(name):
    alone, others = drawn([name]), drawn([other for other in AUGMENTATIONS if other != name])
    for mine, rest, both in zip(alone, others, drawn(AUGMENTATIONS)):
        assert mine == PLAIN._replace(**{FIELDS[name]: getattr(both, FIELDS[name])})
        assert rest == both._replace(**{FIELDS[name]: getattr(PLAIN, FIELDS[name])})
    assert len(set(alone)) == 2 if name == 'mirror' else len(set(alone)) > 180


def test_ranges():
    several = drawn(AUGMENTATIONS, 2000)
    for low, high, values in (
            (-3, 3, [v.angle for v in several]), (-30, 30, [v.brightness for v in several]),
            (0.7, 1.3, [v.contrast for v in several]), (np.exp(-0.4), np.exp(0.4), [v.gamma for v in several]),
            (0.9, 1.1, [c for v in several for c in v.colour]), (0.7, 1, [v.box[3] - v.box[1] for v in several])):
        assert low - 1e-3 <= min(values) < low + 0.05 * (high - low) and high - 0.05 * (high - low) < max(values) <= high + 1e-3
    assert all(0 <= edge <= 1.0001 for v in several for edge in v.box)
    assert 0.4 < np.mean([v.mirrored for v in several]) < 0.6


def test_a_fixed_set_is_the_same_again_and_half_of_it_mirrored():
    several = draw_variants('um_000001', 8, 0, AUGMENTATIONS)
    assert several == draw_variants('um_000001', 8, 0, AUGMENTATIONS) and several[:3] == draw_variants('um_000001', 3, 0, AUGMENTATIONS)
    assert several[:2] == [PLAIN, MIRRORED] and sum(v.mirrored for v in several) == 4 and len(set(several)) == 8
    assert several[2:] != draw_variants('um_000001', 8, 1, AUGMENTATIONS)[2:] != draw_variants('um_000002', 8, 1, AUGMENTATIONS)[2:]
    unmirrored = draw_variants('um_000001', 8, 0, ['crop'])
    assert unmirrored[0] == PLAIN and not any(v.mirrored for v in unmirrored) and len(set(unmirrored)) == 8
    assert draw_variants('um_000001', 3, 0, ()) == [PLAIN] * 3


def test_an_epoch_draws_of_the_set_or_afresh(scenes_dir):
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    fixed, fresh = ([kitti.epoch_samples(frames, number, AUGMENTATIONS, 0, epoch) for epoch in (1, 2, 3)] for number in (2, 0))
    assert {sample.variant for epoch in fixed for sample in epoch} == {PLAIN, MIRRORED}
    assert len({sample.variant for epoch in fresh for sample in epoch}) == 3 * len(frames)
    assert fresh[1] == kitti.epoch_samples(frames, 0, AUGMENTATIONS, 0, 2) != kitti.epoch_samples(frames, 0, AUGMENTATIONS, 1, 2)
    for epoch in fixed + fresh:
        assert {sample.frame for sample in epoch} == set(frames)


def test_image_and_label_are_moved_alike(scenes_dir):
    """A picture of the label gives the label of the picture; where turning brings in nothing, the label does not count."""
    road, counts = kitti.read_label(kitti.training_frames(os.path.join(scenes_dir, 'training'))[0].label)
    as_image = np.repeat(np.where(road, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    everything = np.ones_like(counts)
    labels = []
    for variant in [PLAIN, MIRRORED, *drawn(['mirror', 'crop', 'rotation'], 6), *drawn(['rotation'], 3)]:
        image = kitti.resize_image(as_image, (96, 320), variant)[..., 0] > 127
        label = kitti.resize_label(road, everything, (96, 320), variant)
        inside = label.any(axis=-1)
        assert (image == label[..., 1])[inside].mean() > 0.98
        assert inside.mean() > 0.9 and (variant.box != PLAIN.box or inside.all() == (abs(variant.angle) < 0.3))
        labels.append(label)
    np.testing.assert_array_equal(labels[0], labels[1][:, ::-1])
    assert sum((labels[0] != label).any() for label in labels[1:]) >= len(labels) - 2  # all but one turned by next to nothing


def test_light_is_changed_as_the_formula_says():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for variant in drawn(['brightness', 'contrast', 'gamma', 'colour'], 5):
        levels = (image - image.mean()) * variant.contrast + image.mean() + variant.brightness
        levels = 255 * (levels.clip(0, 255) / 255) ** variant.gamma * variant.colour
        np.testing.assert_allclose(variants.relight(image, variant), levels.clip(0, 255), atol=0.51)
    assert variants.relight(image, PLAIN) is image


def test_classic_labels_call_road_what_is_not_exactly_red():
    """Black included, and mixed colours at edges; the right rule lets black count nowhere."""
    label = np.zeros((64, 64, 3), np.uint8)
    label[:, 32:, 0] = 255  # red: not road
    label[32:, 32:, 2] = 255  # magenta: road
    classic = kitti.resize_label_classically(label, (64, 64))
    np.testing.assert_array_equal(classic[..., 1], 1 - (label == (255, 0, 0)).all(axis=-1))
    assert (classic.sum(axis=-1) == 1).all()
    right = kitti.resize_label(label[..., 2] > 0, label[..., 0] > 0, (64, 64))
    assert not right[:, :32].any() and right[32:, 32:, 1].all()
    halved = kitti.resize_label_classically(label[:, 3:], (32, 32))  # an edge falls within a pixel
    assert halved[..., 1].sum() > (halved.shape[0] * halved.shape[1]) * 3 // 4 - 32
