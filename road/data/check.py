"""Look through the files of a KITTI Road folder: each is decoded once, in threads.

One pass gives what all others need: is the file an image, its size, the digest of its bytes, and
what a label says. `checked.json` in the data folder remembers it, so that a later training reads
only files that have changed (in size or time) since.
"""

import os
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from road import files
from road.data import kitti
from road.data.calibration import read_calibration
from road.data.images import read_image
from road.errors import InputError, describe
from road.prefetch import prefetch
from road.progress import tqdm

# Of KITTI's sizes the largest is 1.02 times the smallest; others are from another camera.
UNLIKE = 1.5
RULE = ' KITTI Road has magenta road, red for what is not road, black for what does not count'
COLOURS = {0xFF0000, 0xFF00FF, 0x000000, 0x0000FF}  # red, magenta, black, and blue as a trace


class Seen(NamedTuple):
    """What a look at an image file or label file has found."""
    bytes: int
    modified: int  # time of change, ns
    width: int
    height: int
    digest: str  # MD5 of the bytes
    valid: int = 0  # pixels of a label that count
    road: int = 0  # of these, road
    blue: int = 0  # pixels that are blue but not red: road that does not count


SEEN_TYPES = list(Seen.__annotations__.values())


def look(frames, checked_path=None, trust=False):
    """Look at the images and labels of frames: ({path: Seen}, {path: fault}).

    Args:
        frames: road.data.kitti.Frame.
        checked_path: where to remember what was found; None to remember nothing.
        trust: do not read files again that are as remembered.
    """
    remembered = files.read_json(checked_path) if checked_path and trust else {}

    def look_at(job):
        path, read = job
        try:
            status = os.stat(path)
            known = remembered.get(os.path.abspath(path))
            if isinstance(known, list) and [type(value) for value in known] == SEEN_TYPES:
                if known[:2] == [status.st_size, status.st_mtime_ns]:
                    return Seen(*known)
            return Seen(status.st_size, status.st_mtime_ns, *read(path))
        except (InputError, OSError) as error:
            return describe(error, {})

    jobs = [(frame.image, _read_image) for frame in frames]
    jobs += [(frame.label, _read_label) for frame in frames if frame.label]
    found = list(tqdm(prefetch(look_at, jobs), total=len(jobs), desc='checking', unit='file'))
    seen = {path: result for (path, _), result in zip(jobs, found) if isinstance(result, Seen)}
    faults = {path: result for (path, _), result in zip(jobs, found) if isinstance(result, str)}
    for frame in frames:
        if frame.label in seen and frame.image in seen:
            size, other = ('{}x{}'.format(*seen[path][2:4]) for path in (frame.label, frame.image))
            if size != other:
                faults[frame.label] = (f'{frame.label}: is {size} pixels, but its image is '
                                       f'{other}; a label must be as large as its image')
    if checked_path:
        with suppress(OSError):  # the next check then takes longer
            os.makedirs(os.path.dirname(checked_path), exist_ok=True)
            fine = {os.path.abspath(path): seen[path] for path in seen if path not in faults}
            files.write_json(checked_path, fine)
    return seen, faults


def _read_image(path):
    """(width, height, digest) of an image."""
    height, width = read_image(path).shape[:2]
    return width, height, files.file_digest(path)


def _read_label(path):
    """(width, height, digest, valid, road, blue) of a label in KITTI's colours."""
    label = read_image(path)
    codes = label.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    values, pixels = np.unique(codes, return_counts=True)
    unknown = {value: count for value, count in zip(values.tolist(), pixels)
               if value not in COLOURS}
    if unknown:
        value = max(unknown, key=unknown.get)
        raise InputError(
            f'{path}: {sum(unknown.values())} pixels have colours unknown to KITTI Road, mostly '
            f'{(value >> 16, value >> 8 & 255, value & 255)}; paint them in its colours.{RULE}')
    road, valid = label[..., 2] > 0, label[..., 0] > 0
    counts = [int(plane.sum()) for plane in (valid, valid & road, road & ~valid)]
    return label.shape[1], label.shape[0], files.file_digest(path), *counts


def label_fault(labels, split):
    """A line if a split's labels (list of Seen, not empty) cannot train or score anything."""
    valid, road, blue = np.sum([label[5:] for label in labels], axis=0)
    pixels = sum(label.width * label.height for label in labels)
    swapped = ''
    if blue > 0.01 * pixels:  # KITTI's own labels have a few such pixels
        swapped = (f' {blue / pixels:.0%} of the pixels are blue without red: were red and blue '
                   'swapped when the labels were saved, as cv2 does?')
    if not valid:
        return f'no {split} label has a pixel that counts, because nothing is red.{swapped}{RULE}'
    if not road:
        return f'no {split} label has a pixel of road, because nothing is magenta.{RULE}'
    if road == valid or swapped and road > 0.99 * valid:
        return (f'in the {split} labels every pixel that counts is road.{swapped} Paint what is '
                f'not road red.{RULE}')
    return None


class Report(NamedTuple):
    """What `check` found: faults and notes are lines that begin with a path."""
    faults: list
    notes: list
    fine: Counter  # 'training images' and so on => how many have no fault


def check(kitti_dir, checked_path=None):
    """Read every file of a KITTI Road folder, calibration files included: Report."""
    if not os.path.isdir(kitti_dir):
        return Report([kitti.missing_message(kitti_dir)], [], Counter())
    training = kitti.find(os.path.join(kitti_dir, 'training'), labelled=True)
    testing = kitti.find(os.path.join(kitti_dir, 'testing'), labelled=False)
    frames = training.frames + testing.frames
    seen, faults = look(frames, checked_path)
    for frame in frames:
        if frame.calib:
            try:
                read_calibration(frame.calib)
            except InputError as error:
                faults[frame.calib] = str(error)
    fine = Counter()
    for kind, paths in (('training images', [frame.image for frame in training.frames]),
                        ('labels', [frame.label for frame in training.frames if frame.label]),
                        ('test images', [frame.image for frame in testing.frames]),
                        ('calibration files', [frame.calib for frame in frames if frame.calib])):
        fine[kind] = sum(path not in faults for path in paths)
    labels = [seen[frame.label] for frame in training.frames if frame.label in seen]
    of_labels = label_fault(labels, 'training') if labels else None
    return Report([*training.faults, *testing.faults, *faults.values(), *filter(None, [of_labels])],
                  _notes(training, testing, seen), +fine)


def _notes(training, testing, seen):
    frames, strays = training.frames + testing.frames, training.strays + testing.strays
    notes = [f'{path}: not a file of KITTI Road, not read' for path in strays]
    bare = [frame.image for frame in frames if not frame.calib]
    if bare:
        notes.append(f'{bare[0]}: has no calibration file ({len(bare)} such images), so there are '
                     "no scores in bird's eye view")
    labels = [frame.label for frame in training.frames if frame.label in seen]
    notes += [f'{path}: no pixel of it counts' for path in labels if not seen[path].valid]
    sizes = {frame.image: seen[frame.image][2:4] for frame in frames if frame.image in seen}
    usual = np.median(list(sizes.values()), axis=0) if sizes else None
    for path, size in sizes.items():
        ratio = np.divide(size, usual)
        if max(*ratio, *(1 / ratio)) > UNLIKE:
            notes.append('{}: is {}x{} pixels, the others are about {:.0f}x{:.0f}'.format(
                path, *size, *usual))
    return notes
