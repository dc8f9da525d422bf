"""Paint the road, or more than two classes, into images, folders of images and videos.

    python main.py predict RUN holiday.jpg frames/ drive.mp4    # to RUN/predictions

An image becomes a PNG of its own size, with a legend below it if there are more than two classes,
and a video or an animation an .mp4 (see road.runs.video). Inputs that fail are listed at the end.
"""

import os
import sys
from contextlib import nullcontext, suppress
from tempfile import TemporaryFile

from PIL import Image

from road.data.dataset import UNREADABLE, comparable, image_endings, walk
from road.data.images import DAMAGED, RAW, image_bytes, read_image
from road.errors import InputError, describe, reason
from road.files import atomic_folder, remove_leftovers, write_text
from road.network.predictor import output_bytes
from road.prefetch import prefetch
from road.progress import tqdm
from road.runs.painting import add_legend, map_values, paint, write_map, write_png
from road.runs.written import Written, file_state

# A file is a video by its ending, and an image, which may be animated, by any other.
VIDEOS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts',
          '.wmv', '.flv', '.ogv', '.3gp', '.mjpeg', '.y4m')
ANIMATIONS = 'GIF', 'WEBP', 'PNG', 'AVIF'  # as Pillow names them


def run(args, open_run):
    """`main.py predict`: paint all inputs; print the failures and raise InputError for the last."""
    jobs, failures = plan(args.inputs, args.output, args.overlay)
    first, step = args.share or (1, 1)
    jobs = jobs[first - 1::step]
    failures = failures if first == 1 else []  # of inputs, which every process sees
    painted = 0
    if jobs:
        with open_run(args.run, args.vgg_dir) as opened:  # a mistyped run leaves no folder behind
            written = Written(args.output, [opened.run.best()['checkpoint'], args.overlay,
                                            args.full_size, args.no_sound, args.threshold])
            maps = {target: _map_path(target, args.output) for _, target in jobs
                    if args.confidence}
            # of all, because what is not to be overwritten must show before the work
            done = [{written.is_done(source, path) for path in (target, maps.get(target, target))}
                    for source, target in jobs]
            if args.skip_done:
                jobs = [job for job, is_done in zip(jobs, done) if is_done != {True}]
                print(f'{len(done) - len(jobs)} of {len(done)} files are done already')
            _make_folders([os.path.join(args.output, ''), *maps.values(),
                           *(target for _, target in jobs)])
            if maps:
                notes = os.path.join(args.output, 'confidence', 'README.txt')
                _describe_maps(opened.run, notes, written)
            if args.threshold is not None:
                opened.predictor.threshold = args.threshold
            failures += paint_images(jobs, opened.predictor, args, opened.run, maps, written)
            failures += paint_videos(jobs, opened.predictor, args, opened.run, maps, written)
            painted = len(written.added.intersection(target for _, target in jobs))
    print(f'{painted} of {len(jobs)} files are painted, in {args.output}')
    for line in failures[:-1]:
        print(f'Error: {line}', file=sys.stderr)
    if failures:
        raise InputError(failures[-1])


def plan(inputs, folder, overlay='both'):
    """Find images and videos, also in folders and the folders in them, and name the results.

    Returns (jobs, failures): a list of (source, target), the target in `folder` with the name of
    the source, below an input folder with the folders before it; a second `a` becomes `a-2`. And a
    line for each input that is missing or holds nothing. Raises InputError if an input would be
    overwritten.
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
    jobs, taken, protected = [], set(), set(map(os.path.realpath, sources))
    for source, stem in sources.values():
        ending = target_ending(source, overlay)
        name, number = stem + ending, 1
        while taken.intersection(_same_names(name)):
            number += 1
            name = f'{stem}-{number}{ending}'
        taken.update(_same_names(name))
        target = os.path.join(folder, name)
        for path in (target, _map_path(target, folder)):
            if os.path.realpath(path) in protected:
                raise InputError(f'{path}: is an input and would be overwritten; name another '
                                 'folder with --output')
        jobs.append((source, target))
    return jobs, failures


def _map_path(target, folder):
    """Where the map of an image goes, and the folder of those of a video."""
    path = os.path.join(folder, 'confidence', os.path.relpath(target, folder))
    return path if path.endswith('.png') else os.path.splitext(path)[0]


def _same_names(name):
    """A result's name and that of its map, as file systems may compare them."""
    return {comparable(name), comparable(os.path.join('confidence', name))}


def _files(path, output, failures):
    """A file itself, or the images and videos in a folder and the folders in it, sorted by name.

    Hidden files and folders are left out, and so is the folder `output` in it. A line for each
    folder that cannot be read is added to `failures`.
    """
    if not os.path.exists(path):
        raise InputError(f'{path}: no such file or folder')
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):  # reading a pipe may never end
        raise InputError(f'{path}: is a pipe or a device; save its content as a file')
    unreadable, files = {}, []
    own, output = (os.path.join(os.path.realpath(each), '') for each in (path, output))
    for folder, names in walk(path, lambda error: unreadable.update({error.filename: error})):
        real = os.path.join(os.path.realpath(folder), '')
        if own.startswith(output) or not real.startswith(output):
            files += [os.path.join(folder, name) for name in names if name[0] != '.']
    failures += [f'{error.filename}: cannot be read ({reason(error)}); give permission'
                 for error in unreadable.values()]
    endings = (*VIDEOS, *image_endings())
    found = sorted(file for file in files
                   if file.lower().endswith(endings) and os.path.isfile(file))
    # cameras write a photo as a JPEG too
    stems = {os.path.splitext(file)[0] for file in found
             if not file.lower().endswith(UNREADABLE + VIDEOS)}
    found = [file for file in found if not file.lower().endswith(UNREADABLE)
             or os.path.splitext(file)[0] not in stems]
    if not found and not unreadable:
        raise InputError(f'{path}: the folder holds no image and no video')
    if len(found) < len(files):
        print(f'{path}: files that are no images or videos and are skipped: '
              f'{len(files) - len(found)}')
    return found


