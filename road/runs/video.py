"""Videos: read, painted frame by frame, and written as .mp4 that browsers and phones play.

    convert('drive.mov', 'out/drive.mp4', lambda frames, total: frames)  # H.264, AAC

Each frame is shown when it was in the source, which also gives the aspect ratio of the pixels and
the colour matrix. Players need colour at half the size (yuv420p) and thus even sides: an odd side
grows by one pixel, which repeats the edge. Of the sound, the first track is kept, as stereo.
"""

from collections import Counter
from contextlib import suppress
from fractions import Fraction
from heapq import merge
from itertools import chain

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition
from av.video.reformatter import ColorRange

from road.errors import InputError, reason
from road.files import atomic_path


def convert(path, target, paint, sound=True):
    """Write a video as .mp4, complete or not at all, with its frames changed by `paint`.

    Args:
        paint: function that gets an iterator of (key, upright image uint8 [h, w, 3]), read as it is
            consumed, and their estimated number or None; yields (key, image) in the same order.
    Raises:
        InputError: no frame of the source can be read, or not all; the rest is then written.
        OSError: the file cannot be written.
    """
    ends = Counter()
    with _open(path) as source, _open(path) as source_of_sound:
        pictures = [track for track in source.streams.video
                    if track.codec_context and not track.disposition & Disposition.attached_pic]
        if not pictures:
            raise InputError(f'{path}: not a readable video (no picture in a codec that PyAV '
                             'knows); convert it to H.264')
        picture = pictures[0]
        frames = _read(picture, ends)
        first = next(frames, None)
        if not first:
            raise InputError(f'{path}: no frame of it can be read; copy it again')
        start = (source.start_time or 0) / av.time_base
        duration = (source.duration or 0) / av.time_base
        rate = picture.average_rate or 25
        painted = paint(((frame, _upright(frame)) for frame in chain([first], frames)),
                        picture.frames or round(duration * rate) or None)
        sounds = [track for track in source_of_sound.streams.audio if track.codec_context and sound]
        _write(target, picture, first, painted, [_read(track, ends) for track in sounds[:1]])
    # The sound may be longer than the picture: the file is cut off if the packets of all tracks end
    # early, and damaged if packets of the picture follow the last frame that could be decoded.
    missing = max(start + duration - max(ends.values()), ends[picture] - start - ends['video'])
    if missing > max(1, 2 / rate):
        raise InputError(f'{path}: cut off or damaged: {ends["video"]:.1f} of {duration:.1f} '
                         f'seconds could be read, and are in {target}; copy it again')
    if sounds and not ends['audio']:
        raise InputError(f'{path}: its sound cannot be read; {target} has none')


def _open(path):
    try:
        # A name with a colon may look like a protocol; texts in the file need not be UTF-8.
        return av.open(f'file:{path}', metadata_errors='replace')
    except av.error.FFmpegError as error:
        raise InputError(f'{path}: not a readable video ({reason(error)}); copy it again, or give '
                         'permission to read it') from error


def _read(track, ends):
    """Yield the frames of a track that can be read, with `pts` that grow from the file's start.

    `ends` gets the seconds at which the packets of each track end, and the frames, by their type.
    """
    only_dts = track.container.format.name in ('avi', 'asf')  # their `pts` are guessed, wrongly
    start = round(Fraction(track.container.start_time or 0, av.time_base) / track.time_base)
    last, end = -1, 0
    for frame in _decode(track, ends):
        time = frame.dts if only_dts else frame.pts
        if time is None or time - start <= last:  # joined recordings: the clock begins again
            time = start + end
        frame.pts, frame.time_base = time - start, track.time_base
        last, end = frame.pts, frame.pts + max(frame.duration, 1)
        ends[track.type] = float(end * track.time_base)
        yield frame


def _decode(track, ends):
    with suppress(av.error.FFmpegError):  # where the file is cut off
        for packet in track.container.demux():
            if packet.pts is not None:
                end = (packet.pts + packet.duration) * packet.time_base
                ends[packet.stream] = max(ends[packet.stream], float(end))
            if packet.stream is track and packet.size:  # an empty packet would end the decoding
                with suppress(av.error.FFmpegError):  # damaged; later ones may be whole
                    yield from track.decode(packet)
    with suppress(av.error.FFmpegError):
        yield from track.decode(None)  # frames that were held back


def _upright(frame):
    image, matrix = frame.to_ndarray(format='rgb24'), frame.side_data.get('DISPLAYMATRIX')
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if a * d < b * c:  # mirrored, before it is turned
            image = image[::-1]
    return np.rot90(image, round(frame.rotation / 90))


def _write(path, source, first, painted, sounds):
    """Write (key, image) pairs in the format of the track `source` and its first frame."""
    try:
        # faststart puts the index first, so that browsers play the file while it loads
        with (atomic_path(path) as temporary,
              av.open(f'file:{temporary}', 'w', 'mp4',
                      container_options={'movflags': 'faststart'}) as output):
            tracks = [_add_picture(output, source, first, painted)]
            for frames in sounds:
                track = output.add_stream('aac', 48000, layout='stereo', bit_rate=192000)
                tracks.append(_encode(track, frames))
            output.start_encoding()  # what forbids writing shows here, before the long work
            for packet in merge(*tracks, key=lambda packet: packet.dts * packet.time_base):
                output.mux(packet)
    except av.codec.codec.UnknownCodecError as error:
        raise InputError(f'{path}: PyAV has no encoder {error}; pip install av') from error
    except av.error.FFmpegError as error:  # not all of its kinds are an OSError
        raise OSError(error.errno, error.strerror) from error


def _add_picture(output, source, first, painted):
    """Add the picture to an output file; return an iterator of its packets."""
    height, width, _ = _upright(first).shape
    # Without B-frames, because of which .mp4 would not keep the duration of a variable frame rate.
    options = {'crf': '15', 'preset': 'veryfast', 'bf': '0'}
    track = output.add_stream('h264', source.average_rate or 25, options,
                              width=width + width % 2, height=height + height % 2)
    codec, aspect = track.codec_context, Fraction(source.sample_aspect_ratio or 1)
    codec.time_base = source.time_base
    codec.flags |= Flags.frame_duration
    codec.sample_aspect_ratio = 1 / aspect if round(first.rotation / 90) % 2 else aspect
    codec.colorspace = first.colorspace or 2  # RGB (0) becomes YUV of no named matrix
    codec.color_primaries, codec.color_trc = first.color_primaries, first.color_trc
    codec.color_range = ColorRange.MPEG  # players expect it: black is 16, white 235

    def frames():
        for key, image in painted:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')
            frame = av.VideoFrame.from_ndarray(image)
            frame.colorspace = codec.colorspace
            frame = frame.reformat(format='yuv420p')
            frame.pts, frame.duration, frame.time_base = key.pts, key.duration, key.time_base
            yield frame

    return _encode(track, frames())


def _encode(track, frames):
    for frame in chain(frames, [None]):  # None asks for the packets that are held back
        with suppress(ValueError):  # sound whose number of channels changes
            yield from track.encode(frame)  # scales frames whose size changes
