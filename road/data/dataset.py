"""A data set as the program sees it, whatever its format on disk: frames, classes, labels."""

import os
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from road.data.images import RAW
from road.data.labels import LabelRule, read_classes
from road.errors import InputError

ANY = '(.*)'  # see list_images
UNREADABLE = ('.heic', '.heif', *RAW)  # listed all the same, so that an error names the cure
# Pillow knows these endings, but beside images they are features, point clouds or videos.
NO_IMAGES = {'.pcd', '.h5', '.hdf', '.bufr', '.grib', '.mpg', '.mpeg'}
# what file servers and archives of macOS put into every folder: thumbnails, bins
NO_FOLDERS = {'@eadir', '__macosx', '@recycle', '#recycle', '$recycle.bin', 'lost+found',
              'system volume information'}


class Frame(NamedTuple):
    """One picture of a data set; paths are None where there is no such file."""
    name: str  # um_000012; with folders before it where the data set has them
    image: str
    label: str | None = None
    calib: str | None = None  # of KITTI Road
    category: str = ''  # of KITTI Road: um, umm or uu
    bits: int = 16  # that a 16-bit image uses: see Dataset.with_infos
    shape: tuple = ()  # (height, width) of the image, once files are inspected


class Class(NamedTuple):
    """What a pixel may be."""
    name: str
    colour: tuple  # RGB, 0 to 255


class Dataset(NamedTuple):
    """Frames of each split, classes, and how a label is read.

    With two classes, class 1 is the positive class (road): confidences and scores are of it.
    """
    format: str  # of road.settings.DATASETS
    title: str  # for people, as in KITTI Road
    folder: str
    classes: tuple  # of Class
    rule: LabelRule
    training: list  # of Frame
    validation: list
    testing: list  # with labels in some data sets
    faults: tuple = ()  # lines about files that are missing or cannot be used
    digests: dict = {}  # path of image or label => MD5, hex; filled by formats.open_dataset
    bits: int = 16  # of all frames: see with_infos
    recognised: tuple = ()  # of own pictures: an image, its mask, perhaps the list of classes
    class_weights: np.ndarray | None = None  # of a pixel in the loss; filled by open_dataset

    def read_label(self, path):
        """The classes of a label file: uint8 [h, w], IGNORE_LABEL where a pixel is ignored."""
        return read_classes(path, self.rule)

    @property
    def label_values(self):
        """What each value of a label stands for, for people and JSON: {'#ff00ff': 'road', ...}."""
        names = {i: each.name for i, each in enumerate(self.classes)}
        return {self.rule.show(value): names.get(index, 'ignored')
                for value, index in self.rule.indices.items()}

    @property
    def scored_training(self):
        """A few training frames, evenly spaced, whose scores are shown beside validation."""
        return evenly_spaced(self.training, 12)

    def with_infos(self, infos, bits):
        """A Dataset with the digests of files and the shapes of images, of {path: FileInfo}.

        bits: how many of 16 bits the training and validation images use together, 8 to 16.
        """
        shapes = {path: tuple(info.size[::-1]) for path, info in infos.items()}
        digests = {path: info.digest for path, info in infos.items()}
        parts = {part: [frame._replace(bits=bits, shape=shapes.get(frame.image, ()))
                        for frame in getattr(self, part)]
                 for part in ('training', 'validation', 'testing')}
        return self._replace(digests=digests, bits=bits, **parts)

    def named(self, names):
        """The labelled frames of these names. Raises InputError where one is missing."""
        # KITTI Road's test images have the same names as training images
        by_name = {frame.name: frame for frame in self.training + self.validation}
        for name in names:
            if name not in by_name:
                raise InputError(f"{self.folder}: frame {name} of the run is missing; name the "
                                 "run's data with --dataset-dir")
        return [by_name[name] for name in names]


def one_hot(labels, num_classes):
    """uint8 classes [...] => one-hot [..., num_classes]; zeros where a pixel is ignored."""
    return np.eye(256, num_classes, dtype=np.uint8).take(labels, axis=0)  # faster than comparing


def evenly_spaced(items, count):
    """At most `count` of the items, evenly spaced, in their order."""
    places = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[i] for i in np.unique(places)] if items else []


def image_endings():
    """The endings of image files: those that Pillow reads, and UNREADABLE."""
    return {ending for ending, kind in Image.registered_extensions().items()
            if kind in Image.OPEN and ending not in NO_IMAGES} | {*UNREADABLE}


def comparable(name):
    """A name as file systems compare it that ignore the case of letters and the form of accents."""
    return unicodedata.normalize('NFC', name).casefold()


