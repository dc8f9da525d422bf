"""Videos: the output has the clock, size, aspect and sound of the source, and plays everywhere."""

import os
import re
from fractions import Fraction
from unittest.mock import Mock

import numpy as np
import pytest

from road.errors import InputError
from road.runs import video

# frames of a rate of 30: a second of all of them, then each third
VARIABLE = ['-vf', 'select=lt(t\\,1)+not(mod(n\\,3))', '-fps_mode', 'vfr', '-bf', '0']


def ffmpeg(*options):
    """Run ffmpeg; what it printed."""
    result = video._ffmpeg('-y', *options)
    assert result.returncode == 0, result.stderr
    return result.stderr.decode()


def make_clip(path, *options, rate='10', seconds=2, size=(80, 48), sound=0):
    picture = 'testsrc=size={}x{}:rate={}:duration={}'.format(*size, rate, seconds)
    tone = ['-f', 'lavfi', '-i', f'sine=duration={sound}'] if sound else []
    ffmpeg('-f', 'lavfi', '-i', picture, *tone, '-pix_fmt', 'yuv420p', *options, str(path))
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
    log = ffmpeg('-i', clip.path, '-map', '0:a', '-f', 'null', '-')
    return float(re.findall(r'time=00:00:([\d.]+)', log)[-1])


@pytest.mark.parametrize('name, rate, seconds, frames, options', [
    ('a.mp4', '10', 0.1, 1, []), ('a.mkv', '30000/1001', 2.002, 60, []),
    ('a.mp4', '30', 2, 58, VARIABLE), ('a.mkv', '30', 2, 58, VARIABLE)])
def test_duration_and_number_of_frames_are_kept(tmp_path, name, rate, seconds, frames, options):
    source = make_clip(tmp_path / name, *options, rate=rate, seconds=seconds)
    faults, written, images = repaint(source)
    assert faults == [] and abs(written.rate - eval(rate)) < 0.004
    assert len(images) == pytest.approx(frames, abs=2 if options else 0)
    assert abs(written.duration - video.probe(source).duration) <= 1 / eval(rate) + 0.01


def test_every_frame_of_a_variable_rate_is_shown_at_its_time(tmp_path):
    source = make_clip(tmp_path / 'a.mkv', *VARIABLE, '-c:v', 'ffv1', rate='30')
    shown = list(video.read_frames(video.probe(source)))
    times = np.cumsum([0] + [repeats for repeats, _ in shown])[:-1]
    np.testing.assert_array_equal(times, [*range(30), *range(30, 60, 3)])


def test_rate_without_a_fine_grid_becomes_the_mean_rate():
    for line, rate in (('29.97 fps, 29.97 tbr', 30000 / 1001), ('12.5 fps, 1k tbr', 12.5)):
        assert float(video._constant_rate(f'Stream #0:0: Video: h264, 80x48, {line}')) == rate


def test_turned_odd_clip_keeps_its_pixels_and_gets_an_edge(tmp_path):
    source = make_clip(tmp_path / 'a.mp4', '-pix_fmt', 'yuv444p', '-vf', 'setsar=4/3',
                       size=(49, 81), seconds=1)
    turned = str(tmp_path / 'turned.mp4')
    ffmpeg('-display_rotation', '90', '-i', source, '-c', 'copy', turned)
    _, written, images = repaint(turned)
    original = next(video.read_frames(video.probe(turned)))[1].astype(int)
    assert images[0].shape == (50, 82, 3) and float(written.aspect) == 3 / 4
    difference = np.abs(images[0] - np.pad(original, ((0, 1), (0, 1), (0, 0)), mode='edge'))
    assert np.median(difference) <= 4 and np.median(difference[-1]) <= 8
    assert ' yuv420p' in ffmpeg('-i', written.path, '-frames:v', '1', '-f', 'null', '-')


@pytest.mark.parametrize('ending, codec, kept, seconds', [
    ('.mkv', 'flac', 'flac', 2), ('.avi', 'pcm_s16le', 'aac', 2), ('.mkv', 'aac', 'aac', 5),
    ('.mp4', 'aac', 'aac', 9)])
