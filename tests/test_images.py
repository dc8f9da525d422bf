"""Images of every kind are read, and resized."""

import os
import struct
import sys
import zlib
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image, ImageOps

from road.data import images
from road.data.augmentation import PLAIN
from road.data.batches import read_images, sample_of
from road.data.dataset import Frame
from road.errors import InputError
from road.network.tf1 import tf


def test_sizes_that_32_does_not_divide_are_rounded_up():
    """The last rows are those of the image, and label and image stay together."""
    rows = np.arange(100, 137, dtype=np.uint8)[:, None].repeat(70, 1)
    image = images.resize_image(np.dstack([rows] * 3), (37, 70))
    label = images.resize_label(np.uint8(rows >= 118), (37, 70))
    assert image.shape == (64, 96, 3) and label.shape == (64, 96)
    assert (image[-1] == 136).all() and (np.diff(image[:, 0, 0].astype(int)) <= 1).all()
    assert abs((image[:, 0, 0] >= 118).sum() - label[:, 0].sum()) <= 1


def log_average(image):
    return np.exp(np.mean(np.log((image + 0.5) / 256)))


def test_dark_roads_are_brightened_as_far_as_asked():
    rng = np.random.default_rng(0)
    sky, road = rng.integers(180, 256, (40, 60, 3)), rng.integers(10, 60, (40, 60, 3))
    image = np.uint8(np.vstack([sky, road]))
    np.testing.assert_array_equal(images.brighten(image, 0), image)
    bright = images.brighten(image, 0.26)
    assert log_average(bright[40:]) == pytest.approx(0.26, rel=0.01)
    np.testing.assert_array_equal(images.brighten(bright, 0.25), bright)
    np.testing.assert_array_equal(images.brighten(image[::-1], 0.26), image[::-1])  # a dark sky
    copy = images.resize_image(image, (64, 64), PLAIN._replace(mirror=True), light=0.26)
    plain = images.resize_image(image, (64, 64))
    np.testing.assert_array_equal(copy, images.brighten(plain, 0.26)[:, ::-1])
    # grey reaches 66, but black gets the square root of its share of white
    for level, expected in ((0, 11), (10, 51), (40, 66), (66, 66), (255, 255)):
        assert (images.brighten(np.full((8, 8, 3), level, np.uint8), 0.26) == expected).all()


@pytest.mark.parametrize('count', [1, 30, 250])
def test_a_quarter_of_the_frames_is_darker_than_low_light(tmp_path, count):
    levels = np.linspace(0, 255, count).astype(np.uint8)
    frames = [Frame(str(level), str(tmp_path / f'{level}.png')) for level in levels]
    for level in levels:
        Image.fromarray(np.full((2, 2, 3), level, np.uint8)).save(tmp_path / f'{level}.png')
    assert images.low_light(frames) == pytest.approx(0.25 if count > 1 else 0.002, abs=0.004)