def list_images(folder, pattern=ANY):
    """The image files in a folder and the folders in it: {name: path}, sorted by name.

    A name is what the groups of `pattern`, a regular expression, match in the path below `folder`
    without its ending, with / between its parts; other files are left out. Raises InputError where
    two names are `comparable`.
    """
    endings = image_endings()
    found = {}  # comparable name: (name, path)
    for root, files in walk(folder, _raise_unreadable):
        # UNREADABLE last: cameras write a photo as a JPEG too
        for file in sorted(files, key=lambda file: (file.lower().endswith(UNREADABLE), file)):
            path = os.path.join(root, file)
            stem, ending = os.path.splitext(os.path.relpath(path, folder))
            match = re.fullmatch(pattern, stem.replace(os.sep, '/'), re.DOTALL)
            if match and ending.lower() in endings and file[0] != '.':
                # macOS may write an accent as a letter of its own
                name = unicodedata.normalize('NFC', ''.join(match.groups()))
                _, other = found.setdefault(comparable(name), (name, path))
                if other != path and ending.lower() not in UNREADABLE:
                    raise InputError(f'{path}: {other} has the same name; rename one of them')
    return dict(sorted(found.values()))


def _raise_unreadable(error):
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def walk(folder, onerror):
    """Yield (path, names of its files) of a folder and all in it, once each; onerror of os.walk."""
    seen = set(map(str, Path(folder).resolve().parents))  # a link to these leads out of `folder`
    for follow in (False, True):  # links last, so that folders in `folder` have their own path
        for path, folders, files in os.walk(folder, onerror=onerror, followlinks=follow):
            real = os.path.realpath(path)
            if real in seen and os.path.islink(path) and path != folder:
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders
                                if name[0] != '.' and name.casefold() not in NO_FOLDERS)
            if real not in seen:
                yield path, files
            seen.add(real)


def find_frames(image_dir, label_dir, expected, patterns=(ANY, ANY), unlabelled=(), optional=False):
    """The frames of a split, by the names of the files alone: (frames, faults).

    `label_dir` is None for a split without labels; `expected` says in faults which files should be
    there; `patterns` are of images and labels, see list_images. Images whose names begin with
    `unlabelled` may lack a label; with `optional` either folder may be missing.
    """
    images = list_images(image_dir, patterns[0])
    labels = list_images(label_dir, patterns[1]) if label_dir else {}
    faults = [f'{path}: no such folder, or no images of these names in it; {expected}'
              for path, found in ((image_dir, images), (label_dir, labels))
              if path and not found and not (optional and not os.path.isdir(path))]
    if labels and not faults:
        faults = [f'{path}: has no label in {label_dir}; add one, or remove the image. {expected}'
                  for name, path in images.items()
                  if name not in labels and not name.casefold().startswith(unlabelled)]
        faults += [f'{path}: there is no image of this label in {image_dir}; add one, or remove '
                   f'the label. {expected}' for name, path in labels.items() if name not in images]
    return [Frame(name, path, labels.get(name)) for name, path in images.items()], faults


def find_splits(folder, splits, expected, patterns=(ANY, ANY)):
    """(training, validation, testing, faults) of {'train': (image folder, label folder), ...}.

    With 'val' the names of frames begin with the split, so that no two frames have one name.
    """
    found, faults = {'train': [], 'val': [], 'test': []}, []
    for split, parts in splits.items():
        images, labels = [os.path.join(folder, part) if part else None for part in parts]
        frames, missing = find_frames(images, labels, expected, patterns, optional=split == 'test')
        prefix = f'{split}/' if 'val' in splits else ''
        found[split] = [frame._replace(name=prefix + frame.name) for frame in frames]
        faults += missing
    return *found.values(), tuple(faults)


def with_validation(data, val_frames=None):
    """A Dataset in which the last training frames validate, if no others do.

    Neighbouring frames of a drive look alike, so a random split would leak. val_frames: how many,
    of each category of KITTI Road; None: 16 there, as for published numbers, and else 15 %. Raises
    InputError where no training frame would be left, or the data set has validation images.
    """
    if data.validation and val_frames:
        raise InputError(f'--val-frames {val_frames}: {data.folder} has validation images of its '
                         'own; leave the option out')
    if data.validation or data.faults:
        return data
    training, validation = [], []
    for category in sorted({frame.category for frame in data.training}):
        frames = [frame for frame in data.training if frame.category == category]
        usual = 16 if category else max(1, round(0.15 * len(frames)))
        count = usual if val_frames is None else val_frames
        if len(frames) <= count:
            images = f'labelled images of {category}' if category else 'labelled images'
            option = '' if val_frames is None else f'--val-frames {count}: '
            raise InputError(f'{option}{data.folder}: only {len(frames)} {images}, so that none is '
                             'left to train on; label more, or validate on fewer (--val-frames)')
        training += frames[:len(frames) - count]
        validation += frames[len(frames) - count:]
    return data._replace(training=training, validation=validation)
