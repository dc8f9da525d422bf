"""Videos: the output has the times, colours and sound of the source, and plays everywhere."""

import os
import resource
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from road.commands import predict
from road.errors import InputError
from road.runs import video


def make_clip(path, rate=10, seconds=2, size=(80, 48), codec='h264', filters='null', turned=(0,),
              sound=0, sound_codec='aac', **encoder):
    """Write a moving test card, changed by ffmpeg's `filters`, and `sound` seconds of a tone.

    `sound` may be a list: a track of each length.
    """
    card = 'testsrc=size={}x{}:rate={}:duration={},{}'.format(*size, rate, seconds, filters)
    with av.open(str(path), 'w', container_options={'movflags': 'faststart'}) as output:
        picture = output.add_stream(codec, Fraction(rate), width=size[0], height=size[1], **encoder)
        picture.set_display_rotation(*turned)
        tracks = {card: picture}
        for length in filter(None, np.ravel(sound)):
            tracks[f'sine=duration={length}'] = output.add_stream(sound_codec, 44100)
        for graph, track in tracks.items():
            with av.open(graph, format='lavfi') as source:
                for frame in source.decode():
                    if track is picture:
                        frame.pict_type = 0  # the encoder chooses key frames
                    output.mux(track.encode(frame))
            output.mux(track.encode(None))
    return str(path)


def read_video(path):
    """Its frames, a list of uint8 [h, w, 3]."""
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format='rgb24') for frame in source.decode(video=0)]


def make_animation(path, lengths=(10, 300, 50)):
    """Write images in eight colours, each shown for so many milliseconds; return them."""
    images = 255 * np.random.default_rng(0).integers(0, 2, (len(lengths), 49, 81, 3), np.uint8)
    first, *others = map(Image.fromarray, images)
    first.save(path, save_all=True, append_images=others, duration=list(lengths), lossless=True)
    return images


def convert(source, sound=True, name='out.mp4', paint=lambda frames, total: frames):
    """Convert a video, or an animation, to a file beside it; return what is in that."""
    target = os.path.join(os.path.dirname(source), name)
    video.convert(source, target, paint, sound)
    with av.open(target) as output:
        frames, seconds = list(output.decode()), output.duration / av.time_base
        pictures = [frame for frame in frames if isinstance(frame, av.VideoFrame)]
        heard = [frame.samples / frame.rate for frame in frames if isinstance(frame, av.AudioFrame)]
        return SimpleNamespace(frames=pictures, sound=sum(heard), seconds=seconds,
                               aspect=output.streams.video[0].sample_aspect_ratio)


@pytest.mark.parametrize('name, rate, filters, times', [
    ('a.mkv', '30000/1001', 'null', np.arange(60) * 1.001 / 30), ('a.mp4', '1/2', 'null', [0]),
    ('a.avi', 10, 'null', np.arange(2, 22) / 10),  # has times of decoding alone
    ('a.ts', 10, 'setpts=PTS+9/TB', np.arange(20) / 10),  # as recordings of broadcasts begin
    ('a.mkv', 10, 'setpts=PTS+9/TB', np.arange(20) / 10),  # a segment of a longer one
    ('a.mp4', 30, r'select=lt(t\,1)+not(mod(n\,3))', [*np.arange(30) / 30, *np.arange(1, 2, 0.1)])])
def test_each_frame_is_shown_at_its_time(tmp_path, name, rate, filters, times):
    totals = []
    output = convert(make_clip(tmp_path / name, rate, filters=filters),
                     paint=lambda frames, total: totals.append(total) or frames)
    assert totals == [len(times)]  # for the progress bar
    np.testing.assert_allclose([frame.time for frame in output.frames], times, atol=0.001)
    assert output.seconds == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize('upright, turned', [
    (lambda image: image, [0]), (np.rot90, [90]), (lambda image: np.rot90(image, 2), [180]),
    (np.fliplr, [0, True]), (lambda image: np.fliplr(np.rot90(image)), [90, True])])
@pytest.mark.parametrize('size, number, pix_fmt', [  # BT.709, full range, BT.601, untagged
    ((320, 240), 1, 'yuv420p'), ((320, 240), 1, 'yuvj420p'), ((320, 240), 6, 'yuv420p'),
    ((321, 241), 2, 'yuv444p')])
