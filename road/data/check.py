"""Look through the files of a data set: each is decoded once, in threads.

One pass gives what all others need: is the file an image, its size, the digest of its bytes, and
which values a label has. `checked.json` in the data folder remembers it, so that a later training
reads only files that have changed since (in size, times or inode).
"""

import os
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from road import files
from road.data import IGNORE_LABEL
from road.data.calibration import read_calibration
from road.data.images import inspect_image
from road.data.label_faults import value_faults
from road.data.labels import count_values
from road.errors import InputError, describe
from road.prefetch import prefetch
from road.progress import tqdm

# Of KITTI's sizes the largest is 1.02 times the smallest; others are from another camera.
MAX_SIZE_RATIO = 1.5
BLUE = 0x0000FF  # in a label of KITTI Road: ignored road


class FileInfo(NamedTuple):
    """What inspecting an image file or label file has found."""
    bytes: int
    modified: int  # time of change of the content, ns; copying and unpacking may set it back
    changed: int  # time of change of the inode, ns; nothing sets it back (made, on Windows)
    inode: int  # another one where a folder was exchanged
    width: int
    height: int
    digest: str  # MD5 of the bytes
    kind: str = ''  # of a label, as its values: see road.data.labels.count_values
    values: list = []
    level: int = 0  # the largest of an image of 16 bits
    turned: bool = False  # an image, by its EXIF data

    @property
    def size(self):
        return self.width, self.height


INFO_TYPES = list(FileInfo.__annotations__.values())


def inspect_files(images, labels, checked_path, trust):
    """Inspect image files and label files: ({path: FileInfo}, {path: fault}).

    Args:
        images, labels: paths.
        checked_path: where to remember what was found; None to remember nothing.
        trust: do not read files again that are as remembered.
    """
    remembered = files.read_json(checked_path) if checked_path else {}

    def inspect(job):
        path, read = job
        try:
            status = os.stat(path)
            state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            known = remembered.get(os.path.abspath(path)) if trust else None
            if (_is_file_info(known) and known[:len(state)] == state
                    and bool(FileInfo(*known).kind) == (read is count_values)):
                return FileInfo(*known)
            (height, width), *found = read(path)
            return FileInfo(*state, width, height, files.file_digest(path), *found)
        except (InputError, OSError) as error:
            return describe(error, {})

    jobs = [(path, inspect_image) for path in images] + [(path, count_values) for path in labels]
    found = list(tqdm(prefetch(inspect, jobs), total=len(jobs), desc='checking', unit='file'))
    infos = {path: result for (path, _), result in zip(jobs, found) if isinstance(result, FileInfo)}
    faults = {path: result for (path, _), result in zip(jobs, found) if isinstance(result, str)}
    if checked_path:
        with suppress(OSError):  # the next check then takes longer
            os.makedirs(os.path.dirname(checked_path), exist_ok=True)
            asked = {os.path.abspath(path) for path, _ in jobs}
            kept = {path: known for path, known in remembered.items() if path not in asked}
            found = {os.path.abspath(path): info for path, info in infos.items()}
            files.write_json(checked_path, kept | found)
    return infos, faults


def _is_file_info(known):
    """Whether something from checked.json, perhaps damaged, can be a FileInfo."""
    return (isinstance(known, list) and [type(value) for value in known] == INFO_TYPES
            and all(isinstance(value, list) and [type(number) for number in value] == [int] * 3
                    for value in known[FileInfo._fields.index('values')]))


def check_frames(data, checked_path=None, trust=False):
    """Inspect and compare all files of a Dataset: ({path: FileInfo}, [fault, ...], [note, ...]).

    Faults are lines: of files that are missing or cannot be read, labels of another size than their
    image or with values that are no class, splits that cannot train or score anything. Notes are
    of labels and classes without pixels, and of images that two splits share.
    """
    frames = data.training + data.validation + data.testing
    labelled = [frame for frame in frames if frame.label]
    infos, unread = inspect_files([frame.image for frame in frames],
                                  [frame.label for frame in labelled], checked_path, trust)
    masks = {frame.label: infos[frame.label] for frame in labelled if frame.label in infos}
    faults = [*data.faults, *unread.values()]
    for frame in labelled:
        if frame.label in infos and frame.image in infos:
            size, other = infos[frame.label].size, infos[frame.image].size
            if size != other:
                del masks[frame.label]  # that its values are wrong too follows from that
                why = 'a label must be as large as its image'
                if size == other[::-1]:
                    why = ('EXIF data turn the image; turn the label, or save the image upright'
                           if infos[frame.image].turned else 'one of them is turned; turn it back')
                faults.append('{}: is {}x{} pixels, but its image is {}x{}; {}'.format(
                    frame.label, *size, *other, why))
    wrong_values = value_faults(data, masks)
    faults += wrong_values  # what follows from them is not told
    notes = [f'{frame.label}: all pixels of this label are ignored' for frame in labelled
             if frame.label in infos and data.rule.count(infos[frame.label].values)[0].keys()
             == {IGNORE_LABEL}]
    for split, part in (('training', data.training), ('validation', data.validation)):
        pixels = class_pixels(data, [] if wrong_values else part, infos)
        fault = pixels.any() and _split_fault(data, part, split, infos)
        absent = [each.name for each, count in zip(data.classes, pixels) if not count]
        if fault:
            faults.append(fault)
        elif pixels.any() and absent:
            notes.append(f'{data.folder}: classes that never occur in the {split} labels: '
                         f'{", ".join(absent)}')
    turned = [frame.image for frame in labelled
              if frame.image in infos and infos[frame.image].turned]
    if turned:
        notes.append(f'{turned[0]}: is turned by its EXIF data ({len(turned)} such images); labels '
                     'must be of the upright image, as viewers show it')
    bits = significant_bits(data, infos)
    if bits < 16:
        notes.append(f'{data.folder}: images of 16 bits use {bits} of them, so grey levels are '
                     f'divided by {2 ** (bits - 8)} and not by 256')
    return infos, faults, notes + _shared_images(data, infos)


