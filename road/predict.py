"""Paint the road into pictures, folders of pictures, and videos.

    jobs, failures = plan(['holiday.jpg', 'frames/', 'drive.mp4'], 'out')   # out/holiday.png, ..., out/drive.mp4
    failures += paint_images(jobs, outputs) + paint_videos(jobs, outputs)   # outputs: see helper.confidences

An input that cannot be read does not keep the others from being done: what is wrong with it is returned, in a line.
"""

import os
from typing import NamedTuple

import imageio.v2 as iio2
import numpy as np
from PIL import Image
from tqdm import tqdm

import helper
from road import kitti
from road.ahead import map_ahead
from road.errors import InputError
from road.scores import to_grey

# A file is a video by its ending, and an image by any other.
VIDEOS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts', '.wmv', '.flv', '.ogv',
          '.3gp', '.mjpeg', '.y4m')
QUALITY = 7  # imageio's scale, 1 to 10: about the size of a camera's own file


class Job(NamedTuple):
    """A file to paint."""
    source: str
    target: str  # a .png or .mp4
    confidence: str  # where an image's confidence map goes, if one is wanted

    @property
    def is_video(self):
        return is_video(self.source)


def is_video(path):
    return path.lower().endswith(VIDEOS)


# ------------------------------------------------------------------------------------------------------- inputs


def plan(inputs, folder):
    """Find the files to paint and name what is made of them.

    Args:
        inputs: paths of images, videos, and folders, of which the images and videos directly inside are taken.
        folder: where everything is written, under the input's name; the second `a` becomes `a-2`.
    Returns:
        (jobs, failures): a list of Job, and a line for each input that is not there or holds nothing.
    Raises:
        InputError: an input would be written over.
    """
    sources, failures = [], []
    for path in inputs:
        try:
            sources += _files(path)
        except InputError as error:
            failures.append(str(error))
    jobs, taken, protected = [], set(), {os.path.realpath(source) for source in sources}
    for source in sources:
        stem = os.path.splitext(os.path.basename(source))[0]
        ending = '.mp4' if is_video(source) else '.png'
        name, number = stem + ending, 1
        while name in taken:
            number += 1
            name = f'{stem}-{number}{ending}'
        taken.add(name)
        job = Job(source, os.path.join(folder, name), os.path.join(folder, 'confidence', name))
        for target in (job.target, job.confidence):
            if os.path.realpath(target) in protected:
                raise InputError(f'{target}: is an input, and would be written over; name another folder with --output')
        jobs.append(job)
    return jobs, failures


def _files(path):
    """A file itself, or the images and videos in a folder, sorted by name."""
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise InputError(f'{path}: no such file or folder')
        return [path]
    try:
        names = sorted(os.listdir(path))
    except PermissionError as error:
        raise InputError(f'{path}: no permission to read the folder') from error
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = [os.path.join(path, name) for name in names if not name.startswith('.') and
             (is_video(name) or os.path.splitext(name)[1].lower() in endings)]
    if not found:
        raise InputError(f'{path}: the folder holds no image and no video')
    return found


# ------------------------------------------------------------------------------------------------------- images


def paint_images(jobs, outputs, overlay='both', with_confidence=False):
    """Write the painted image of each job that is one, and its 8-bit confidence map where wanted.

    Args:
        outputs: function from (key, image) pairs to (key, image, confidence), as helper.confidences.
        overlay: see helper.paint.
    Returns:
        a line for each image that could not be read.
    """
    jobs, failures = [job for job in jobs if not job.is_video], []

    def read(job):
        try:
            return job, kitti.read_image(job.source)
        except InputError as error:
            failures.append(str(error))

    def write(output):
        job, image, confidence = output
        helper.write_png(job.target, helper.paint(image, confidence, overlay))
        if with_confidence:
            helper.write_png(job.confidence, to_grey(confidence))

    for job in jobs:
        os.makedirs(os.path.dirname(job.confidence if with_confidence else job.target), exist_ok=True)
    images = (item for item in map_ahead(read, jobs, depth=8) if item)
    for _ in tqdm(map_ahead(write, outputs(images), depth=8), total=len(jobs), desc='images', unit='image', disable=not jobs):
        pass
    return failures


# ------------------------------------------------------------------------------------------------------- videos


def paint_videos(jobs, outputs, overlay='both'):
    """Write the painted video of each job that is one; arguments and result as of paint_images."""
    failures = []
    for job in jobs:
        if job.is_video:
            try:
                _paint_video(job, outputs, overlay)
            except InputError as error:
                failures.append(str(error))
    return failures


def _paint_video(job, outputs, overlay):
    """Frame by frame from one ffmpeg into another: of the same size and rate, without sound.

    Raises:
        InputError: nothing of it can be read, or less than its head says; what could be read is then painted.
    """
    os.makedirs(os.path.dirname(job.target), exist_ok=True)
    reader = _open_video(job.source)
    meta = reader.get_meta_data()
    width, height = meta['size']
    fps = meta['fps'] or 25
    expected = round(meta['duration'] * fps)  # 0 where the head does not say
    part = os.path.join(os.path.dirname(job.target), f'.{os.path.basename(job.target)}.part.mp4')
    # Players want 4:2:0, where colour has half the size; that needs even sides.
    pixels = 'yuv444p' if width % 2 or height % 2 else 'yuv420p'
    frames = ((None, np.asarray(frame)) for frame in _frames(reader))
    painted = map_ahead(lambda output: helper.paint(*output[1:], overlay), outputs(frames), depth=8)
    done = 0
    try:
        with iio2.get_writer(part, format='FFMPEG', mode='I', fps=fps, quality=QUALITY, pixelformat=pixels,
                             macro_block_size=1) as writer:  # 1: else the video is scaled to multiples of 16
            for frame in tqdm(painted, total=expected or None, desc=os.path.basename(job.source), unit='frame'):
                try:
                    writer.append_data(frame)
                except OSError as error:  # its message is ffmpeg's whole command line
                    raise InputError(f'{job.target}: cannot be written; is the disk full?') from error
                done += 1
        if not done:
            raise InputError(f'{job.source}: no frame of it can be read; copy it again')
        _open_video(part).close()  # a full disk shows here: the head is written last
        os.replace(part, job.target)
    finally:
        reader.close()
        if os.path.exists(part):
            os.remove(part)
    if done < expected - max(2, 0.05 * expected):  # sound may be a little longer than the picture
        raise InputError(f'{job.source}: cut off or damaged: {done} frames of about {expected} could be read, and are in '
                         f'{job.target}')


def _open_video(path):
    """imageio's reader. Raises InputError where there is no picture in the file."""
    try:
        with open(path, 'rb'):
            pass
    except OSError as error:
        raise kitti.unreadable(path, error) from error
    try:
        return iio2.get_reader(path, format='FFMPEG', mode='I')
    # What imageio raises depends on where its reading of ffmpeg's messages fails.
    except (OSError, RuntimeError, ValueError, IndexError, KeyError, StopIteration) as error:
        raise InputError(f'{path}: not a readable video (cut short, or not a video at all); copy it again') from error


def _frames(reader):
    try:
        yield from reader.iter_data()
    except RuntimeError:  # the file ends within a frame
        return