def test_picture_is_upright_in_its_colours(tmp_path, upright, turned, size, number, pix_fmt):
    tags = dict.fromkeys(('colorspace', 'color_primaries', 'color_trc'), number)
    source = make_clip(tmp_path / 'a.mp4', seconds=0.1, size=size, turned=turned, pix_fmt=pix_fmt,
                       sample_aspect_ratio=Fraction(4, 3), **tags)
    expected = upright(read_video(source)[0].astype(int))
    expected = np.pad(expected, ((0, size[1] % 2), (0, size[0] % 2), (0, 0)), mode='edge')
    output = convert(source)
    frame, = output.frames
    assert np.abs(frame.to_ndarray(format='rgb24') - expected).mean() < 5
    assert frame.format.name == 'yuv420p'
    assert {tag: getattr(frame, tag) for tag in tags} == tags
    assert output.aspect == (Fraction(3, 4) if 90 in turned else Fraction(4, 3))


@pytest.mark.parametrize('size, matrix', [
    ((1280, 64), 'bt709'), ((640, 64), 'bt601'), ((64, 576), 'bt601'), ((64, 578), 'bt709')])
def test_untagged_picture_has_the_matrix_that_players_assume(tmp_path, size, matrix):
    red = f'drawbox=c=0xc01010:t=fill,scale=out_color_matrix={matrix},format=yuv420p'
    source, read = make_clip(tmp_path / 'a.mp4', seconds=0.1, size=size, filters=red), []
    frame, = convert(source, paint=lambda frames, _: read.extend(frames) or read).frames
    shown = frame.to_ndarray(format='rgb24', src_colorspace=matrix.replace('bt', 'itu'))
    for image in (read[0][1], shown):
        assert np.abs(image - np.float32([192, 16, 16])).max() < 6


@pytest.mark.parametrize('number, grey', [
    pytest.param(16, '949494', marks=pytest.mark.slow), (18, 'bfbfbf')])  # PQ; HLG, as of phones
def test_hdr_is_tone_mapped(tmp_path, number, grey):
    tags = {'colorspace': 9, 'color_primaries': 9, 'color_trc': number}
    frame, = convert(make_clip(tmp_path / 'a.mp4', seconds=0.1,
                               filters=f'drawbox=c=0x{grey}:t=fill', **tags)).frames
    assert frame.to_ndarray(format='rgb24').mean() > 240
    assert {tag: getattr(frame, tag) for tag in tags} == dict.fromkeys(tags, 1)


@pytest.mark.parametrize('name', ['a.gif', 'a.webp', 'a.png'])
def test_animation_becomes_a_video_and_matroska_is_lossless(tmp_path, name):
    images = make_animation(tmp_path / name)
    output = convert(str(tmp_path / name), name='out.mkv')
    assert [round(frame.time, 3) for frame in output.frames] == [0, 0.1, 0.4]
    for frame, image in zip(output.frames, images, strict=True):
        assert np.array_equal(frame.to_ndarray(format='rgb24'), image)


@pytest.mark.parametrize('name, lengths, overlay, ending', [
    ('a.gif', [99] * 3, 'both', '.mp4'), ('a.webp', [99] * 3, 'mask', '.mkv'),
    ('a.png', [99] * 3, 'tint', '.mp4'), ('a.gif', [99], 'mask', '.png'),
    ('a.tif', [99] * 3, 'both', '.png'), ('b.tif', [99], 'both', '.png'),
    ('a.webm', [], 'both', '.mp4'), ('A.MOV', [], 'mask', '.mkv'),
    ('empty.gif', [], 'both', '.png')])
def test_ending_tells_animations_and_masks(tmp_path, capsys, name, lengths, overlay, ending):
    (tmp_path / name).touch()
    if lengths:
        make_animation(tmp_path / name, lengths)
    [(_, target)], _ = predict.plan([str(tmp_path / name)], 'out', overlay)
    assert os.path.splitext(target)[1] == ending
    assert ('pages is painted' in capsys.readouterr().out) == (name == 'a.tif')


