"""Batches: which frames and copies an epoch visits, its dropout noise, and that it can resume."""

from types import SimpleNamespace

import numpy as np
import pytest

from road.data.batches import Batches
from road.settings import AUGMENTATIONS

SHAPE = (64, 96)


def samples_of(batches, batch_size=4):
    return [sample for batch, _ in batches(batch_size) for sample in batch]


def echo(samples):
    return samples, np.zeros([len(samples), 64, 96], np.uint8)


@pytest.mark.parametrize('copies', [0, 1])
def test_an_epoch_visits_every_frame_once_in_its_own_order(frames, copies):
    """Which a resumed run repeats, newly drawn copies included."""
    batches, resumed, other = (
        Batches(frames, SHAPE, echo, copies=copies, augment=['crop'], seed=seed)
        for seed in (3, 3, 4))
    first, second, of_other_seed = (samples_of(each) for each in (batches, batches, other))
    assert (len(batches), batches.epoch) == (9, 2)
    assert sorted(s.frame for s in first) == sorted(s.frame for s in second) == frames
    assert first != second != of_other_seed != first
    resumed.epoch = 1
    assert samples_of(resumed) == second


def test_a_batch_has_images_of_one_shape(frames):
    mixed = [frame._replace(shape=(300, 100) if i < 6 else (100, 300))
             for i, frame in enumerate(frames)]
    found = [(len(samples), len({sample.shape for sample in samples}))
             for samples, _ in Batches(mixed, SHAPE, echo, seed=3)(4)]
    assert sorted(found) == [(2, 1), (3, 1), (4, 1)]


def test_an_epoch_chooses_among_copies_or_draws_anew(frames):
    fixed, other, fresh = (
        Batches(frames, SHAPE, echo, copies=copies, augment=AUGMENTATIONS, seed=seed)
        for copies, seed in ((3, 0), (3, 1), (0, 0)))
    copies = fixed.all_samples()
    assert len(set(copies)) == 3 * len(frames)
    assert set(samples_of(fixed)) < set(copies)
    assert other.all_samples() == copies  # so that both read one cache
    assert len({s.augmentation for s in samples_of(fresh) + samples_of(fresh)}) == 2 * len(frames)
    assert fresh.all_samples() == []


def test_parts_of_a_batch_make_the_whole_batch():
    """Images, labels and noise; a process without an image gets one whose pixels are ignored."""
    def parts(rank, processes):
        def read(samples):
            numbers = np.array([sample.frame.name for sample in samples], np.uint8)
            return (numbers,), np.ones((64, 96), np.uint8) * numbers[:, None, None]

        batches = Batches([SimpleNamespace(name=name, shape=SHAPE) for name in '012345'], SHAPE,
                          read, 6, seed=1)
        batches.dropout_noise = [SimpleNamespace(shape=(None, 2, 3, 5))]
        batches.rank, batches.processes = rank, processes
        return [(*inputs, labels) for inputs, labels in batches(4)]

    whole = parts(0, 1)
    for rank in range(3):
        full, last = parts(rank, 3)
        for array, part in zip(whole[0], full, strict=True):
            np.testing.assert_array_equal(part, array[rank::3])
        if rank < 2:
            for array, part in zip(whole[1], last, strict=True):
                np.testing.assert_array_equal(part, array[rank::3])
    assert [len(array) for array in last] == [1, 1, 1]  # of the third process
    assert not last[-1].any()
