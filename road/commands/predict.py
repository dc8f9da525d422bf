"""Paint the road, or more than two classes, into images, folders of images and videos.

    python main.py predict RUN holiday.jpg frames/ drive.mp4    # to RUN/predictions

An image becomes a PNG of its own size, with a legend below it if there are more than two classes,
and a video an .mp4 (see road.runs.video). Inputs that fail are listed at the end.
"""

import os
import sys
from functools import partial
from tempfile import TemporaryFile

from road.data.dataset import UNREADABLE, comparable, image_endings
from road.data.images import read_image
from road.errors import InputError, describe, reason
from road.network.predictor import prefetch_depth
from road.prefetch import prefetch
from road.progress import tqdm
from road.runs.painting import add_legend, paint, write_png
from road.runs.video import convert
from road.scoring.confusion import predicted
from road.scoring.scores import to_grey

# A file is a video by its ending, and an image by any other.
VIDEOS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts',
          '.wmv', '.flv', '.ogv', '.3gp', '.mjpeg', '.y4m')


def run(args, open_run):
    """`main.py predict`: paint all inputs; print the failures and raise InputError for the last."""
    jobs, failures = plan(args.inputs, args.output)
    first, step = args.share or (1, 1)
    jobs = jobs[first - 1::step]
    failures = failures if first == 1 else []  # of inputs, which every process sees
    maps = os.path.join(args.output, 'confidence') if args.confidence else None
    try:
        os.makedirs(maps or args.output, exist_ok=True)
        TemporaryFile(dir=args.output).close()  # what forbids writing shows before the long work
    except OSError as error:
        error.filename = args.output
        raise
    faults = []
    if jobs:
        with open_run(args.run, args.vgg_dir) as opened:
            predict = partial(opened.predictor.predict, full_size=args.full_size)
            classes = opened.run.classes
            faults = paint_images(jobs, predict, args.overlay, classes, maps, opened.run.bits)
            faults += paint_videos(jobs, predict, args.overlay, classes, not args.no_sound)
    failures += faults
    print(f'{len(jobs) - len(faults)} of {len(jobs)} files are painted, in {args.output}')
    for line in failures[:-1]:
        print(f'Error: {line}', file=sys.stderr)
    if failures:
        raise InputError(failures[-1])


def plan(inputs, folder):
    """Find images and videos, also directly inside folders, and name the results in `folder`.

    Returns (jobs, failures): a list of (source, target), the target a .png or .mp4 with the name of
    the source, where a second `a` becomes `a-2`; and a line for each input that is missing or holds
    nothing. Raises InputError if an input would be overwritten.
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
        ending = '.mp4' if source.lower().endswith(VIDEOS) else '.png'
        name, number = stem + ending, 1
        while comparable(name) in taken:
            number += 1
            name = f'{stem}-{number}{ending}'
        taken.add(comparable(name))
        for target in (os.path.join(folder, 'confidence', name), os.path.join(folder, name)):
            if os.path.realpath(target) in protected:
                raise InputError(f'{target}: is an input and would be overwritten; name another '
                                 'folder with --output')
        jobs.append((source, target))
    return jobs, failures


def _files(path):
    """A file itself, or the images and videos in a folder, sorted by name."""
    if not os.path.exists(path):
        raise InputError(f'{path}: no such file or folder')
    if not os.path.isdir(path):
        return [path]
    endings = (*VIDEOS, *image_endings())
    try:
        files = [entry.path for entry in os.scandir(path)
                 if not entry.name.startswith('.') and not entry.is_dir()]
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({reason(error)}); give permission') from error
    found = sorted(file for file in files if file.lower().endswith(endings))
    # cameras write a photo as a JPEG too
    stems = {os.path.splitext(file)[0] for file in found
             if not file.lower().endswith(UNREADABLE + VIDEOS)}
    found = [file for file in found if not file.lower().endswith(UNREADABLE)
             or os.path.splitext(file)[0] not in stems]
    if not found:
        raise InputError(f'{path}: the folder holds no image and no video; folders inside it must '
                         'be named themselves')
    if len(found) < len(files):
        print(f'{path}: files that are no images or videos and are skipped: '
              f'{len(files) - len(found)}')
    return found


def paint_images(jobs, predict, overlay, classes, maps=None, bits=16):
    """Paint each (source, target) that is an image; return a line for each failure.

    `predict` is as road.network.predictor.Predictor.predict. `maps` is a folder for 8-bit maps, or
    None: of confidences, or of the indices of more than two classes in the order of the legend.
    `bits` is that of 16-bit images, see road.data.images.read_image.
    """
    jobs, failures = [job for job in jobs if job[1].endswith('.png')], []

    def read(job):
        source, target = job
        try:
            return target, read_image(source, bits)
        except InputError as error:
            failures.append(str(error))

    def write(output):
        target, image, confidence = output
        try:
            painted = paint(image, confidence, overlay, classes)
            write_png(target, painted if overlay == 'mask' else add_legend(painted, classes))
            if maps:
                map_ = to_grey(confidence) if len(classes) == 2 else predicted(confidence)
                write_png(os.path.join(maps, os.path.basename(target)), map_)
        except OSError as error:
            failures.append(describe(error, {}))

    images = filter(None, prefetch(read, jobs, depth=8))
    written = prefetch(write, predict(images), depth=prefetch_depth(len(classes)))
    for _ in tqdm(written, total=len(jobs), desc='images', unit='image', disable=not jobs):
        pass
    return failures


def paint_videos(jobs, predict, overlay, classes, sound=True):
    """As paint_images, for videos. `sound` keeps the sound."""
    failures = []

    def painted(frames, total):
        outputs = prefetch(lambda output: (output[0], paint(*output[1:], overlay, classes)),
                           predict(frames), depth=prefetch_depth(len(classes)))
        yield from tqdm(outputs, total=total, unit='frame', desc=os.path.basename(source))

    for source, target in jobs:
        if target.endswith('.mp4'):
            try:
                convert(source, target, painted, sound)
            except (InputError, OSError) as error:
                failures.append(describe(error, {}))
    return failures
