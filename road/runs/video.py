"""Videos: read, painted frame by frame, and written as .mp4 that browsers and phones play.

    convert('drive.mov', 'out/drive.mp4', lambda frames, total: frames)  # H.264, AAC
    convert('drive.mov', 'out/drive.mkv', lambda frames, total: frames)  # FFV1, for masks: lossless

Times and colour matrix are the source's, and in .mp4 the aspect ratio of the pixels; HDR is tone
mapped. Players of .mp4 need colour at half the size (yuv420p) and thus even sides: an odd side
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
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, VideoReformatter
from PIL import Image

from road.data.images import DAMAGED, VIDEOS, why_unreadable
from road.errors import InputError, reason
from road.files import atomic_path
from road.progress import tqdm

HDR = ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67  # PQ and HLG


def convert(path, target, paint, sound=True):
    """Write a video or an animation, complete or not at all, with its frames changed by `paint`.

    `paint` gets an iterator of (key, upright image uint8 [h, w, 3]), read as it is consumed, and
    their estimated number or None; it yields (key, image) in the same order. Raises OSError if the
    file cannot be written, InputError if not all frames can be read; those of a video that can be
    read are then written.
    """
    if not path.lower().endswith(VIDEOS):  # a GIF, WebP, PNG or AVIF
        with Image.open(path) as file:
            return _write(target, path, _read_animation(path, file), file.n_frames, paint)
    ends = Counter()
    with _open(path) as source, _open(path) as source_of_sound:
        tracks = [track for track in source.streams
                  if not track.disposition & Disposition.attached_pic]
        picture = next((track for track in tracks
                        if track.type == 'video' and track.codec_context), None)
        if not picture:
            raise InputError(f'{path}: not a readable video (no picture in a codec that PyAV '
                             'knows); convert it to H.264')
        sounds = [track for track in source_of_sound.streams.audio
                  if track.codec_context and sound][:1]
        kept = {track.index for track in (picture, *sounds)}
        left_out = [track.type for track in tracks if track.index not in kept]
        if left_out:
            tqdm.write(f'Note: {path}: tracks that are left out: {", ".join(left_out)}')
        start = (source.start_time or 0) / av.time_base
        duration = (source.duration or 0) / av.time_base
        if source.format.name == 'matroska,webm':  # its duration counts from 0, not from the start
            duration = max(duration - start, 0)
        rate = picture.average_rate or Fraction(25)
        if source.format.name == 'avi':  # its duration is estimated from the size of the file
            duration = max(duration, float(picture.frames / rate))
        _write(target, path, _read(picture, ends), picture.frames or round(duration * rate) or None,
               paint, rate, Fraction(picture.sample_aspect_ratio or 1),
               [_read(track, ends) for track in sounds])
    # The sound may be longer than the picture: the file is cut off if the packets of all tracks end
    # early, and damaged if packets of the picture follow the last frame that could be decoded.
    missing = max(start + duration - max(ends.values()), ends[picture] - start - ends['video'])
    if missing > max(0.9, 1.5 / rate):
        raise InputError(f'{path}: cut off or damaged: {ends["video"]:.1f} of {duration:.1f} '
                         f'seconds could be read, and are in {target}; copy it again')
    if any(ends[track] for track in sounds) and not ends['audio']:
        raise InputError(f'{path}: its sound cannot be read; {target} has none')


def _open(path):
    try:
        # A name with a colon may look like a protocol; texts in the file need not be UTF-8.
        return av.open(f'file:{path}', metadata_errors='replace')
    except av.error.FFmpegError as error:
        cure = 'give permission' if isinstance(error, PermissionError) else 'copy it again'
        raise InputError(f'{path}: not a readable video ({reason(error)}); {cure}') from error


def _read(track, ends):
    """Yield the frames of a track that can be read, with `pts` that grow from the file's start.

    `ends` gets the seconds at which packets end, by track, and frames, by type.
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


def _read_animation(path, file):
    time = 0
    for number in range(file.n_frames):
        try:
            file.seek(number)
            frame = av.VideoFrame.from_image(file.convert('RGB'))
        except DAMAGED as error:
            raise InputError(f'{path}: {why_unreadable(path, error)}') from error
        frame.pts, frame.time_base = time, Fraction(1, 10**6)
        duration = file.info.get('duration') or 0  # ms; browsers take 0.1 s for 10 ms or less
        frame.duration = round(1000 * (duration if duration > 10 else 100))
        time += frame.duration
        yield frame


