"""A data set as the program sees it, whatever its format on disk: frames, classes, labels."""

import os
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from road.data.images import RAW
from road.data.labels import LabelRule
from road.errors import InputError

TRAIN_SCORED = 12  # training frames that are scored after every epoch, beside the validation frames
UNREADABLE = ('.heic', '.heif', *RAW)  # listed all the same, so that an error names the cure
# Pillow knows these endings, but beside images they are features, point clouds or videos.
NO_IMAGES = {'.pcd', '.h5', '.hdf', '.bufr', '.grib', '.mpg', '.mpeg'}
# what file servers and archives of macOS put into every folder: thumbnails, bins
NO_FOLDERS = {'@eadir', '__macosx', '@recycle', '#recycle', '$recycle.bin', 'lost+found'}


class Frame(NamedTuple):
    """One picture of a data set; paths are None where there is no such file."""
    name: str  # um_000012; with folders before it where the data set has them
    image: str
    label: str | None = None
    calib: str | None = None  # of KITTI Road
    category: str = ''  # of KITTI Road: um, umm or uu
    bits: int = 16  # that a 16-bit image uses: see Dataset.with_bits


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
    read_label: Callable  # path => uint8 [h, w], indices of classes, 255 elsewhere
    training: list  # of Frame
    validation: list
    testing: list  # with labels in some data sets
    faults: tuple = ()  # lines about files that are missing or cannot be used
    unused_files: tuple = ()  # paths of files that are not read
    digests: dict = {}  # path of image or label => MD5, hex; filled by formats.open_dataset
    image_shapes: tuple = ()  # (height, width) of the training images; filled there too
    bits: int = 16  # of all frames: see with_bits

    @property
    def label_values(self):
        """What each value of a label stands for, for people and JSON: {'#ff00ff': 'road', ...}."""
        names = {i: each.name for i, each in enumerate(self.classes)}
        return {self.rule.show(value): names.get(index, 'ignored')
                for value, index in self.rule.indices.items()}

    @property
    def scored_training(self):
        """A few training frames, evenly spaced, whose scores are shown beside validation."""
        return evenly_spaced(self.training, TRAIN_SCORED)

    @property
    def scored(self):
        """All frames that are scored after every epoch."""
        return self.scored_training + self.validation

    def with_bits(self, bits):
        """A Dataset whose 16-bit images are read by the range of the training set.

        bits: how many of the 16 bits the training and validation images use together, 8 to 16.
        """
        parts = {part: [frame._replace(bits=bits) for frame in getattr(self, part)]
                 for part in ('training', 'validation', 'testing')}
        return self._replace(bits=bits, **parts)

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


def list_images(folder, suffix):
    """The image files in a folder and the folders in it: {name: path}, sorted by name.

    A name is the path below `folder` without `suffix` and ending, with / between its parts. Files
    without the suffix are left out, and so is what begins with a dot. Raises InputError where two
    files have one name, or differ in the case of letters alone.
    """
    found, paths, endings = {}, {}, image_endings()
    for root, names in _walk(folder):
        # UNREADABLE last: cameras write a photo as a JPEG too
        for name in sorted(names, key=lambda name: (name.lower().endswith(UNREADABLE), name)):
            stem, ending = os.path.splitext(name)
            if ending.lower() in endings and stem.endswith(suffix) and name[0] != '.':
                path = os.path.join(root, name)
                key = os.path.relpath(os.path.join(root, stem.removesuffix(suffix)), folder)
                # macOS may write an accent as a letter of its own
                key = unicodedata.normalize('NFC', key.replace(os.sep, '/'))
                other = paths.setdefault(comparable(key), path)
                if other == path:
                    found[key] = path
                elif ending.lower() not in UNREADABLE:
                    raise InputError(f'{path}: {other} has the same name; rename one of them')
    return dict(sorted(found.items()))


def _walk(folder):
    """Yield (path, names of its files) of a folder and all folders in it, each real folder once.

    Links to folders are followed after all folders, which thus have their own path.
    """
    starts, seen = [folder], set()
    for start in starts:  # grows by links
        for path, folders, names in os.walk(start):
            real = os.path.realpath(path)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders
                                if name[0] != '.' and name.casefold() not in NO_FOLDERS)
            for link in (os.path.join(path, name) for name in folders):
                # a link to a folder above would also find what is beside `folder`
                if os.path.islink(link) and not os.path.join(real, '').startswith(
                        os.path.join(os.path.realpath(link), '')):
                    starts.append(link)
            yield path, names


def find_frames(image_dir, label_dir, expected, suffixes=('', ''), prefix='',
                unlabelled_prefix=None):
    """The labelled frames of a split, by the names of the files alone: (frames, faults).

    Args:
        expected: ends the faults about a folder that is missing or empty: what should be there.
        suffixes: what the stems of images and of labels end with.
        prefix: begins the names of the frames, so that no two splits have one name.
        unlabelled_prefix: what the names of images that may lack a label begin with.
    """
    images, labels = map(list_images, (image_dir, label_dir), suffixes)
    faults = []
    for path, found, suffix in zip((image_dir, label_dir), (images, labels), suffixes):
        if not os.path.isdir(path):
            faults.append(f'{path}: no such folder; {expected}')
        elif not found:
            faults.append(f'{path}: holds no images{suffix and f" *{suffix}.png"}; {expected}')
    if not faults:
        faults = [f'{images[name]}: has no label; expected '
                  f'{os.path.join(label_dir, name + suffixes[1])}.png (or remove the image)'
                  for name in images if name not in labels
                  and not (unlabelled_prefix and name.startswith(unlabelled_prefix))]
        faults += [f'{labels[name]}: there is no image of this label in {image_dir} (or remove the '
                   'label)' for name in labels if name not in images]
    return [Frame(prefix + name, path, labels.get(name)) for name, path in images.items()], faults


def find_unlabelled(image_dir, suffix='', prefix=''):
    """The frames of a split without labels; none where there is no such folder."""
    return [Frame(prefix + name, path) for name, path in list_images(image_dir, suffix).items()]


def last_frames(frames, count=None):
    """Split into (training, validation): the last `count` validate, by default 15 %.

    Neighbouring frames of a drive look alike, so a random split would leak. Raises InputError
    where no training frame would be left.
    """
    if count is None and len(frames) == 1:
        raise InputError(f'{frames[0].image}: is the only image with a label; two are needed, one '
                         'to train on and one to validate')
    count = max(1, round(0.15 * len(frames))) if count is None else count
    if frames and len(frames) <= count:
        raise InputError(f'--val-frames {count}: there are only {len(frames)} labelled images; '
                         f'give at most {len(frames) - 1}')
    return frames[:len(frames) - count], frames[len(frames) - count:]


def refuse_val_frames(val_frames, title):
    """Raise InputError if --val-frames is given for a data set with validation images."""
    if val_frames:
        raise InputError(f'--val-frames {val_frames}: {title} has validation images of its own; '
                         'leave the option out')
