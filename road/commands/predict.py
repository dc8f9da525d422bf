"""`main.py predict RUN holiday.jpg frames/ drive.mp4`: paint the classes, to RUN/predictions.

An image becomes a PNG of its own size, with a legend below it if there are more than two classes,
and a video or an animation an .mp4 (see road.runs.video). Inputs that fail are listed at the end.
"""

import os
import sys
from contextlib import nullcontext, suppress
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from PIL import Image

from road.data.dataset import UNREADABLE, comparable, image_endings, walk
from road.data.images import DAMAGED, RAW, VIDEOS, image_bytes, read_image
from road.errors import InputError, describe, reason, writing
from road.files import atomic_folder, remove_leftovers, write_text
from road.network.predictor import output_bytes
from road.prefetch import prefetch
from road.progress import tqdm
from road.runs.painting import add_legend, map_values, paint, write_map, write_png
from road.runs.written import Written


def run(args, open_run):
    """`main.py predict`: paint all inputs; print the failures and raise InputError for the last."""
    jobs, failures = plan(args.inputs, args.output, args.overlay, args.confidence)
    first, step = args.share or (1, 1)
    jobs = jobs[first - 1::step]
    failures = failures if first == 1 else []  # of inputs, which every process sees
    painted = 0
    if jobs:
        with open_run(args.run, args.vgg_dir) as opened:  # a mistyped run leaves no folder behind
            if args.threshold is not None and len(opened.run.classes) > 2:
                raise InputError(f'--threshold {args.threshold}: {args.run} has more than two '
                                 'classes, of which the most probable is painted; leave it out')
            written = Written(args.output, [opened.run.best()['checkpoint'], args.overlay,
                                            args.full_size, args.no_sound, args.threshold])
            # of all, because what is not to be overwritten must show before the work
            done = [all([written.is_done(source, path) for path in results])
                    for source, *results in jobs]
            if args.skip_done:
                jobs = [job for job, is_done in zip(jobs, done) if not is_done]
                print(f'{len(done) - len(jobs)} of {len(done)} files are done already')
            _make_folders([os.path.join(args.output, ''),
                           *(path for _, *results in jobs for path in results)])
            if args.confidence:
                _describe_maps(opened.run, args.output, written)
            if args.threshold is not None:
                opened.predictor.threshold = args.threshold
            paint_images(jobs, args, opened, written, failures)
            paint_videos(jobs, args, opened, written, failures)
            painted = len(written.added.intersection(target for _, target, *_ in jobs))
    print(f'{painted} of {len(jobs)} files are painted, in {args.output}')
    for line in failures[:-1]:
        print(f'Error: {line}', file=sys.stderr)
    if failures:
        raise InputError(failures[-1])


def plan(inputs, folder, overlay='both', confidence=False):
    """Find images and videos, also in folders and the folders in them, and name the results.

    Returns jobs, (source, target) or, with `confidence`, (source, target, map), the map of a video
    being a folder; and a line for each input that is missing or holds nothing. Targets are in
    `folder`, below it as below the input folder; a second `a` becomes `a-2`.
    """
    sources, failures = {}, []
    for path in inputs:
        try:
            root = path if os.path.isdir(path) else os.path.dirname(path) or '.'
            for source in _files(path, folder, failures):
                stem = os.path.splitext(os.path.relpath(source, root))[0]
                sources.setdefault(os.path.abspath(source), (source, stem))
        except InputError as error:
            failures.append(str(error))
    jobs, taken = [], set()
    for source, stem in sources.values():
        ending, map_ending = '.png', '.png'
        if source.lower().endswith(VIDEOS) or _is_animated(source):
            ending, map_ending = '.mkv' if overlay == 'mask' else '.mp4', ''  # .mkv is lossless
        for number in count(1):
            name = stem if number == 1 else f'{stem}-{number}'
            results = [os.path.join(folder, name + ending),
                       os.path.join(folder, 'confidence', name + map_ending)]
            if taken.isdisjoint(map(comparable, results)):
                break
        taken.update(map(comparable, results))
        jobs.append((source, *(results if confidence else results[:1])))
    return jobs, failures


def _files(path, output, failures):
    """A file itself, or the images and videos below a folder, without hidden ones and `output`."""
    if os.path.isfile(path):
        return [path]
    if not os.path.exists(path):
        raise InputError(f'{path}: no such file or folder')
    if not os.path.isdir(path):  # reading a pipe may never end
        raise InputError(f'{path}: is a pipe or a device; save its content as a file')

    def is_result(folder):
        return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(output))

    files, faults = [], {}
    for folder, names in walk(path, lambda error: faults.update({error.filename: reason(error)})):
        if is_result(path) or not is_result(folder):
            files += [os.path.join(folder, name) for name in names if name[0] != '.']
    failures += [f'{folder}: cannot be read ({fault}); give permission'
                 for folder, fault in faults.items()]
    endings = (*VIDEOS, *image_endings())
    found = sorted(file for file in files
                   if file.lower().endswith(endings) and os.path.isfile(file))
    skipped = len(files) - len(found)
    if not found and not faults:
        raise InputError(f'{path}: the folder holds no image and no video')
    if skipped:
        print(f'{path}: files that are no images or videos and are skipped: {skipped}')
    # cameras write a photo as a JPEG too
    stems = {os.path.splitext(file)[0] for file in found
             if not file.lower().endswith(UNREADABLE + VIDEOS)}
    return [file for file in found if not file.lower().endswith(UNREADABLE)
            or os.path.splitext(file)[0] not in stems]