def _to_rgb(frames):
    """Yield frames in RGB, HDR as SDR, whose tags say how to write them."""
    scaler, to_sdr = VideoReformatter(), av.filter.Graph()
    for frame in frames:
        if frame.color_trc in HDR:  # of the scaler, PyAV 17 would change the tags alone
            if not to_sdr.configured:
                to_sdr.link_nodes(to_sdr.add_buffer(width=frame.width, height=frame.height,
                                                    format=frame.format, time_base=frame.time_base),
                                  to_sdr.add('scale', 'out_primaries=bt709:out_transfer=bt709'),
                                  to_sdr.add('format', 'rgb24'), to_sdr.add('buffersink'))
                to_sdr.configure()  # takes seconds
            to_sdr.push(frame)
            frame = to_sdr.pull()
            frame.colorspace = Colorspace.ITU709
        yield scaler.reformat(frame, format='rgb24', src_colorspace=_matrix(frame))


def _matrix(frame):
    """The colour matrix of a frame or codec; where none is named, the one that players assume."""
    if frame.colorspace not in (0, 2):  # RGB, unspecified
        return frame.colorspace
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601


def _upright(frame):
    image = frame.to_ndarray()
    matrix = frame.side_data.get('DISPLAYMATRIX')
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if a * d < b * c:  # mirrored, before it is turned
            image = image[::-1]
    return np.rot90(image, round(frame.rotation / 90))


def _write(path, source, frames, total, paint, rate=None, aspect=1, sounds=()):
    """Write the frames of the file `source`, painted, and `sounds`, frames of each track."""
    frames = _to_rgb(frames)
    options = {'movflags': 'faststart'}  # the index first: browsers play an .mp4 while it loads
    try:
        first = next(frames, None)
        if not first:
            raise InputError(f'{source}: no frame of it can be read; copy it again')
        images = (((frame.pts, frame.duration), _upright(frame))
                  for frame in chain([first], frames))
        rate = rate or 1 / (first.duration * first.time_base)
        with (atomic_path(path) as temporary,
              av.open(f'file:{temporary}', 'w', container_options=options) as output):
            tracks = [_add_picture(output, first, rate, aspect, paint(images, total))]
            for sound in sounds:
                track = output.add_stream('aac', 48000, layout='stereo', bit_rate=192000)
                tracks.append(_encode(track, sound))
            output.start_encoding()  # what forbids writing shows here, before the long work
            for packet in merge(*tracks, key=lambda packet: packet.dts * packet.time_base):
                output.mux(packet)
    except av.codec.codec.UnknownCodecError as error:
        raise InputError(f'{path}: PyAV has no encoder {error}; pip install av') from error
    except av.error.FFmpegError as error:  # not all of its kinds are an OSError
        raise OSError(error.errno, error.strerror, path) from error


def _add_picture(output, first, rate, aspect, painted):
    """Add the picture to an output file; return an iterator of its packets."""
    lossless = output.format.name == 'matroska'
    width, height = first.width, first.height
    if round(first.rotation / 90) % 2:
        width, height, aspect = height, width, 1 / aspect
    right, below = (0, 0) if lossless else (width % 2, height % 2)
    # Without B-frames, because of which .mp4 would not keep the duration of a variable frame rate.
    options = {} if lossless else {'crf': '15', 'preset': 'veryfast', 'bf': '0'}
    track = output.add_stream('ffv1' if lossless else 'h264', rate, options, width=width + right,
                              height=height + below, pix_fmt='bgr0' if lossless else 'yuv420p')
    codec = track.codec_context
    codec.time_base, codec.sample_aspect_ratio = first.time_base, aspect
    codec.flags |= Flags.frame_duration
    if not lossless:
        codec.colorspace = first.colorspace or _matrix(first)
        codec.color_primaries, codec.color_trc = first.color_primaries, first.color_trc
        codec.color_range = ColorRange.MPEG  # players expect it: black is 16, white 235

    def frames():
        for (pts, duration), image in painted:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode='edge')
            frame = av.VideoFrame.from_ndarray(image)
            frame.colorspace = _matrix(codec)  # by which the encoder converts it
            frame.pts, frame.duration, frame.time_base = pts, duration, codec.time_base
            yield frame

    return _encode(track, frames())


def _encode(track, frames):
    for frame in chain(frames, [None]):  # None asks for the packets that are held back
        with suppress(ValueError):  # sound whose number of channels changes
            yield from track.encode(frame)  # scales frames whose size changes