def _make_folders(paths):
    """Make the folders of files, and try to write there: what forbids it shows before the work."""
    for folder in sorted({os.path.dirname(path) for path in paths}):
        try:
            os.makedirs(folder, exist_ok=True)
            TemporaryFile(dir=folder).close()
        except OSError as error:
            error.filename = folder
            raise
        remove_leftovers(folder)


def _describe_maps(run, path, written):
    """Write a text file about what the values of the maps are; InputError if another is there."""
    if len(run.classes) == 2:
        text = f'Grey level / 65535 = probability of {run.classes[1].name}\n'
    else:
        values = map_values(run.classes, run.label_values)
        text = 'value, class, colour\n' + ''.join(
            '{} {} #{:02x}{:02x}{:02x}\n'.format(value, each.name, *each.colour)
            for value, each in zip(values, run.classes))
        if any(run.label_values.get(str(value)) != each.name
               for value, each in zip(values, run.classes)):
            text += 'Values are indices, because masks have colours or values above 255.\n'
    with suppress(OSError), open(path, encoding='utf-8') as file:
        if file.read() == text:
            return
    written.is_done(path, path)
    write_text(path, text)
    written.add(path, path)


def paint_images(jobs, predictor, args, run, maps, written):
    """Paint each (source, target) that is an image; return a line for each failure.

    `maps` has the path of the map of a target, if there is to be one. Of 16-bit images as many bits
    are used as `run` has found in its own images, or, if those have 8 bits (or use all 16), as the
    image itself uses.
    """
    jobs, failures = [job for job in jobs if job[1].endswith('.png')], []
    bits = None if run.bits == 16 else run.bits
    values = map_values(run.classes, run.label_values)

    def read(job):
        try:
            return job, read_image(job[0], bits)
        except InputError as error:
            failures.append(str(error))

    def write(output):
        (source, target), image, confidence = output
        try:
            painted = paint(image, confidence, args.overlay, run.classes, predictor.threshold)
            if args.overlay != 'mask':
                painted = add_legend(painted, run.classes)
            write_png(target, painted)
            written.add(source, target)
            if target in maps:
                write_map(maps[target], confidence, image.shape[:2], run.classes, values)
                written.add(source, maps[target])
        except OSError as error:
            failures.append(describe(error, {}))

    images = filter(None, prefetch(read, jobs, depth=8, size=lambda job: image_bytes(job[0])))
    done = prefetch(write, predictor.predict(images, args.full_size), depth=8, size=output_bytes)
    for _ in tqdm(done, total=len(jobs), desc='images', unit='image', disable=not jobs):
        pass
    return failures


def target_ending(source, overlay):
    """.png for an image; for a video or an animation .mp4, or, as masks are lossless, .mkv."""
    if not source.lower().endswith(VIDEOS) and not _is_animated(source):
        return '.png'
    return '.mkv' if overlay == 'mask' else '.mp4'


def _is_animated(path):
    try:
        with Image.open(path) as file:
            kind, pictures = file.format, getattr(file, 'n_frames', 1)
    except (*DAMAGED, MemoryError):  # read_image will say why
        return False
    if kind == 'TIFF' and pictures > 1 and not path.lower().endswith(RAW):
        print(f'Note: {path}: the first of its {pictures} pages is painted')
    return kind in ANIMATIONS and pictures > 1


def paint_videos(jobs, predictor, args, run, maps, written):
    """As paint_images, for videos and animations; `maps` has a folder for each target."""
    jobs, failures = [job for job in jobs if not job[1].endswith('.png')], []
    try:
        if jobs:
            from road.runs.video import convert, convert_animation  # PyAV may be missing or broken
    except ImportError as error:
        return [f'{source}: PyAV, which reads videos, cannot be imported ({reason(error)}); '
                'pip install --force-reinstall av' for source, _ in jobs]
    values = map_values(run.classes, run.label_values)

    def painted(frames, total):
        with atomic_folder(maps[target]) if target in maps else nullcontext() as folder:
            def work(item):
                number, (key, image, confidence) = item
                if folder:
                    write_map(os.path.join(folder, f'{number:06}.png'), confidence,
                              image.shape[:2], run.classes, values)
                return key, paint(image, confidence, args.overlay, run.classes, predictor.threshold)

            outputs = enumerate(predictor.predict(frames, args.full_size), 1)
            outputs = prefetch(work, outputs, depth=8, size=lambda item: output_bytes(item[1]))
            yield from tqdm(outputs, total=total, unit='frame', desc=os.path.basename(source))

    for source, target in jobs:
        results = [target, *([maps[target]] if target in maps else [])]
        before, faults = [file_state(path) for path in results], len(failures)
        try:
            if source.lower().endswith(VIDEOS):
                convert(source, target, painted, not args.no_sound)
            else:
                convert_animation(source, target, painted)
        except (InputError, OSError) as error:
            failures.append(describe(error, {}))
        for path, state in zip(results, before):
            if file_state(path) != state:  # a part of a damaged video is written too
                written.add(source, path, whole=len(failures) == faults)
    return failures
