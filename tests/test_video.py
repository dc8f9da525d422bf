"""Videos: the output has the clock, size, aspect and sound of the source, and plays everywhere."""

import os
import resource
from fractions import Fraction

import av
import numpy as np
import pytest

from road.errors import InputError
from road.runs import video

# of frames at a rate of 30: a second of all of them, then each third
VARIABLE = r'select=lt(t\,1)+not(mod(n\,3))'


def make_clip(path, rate=10, seconds=2, size=(80, 48), codec='h264', filters='null', turned=(0,),
              aspect=1, colours=(2, 2, 2), pix_fmt='yuv420p', sound=0, sound_codec='aac',
              **options):
    """Write a moving test card and `sound` seconds of a tone.

    `filters` of ffmpeg change the frames, `turned` are arguments of set_display_rotation, `colours`
    as in video.Clip, `options` the muxer's.
    """
    card = 'testsrc=size={}x{}:rate={}:duration={},{}'.format(*size, rate, seconds, filters)
    with av.open(str(path), 'w', container_options=options) as output:
        picture = output.add_stream(codec, Fraction(rate), width=size[0], height=size[1],
                                    pix_fmt=pix_fmt)
        context = picture.codec_context
        context.sample_aspect_ratio = aspect
        context.colorspace, context.color_primaries, context.color_trc = colours
        picture.set_display_rotation(*turned)
        tracks = {card: picture}
        if sound:
            tracks[f'sine=duration={sound}'] = output.add_stream(sound_codec, 44100)
        for graph, track in tracks.items():
            with av.open(graph, format='lavfi') as source:
                for frame in source.decode():
                    if track is picture:
                        frame.pict_type = 0  # the encoder chooses key frames
                    output.mux(track.encode(frame))
            output.mux(track.encode(None))
    return str(path)


def repaint(source, sound=True):
    """Copy a video frame by frame: (faults, Clip of the output, its frames)."""
    target = os.path.splitext(source)[0] + '-copy.mp4'
    clip = video.probe(source)
    faults = video.write_video(target, video.read_frames(clip), clip, sound)
    written = video.probe(target)
    frames = [image for repeats, image in video.read_frames(written) for _ in range(repeats)]
    return faults, written, frames


def seconds_of_sound(clip):
    with av.open(clip.path) as source:
        return sum(frame.samples / frame.sample_rate for frame in source.decode(audio=0))


@pytest.mark.parametrize('name, rate, seconds, frames, filters', [
    ('a.mp4', 10, 0.1, 1, 'null'), ('a.mkv', '30000/1001', 2.002, 60, 'null'),
    ('a.avi', 10, 2, 22, 'null'),  # holds times of decoding alone, by which the first frame is late
    ('a.mp4', 30, 2, 58, VARIABLE), ('a.mkv', 30, 2, 58, VARIABLE)])
def test_duration_and_number_of_frames_are_kept(tmp_path, name, rate, seconds, frames, filters):
    source = make_clip(tmp_path / name, rate, seconds, filters=filters)
    faults, written, images = repaint(source)
    assert faults == []
    assert written.rate == Fraction(rate)
    assert len(images) == pytest.approx(frames, abs=2 if filters == VARIABLE else 0)
    assert written.duration == pytest.approx(len(images) / Fraction(rate), abs=0.001)


def test_every_frame_of_a_variable_rate_is_shown_at_its_time(tmp_path):
    source = make_clip(tmp_path / 'a.mkv', rate=30, codec='ffv1', filters=VARIABLE)
    shown = [repeats for repeats, _ in video.read_frames(video.probe(source))]
    np.testing.assert_array_equal(np.cumsum([0, *shown])[:-1], [*range(30), *range(30, 60, 3)])


def test_rate_without_a_fine_grid_becomes_the_mean_rate(tmp_path):
    filters = r'select=not(mod(n*n\,59))'  # frames at irregular milliseconds
    clip = video.probe(make_clip(tmp_path / 'a.mp4', 1000, 1, filters=filters))
    assert clip.rate == pytest.approx(17 / clip.duration)


def test_turned_odd_clip_keeps_its_pixels_and_gets_an_edge(tmp_path):
    source = make_clip(tmp_path / 'a.mp4', size=(49, 81), seconds=1, pix_fmt='yuv444p',
                       aspect=Fraction(4, 3), turned=[90])
    _, written, images = repaint(source)
    original = next(video.read_frames(video.probe(source)))[1].astype(int)
    assert images[0].shape == (50, 82, 3)
    assert written.aspect == Fraction(3, 4)
    difference = np.abs(images[0] - np.pad(original, ((0, 1), (0, 1), (0, 0)), mode='edge'))
    assert np.median(difference) <= 4
    assert np.median(difference[-1]) <= 8
    with av.open(written.path) as output:
        assert output.streams.video[0].pix_fmt == 'yuv420p'


@pytest.mark.parametrize('turned, upright', [
    ([0], lambda image: image), ([90], np.rot90), ([180], lambda image: np.rot90(image, 2)),
    ([-90], lambda image: np.rot90(image, 3)), ([0, True], np.fliplr),
    ([0, False, True], np.flipud), ([90, True], lambda image: np.fliplr(np.rot90(image)))])
