"""Videos: read frame by frame, and written as .mp4 files that browsers and phones play.

    clip = probe('drive.mov')
    write_video('out/drive.mp4', read_frames(clip), clip, sound=True)  # H.264

The output has the duration, the pixels' aspect ratio and the sound of the source. Its frame rate is
constant: at a variable rate frames are repeated, so that each is shown when it was in the source.
Players need colour at half the size (yuv420p) and thus even sides: an odd side grows by one pixel,
which repeats the edge. Subtitles are left out.
"""

import os
import re
import subprocess
from fractions import Fraction
from itertools import groupby
from tempfile import TemporaryDirectory
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np

from road.errors import InputError
from road.files import atomic_path

FASTEST = 120  # frames per second; a variable frame rate is resampled at no more than this
# Read a stream for its start alone: ffmpeg counts time from the first of the streams that it reads.
ONLY_CLOCK = ('-c', 'copy', '-f', 'null', '-')
PLAYABLE = {'aac', 'mp3', 'alac', 'opus', 'flac', 'ac3', 'eac3'}  # sound that players take in .mp4


class Clip(NamedTuple):
    """A video file, as ffmpeg describes it."""
    path: str
    width: int  # of the upright picture
    height: int
    aspect: Fraction  # width / height of a pixel
    rate: Fraction  # frames per second that it is read and written at
    duration: float  # seconds of the picture, or else of the longest stream, by its header, or 0
    sound: str  # codec of its first sound track; empty if it has none


def probe(path):
    """Describe a video file. Raises InputError if no frame of it can be read."""
    result = _ffmpeg('-i', f'file:{path}', '-map', '0:V:0', '-frames:v', '1', '-f', 'null', '-')
    source, _, output = result.stderr.decode(errors='replace').partition('\nOutput #0')
    used = re.search(r'(?m)^ +Stream #0:(\d+) -> #0:0', source)
    picture = re.search(r'(?m)^ +Stream .*: Video: .* (\d+)x(\d+)(?: \[?SAR (\d+):(\d+))?', output)
    if result.returncode or not used or not picture:
        raise InputError(f'{path}: not a readable video (no video, or cut short); copy it again')
    width, height, *aspect = (int(number or 1) for number in picture.groups())
    header, *streams = re.split(r'\n +Stream #0:', source)
    stream = next(text for text in streams if re.match(rf'{used[1]}\b.*: Video: ', text))
    # Matroska has a duration per stream; elsewhere ffmpeg shows only that of the file.
    clock = re.search(r'\n +DURATION[\w-]* *: (\d+):(\d+):([\d.]+)', stream + header, re.I)
    seconds = clock and sum(float(n) * unit for n, unit in zip(clock.groups(), (3600, 60, 1)))
    sound = re.search(r'(?m)^ +Stream .*: Audio: (\w+)', source)
    return Clip(path, width, height, Fraction(*aspect), _constant_rate(stream.split('\n')[0]),
                seconds or 0.0, sound[1] if sound else '')


def _constant_rate(line):
    """Frames per second that keep the clock of a stream, from ffmpeg's line about it."""
    # "tbr" is the rate at which all its timestamps are whole frames; "fps" is the mean rate.
    rates = {'fps': Fraction(0), 'tbr': Fraction(0)}
    for number, kilo, unit in re.findall(r' ([\d.]+)(k?) (fps|tbr)', line):
        rates[unit] = Fraction(number) * (1000 if kilo else 1)
        broadcast = Fraction(1000 * round(rates[unit] * 1001 / 1000), 1001)
        if '.' in number and abs(broadcast - rates[unit]) <= Fraction(1, 200):
            rates[unit] = broadcast  # 29.97 means 30000/1001
    mean, finest = rates['fps'], rates['tbr']
    return finest if mean * 0.95 <= finest <= FASTEST and finest else mean or Fraction(25)


