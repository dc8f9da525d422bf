"""Painting images, folders and videos: every kind of input gives the right output or one clear line."""

import os
import shutil

import imageio.v2 as iio2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

import helper
import main
from road import kitti, predict
from road.errors import InputError


def network(images):
    """In place of the trained one: the confidence is the red channel."""
    for key, image in images:
        yield key, image, image[..., 0] / np.float32(255)


def scene(height=60, width=90):
    """uint8 RGB with something to see: a red half on the right, a gradient, a blue corner."""
    image = np.zeros([height, width, 3], np.uint8)
    image[:, width // 2:, 0] = 250
    image[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    image[:height // 4, :width // 4, 2] = 200
    return image


@pytest.fixture(scope='module')
def run_dir(scenes_dir, vgg_dir, tmp_path_factory):
    """A trained run in float32, read only."""
    folder = tmp_path_factory.mktemp('predict')
    assert main.main(['--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(folder / 'data'), '--runs-dir',
                      str(folder), '--name', 'run', '--image-size', '50x170', '--epochs', '1', '--val-frames', '1',
                      '--precision', 'float32']) == 0
    return str(folder / 'run')


# ------------------------------------------------------------------------------------------------------- images


def rotated(path, image):
    """A JPEG that lies on its side, with the EXIF entry that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    Image.fromarray(np.rot90(image)).save(path, exif=exif, quality=98, subsampling=0)


def sixteen(path, image):
    """16-bit RGB, as a PNG of one row after the other; Pillow cannot write these."""
    import struct
    import zlib
    height, width = image.shape[:2]
    rows = (image.astype('>u2') * 257).reshape(height, -1)

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    with open(path, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 16, 2, 0, 0, 0)) +
                   chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))) + chunk(b'IEND', b''))


def grey(image):
    return np.asarray(Image.fromarray(image).convert('L'))


def with_alpha(image, mode):
    picture = Image.fromarray(image).convert(mode)
    picture.putalpha(Image.fromarray(image[..., 1]))
    return picture


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('name, write, is_grey, tolerance', [
    ('rgb.png', lambda p, i: Image.fromarray(i).save(p), False, 0),
    ('rgb.jpg', lambda p, i: Image.fromarray(i).save(p, quality=98, subsampling=0), False, 12),
    ('rgb.bmp', lambda p, i: Image.fromarray(i).save(p), False, 0),
    ('cmyk.jpg', lambda p, i: Image.fromarray(i).convert('CMYK').save(p, quality=98, subsampling=0), False, 12),
    ('rgba.png', lambda p, i: with_alpha(i, 'RGBA').save(p), False, 0),
    ('grey.png', lambda p, i: Image.fromarray(grey(i)).save(p), True, 0),
    ('grey-alpha.png', lambda p, i: with_alpha(i, 'LA').save(p), True, 0),
    ('bits.png', lambda p, i: Image.fromarray(i[..., 0]).convert('1').save(p), None, 0),
    ('grey16.png', lambda p, i: Image.fromarray(grey(i).astype(np.uint16) * 257).save(p), True, 0),
    ('grey16.tif', lambda p, i: Image.fromarray(grey(i).astype(np.uint16) * 257).save(p), True, 0),
    ('rgb16.png', sixteen, False, 0),
    ('palette.png', lambda p, i: Image.fromarray(i).quantize(256).save(p), False, 8),
    ('palette-clear.png', lambda p, i: Image.fromarray(i).quantize(256).save(p, transparency=bytes([0, 128])), False, 8),
    ('clip.gif', lambda p, i: Image.fromarray(i).save(p, save_all=True, append_images=[Image.fromarray(i[::-1])]), False, 8),
    ('turned.jpg', rotated, False, 12)])
def test_every_mode_is_read_as_upright_rgb(tmp_path, name, write, is_grey, tolerance):
    image, path = scene(), str(tmp_path / name)
    write(path, image)
    got = kitti.read_image(path)
    expected = np.repeat(grey(image)[..., None], 3, 2) if is_grey else image
    if is_grey is None:
        expected = np.repeat(np.where(image[..., :1] > 127, 255, 0), 3, 2)
    assert got.dtype == np.uint8 and got.shape == image.shape
    assert np.quantile(np.abs(got.astype(int) - expected), 0.97) <= tolerance


def test_unreadable_images_are_named(tmp_path, monkeypatch):
    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    iio.imwrite(tmp_path / 'whole.jpg', scene(600, 900))
    Image.fromarray(np.zeros([4, 4], np.float32)).save(tmp_path / 'float.tif')
    for path, complaint in (
            (write('text.png', b'not a picture'), 'not a readable image'),
            (write('cut.jpg', (tmp_path / 'whole.jpg').read_bytes()[:4000]), 'not a readable image'),
            (write('empty.png', b''), 'the file is empty'), (str(tmp_path / 'none.png'), 'no such file'),
            (str(tmp_path / 'float.tif'), '32 bits a channel')):
        with pytest.raises(InputError, match=complaint) as raised:
            kitti.read_image(path)
        assert path in str(raised.value) and '\n' not in str(raised.value)

    def forbidden(path):  # root may read everything, so a refusal is played
        raise PermissionError(13, 'Permission denied', path)

    monkeypatch.setattr(kitti.Image, 'open', forbidden)
    with pytest.raises(InputError, match='whole.jpg: no permission to read it'):
        kitti.read_image(str(tmp_path / 'whole.jpg'))


@pytest.mark.parametrize('overlay', helper.OVERLAYS)
def test_overlays(overlay):
    image = np.full([40, 60, 3], 100, np.uint8)
    confidence = np.zeros([40, 60], np.float32)
    confidence[10:30, 20:] = 1  # up to the right border
    painted = helper.paint(image, confidence, overlay)
    assert (image == 100).all() and painted.shape == image.shape and painted.dtype == np.uint8
    inside, edge, outside = (painted[y, x].tolist() for y, x in ((20, 40), (10, 40), (5, 5)))
    tinted = [50, 178, 50]
    assert inside == {'tint': tinted, 'both': tinted, 'outline': [100] * 3, 'mask': [255] * 3}[overlay]
    assert edge == {'tint': tinted, 'both': [255, 255, 0], 'outline': [255, 255, 0], 'mask': [255] * 3}[overlay]
    assert outside == [0 if overlay == 'mask' else 100] * 3
    if overlay == 'outline':  # one pixel thin, and the picture's border is no edge
        assert (painted != 100).any(axis=-1).sum() == 2 * 40 + 18
        large = helper.paint(np.zeros([3000, 4000, 3], np.uint8), np.tile(np.float32([0, 1]), (3000, 2000)), overlay)
        assert large.any()


@pytest.mark.parametrize('height, width', [(32, 32), (37, 411), (3000, 4000)])
def test_any_size_gives_an_image_of_that_size(run_dir, tmp_path, height, width):
    source, image = str(tmp_path / 'a.png'), scene(height, width)
    helper.write_png(source, image)
    out = str(tmp_path / 'out')
    assert main.main(['predict', run_dir, source, '--output', out, '--confidence', '--overlay', 'tint']) == 0
    painted, confidence = iio.imread(f'{out}/a.png'), iio.imread(f'{out}/confidence/a.png')
    assert painted.shape == image.shape and confidence.shape == image.shape[:2] and confidence.dtype == np.uint8
    np.testing.assert_allclose(painted, helper.paint(image, confidence / np.float32(255), 'tint'), atol=2)
    assert sorted(os.listdir(out)) == ['a.png', 'confidence'] and os.listdir(f'{out}/confidence') == ['a.png']


def test_full_size_runs_at_the_images_own_size(run_dir, tmp_path):
    """Of an image of the trained size it gives the same as without; of others not."""
    sizes = {'same.png': (50, 170), 'large.png': (90, 250)}
    for name, size in sizes.items():
        helper.write_png(str(tmp_path / name), scene(*size))
    for out, more in (('small', []), ('full', ['--full-size'])):
        assert main.main(['predict', run_dir, str(tmp_path / 'same.png'), str(tmp_path / 'large.png'), '--confidence', '--output',
                          str(tmp_path / out), *more]) == 0
    small, full = ({name: iio.imread(tmp_path / out / 'confidence' / name) for name in sizes} for out in ('small', 'full'))
    np.testing.assert_array_equal(small['same.png'], full['same.png'])
    assert full['large.png'].shape == (90, 250) and (small['large.png'] != full['large.png']).any()


def test_others_are_done_and_failures_listed_at_the_end(run_dir, tmp_path, capsys):
    mixed, nothing, out = tmp_path / 'mixed', tmp_path / 'nothing', tmp_path / 'out'
    mixed.mkdir()
    nothing.mkdir()
    (nothing / 'notes.txt').write_text('no picture')
    for name in ('a.png', 'b.jpg', 'e.png'):
        iio.imwrite(mixed / name, scene())
    os.truncate(mixed / 'b.jpg', 700)
    (mixed / 'c.png').write_text('text')
    (mixed / 'notes.txt').write_text('left alone')
    code = main.main(['predict', run_dir, str(mixed), str(nothing), str(tmp_path / 'none'), '--output', str(out)])
    captured = capsys.readouterr()
    errors = [line for line in captured.err.split('\n') if line.startswith('Error: ')]
    assert code == 2 and sorted(os.listdir(out)) == ['a.png', 'e.png'] and '2 of 4 files are painted' in captured.out
    assert len(errors) == 4 and captured.err.rstrip().endswith('\n'.join(errors)) and 'Traceback' not in captured.err
    for name, complaint in (('nothing', 'holds no image'), ('none', 'no such file or folder'), ('b.jpg', 'not a readable image'),
                            ('c.png', 'not a readable image')):
        assert any(f'{name}: ' in line and complaint in line for line in errors)


def test_names_do_not_collide_and_inputs_are_never_written_over(tmp_path):
    for name in ('x/a.png', 'y/a.png', 'y/a.jpg', 'y/a.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    jobs, failures = predict.plan([str(tmp_path / 'x'), str(tmp_path / 'y')], 'out')
    assert [job.target for job in jobs] == ['out/a.png', 'out/a-2.png', 'out/a.mp4', 'out/a-3.png'] and not failures
    with pytest.raises(InputError, match='is an input, and would be written over; name another folder'):
        predict.plan([str(tmp_path / 'x' / 'a.png')], str(tmp_path / 'y' / '..' / 'x'))


# ------------------------------------------------------------------------------------------------------- videos


def film(path, count, fps=10, height=48, width=80, **options):
    with iio2.get_writer(path, format='FFMPEG', fps=fps, macro_block_size=1, **options) as writer:
        for i in range(count):
            writer.append_data(np.roll(scene(height, width), 3 * i, axis=0))
    return str(path)


def painted(path, folder, overlay='both'):
    """(failures, frames, meta) of a video painted by the stand-in network."""
    jobs, _ = predict.plan([path], str(folder))
    failures = predict.paint_videos(jobs, network, overlay)
    if not os.path.exists(jobs[0].target):
        return failures, None, None
    with iio2.get_reader(jobs[0].target, format='FFMPEG') as reader:
        return failures, [np.asarray(frame) for frame in reader], reader.get_meta_data()


@pytest.mark.parametrize('count, fps, height, width', [(1, 10, 48, 80), (12, 29.97, 48, 80), (5, 10, 37, 71)])
def test_video_keeps_size_rate_and_number_of_frames(tmp_path, count, fps, height, width):
    source = film(tmp_path / 'a.mp4', count, fps, height, width, pixelformat='yuv444p')
    failures, frames, meta = painted(source, tmp_path / 'out', 'mask')
    assert failures == [] and len(frames) == count and meta['size'] == (width, height) and abs(meta['fps'] - fps) < 0.01
    assert os.listdir(tmp_path / 'out') == ['a.mp4']
    for frame in frames:  # what is red is white, the rest is black
        assert np.median(frame[:, :width // 2 - 4]) < 20 and np.median(frame[:, width // 2 + 4:]) > 235


def test_trained_run_paints_video(run_dir, tmp_path):
    source = film(tmp_path / 'a.avi', 6)
    assert main.main(['predict', run_dir, source, '--output', str(tmp_path / 'out')]) == 0
    with iio2.get_reader(tmp_path / 'out' / 'a.mp4', format='FFMPEG') as reader:
        assert sum(1 for _ in reader) == 6


def test_cut_off_video_ends_with_what_was_readable_and_says_so(tmp_path):
    whole = film(tmp_path / 'whole.mkv', 60, quality=9)
    cut = str(tmp_path / 'cut.mkv')
    shutil.copy(whole, cut)
    os.truncate(cut, os.path.getsize(whole) // 2)
    failures, frames, _ = painted(cut, tmp_path / 'out')
    assert 5 < len(frames) < 55
    assert failures == [f'{cut}: cut off or damaged: {len(frames)} frames of about 60 could be read, and are in '
                        f'{tmp_path / "out" / "cut.mp4"}']


def test_what_is_no_video_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mkv').write_bytes(b'')
    headless = film(tmp_path / 'headless.mp4', 10)  # what holds the picture comes last in it
    os.truncate(headless, os.path.getsize(headless) // 2)
    for name in ('text.mp4', 'empty.mkv', 'headless.mp4'):
        failures, frames, _ = painted(str(tmp_path / name), tmp_path / 'out')
        assert frames is None and len(failures) == 1 and f'{name}: not a readable video' in failures[0]
    assert os.listdir(tmp_path / 'out') == []


def test_video_is_a_stream(tmp_path, monkeypatch):
    """Reading is never more than a few frames ahead of writing, however long the video is."""
    ahead = []

    class Writer:
        def __init__(self, *args, **options):
            self.writer = get_writer(*args, **options)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.writer.close()

        def append_data(self, frame):
            self.writer.append_data(frame)
            ahead.append(pulled - len(ahead))

    def counting(images):
        nonlocal pulled
        for output in network(images):
            pulled += 1
            yield output

    jobs, _ = predict.plan([film(tmp_path / 'a.mp4', 100)], str(tmp_path / 'out'))
    pulled, get_writer = 0, iio2.get_writer
    monkeypatch.setattr(predict.iio2, 'get_writer', Writer)
    assert predict.paint_videos(jobs, counting) == [] and len(ahead) == 100 and max(ahead) <= 10
