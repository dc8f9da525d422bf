"""Look through the files of a data set: each is decoded once, in threads.

`checked.json` in the data folder remembers what was found, so that a later training reads only
files that have changed since (in size, times or inode).
"""

import os
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from road import files
from road.data import IGNORE_LABEL, kitti
from road.data.images import VERSION, image_bytes, inspect_image, used_bits
from road.data.label_faults import value_faults
from road.data.labels import count_values
from road.errors import InputError, describe
from road.prefetch import prefetch
from road.progress import tqdm

FEW = 1e-4  # share of the pixels of a split, too little to learn or score a class well


class FileInfo(NamedTuple):
    """What inspecting an image file or label file has found."""
    state: list  # bytes, times of change of content and inode (ns), inode: see inspect_files
    size: list  # width, height
    digest: str  # MD5 of the bytes
    kind: str  # of a label, as its values: see road.data.labels.count_values
    values: list
    level: int = 0  # the largest of an image of 16 bits
    turned: bool = False  # an image, by its EXIF data

    @property
    def pixels(self):
        return self.size[0] * self.size[1]


def inspect_files(images, labels, checked_path, trust):
    """Inspect image files and label files, given by path: ({path: FileInfo}, {path: fault}).

    checked_path: where to remember it, or None; trust: skip files that are as remembered.
    """
    remembered = files.read_json(checked_path) if checked_path else {}
    jobs = dict.fromkeys(images, inspect_image) | dict.fromkeys(labels, count_values)
    # an image of one data set may be a label of another
    keys = {path: f'{job.__name__} {VERSION} {os.path.abspath(path)}'
            for path, job in jobs.items()}

    def inspect(path):
        try:
            status = os.stat(path)
            # Copying and unpacking may set back the time of the content, but not of the inode
            # (made, on Windows), which is another one where a folder was exchanged.
            state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            known = remembered.get(keys[path])
            if trust and isinstance(known, list) and known[:1] == [state]:
                return FileInfo(*known)
            (height, width), *found = jobs[path](path)
            return FileInfo(state, [width, height], files.file_digest(path), *found)
        except (InputError, OSError) as error:
            return describe(error, {})

    def size(path):
        return 0 if trust and keys[path] in remembered else image_bytes(path)

    results = tqdm(prefetch(inspect, jobs, size=size), total=len(jobs), desc='checking',
                   unit='file')
    found = dict(zip(jobs, results))
    infos = {path: result for path, result in found.items() if isinstance(result, FileInfo)}
    if checked_path:
        with suppress(OSError):  # the next check then takes longer
            os.makedirs(os.path.dirname(checked_path), exist_ok=True)
            files.write_json(checked_path, remembered | {keys[path]: infos[path] for path in infos})
    return infos, {path: fault for path, fault in found.items() if path not in infos}


class Report(NamedTuple):
    """What `check` found: faults and notes are lines that begin with a path."""
    infos: dict  # path => FileInfo, of the files that can be read
    faults: list
    notes: list
    pixels: dict  # split with labels => pixels of each class, then of ignored ones
    bits: int  # that the 16-bit images to train on and validate use: 8, 10, 12, 14 or 16


def check(data, checked_path=None, trust=False):
    """Inspect and compare all files of a Dataset: Report. See inspect_files.

    Faults stop training and scoring; notes are of what may be meant, but often is not.
    """
    splits = {'training': data.training, 'validation': data.validation, 'test': data.testing}
    frames = data.training + data.validation + data.testing
    labels = [frame.label for frame in frames if frame.label]
    infos, unread = inspect_files([frame.image for frame in frames], labels, checked_path, trust)
    misfits = size_faults(frames, infos)
    # that the values of a misfit are wrong too follows from its size
    wrong_values = value_faults(data, {path: infos[path] for path in labels
                                       if path in infos and path not in misfits})
    faults = [*data.faults, *unread.values(), *misfits.values(), *wrong_values]
    level = max((infos[frame.image].level for frame in data.training + data.validation
                 if frame.image in infos), default=0)
    bits = used_bits(level) if level else 16
    notes = _notes(data, splits, infos, bits)
    pixels = {}
    for split, part in splits.items():
        values = [infos[frame.label].values for frame in part if frame.label in infos]
        if not values:
            continue
        known, _ = data.rule.count(*values)
        pixels[split] = [known[i] for i in (*range(len(data.classes)), IGNORE_LABEL)]
        absent = [each.name for i, each in enumerate(data.classes) if not known[i]]
        few = [f'{each.name} ({known[i]} pixels)' for i, each in enumerate(data.classes)
               if known[i] < FEW * sum(pixels[split])]
        if wrong_values:
            continue  # what follows from other faults is not told
        if len(absent) > len(data.classes) - 2 and split != 'test':
            faults.append(f'{data.folder}: no {split} label has a pixel of {", ".join(absent)}; '
                          'label more images, or choose others for this split')
        elif few:
            notes.append(f'{data.folder}: classes with less than {FEW:.2%} of the {split} pixels: '
                         f'{", ".join(few)}')
    return Report(infos, faults, notes, pixels, bits)