@pytest.mark.parametrize('turn', range(1, 9))
def test_every_turn_is_that_of_viewers(tmp_path, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    RGB.save(tmp_path / 'a.png', exif=exif)
    with Image.open(tmp_path / 'a.png') as file:
        np.testing.assert_array_equal(images.read_image(file.filename),
                                      ImageOps.exif_transpose(file))


def test_confidence_stays_in_range_and_keeps_its_size():
    confidence = np.random.default_rng(0).random((10, 20), np.float32)
    assert np.shares_memory(images.resize_confidence(confidence, (10, 20)), confidence)
    large = images.resize_confidence(confidence, (35, 70))
    assert large.shape == (35, 70) and 0 <= large.min() and large.max() <= 1
    classes = images.resize_confidence(np.dstack([confidence, 1 - confidence]), (35, 70))
    np.testing.assert_allclose(classes[..., 0], large)
    np.testing.assert_allclose(classes.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize('shape, usual, fitted', [
    ((375, 1242), (192, 672), (192, 672)),  # KITTI's own proportions
    ((360, 480), (192, 672), (320, 416)), ((1024, 2048), (320, 1056), (416, 832)),
    ((4000, 3000), (192, 672), (416, 320)), ((100, 12000), (192, 672), (32, 3936)),
    ((90, 120), (192, 672), (96, 128)),  # no larger than the images are
    ((16, 12000), (192, 672), (32, 8192)), ((12000, 16), (192, 672), (8192, 32))])
def test_default_size_keeps_proportions_and_pixels(shape, usual, fitted):
    assert images.default_shape(shape, usual) == fitted


def scene():
    """uint8 RGB with something to see: a red right half, a gradient, a blue corner."""
    image = np.zeros([60, 90, 3], np.uint8)
    image[:, 45:, 0] = 250
    image[..., 1] = np.linspace(0, 255, 60).astype(np.uint8)[:, None]
    image[:15, :20, 2] = 200
    return image


RGB = Image.fromarray(scene())
GREY, ALPHA, TURNED = RGB.convert('L'), RGB.getchannel('G'), Image.Exif()
RGBA = Image.merge('RGBA', [*RGB.split(), ALPHA])
TURNED[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
# and an EXIF block that also has a tag that cannot be read
ODD = (b'Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0'
       b'\x1a\x01\x63\0\x01\0\0\0\xff\xff\xff\x7f\0\0\0\0')


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('name, picture, expected, tolerance, options', [
    ('rgb.bmp', RGB, RGB, 0, {}), ('rgba.png', RGBA, RGB, 0, {}),
    ('cmyk.jpg', RGB.convert('CMYK'), RGB, 12, {'quality': 98}), ('grey.png', GREY, GREY, 0, {}),
    ('grey16.tif', Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), GREY, 0, {}),
    ('grey-alpha.png', Image.merge('LA', [GREY, ALPHA]), GREY, 0, {}),
    ('palette.png', RGB.quantize(256), RGB, 8, {'transparency': bytes([0, 128])}),
    ('clip.gif', RGB, RGB, 8, {'save_all': True, 'append_images': [GREY]}),
    ('large-profile.png', RGB, RGB, 0, {'icc_profile': bytes(2_000_000)}),
    ('signed.tif', Image.fromarray(np.asarray(GREY).astype(np.int32) * 257), GREY, 0, {}),
    ('turned.tif', RGB.rotate(90, expand=True), RGB, 0, {'exif': TURNED}),
    ('odd.jpg', RGB.rotate(90, expand=True), RGB, 12, {'exif': ODD, 'subsampling': 0})])
def test_every_mode_is_read_as_upright_rgb(tmp_path, name, picture, expected, tolerance, options):
    picture.save(tmp_path / name, **options)
    got = images.read_image(str(tmp_path / name)).astype(int)
    assert got.shape == (60, 90, 3)
    assert np.quantile(np.abs(got - np.asarray(expected.convert('RGB'))), 0.97) <= tolerance


@pytest.mark.parametrize('mode, bits', [('L', 8), ('L', 10), ('L', 12), ('L', 14), ('L', 16),
                                        ('RGB', 8), ('RGB', 12), ('RGB', 14), ('RGB', 16)])
def test_levels_of_few_bits_in_16_fill_the_range(tmp_path, mode, bits):
    levels = np.asarray(RGB.convert(mode)).astype(np.uint16) << bits - 8
    png = tf.compat.v2.io.encode_png(np.atleast_3d(levels))  # Pillow writes no colours of 16 bits
    (tmp_path / 'a.png').write_bytes(png.numpy())
    *_, level, turned = images.inspect_image(str(tmp_path / 'a.png'))
    assert level.bit_length() == bits and not turned
    expected = np.asarray(RGB.convert(mode).convert('RGB'))
    for known in (bits, None):
        image = images.read_image(str(tmp_path / 'a.png'), known)
        np.testing.assert_array_equal(image, expected, strict=True)


def test_samples_are_read_by_the_bits_of_all_at_the_light_of_all(tmp_path):
    path = str(tmp_path / 'a.png')
    Image.fromarray(np.asarray(GREY).astype(np.uint16) << 2).save(path)
    sample = sample_of(Frame('a', path, bits=12), (64, 96), PLAIN._replace(mirror=True), light=0.2)
    found, _ = read_images([sample], lambda label: np.zeros((60, 90), np.uint8))
    expected = images.resize_image(np.dstack([np.asarray(GREY) >> 2] * 3), *sample[1:])
    np.testing.assert_array_equal(found, [expected])


def test_bits_are_those_that_cameras_store():
    bits = [images.used_bits(level) for level in (1, 255, 256, 1023, 1024, 5000, 20000, 65535)]
    assert bits == [8, 8, 10, 10, 12, 14, 16, 16]


def test_colours_of_16_bits_are_turned_by_exif(tmp_path):
    png = tf.compat.v2.io.encode_png(np.asarray(RGB).astype(np.uint16) * 257).numpy()
    chunk = b'eXIf' + TURNED.tobytes()[6:]  # without the heading of JPEG
    chunk = struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
    (tmp_path / 'a.png').write_bytes(png[:33] + chunk + png[33:])  # behind the header
    assert images.inspect_image(str(tmp_path / 'a.png'))[-1]
    np.testing.assert_array_equal(images.read_image(str(tmp_path / 'a.png')),
                                  np.rot90(np.asarray(RGB), -1))
    (tmp_path / 'a.png').write_bytes(png[:33] + chunk + png[33:-50])
    with pytest.raises(InputError, match='a.png: '):
        images.read_image(str(tmp_path / 'a.png'))


def test_tiles_of_16_bits_are_read_unless_they_use_few_bits(tmp_path, monkeypatch):
    """FFmpeg takes them for black; it may be missing."""
    path, levels = tmp_path / 'a.tif', np.random.default_rng(0).integers(
        2**16, size=(16, 16, 3), dtype=np.uint16)
    tags = {256: 16, 257: 16, 258: 16, 259: 1, 262: 2, 277: 3, 284: 1, 322: 16, 323: 16, 324: 8,
            325: levels.nbytes}
    for _ in range(2):
        path.write_bytes(tiff(levels.tobytes(), tags))
        np.testing.assert_array_equal(images.read_image(str(path)), levels >> 8)
        path.write_bytes(tiff((levels >> 2).tobytes(), tags))
        with pytest.raises(InputError, match='a.tif: its 16-bit colours cannot be read in full'):
            images.read_image(str(path))
        monkeypatch.setitem(sys.modules, 'av', None)


def tiff(data, tags):
    """A whole TIFF of these bytes, which begin at 8; {number of a tag: its value}."""
    entries = b''.join(struct.pack('<HHII', tag, 3, 1, value) for tag, value in tags.items())
    return (struct.pack('<4sI', b'II*\0', 8 + len(data)) + data + struct.pack('<H', len(tags))
            + entries + bytes(4))


def pixel(kind, bits):
    """A TIFF of one pixel, of a kind of number (1 unsigned, 2 signed, 3 float)."""
    return tiff(b'\xff' * 8, {256: 1, 257: 1, 258: bits, 262: 1, 273: 8, 279: bits // 8, 339: kind})


@pytest.mark.parametrize('data, complaint, name', [(*case, 'a.png')[:3] for case in [
    (b'not a picture', 'not a readable image'), (b'', 'not a readable image'),
    (None, 'No such file'), (b'a.png', 'is no image or video', 'list.txt'),
    (os.mkfifo, 'is no file but .*pipe'),
    (b'\0\0\0\x18ftypheic' + bytes(99), 'HEIC, .* convert it to JPEG'),
    (b'P6 99999 99999 255\n', '179 million pixels.*; make it smaller'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\n', 'run `git lfs pull`'),
    (pixel(3, 64), 'TIFF with 64 bits; convert'), (pixel(3, 64)[:40], 'or cut short'),
    (pixel(2, 16), 'negative or fractional levels'), (pixel(1, 32), 'more than 16 bits'),
    (pixel(1, 8), 'raw photos .*; convert', 'a.DNG'), (b'Pf 1 1 -1\n' + bytes(4), 'fractional')]])
def test_unreadable_images_are_named(tmp_path, data, complaint, name):
    path = tmp_path / name
    if data is os.mkfifo:  # reading it would never end
        data(path)
    elif data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=f'^{path}: .*{complaint}'):
        images.read_image(str(path))


def test_an_image_that_memory_cannot_hold_is_not_called_damaged(tmp_path, monkeypatch):
    RGB.save(tmp_path / 'a.png')
    monkeypatch.setattr(Image.Image, 'load', Mock(side_effect=MemoryError))
    with pytest.raises(InputError, match='a.png: there is not enough memory to read it'):
        images.read_image(str(tmp_path / 'a.png'))