def test_tracks_that_are_left_out_are_named(tmp_path, capsys):
    source = make_clip(tmp_path / 'a.mp4', sound=[1, 2])
    assert convert(source).sound == pytest.approx(1, abs=0.1)
    assert f'Note: {source}: tracks that are left out: audio\n' in capsys.readouterr().out
    written = (tmp_path / 'out.mp4').read_bytes()
    assert written.index(b'moov') < written.index(b'mdat')  # browsers play it while it loads


@pytest.mark.parametrize('name, codec, seconds', [
    ('a.avi', 'pcm_s16le', 2), ('a.ts', 'mp2', 2), ('a.mkv', 'flac', 5), ('a.mp4', 'aac', 9)])
def test_sound_is_kept_and_may_be_longer_than_the_picture(tmp_path, name, codec, seconds):
    source = make_clip(tmp_path / name, codec='mpeg4', sound=seconds, sound_codec=codec)
    assert convert(source).sound == pytest.approx(seconds, abs=0.1)
    assert convert(source, sound=False).sound == 0


def test_late_picture_and_joined_recordings_stay_with_their_sound(tmp_path):
    recording = Path(make_clip(tmp_path / 'a.ts', filters='setpts=PTS+1/TB', sound=3))
    recording.write_bytes(2 * recording.read_bytes())
    output = convert(str(recording))
    assert output.frames[0].time == pytest.approx(1, abs=0.05)
    assert len(output.frames) == 40 and output.sound == pytest.approx(6, abs=0.2)


@pytest.mark.parametrize('name, share, zeros, start', [
    ('a.mp4', 0.5, 0, 0), ('a.mkv', 0.5, 0, 0), ('a.mkv', 0.7, 0, 0), ('a.avi', 0.5, 0, 0),
    ('a.mp4', 0.5, 1, 0), ('a.mp4', 0.5, 0, 9)])
def test_damaged_video_ends_with_what_is_readable_and_says_so(
        tmp_path, name, share, zeros, start):
    """It is cut off after a share of its bytes, or the rest is of zeros."""
    source = Path(make_clip(tmp_path / name, seconds=6, sound=6 * (start == 0),
                            filters=f'setpts=PTS+{start}/TB'))
    size = source.stat().st_size
    kept = round(share * size)
    source.write_bytes(source.read_bytes()[:kept] + bytes((size - kept) * zeros))
    with pytest.raises(InputError, match=r'cut off or damaged: \d.\d of 6.\d seconds .* copy it'):
        convert(str(source))
    assert 5 < len(read_video(tmp_path / 'out.mp4')) < 55


def test_frames_after_a_damaged_part_are_kept(tmp_path):
    source = Path(make_clip(tmp_path / 'a.mp4', seconds=6))
    data, part = source.read_bytes(), source.stat().st_size // 3
    source.write_bytes(data[:part] + bytes(part) + data[2 * part:])
    assert convert(str(source)).frames[-1].time == pytest.approx(5.9, abs=0.1)


def test_file_without_a_whole_moving_picture_is_refused(tmp_path):
    (tmp_path / 'text.mp4').write_text('text')
    clip = Path(make_clip(tmp_path / 'unknown codec.mp4'))
    clip.write_bytes(clip.read_bytes().replace(b'avc1', b'what'))
    make_clip(tmp_path / 'cover.mp4', seconds=0.1, codec='mjpeg', pix_fmt='yuvj420p',
              disposition=av.stream.Disposition.attached_pic)
    make_animation(tmp_path / 'cut.gif')
    os.truncate(tmp_path / 'cut.gif', 3000)
    for name in ('text.mp4', 'cover.mp4', 'none.mp4', clip.name, 'cut.gif'):
        complaint = '.*cut short' if name == 'cut.gif' else 'not a readable video .*; c'
        with pytest.raises(InputError, match=f'{name}: {complaint}'):
            convert(str(tmp_path / name))
    assert len(os.listdir(tmp_path)) == 4


def test_failed_writing_leaves_the_former_file(tmp_path, request):
    source, target = make_clip(tmp_path / 'a.mp4', size=(320, 240), sound=2), tmp_path / 'out.mp4'
    target.write_text('former')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as if the disk were full
    with pytest.raises(OSError, match='File too large'):
        convert(source)
    assert target.read_text() == 'former'