def size_faults(frames, infos):
    """{label: fault} of labels of another size than their image."""
    faults = {}
    for frame in frames:
        if frame.image in infos and frame.label in infos:
            size, other = infos[frame.label].size, infos[frame.image].size
            why = 'a label must be as large as its image'
            if size == other[::-1]:
                why = ('one of them is turned, perhaps by EXIF data; turn the label, or save the '
                       'image upright')
            if size != other:
                faults[frame.label] = '{}: is {}x{} pixels, but its image is {}x{}; {}'.format(
                    frame.label, *size[::-1], *other[::-1], why)
    return faults


def _notes(data, splits, infos, bits):
    frames = [frame for part in splits.values() for frame in part if frame.image in infos]
    shapes = {frame.image: infos[frame.image].size for frame in frames}
    usual = usual_shape(list(shapes.values())) if shapes else (1, 1)
    used = {path for frame in sum(splits.values(), []) for path in (frame.image, frame.label)}
    beside = {file.path for folder in {os.path.dirname(frame.image) for frame in frames}
              for file in os.scandir(folder) if os.path.isfile(file) and file.name[0] != '.'
              and not file.name.endswith(('.txt', '.csv'))}  # lists of classes or files
    found = [
        (sorted(beside - used), 'is left out, by its name or format'),
        ([frame.image for frame in frames if data.format == 'kitti' and not frame.calib],
         "has no calibration file, so there are no scores in bird's eye view"),
        ([path for path, size in shapes.items()
          if max(*np.divide(size, usual), *np.divide(usual, size)) > 1.5],  # KITTI's: 1.02
         'is of another size than the usual {}x{} pixels'.format(*usual[::-1])),
        ([frame.label for frame in frames if frame.label in infos
          and data.rule.count(infos[frame.label].values)[0].keys() == {IGNORE_LABEL}],
         'all pixels of this label are ignored'),
        ([frame.image for frame in frames if frame.label and infos[frame.image].turned],
         'is turned by its EXIF data; labels must be of the upright image, as viewers show it')]
    notes = [f'{paths[0]}: {text} ({len(paths)} such files)' for paths, text in found if paths]
    shared, seen = [], {}  # (path, path of the same image in an earlier split); MD5 => path
    for part in splits.values():
        own = {infos[frame.image].digest: frame.image for frame in part if frame.image in infos}
        shared += [(path, seen[digest]) for digest, path in own.items() if digest in seen]
        seen = own | seen
    if shared:
        image, other = shared[0]
        notes.append(f'{image}: is the same image as {other} in another split, so scores may be '
                     f'too high ({len(shared)} such files)')
    if bits < 16:
        notes.append(f'{data.folder}: images of 16 bits use {bits} of them, so grey levels are '
                     f'divided by {2 ** (bits - 8)} and not by 256')
    if data.title == 'KITTI Road':
        missing = kitti.differing_counts(data.training + data.validation, data.testing)
        if missing:
            notes.append(f'{data.folder}: is a part of KITTI Road: {", ".join(missing)}')
    return notes


def usual_shape(shapes):
    """Of (height, width) of images, the one that is nearest to the median."""
    ratios = np.log(shapes) - np.log(np.median(shapes, axis=0))
    return tuple(shapes[np.abs(ratios).max(axis=1).argmin()])
