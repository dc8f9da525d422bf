"""Videos: read frame by frame, and written as .mp4 files that browsers and phones play.

    clip = probe('drive.mov')
    write_video('out/drive.mp4', read_frames(clip), clip, sound=True)  # H.264

The output has the duration, the pixels' aspect ratio, the colour matrix and the sound of the
source. Its frame rate is constant: at a variable rate frames are repeated, so that each is shown
when it was in the source. Players need colour at half the size (yuv420p) and thus even sides: an
odd side grows by one pixel, which repeats the edge. Subtitles are left out.
"""

import math
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from heapq import merge
from itertools import chain
from typing import NamedTuple

import av
import numpy as np
from av.format import Flags
from av.stream import Disposition
from av.video.reformatter import ColorRange

from road.errors import InputError
from road.files import atomic_path

FASTEST = 120  # frames per second; a variable frame rate is resampled at no more than this
LONGEST_PAUSE = 10  # seconds; a longer one in a broadcast is a jump of its clock
PLAYABLE = {'aac', 'mp3', 'alac', 'opus', 'flac', 'ac3', 'eac3'}  # sound that players take in .mp4
MATRICES = {1, 5, 6, 7, 9}  # of YUV, numbered as in H.264: BT.709, BT.601 (5, 6), 240M, BT.2020


class Clip(NamedTuple):
    """A video file, as its header and its first frame describe it."""
    path: str
    width: int  # of the upright picture
    height: int
    aspect: Fraction  # width / height of a pixel
    rate: Fraction  # frames per second that it is read and written at
    start: Fraction  # of picture or sound, whichever is first, in seconds of the file's clock
    duration: float  # seconds of the picture, or else of the longest track, by its header, or 0
    sound: str  # codec of its first sound track; empty if it has none
    colours: tuple  # numbers in H.264 of matrix, primaries and transfer function


def probe(path):
    """Describe a video file. Raises InputError if no frame of it can be read."""
    try:
        with _open(path) as source:
            picture, *sounds = _tracks(source)
            frame = next(_decode(picture))
            height, width, _ = _upright(frame).shape
            aspect = Fraction(picture.sample_aspect_ratio or 1)
            seconds = picture.duration and picture.duration * picture.time_base
            matrix = frame.colorspace if frame.colorspace in MATRICES else 2  # 2: not known
            return Clip(
                path, width, height, 1 / aspect if round(frame.rotation / 90) % 2 else aspect,
                rate=_constant_rate(picture),
                start=min((track.start_time or 0) * track.time_base for track in _tracks(source)),
                duration=float(seconds or (source.duration or 0) / av.time_base),
                sound=sounds[0].codec_context.codec.canonical_name if sounds else '',
                colours=(matrix, frame.color_primaries, frame.color_trc))
    except (StopIteration, av.error.FFmpegError) as error:
        raise InputError(f'{path}: not a readable video (no video, or cut short); copy it '
                         'again') from error


def _constant_rate(picture):
    """Frames per second that keep the clock of a track."""
    mean = picture.average_rate or Fraction(25)
    finest = picture.base_rate or mean  # at which all its timestamps are whole frames
    return finest if mean * 0.95 <= finest <= FASTEST else mean


def _open(path):
    # A name with a colon may look like a protocol; texts in the file need not be UTF-8.
    return av.open(f'file:{path}', metadata_errors='replace')


def _tracks(source):
    """The picture of an open file, which is no cover image, and its first sound track if any."""
    picture = next(track for track in source.streams.video
                   if not track.disposition & Disposition.attached_pic)
    return picture, *[track for track in source.streams.audio if track.codec_context][:1]


def _demux(*tracks):
    """Yield packets up to the end of the file, or to where it cannot be read."""
    with suppress(av.error.FFmpegError):
        yield from (packet for packet in tracks[0].container.demux(*tracks) if packet.size)


def _decode(track):
    """Yield the frames that can be read."""
    for packet in chain(_demux(track), [None]):  # None asks for frames that are held back
        with suppress(av.error.FFmpegError):  # a damaged packet; later ones may be whole
            yield from track.decode(packet)


def _on_clock(track, items, start):
    """Yield packets or frames with `pts` counted from `start`, in the time base of the track.

    Where recordings were joined, the clock jumps back, or far ahead in a broadcast: what follows
    then begins where the item before ended.
    """
    file, pause = track.container.format, math.inf
    only_dts = file.name in ('avi', 'asf')  # their `pts` are guessed, wrongly for reordered frames
    if file.flags & Flags.ts_discont.value:
        pause = LONGEST_PAUSE / track.time_base
    shift, last, end = -round(start / track.time_base), -math.inf, 0
    for item in items:
        time = item.dts if only_dts else item.pts
        time = end if time is None else time + shift
        if time < last or time > end + pause:
            shift += end - time
            time = end
        item.pts, item.time_base = time, track.time_base
        last, end = time, time + (item.duration or 0)
        yield item