def read_frames(clip):
    """Yield (repeats, image uint8 [h, w, 3]): each frame, and how often it follows itself."""
    shape = (clip.height, clip.width, 3)
    # Unlike the option -r, the filter fps also shows the last frame as long as the source does.
    filters = f'fps={clip.rate}:start_time=0,scale={clip.width}:{clip.height}'
    command = [imageio_ffmpeg.get_ffmpeg_exe(), '-v', 'quiet', '-i', f'file:{clip.path}',
               '-map', '0:V:0', '-vf', filters, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-',
               *(['-map', '0:a:0', *ONLY_CLOCK] if clip.sound else [])]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            frames = iter(lambda: process.stdout.read(int(np.prod(shape))), b'')
            for frame, same in groupby(frames):
                if len(frame) == np.prod(shape):
                    yield sum(1 for _ in same), np.frombuffer(frame, np.uint8).reshape(shape)
        finally:
            process.kill()


def write_video(path, frames, clip, sound):
    """Write an .mp4, complete or not at all, with the rate, pixels and sound of a clip.

    `frames` yields (repeats, image uint8 [h, w, 3]). Returns a line for each fault of the source;
    what could be read of it is then in the file. Raises InputError or OSError if the source holds
    no frame or the file cannot be written.
    """
    faults, count, edge = [], 0, (clip.height % 2, clip.width % 2)
    full = InputError(f'{path}: cannot be written; make room on the disk and try again')
    folder = TemporaryDirectory(prefix='.', dir=os.path.dirname(path) or '.')
    with atomic_path(path) as finished, folder:
        open(finished, 'wb').close()  # what forbids writing shows here, before the long work
        picture = os.path.join(folder.name, 'picture.mp4')
        writer = imageio_ffmpeg.write_frames(
            f'file:{picture}', (clip.width + edge[1], clip.height + edge[0]), fps=clip.rate,
            quality=7, macro_block_size=1, ffmpeg_log_level='quiet',
            output_params=['-vf', f'setsar={clip.aspect}'])
        writer.send(None)
        try:
            for repeats, image in frames:
                image = np.pad(image, ((0, edge[0]), (0, edge[1]), (0, 0)), mode='edge')
                for _ in range(repeats):
                    writer.send(image)
                count += repeats
        except OSError as error:  # its message is the whole command line
            raise full from error
        finally:
            writer.close()
        if not count:
            raise InputError(f'{clip.path}: no frame of it can be read; copy it again')
        codecs = ['copy', 'aac'][clip.sound not in PLAYABLE:] if sound and clip.sound else []
        for codec in (*codecs, ''):
            if _join(picture, clip, codec, finished):
                break
        else:
            raise full
    if codecs and not codec:
        faults.append(f'{clip.path}: its sound cannot be read; {path} has none')
    seconds = float(count / clip.rate)

    def short(found, promised):
        return promised - found > max(2 / clip.rate, promised / 20)

    # Many headers give the duration of the longest stream alone, which may be the sound: the file
    # is cut off if all of its packets end early, or the picture's packets after what was decoded.
    if short(seconds, clip.duration) and (short(_end(clip.path, '0'), clip.duration)
                                          or short(seconds, _end(clip.path, '0:V:0'))):
        faults.append(f'{clip.path}: cut off or damaged: {seconds:.1f} of {clip.duration:.1f} '
                      f'seconds could be read, and are in {path}')
    return faults


def _end(path, streams):
    """Time of the last packet of these streams, in seconds."""
    result = _ffmpeg('-i', f'file:{path}', '-map', streams, '-copy_unknown', *ONLY_CLOCK)
    *_, clock = [(0, 0, 0), *re.findall(rb'time=(\d+):(\d+):([\d.]+)', result.stderr)]
    return sum(float(n) * unit for n, unit in zip(clock, (3600, 60, 1)))


def _join(picture, clip, codec, path):
    """Write a picture file with the sound of a clip, or with none for the codec ''; if it works."""
    sound = ['-i', f'file:{clip.path}', '-map', '0:v', '-map', '1:a:0', '-c:a', codec]
    clock = ['-map', '1:V:0', *ONLY_CLOCK]
    # faststart puts the index first, so that browsers play the file while it loads
    return not _ffmpeg('-y', '-i', f'file:{picture}', *(sound if codec else []), '-c:v', 'copy',
                       '-movflags', '+faststart', f'file:{path}',
                       *(clock if codec else [])).returncode


def _ffmpeg(*options):
    return subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), '-hide_banner', '-nostdin', *options],
                          stdin=subprocess.DEVNULL, capture_output=True)