def significant_bits(data, infos):
    """How many bits the 16-bit images to train on and validate use: 8, 10, 12, 14 or 16."""
    level = max((infos[frame.image].level for frame in data.training + data.validation
                 if frame.image in infos), default=0)
    return max(8, level.bit_length() + 1 & ~1) if level else 16


def usual_shape(shapes):
    """Of (height, width) of images, the one that is nearest to the median."""
    ratios = np.log(shapes) - np.log(np.median(shapes, axis=0))
    return tuple(shapes[np.abs(ratios).max(axis=1).argmin()])


def class_pixels(data, frames, infos):
    """Pixels of each class in the labels of frames: int64 [classes + 1], the last ignored."""
    pixels = np.zeros(len(data.classes) + 1, np.int64)
    for frame in frames:
        if frame.label in infos:
            for index, count in data.rule.count(infos[frame.label].values)[0].items():
                pixels[-1 if index == IGNORE_LABEL else index] += count
    return pixels


def _shared_images(data, infos):
    """A line for each pair of splits that have an image in common."""
    splits = {name: {infos[frame.image].digest: frame.image for frame in frames
                     if frame.image in infos}
              for name, frames in (('training', data.training), ('validation', data.validation),
                                   ('test', data.testing))}
    lines = []
    for one, other in (('training', 'validation'), ('training', 'test'), ('validation', 'test')):
        shared = sorted(splits[one].keys() & splits[other].keys(), key=splits[one].get)
        if shared:
            lines.append(f'{splits[one][shared[0]]}: is the same image as '
                         f'{splits[other][shared[0]]}; {one} and {other} images have '
                         f'{len(shared)} in common, so scores may be too high')
    return lines


def _split_fault(data, frames, split, infos):
    """A line if the labels of a split cannot train or score anything."""
    *pixels, invalid = class_pixels(data, frames, infos)
    swapped, cure = '', 'Label more images, or choose others for this split'
    if data.format == 'kitti':
        cure = data.rule.hint
        blue = sum(count for frame in frames if frame.label in infos
                   for _, colour, count in infos[frame.label].values if colour == BLUE)
        if blue > 0.01 * (sum(pixels) + invalid):  # KITTI's own labels have a few such pixels
            swapped = (f' {blue / (sum(pixels) + invalid):.0%} of the pixels are blue without red: '
                       'were red and blue swapped when the labels were saved, as cv2 does?')
    present = [each.name for each, count in zip(data.classes, pixels) if count]
    if not present:
        fault = f'no {split} label has a pixel that is not ignored.'
    elif len(data.classes) == 2 and not pixels[1]:
        fault = f'no {split} label has a pixel of {data.classes[1].name}.'
    elif len(present) == 1 or swapped and pixels[1] > 0.99 * sum(pixels):
        fault = f'in the {split} labels every pixel that is not ignored is {present[-1]}.'
    else:
        return None
    return f'{data.folder}: {fault}{swapped} {cure}'


class Report(NamedTuple):
    """What `check` found: faults and notes are lines that begin with a path."""
    faults: list
    notes: list
    readable: Counter  # 'training images' and so on => how many could be read
    pixels: dict  # split => int64 [classes + 1] as class_pixels, of splits with labels


def check(data, checked_path=None):
    """Read every file of a Dataset, calibration files included: Report."""
    infos, faults, notes = check_frames(data, checked_path)
    frames = data.training + data.validation + data.testing
    readable, pixels = Counter(), {}
    for kind, part in (('training', data.training), ('validation', data.validation),
                       ('test', data.testing)):
        for what, paths in (('images', [frame.image for frame in part]),
                            ('labels', [frame.label for frame in part if frame.label])):
            readable[f'{kind} {what}'] = sum(path in infos for path in paths)
        if any(frame.label for frame in part):
            pixels[kind] = class_pixels(data, part, infos)
    for frame in frames:
        if frame.calib:
            try:
                read_calibration(frame.calib)
                readable['calibration files'] += 1
            except InputError as error:
                faults.append(str(error))
    return Report(faults, _notes(data, infos) + notes, +readable, pixels)


def _notes(data, infos):
    frames = data.training + data.validation + data.testing
    notes = [f'{path}: not a file of {data.title}, not read' for path in data.unused_files]
    uncalibrated = [frame.image for frame in frames if not frame.calib]
    if uncalibrated and data.format == 'kitti':
        notes.append(f'{uncalibrated[0]}: has no calibration file ({len(uncalibrated)} such '
                     "images), so there are no scores in bird's eye view")
    sizes = {frame.image: infos[frame.image].size for frame in frames if frame.image in infos}
    usual = usual_shape(list(sizes.values())) if sizes else None
    differing = [path for path, size in sizes.items()
              if max(*np.divide(size, usual), *np.divide(usual, size)) > MAX_SIZE_RATIO]
    if differing:
        notes.append('{}: is {}x{} pixels, where {}x{} is usual ({} such images)'.format(
            differing[0], *sizes[differing[0]], *usual, len(differing)))
    return notes