def read_frames(clip):
    """Yield (repeats, image uint8 [h, w, 3]): each frame, and how often it is shown."""
    with _open(clip.path) as source:
        picture, *_ = _tracks(source)
        size = {'width': picture.width, 'height': picture.height}  # which may change in the file
        waiting, end, shown = None, 0, 0
        for frame in _on_clock(picture, _decode(picture), clip.start):
            repeats = round(frame.pts * frame.time_base * clip.rate) - shown
            if waiting and repeats > 0:
                yield repeats, _upright(waiting, **size)
                shown += repeats
            waiting, end = frame, (frame.pts + frame.duration) * frame.time_base
        if waiting:
            yield max(1, round(end * clip.rate) - shown), _upright(waiting, **size)


def _upright(frame, **size):
    image, matrix = frame.to_ndarray(format='rgb24', **size), frame.side_data.get('DISPLAYMATRIX')
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if a * d < b * c:  # mirrored, before it is turned
            image = image[::-1]
    return np.rot90(image, round(frame.rotation / 90))


def write_video(path, frames, clip, sound):
    """Write an .mp4, complete or not at all, with the rate, pixels and sound of a clip.

    `frames` yields (repeats, image uint8 [h, w, 3]). Returns a line for each fault of the source;
    what could be read of it is then in the file. Raises InputError if the source holds no frame,
    and OSError if the file cannot be written.
    """
    faults, written = [], Counter()
    try:
        # faststart puts the index first, so that browsers play the file while it loads
        with (atomic_path(path) as temporary, _open(clip.path) as source,
              av.open(f'file:{temporary}', 'w', 'mp4',
                      container_options={'movflags': 'faststart'}) as output):
            tracks = [_add_picture(output, frames, clip)]
            if sound and clip.sound:
                tracks.append(_add_sound(output, source, clip))
            output.start_encoding()  # what forbids writing shows here, before the long work
            for packet in merge(*tracks, key=lambda packet: packet.dts * packet.time_base):
                with suppress(av.error.InvalidDataError):  # a damaged packet of sound
                    output.mux(packet)
                    written[packet.stream.type] += 1
            if not written['video']:
                raise InputError(f'{clip.path}: no frame of it can be read; copy it again')
    except av.error.FFmpegError as error:  # not all of its kinds are an OSError
        raise OSError(error.errno, error.strerror) from error
    if len(tracks) > 1 and not written['audio']:
        faults.append(f'{clip.path}: its sound cannot be read; {path} has none')
    seconds = float(written['video'] / clip.rate)
    if _is_truncated(clip, seconds):
        faults.append(f'{clip.path}: cut off or damaged: {seconds:.1f} of {clip.duration:.1f} '
                      f'seconds could be read, and are in {path}')
    return faults


def _add_picture(output, frames, clip):
    """Add the picture to an output file; return an iterator of its packets."""
    edge = ((0, clip.height % 2), (0, clip.width % 2), (0, 0))
    picture = output.add_stream('h264', clip.rate, {'crf': '15'}, width=clip.width + clip.width % 2,
                                height=clip.height + clip.height % 2)
    codec = picture.codec_context
    codec.sample_aspect_ratio = clip.aspect
    codec.colorspace, codec.color_primaries, codec.color_trc = clip.colours
    codec.color_range = ColorRange.MPEG  # players expect it: black is 16, white 235

    def prepared():
        count = 0
        for repeats, image in frames:
            frame = av.VideoFrame.from_ndarray(np.pad(image, edge, mode='edge'))
            frame.colorspace = codec.colorspace
            frame = frame.reformat(format='yuv420p', dst_color_range=ColorRange.MPEG)
            for number in range(count, count + repeats):
                frame.pts = number
                yield frame
            count += repeats

    return _encode(picture, prepared())


def _add_sound(output, source, clip):
    """Add the first sound track to an output file; return an iterator of its packets."""
    _, track = _tracks(source)
    if clip.sound in PLAYABLE and track.rate >= 16000:  # .mp4 has no slower mp3
        target = output.add_stream_from_template(track)
        return _copy(target, _on_clock(track, _demux(track), clip.start))
    layout = {1: 'mono', 6: '5.1'}.get(track.channels, 'stereo')
    target = output.add_stream('aac', 48000, layout=layout)
    return _encode(target, _on_clock(track, _decode(track), clip.start))


def _copy(track, packets):
    for packet in packets:
        packet.stream, packet.dts = track, packet.pts
        yield packet


def _encode(track, frames):
    for frame in chain(frames, [None]):  # None asks for the packets that are held back
        with suppress(ValueError):  # sound whose number of channels changes
            yield from track.encode(frame)


def _is_truncated(clip, seconds):
    """Whether there is more in a clip than the `seconds` of its picture that could be read."""
    def short(found, promised):
        return promised - found > max(2 / clip.rate, promised / 20)

    if not short(seconds, clip.duration):
        return False
    # Many headers give the duration of the longest track alone, which may be the sound: the file
    # is cut off if all of its packets end early, or the picture's packets after what was decoded.
    ends = Counter()
    with _open(clip.path) as source:
        picture, *_ = _tracks(source)
        for packet in _demux(*source.streams):
            end = ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base - clip.start
            ends[packet.stream] = max(ends[packet.stream], end)
        return short(max(ends.values()), clip.duration) or short(seconds, ends[picture])