def test_sound_is_kept_and_may_be_longer_than_the_picture(tmp_path, ending, codec, kept, seconds):
    source = make_clip(tmp_path / f'a{ending}', '-c:a', codec, sound=seconds)
    faults, written, images = repaint(source)
    assert faults == [] and written.sound == kept and len(images) == 20
    assert abs(seconds_of_sound(written) - seconds) < 0.1
    assert repaint(source, sound=False)[1].sound == ''


def test_late_picture_stays_with_its_sound(tmp_path):
    source = make_clip(tmp_path / 'a.ts', '-filter_complex', '[0:v]setpts=PTS+1/TB[v]',
                       '-map', '[v]', '-map', '1:a', '-c:a', 'aac', sound=3)
    repeats = [count for count, _ in video.read_frames(video.probe(source))]
    assert len(repeats) == 20 and repeats[0] == 11 and sum(repeats) == 30
    assert abs(seconds_of_sound(repaint(source)[1]) - 3) < 0.1


@pytest.mark.parametrize('ending', ['.mp4', '.mkv'])
def test_cut_off_video_ends_with_what_is_readable_and_says_so(tmp_path, ending):
    source = make_clip(tmp_path / f'a{ending}', '-movflags', '+faststart', seconds=6, sound=6)
    os.truncate(source, os.path.getsize(source) // 2)
    faults, _, images = repaint(source)
    assert 5 < len(images) < 55 and len(faults) == 1
    assert f'cut off or damaged: {len(images) / 10} of 6.0 seconds could be read' in faults[0]


@pytest.mark.parametrize('ends, fault', [
    ({'0': 2, '0:V:0': 2}, True), ({'0': 2, '0:V:0': 1}, False), ({'0': 1, '0:V:0': 1}, True)])
def test_only_what_was_there_and_could_not_be_read_is_a_fault(tmp_path, monkeypatch, ends, fault):
    """A picture that ends before the sound is none: its packets end where its frames do."""
    clip = video.probe(make_clip(tmp_path / 'a.mp4'))
    frames = list(video.read_frames(clip))[:10]  # the first of two seconds
    monkeypatch.setattr(video, '_end', lambda path, streams: ends[streams] * (path == clip.path))
    assert bool(video.write_video(str(tmp_path / 'b.mp4'), frames, clip, True)) == fault


def test_clock_of_long_videos(monkeypatch):
    printed = Mock(stderr=b'size= 1kB time=00:00:07.5 x\rsize= 2kB time=01:02:03.50 speed=2')
    monkeypatch.setattr(video, '_ffmpeg', lambda *options: printed)
    assert video._end('a.mp4', '0') == 3600 + 120 + 3.5
    printed.stderr = b'nothing'
    assert video._end('a.mp4', '0') == 0
    printed.stderr, printed.returncode = b"""
  Duration: 09:00:00.00, start: 0.000000
  Stream #0:0: Video: h264, yuv420p, 80x48, 25 fps, 25 tbr
    Metadata:
      DURATION        : 01:02:03.500000000
  Stream #0:0 -> #0:0 (h264 (native) -> wrapped_avframe (native))
Output #0, null, to 'pipe:':
  Stream #0:0: Video: wrapped_avframe, yuv420p, 80x48 [SAR 4:3 DAR 16:9]
""", 0
    assert video.probe('a.mp4') == video.Clip('a.mp4', 80, 48, Fraction(4, 3), 25, 3723.5, '')


def test_failed_writing_leaves_the_former_file(tmp_path, monkeypatch):
    clip = video.probe(make_clip(tmp_path / 'a.mp4'))
    target = tmp_path / 'former.mp4'
    target.write_text('former')

    def full():  # a disk that fills up
        yield next(video.read_frames(clip))
        raise OSError('a command line of ffmpeg')

    for frames, fault in ((iter(()), 'no frame of it can be read'), (full(), 'former.mp4: cannot')):
        with pytest.raises(InputError, match=fault):
            video.write_video(str(target), frames, clip, True)
    monkeypatch.setattr(video, '_join', lambda *_: False)
    with pytest.raises(InputError, match='former.mp4: cannot be written; make room'):
        video.write_video(str(target), video.read_frames(clip), clip, True)
    assert target.read_text() == 'former' and len(os.listdir(tmp_path)) == 2
