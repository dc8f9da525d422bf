"""The feature cache: what it gives back, and what it does when something is in the way."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import DEFAULT, Mock

import numpy as np
import pytest

import main
from road import files
from road.data import kitti
from road.data.augmentation import MIRRORED, PLAIN
from road.data.batches import read_images, sample_of
from road.errors import InputError
from road.network import feature_cache
from road.network.device import find_device
from road.network.encoder import Encoder as NetworkEncoder
from road.network.feature_cache import FeatureCache

SHAPE, LAYERS = (50, 90), [(8, 4), (16, 6), (32, 8)]  # the network sees 64x96
ENCODER = 'vgg float32'


@pytest.fixture
def samples(frames):
    return [sample_of(frame, SHAPE, copy) for frame in frames[:3] for copy in (PLAIN, MIRRORED)]


class Encoder:
    """Stands for the encoder: means of the image's blocks, times a factor; counts the images."""
    layers = LAYERS

    def __init__(self, factor=1.0, seconds=0):
        self.images, self.factor, self.seconds = 0, factor, seconds

    def __call__(self, images):
        time.sleep(self.seconds)
        n, h, w, _ = images.shape
        self.images += len({image.tobytes() for image in images})  # a single image comes twice
        means = [images.reshape(n, h // s, s, w // s, s, 3).mean((2, 4, 5)) for s, _ in LAYERS]
        return tuple((mean[..., None] * self.factor * (1 + np.arange(c) / 7)).astype(np.float32)
                     for mean, (_, c) in zip(means, LAYERS))


@pytest.fixture
def make(samples, scenes_dir, tmp_path):
    """make(encoder, limit=..., samples=..., folder=...): a cache after fill."""
    def make(encoder, limit=np.inf, samples=samples, folder='cache'):
        digests = {path: files.file_digest(path) for sample in samples
                   for path in (sample.frame.image, sample.frame.label)}
        data = kitti.find_dataset(scenes_dir)._replace(digests=digests)
        cache = FeatureCache(encoder, data)
        cache.fill(str(tmp_path / folder), samples, limit, encoder=ENCODER)
        return cache
    return make


def test_reads_what_was_computed(samples, make):
    """float16 within half a unit of its last place; labels exactly. Images may have two sizes."""
    small = [sample._replace(shape=(32, 64)) for sample in samples[:5]]
    encoder = Encoder()
    cache = make(encoder, samples=small + samples)
    for group in small, samples[1:4]:
        features, labels = cache.read(group)
        images, expected_labels = read_images(group, kitti.read_label)
        for got, expected in zip(features, Encoder()(images)):
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, expected, rtol=2 ** -11)
        np.testing.assert_array_equal(labels, expected_labels)
    assert encoder.images == 11  # read from disk


def test_a_second_fill_computes_only_what_is_missing(samples, make, capsys):
    first, encoder = make(Encoder(), samples=samples[:3]), Encoder()
    leftover = Path(first.folder, '.road-00000000-1-0123abcd-a.bin')
    leftover.touch()
    os.utime(leftover, (0, 0))
    make(encoder, samples=samples + samples)
    assert encoder.images == len(samples) - 3 and not leftover.exists()
    assert 'Features: 6 samples, ' in capsys.readouterr().out
    encoder = Encoder()
    make(encoder, samples=[each._replace(frame=each.frame._replace(bits=12)) for each in samples])
    assert encoder.images == len(samples)  # 16-bit images would be read otherwise
    images, _ = read_images(samples[1:5], kitti.read_label)
    features, _ = first.read(samples[1:5])  # two of them are not cached: computed exactly
    np.testing.assert_array_equal(features[0], Encoder()(images)[0])


@pytest.mark.parametrize('damage, told, computed', [
    (lambda path: path.write_bytes(path.read_bytes()[:50]), 'damaged', 2),
    (lambda path: path.write_bytes(bytes(4) + path.read_bytes()[4:]), 'damaged', 2),
    (lambda path: (path.unlink(), path.mkdir()), 'Is a directory', 4)])  # cannot be replaced
def test_unreadable_files_are_computed_again(samples, make, capsys, damage, told, computed):
    """When they are read, with one line for all. They are written again if that is possible."""
    before, encoder = make(Encoder()).read(samples), Encoder()
    cache = make(encoder)
    for path in sorted(Path(cache.folder).iterdir())[1:3]:
        damage(path)
    capsys.readouterr()
    for _ in range(2):
        features, labels = cache.read(samples)
        for old, new in zip((*before[0], before[1]), (*features, labels)):
            np.testing.assert_array_equal(old, new)
    assert encoder.images == computed
    assert capsys.readouterr().out == (
        f'Features in {cache.folder} cannot be read ({told}): computed again\n')


def test_a_stopped_fill_goes_on(make, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, 'ENCODER_BATCH', 4)
    encoded = Encoder()(np.zeros([4, 64, 96, 3]))
    with pytest.raises(KeyboardInterrupt):
        make(Mock(side_effect=[encoded, KeyboardInterrupt], layers=LAYERS))
    written, encoder = len([*tmp_path.glob('cache/*/*')]), Encoder()  # some of the first 4
    cache = make(encoder)
    assert encoder.images == 6 - written >= 2
    assert all(name.endswith('.bin') for name in os.listdir(cache.folder))


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_bytes_do_not_depend_on_the_batch(make, vgg_dir, monkeypatch, precision):
    """So it does not matter which process has encoded what."""
    encoder = NetworkEncoder(main.load_vgg, vgg_dir, find_device(precision).encoder_config)
    caches = []
    for size in (8, 4, 1):
        monkeypatch.setattr(feature_cache, 'ENCODER_BATCH', size)
        caches.append(contents(make(encoder, folder=f'batches of {size}').folder))
    assert caches[0] == caches[1] == caches[2] != {}


def test_caches_that_are_filled_at_once_share_the_work(samples, make, monkeypatch):
    """As processes do: the bytes of one, and less done than by three that share nothing."""
    expected = contents(make(Encoder()).folder)
    monkeypatch.setattr(feature_cache, 'ENCODER_BATCH', 1)
    encoders = [Encoder(seconds=0.1) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        caches = list(pool.map(lambda encoder: make(encoder, folder='shared'), encoders))
    assert all(contents(cache.folder) == expected for cache in caches)
    assert sum(encoder.images for encoder in encoders) < 3 * len(samples)


@pytest.mark.parametrize('factor', [1e4, np.inf, np.nan])
def test_a_feature_that_float16_cannot_hold_is_refused(make, factor):
    with pytest.raises(InputError, match='float16 cannot hold; use --precision float32 or --no-c'):
        make(Encoder(factor))


def test_a_fill_that_fails_removes_what_it_wrote(samples, make, capsys, monkeypatch):
    earlier = contents(make(Encoder(), samples=samples[:2]).folder)
    full = OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(os, 'replace', Mock(side_effect=[DEFAULT, full], wraps=os.replace))
    cache = make(Encoder())
    assert capsys.readouterr().out.endswith(f' in {cache.folder}: No space left on device\n')
    assert contents(cache.folder) == earlier
    assert len(cache.read(samples)[1]) == 6  # goes on without


@pytest.mark.parametrize('limit, free, complaint', [
    (0, 0, 'computed now'), (-1, 0, 'more than --cache-limit'), (0, -1, '1.0 GiB are free')])
def test_without_room_nothing_is_cached(samples, make, capsys, monkeypatch, limit, free, complaint):
    """limit, free: bytes more than the cache takes; a GiB of what is free is for checkpoints."""
    size = sum(map(len, contents(make(Encoder()).folder).values()))
    usage = Mock(free=2**30 + size + free)
    monkeypatch.setattr(feature_cache.shutil, 'disk_usage', lambda folder: usage)
    capsys.readouterr()
    cache = make(Encoder(), limit=size + limit, folder='other')
    printed = capsys.readouterr().out
    assert complaint in printed and ('not cached' in printed) == (limit + free < 0)
    assert len(cache.read(samples)[1]) == 6
    make(Encoder(), limit=size + limit)  # which is there and takes no more room
    assert ('not cached' in capsys.readouterr().out) == (limit < 0)


def test_images_are_not_cached_where_all_of_the_encoder_is_trained(make, tmp_path):
    assert make(Mock(layers=[(1, 3)])).folder is None
    assert not (tmp_path / 'cache').exists()