def test_picture_is_shown_upright(tmp_path, turned, upright):
    flat = video.probe(make_clip(tmp_path / 'flat.mp4', seconds=0.1))
    clip = video.probe(make_clip(tmp_path / 'turned.mp4', seconds=0.1, turned=turned))
    (_, expected), (_, image) = (next(video.read_frames(each)) for each in (flat, clip))
    np.testing.assert_array_equal(image, upright(expected))
    assert (clip.height, clip.width) == image.shape[:2]


@pytest.mark.parametrize('colours', [(1, 1, 1), (9, 9, 16), (2, 2, 2)])  # BT.709, HDR, untagged
def test_colours_and_their_tags_are_kept(tmp_path, colours):
    source = make_clip(tmp_path / 'a.mp4', seconds=0.1, size=(320, 240), colours=colours)
    before, (_, written, images) = video.probe(source), repaint(source)
    assert before.colours == colours
    assert written.colours == colours
    original = next(video.read_frames(before))[1].astype(int)
    assert np.abs(images[0] - original).mean() < 2


@pytest.mark.parametrize('ending, picture, codec, kept, seconds', [
    ('.mkv', 'h264', 'flac', 'flac', 2), ('.avi', 'mpeg4', 'pcm_s16le', 'aac', 2),
    ('.mkv', 'h264', 'aac', 'aac', 5), ('.mp4', 'h264', 'aac', 'aac', 9)])
def test_sound_is_kept_and_may_be_longer_than_the_picture(tmp_path, ending, picture, codec, kept,
                                                          seconds):
    source = make_clip(tmp_path / f'a{ending}', codec=picture, sound=seconds, sound_codec=codec)
    faults, written, images = repaint(source)
    assert faults == []
    assert written.sound == kept
    assert len(images) == 20
    assert abs(seconds_of_sound(written) - seconds) < 0.1
    assert repaint(source, sound=False)[1].sound == ''


def test_late_picture_stays_with_its_sound(tmp_path):
    source = make_clip(tmp_path / 'a.ts', filters='setpts=PTS+1/TB', sound=3)
    repeats = [count for count, _ in video.read_frames(video.probe(source))]
    assert len(repeats) == 20
    assert repeats[0] == 11
    assert sum(repeats) == 30
    assert abs(seconds_of_sound(repaint(source)[1]) - 3) < 0.1


@pytest.mark.parametrize('late', [0, 100])
def test_joined_recordings_follow_each_other(tmp_path, late):
    """Their clocks begin again, or a hundred seconds later."""
    for name, seconds in (('a.ts', 0), ('b.ts', late)):
        make_clip(tmp_path / name, filters=f'setpts=PTS+{seconds}/TB', sound=2)
    joined = tmp_path / 'joined.ts'
    joined.write_bytes((tmp_path / 'a.ts').read_bytes() + (tmp_path / 'b.ts').read_bytes())
    _, written, _ = repaint(str(joined))
    assert written.duration == pytest.approx(4, abs=0.1)
    assert abs(seconds_of_sound(written) - 4) < 0.2


@pytest.mark.parametrize('ending, rest', [('.mp4', 0), ('.mkv', 0), ('.mp4', 1)])
def test_damaged_video_ends_with_what_is_readable_and_says_so(tmp_path, ending, rest):
    """It is cut off, or its second half is of zeros."""
    source = make_clip(tmp_path / f'a{ending}', seconds=6, sound=6, movflags='faststart')
    size = os.path.getsize(source)
    os.truncate(source, size // 2)
    os.truncate(source, size // 2 + rest * size // 2)
    faults, _, images = repaint(source)
    assert 5 < len(images) < 55
    fault, = faults
    assert f'cut off or damaged: {len(images) / 10} of 6.0 seconds could be read' in fault


def test_file_without_a_moving_picture_is_refused(tmp_path):
    (tmp_path / 'text.mp4').write_text('text')
    with av.open(str(tmp_path / 'cover.mp4'), 'w') as output:
        cover = output.add_stream('mjpeg', 10, width=80, height=48, pix_fmt='yuvj420p')
        cover.disposition = av.stream.Disposition.attached_pic
        output.mux(cover.encode(av.VideoFrame(80, 48, 'yuvj420p')))
        output.mux(cover.encode(None))
    for name in ('text.mp4', 'cover.mp4', 'none.mp4'):
        with pytest.raises(InputError, match=f'{name}: not a readable video'):
            video.probe(str(tmp_path / name))


def test_failed_writing_leaves_the_former_file(tmp_path):
    clip = video.probe(make_clip(tmp_path / 'a.mp4', size=(320, 240), sound=2))
    target = tmp_path / 'former.mp4'
    target.write_text('former')
    with pytest.raises(InputError, match='a.mp4: no frame of it can be read'):
        video.write_video(str(target), iter(()), clip, True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(OSError, match='File too large'):
            video.write_video(str(target), video.read_frames(clip), clip, True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_text() == 'former'
    assert len(os.listdir(tmp_path)) == 2
