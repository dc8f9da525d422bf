"""The cache of the encoder's outputs: what it gives back, and what it does when something is in the way."""

import errno
import os

import numpy as np
import pytest

from road import kitti
from road.activations import Cache
from road.variants import MIRRORED, PLAIN

SHAPE, LAYERS = (50, 90), [(8, 4), (16, 6), (32, 8)]  # padded to 64x96


@pytest.fixture
def samples(scenes_dir):
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))[:3]
    return [kitti.Sample(frame, variant) for frame in frames for variant in (PLAIN, MIRRORED)]


class Encoder:
    """Stands for the encoder: means of the image's blocks, times a factor a channel; counts the images."""

    def __init__(self, factor=1.0):
        self.images, self.factor = 0, factor

    def __call__(self, images):
        self.images += len(images)
        assert images.shape[1:] == (64, 96, 3)
        means = [(images.reshape(len(images), 64 // s, s, 96 // s, s, 3).mean((2, 4, 5)), c) for s, c in LAYERS]
        return tuple((m[..., None] * self.factor * (1 + np.arange(c) / 7)).astype(np.float32) for m, c in means)


def make(tmp_path, encoder='vgg float32', dtype='float16'):
    return Cache(str(tmp_path / 'cache'), encoder, SHAPE, LAYERS, dtype)


def files(cache):
    return sorted(os.path.join(cache.folder, name) for name in os.listdir(cache.folder))


@pytest.mark.parametrize('dtype, error', [('float16', 2 ** -11), ('float32', 0)])
def test_gives_back_what_was_computed(samples, tmp_path, dtype, error):
    """float16 within half a unit of its last place, relative; float32 exactly; labels always."""
    cache, encoder = make(tmp_path, dtype=dtype), Encoder()
    assert cache.fill(samples, encoder) and encoder.images == len(samples)
    activations, labels = cache.read(samples[1:4])
    images = np.stack([kitti.load_image(s, SHAPE) for s in samples[1:4]])
    for got, expected in zip(activations, Encoder()(images)):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=error)
    np.testing.assert_array_equal(labels, np.stack([kitti.load_label(s, SHAPE) for s in samples[1:4]]))
    assert all(os.path.getsize(path) == cache.sample_bytes for path in files(cache))


def test_second_run_computes_nothing(samples, tmp_path):
    assert make(tmp_path).fill(samples[:3], Encoder())
    encoder = Encoder()
    assert make(tmp_path).fill(samples, encoder)
    assert encoder.images == len(samples) - 3


def test_another_encoder_size_or_image_is_not_mistaken(samples, tmp_path):
    make(tmp_path).fill(samples, Encoder())
    encoder = Encoder()
    make(tmp_path, encoder='vgg bfloat16').fill(samples, encoder)
    assert encoder.images == len(samples)
    changed = str(tmp_path / 'um_000000.png')
    with open(samples[0].frame.image, 'rb') as old, open(changed, 'wb') as new:
        new.write(old.read() + b'\0')
    encoder = Encoder()
    make(tmp_path).fill([s._replace(frame=samples[0].frame._replace(image=changed)) for s in samples[:2]], encoder)
    assert encoder.images == 2


@pytest.mark.parametrize('damage', ['cut', 'empty', 'flipped'])
def test_damaged_file_is_noticed_and_computed_again(samples, tmp_path, capsys, damage):
    cache = make(tmp_path)
    cache.fill(samples, Encoder())
    before = cache.read(samples)[0]
    with open(files(cache)[2], 'r+b') as file:
        if damage == 'flipped':
            file.seek(100)
            file.write(b'\xff\xfe')
        else:
            file.truncate(0 if damage == 'empty' else 50)
    cache, encoder = make(tmp_path), Encoder()
    assert cache.fill(samples, encoder) and encoder.images == 1
    assert '1 cached activations in' in capsys.readouterr().out
    for old, new in zip(before, cache.read(samples)[0]):
        np.testing.assert_array_equal(old, new)


def test_killed_run_leaves_only_whole_files(samples, tmp_path, monkeypatch):
    """Stopped in the middle, the next run goes on where it was."""
    monkeypatch.setattr('road.activations.ENCODER_BATCH', 4)
    calls = []

    def dying(images):
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return Encoder()(images)

    cache = make(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(samples, dying)
    assert all(path.endswith('.bin') for path in files(cache))
    done, encoder = len(files(cache)), Encoder()
    assert make(tmp_path).fill(samples, encoder) and encoder.images == len(samples) - done < len(samples)


def test_value_too_large_for_float16_makes_it_float32(samples, tmp_path, capsys):
    cache = make(tmp_path)
    assert cache.fill(samples, Encoder(1e4)) and cache.dtype == np.float32
    assert 'too large for float16' in capsys.readouterr().out
    assert cache.read(samples)[0][0].max() > 65504 and np.isfinite(cache.read(samples)[0][0]).all()


def test_over_the_limit_or_without_room_it_is_not_used(samples, tmp_path, capsys, monkeypatch):
    cache, encoder = make(tmp_path), Encoder()
    assert not cache.fill(samples, encoder, limit=len(samples) * cache.sample_bytes - 1)
    assert '--cache-limit' in capsys.readouterr().out and encoder.images == 0

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr('road.activations.os.replace', full)
    assert not cache.fill(samples, encoder)
    assert 'cannot be written (No space left on device)' in capsys.readouterr().out and files(cache) == []
    monkeypatch.undo()
    (tmp_path / 'file').write_text('')
    assert not Cache(str(tmp_path / 'file'), 'e', SHAPE, LAYERS).fill(samples, encoder)
