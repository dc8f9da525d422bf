"""Batches: which frames and copies an epoch visits, its dropout noise, and that it can resume."""

import os
import threading
from queue import Queue
from types import SimpleNamespace

import numpy as np
import pytest

from road.data import kitti
from road.data.augmentation import MIRRORED, PLAIN
from road.data.batches import Batches, Sample, read_images
from road.settings import AUGMENTATIONS


@pytest.fixture
def frames(scenes_dir):
    return kitti.training_frames(os.path.join(scenes_dir, 'training'))


def samples_of(batches, batch_size=4):
    return [sample for batch, _ in batches(batch_size) for sample in batch]


def echo(samples):
    return samples, np.zeros([len(samples), 64, 96], np.uint8)


def test_an_epoch_visits_every_frame_once_in_its_own_order(frames):
    batches = Batches(frames, echo, seed=3)
    first, second = samples_of(batches), samples_of(batches)
    assert len(batches) == 9 and batches.epoch == 2
    assert sorted(s.frame for s in first) == sorted(s.frame for s in second) == frames
    assert first != second and first != samples_of(Batches(frames, echo, seed=4))
    assert [len(batch) for batch, _ in Batches(frames, echo)(4)] == [4, 4, 1]
    resumed = Batches(frames, echo, seed=3)
    resumed.epoch = 1
    assert samples_of(resumed) == second


def test_an_epoch_chooses_among_copies_or_draws_anew(frames):
    fixed = Batches(frames, echo, copies=3, augment=AUGMENTATIONS)
    copies = fixed.all_samples()
    assert copies[:2] == [Sample(frames[0], PLAIN), Sample(frames[0], MIRRORED)]
    assert len(set(copies)) == 3 * len(frames) and set(samples_of(fixed)) < set(copies)
    other = Batches(frames, echo, copies=3, augment=AUGMENTATIONS, seed=1)
    assert other.all_samples() == fixed.all_samples()  # so that both read one cache
    assert sorted(samples_of(other)) != sorted(samples_of(fixed))
    fresh = Batches(frames, echo, copies=0, augment=AUGMENTATIONS)
    drawn = samples_of(fresh) + samples_of(fresh)
    assert len({s.augmentation for s in drawn}) == 2 * len(frames) and fresh.all_samples() == []
    resumed = Batches(frames, echo, copies=0, augment=AUGMENTATIONS)
    resumed.epoch = 1
    assert samples_of(resumed) == drawn[9:]


@pytest.mark.parametrize('copies', [0, 1, 2])
def test_scaled_copies_are_the_same_but_smaller(frames, copies):
    def read(samples):
        return read_images(samples, (50, 90), kitti.read_label)
    plain, scaled = (Batches(frames, read, copies=copies, augment=AUGMENTATIONS, scale=scale)
                     for scale in (1, 0.5))
    (images, labels), (small, small_labels) = next(plain(9)), next(scaled(9))
    assert images.shape == (9, 64, 96, 3) and labels.shape == (9, 64, 96, 2)
    assert small.shape == (9, 32, 64, 3) and small_labels.shape == (9, 32, 64, 2)
    assert {s.augmentation.scale for s in scaled.all_samples()} == ({0.5} if copies else set())
    np.testing.assert_allclose(small.mean((1, 2)), images.mean((1, 2)), atol=3)
    np.testing.assert_allclose(small_labels.mean((1, 2)), labels.mean((1, 2)), atol=0.05)


def test_names_of_a_step_are_those_of_its_batch(frames):
    batches = Batches(frames, echo, copies=2, augment=['mirror'])
    list(batches(4))
    for step, (batch, _) in enumerate(batches(4), 1):
        assert batches.names(step, 4) == [sample.frame.name for sample in batch]


def test_dropout_noise_depends_on_seed_and_epoch_alone(frames):
    def noise(seed, epoch):
        batches = Batches(frames, lambda samples: ((), echo(samples)[1]), seed=seed)
        batches.epoch, batches.dropout_noise = epoch, [SimpleNamespace(shape=(None, 2, 3, 5))]
        return [inputs[0] for inputs, _ in batches(2)]

    first = noise(7, 0)
    assert [array.shape for array in first] == [(2, 2, 3, 5)] * 4 + [(1, 2, 3, 5)]
    assert first[0].dtype == np.float32 and 0 <= first[0].min() and first[0].max() < 1
    np.testing.assert_array_equal(first[3], noise(7, 0)[3])
    assert (first[0] != first[1]).all() and (first[0] != noise(7, 1)[0]).all()
    assert (first[0] != noise(8, 0)[0]).all()


def test_dropout_noise_is_drawn_before_it_is_asked_for(frames):
    """While a batch trains, the noise of the next one is drawn, in another thread."""
    drawn = Queue()

    class Noise:
        @property
        def shape(self):
            drawn.put(threading.current_thread())
            return None, 2, 3, 5

    batches = Batches(frames, lambda samples: ((), echo(samples)[1]))
    batches.dropout_noise = [Noise()]
    steps = batches(3)
    next(steps)
    threads = [drawn.get(timeout=60) for _ in range(2)]
    assert threads[0] is threads[1] is not threading.current_thread()
    assert len(list(steps)) == 2 and drawn.qsize() == 1


def test_read_images_changes_image_and_label_alike(frames):
    samples = [Sample(frames[0]), Sample(frames[0], MIRRORED)]
    images, labels = read_images(samples, (50, 170), kitti.read_label)
    assert images.shape == (2, 64, 192, 3)
    for plain, mirrored in images, labels:
        np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    full = kitti.read_label(frames[0].label)
    assert (labels[0] == 1).mean() == pytest.approx((full == 1).mean(), abs=0.02) != 0


def test_labels_are_one_hot_and_zero_where_they_do_not_count(frames):
    classes = np.array([[[0, 3], [255, 1]]], np.uint8)
    _, labels = next(Batches(frames[:1], lambda samples: (samples, classes), num_classes=4)(1))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[[[1, 0, 0, 0], [0, 0, 0, 1]], [[0] * 4, [0, 1, 0, 0]]]]


@pytest.mark.parametrize('processes', [2, 3])
def test_parts_of_a_batch_make_the_whole_batch(processes):
    """Images, labels and noise; a process without an image gets one that counts nowhere."""
    def parts(rank, processes):
        frames = [SimpleNamespace(name=str(i)) for i in range(6)]

        def read(samples):
            numbers = np.array([int(sample.frame.name) for sample in samples], np.uint8)
            return (numbers,), np.ones((64, 96), np.uint8) * numbers[:, None, None]

        batches = Batches(frames, read, 6, seed=1)
        batches.dropout_noise = [SimpleNamespace(shape=(None, 2, 3, 5))]
        batches.rank, batches.processes = rank, processes
        return [(*inputs, labels) for inputs, labels in batches(4)]

    whole = parts(0, 1)
    shares = [parts(rank, processes) for rank in range(processes)]
    assert [len(numbers) for numbers, *_ in whole] == [4, 2]
    for step, arrays in enumerate(whole):
        for each, array in enumerate(arrays):
            for rank, share in enumerate(shares):
                if rank < len(array):
                    np.testing.assert_array_equal(share[step][each], array[rank::processes])
                else:
                    assert len(share[step][each]) == 1 and not share[step][-1].any()