def _make_folders(paths):
    """Make the folders of files, and try to write there: what forbids it shows before the work."""
    for folder in sorted({os.path.dirname(path) for path in paths}):
        with writing(folder):
            os.makedirs(folder, exist_ok=True)
            TemporaryFile(dir=folder).close()
        remove_leftovers(folder)


def _describe_maps(run, folder, written):
    """Write a text file about what the values of the maps are; InputError if another is there."""
    path = os.path.join(folder, 'confidence', 'README.txt')
    if len(run.classes) == 2:
        text = f'Grey level / 65535 = probability of {run.classes[1].name}\n'
    else:
        text = 'value, class, colour\n'
        for value, each in zip(map_values(run.classes, run.label_values), run.classes):
            text += '{} {} #{:02x}{:02x}{:02x}\n'.format(value, each.name, *each.colour)
        text += 'Values are those of the masks; indices if those are colours or above 255.\n'
    with suppress(OSError), open(path, encoding='utf-8', errors='replace') as file:
        if file.read() == text:
            return
    written.is_done(path, path)
    write_text(path, text)
    written.add(path)


def _is_animated(path):
    try:
        with Image.open(path) as file:
            kind, pictures = file.format, getattr(file, 'n_frames', 1)
    except (*DAMAGED, MemoryError):  # read_image will say why
        return False
    if kind == 'TIFF' and pictures > 1 and not path.lower().endswith(RAW):
        print(f'Note: {path}: the first of its {pictures} pages is painted')
    return kind in ('GIF', 'WEBP', 'PNG', 'AVIF') and pictures > 1


def paint_images(jobs, args, opened, written, failures):
    """Paint the jobs of `plan` that are images; add a line for each failure to `failures`.

    A 16-bit image is read by the bits that the run's own images use, or, if those have 8 bits (or
    use all 16), by the bits that it uses itself.
    """
    jobs = [job for job in jobs if job[1].endswith('.png')]
    run, predictor = opened.run, opened.predictor
    bits = None if run.bits == 16 else run.bits

    def read(job):
        try:
            return job, read_image(job[0], bits)
        except InputError as error:
            failures.append(str(error))

    def write(output):
        (_, target, *maps), image, confidence = output
        try:
            painted = paint(image, confidence, args.overlay, run.classes, predictor.threshold)
            if args.overlay != 'mask':
                painted = add_legend(painted, run.classes)
            write_png(target, painted)
            written.add(target)
            for path in maps:
                write_map(path, confidence, image.shape[:2], run.classes, run.label_values)
                written.add(path)
        except OSError as error:
            failures.append(describe(error, {}))

    images = filter(None, prefetch(read, jobs, depth=8, size=lambda job: image_bytes(job[0])))
    done = prefetch(write, predictor.predict(images, args.full_size), depth=8, size=output_bytes)
    for _ in tqdm(done, total=len(jobs), desc='images', unit='image', disable=not jobs):
        pass


def paint_videos(jobs, args, opened, written, failures):
    """As paint_images, for videos and animations."""
    run, predictor = opened.run, opened.predictor

    def painted(source, maps, frames, total):
        with atomic_folder(maps[0]) if maps else nullcontext() as folder:
            def work(item):
                number, (key, image, confidence) = item
                if folder:
                    write_map(os.path.join(folder, f'{number:06}.png'), confidence,
                              image.shape[:2], run.classes, run.label_values)
                return key, paint(image, confidence, args.overlay, run.classes, predictor.threshold)

            outputs = enumerate(predictor.predict(frames, args.full_size), 1)
            outputs = prefetch(work, outputs, depth=8, size=lambda item: output_bytes(item[1]))
            yield from tqdm(outputs, total=total, unit='frame', desc=os.path.basename(source))
        for path in maps:  # now: the video takes a while to finish, and may be stopped
            written.add(path)

    for source, target, *maps in jobs:
        if target.endswith('.png'):
            continue
        try:
            from road.runs.video import convert  # PyAV may be missing or broken
            convert(source, target, partial(painted, source, maps), not args.no_sound)
            written.add(target)
        except ImportError as error:
            failures.append(f'{source}: PyAV, which reads videos, cannot be imported '
                            f'({reason(error)}); pip install --force-reinstall av')
        except (InputError, OSError) as error:
            failures.append(describe(error, {}))
            written.add(target, whole=False)  # a part of a damaged video is written too
