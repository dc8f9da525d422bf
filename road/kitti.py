"""KITTI Road on disk: which frames there are, their images, their labels, and the split into training and validation.

    <kitti_dir>/training/{image_2,gt_image_2,calib}    289 frames: um 95, umm 96, uu 98
    <kitti_dir>/testing/{image_2,calib}                290 frames

Image `um_000012.png` has the label `um_road_000012.png`; `um_lane_*.png` is another task's and is never read.
J. Fritsch, T. Kuehnl, A. Geiger, "A new performance measure and evaluation benchmark for road detection
algorithms", ITSC 2013.
"""

import os
import re
import struct
import zlib
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image, ImageOps

from road.errors import InputError
from road.scores import CATEGORIES
from road.variants import PLAIN, Variant, draw_variant, draw_variants, relight, resize

PAGE = 'https://www.cvlibs.net/datasets/kitti/eval_road.php'
LINK = 'https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip'
LICENCE = 'CC BY-NC-SA 3.0'
FULL = {'training images': 289, 'labels': 289, 'test images': 290}

STRIDE = 32  # VGG16 halves the image five times

_NAME = re.compile(r'(um|umm|uu)_(\d{6})\.png')
_LABEL = re.compile(r'(um|umm|uu)_road_(\d{6})\.png')
_LANE = re.compile(r'um_lane_\d{6}\.png')
_CALIB = re.compile(r'(um|umm|uu)_(\d{6})\.txt')
# what Pillow raises on damaged bytes is not documented as one type
DAMAGED = (OSError, ValueError, SyntaxError, EOFError, MemoryError, struct.error, zlib.error, IndexError, KeyError,
           TypeError, AttributeError, OverflowError, RecursionError, Image.DecompressionBombError)


class Frame(NamedTuple):
    """One picture of the data set; paths are None where there is no such file."""
    name: str  # um_000012
    image: str
    label: Optional[str]
    calib: Optional[str]
    classic: bool = False  # train on its label as the published programs read it, see resize_label_classically

    @property
    def category(self):
        return self.name.split('_')[0]


# ----------------------------------------------------------------------------------------------------- folder


class Found(NamedTuple):
    """What a `training` or `testing` folder holds."""
    frames: list  # of Frame, sorted by name
    faults: list  # str, a line each
    strays: list  # paths of what has no name of KITTI Road's, and is not read


def find(folder, labelled):
    """`Found` in a `training` (labelled) or `testing` folder, by names alone; no file is opened, nothing is raised."""
    faults, strays = [], []
    images = _files(os.path.join(folder, 'image_2'), _NAME, faults, strays)
    labels = _files(os.path.join(folder, 'gt_image_2'), _LABEL, faults, strays) if labelled else {}
    calibs = {}
    if os.path.isdir(os.path.join(folder, 'calib')):
        calibs = _files(os.path.join(folder, 'calib'), _CALIB, faults, strays)
    if labelled and images and labels:
        faults += [f'{images[key]}: has no label; expected {_label_path(folder, key)} (or remove the image)'
                   for key in sorted(images.keys() - labels.keys())]
        faults += [f'{labels[key]}: is the label of an image that is missing; expected '
                   f'{os.path.join(folder, "image_2", "_".join(key))}.png (or remove the label)'
                   for key in sorted(labels.keys() - images.keys())]
    frames = [Frame('_'.join(key), images[key], labels.get(key), calibs.get(key)) for key in sorted(images)]
    return Found(frames, faults, strays)


def training_frames(folder):
    """The labelled frames of a `training` folder, sorted by name.

    Args:
        folder: holds image_2, gt_image_2 and perhaps calib.
    Raises:
        InputError: the folder is missing or empty, a name or link in it is wrong, a label has no image or an image no
            label, or the two differ in size.
    """
    frames = _frames(folder, labelled=True)
    for frame in frames:
        fault = size_fault(frame, _size(frame.image), _size(frame.label))
        if fault:
            raise InputError(fault)
    return frames


def size_fault(frame, image_size, label_size):
    """A line where image and label differ in (width, height), or None."""
    if image_size != label_size:
        return (f'{frame.label}: is {label_size[0]}x{label_size[1]} pixels, but its image is '
                f'{image_size[0]}x{image_size[1]}; a label must be as large as its image')
    return None


def testing_frames(folder):
    """The frames of a `testing` folder (image_2 and perhaps calib), sorted by name. Raises as training_frames does."""
    frames = _frames(folder, labelled=False)
    for frame in frames:
        _size(frame.image)
    return frames


def _frames(folder, labelled):
    found = find(folder, labelled)
    if found.faults:
        raise InputError(found.faults[0])
    return found.frames


def _files(folder, pattern, faults, strays):
    """(category, number) -> path of the files of that name; what is wrong goes to `faults`, what is not ours to `strays`."""
    if not os.path.isdir(folder):
        faults.append(f'{folder}: no such folder; KITTI Road has training/image_2, training/gt_image_2 and testing/image_2')
        return {}
    files, before = {}, len(faults)
    for name in sorted(os.listdir(folder)):
        path, match = os.path.join(folder, name), pattern.fullmatch(name)
        if match and os.path.isfile(path):  # a link to a file is as good as the file
            files[match.groups()] = path
        elif match:
            faults.append(f'{path}: ' + (f'a link to {os.readlink(path)}, where there is no file; copy the file itself'
                                         if os.path.islink(path) else 'is no file; move it away'))
        elif pattern.fullmatch(name.lower()):
            faults.append(f'{path}: expected the name in lower case, {name.lower()}; rename it')
        elif not (pattern is _LABEL and _LANE.fullmatch(name)):
            strays.append(path)
    if not files and len(faults) == before:
        faults.append(f'{folder}: holds no KITTI Road file (um_*, umm_*, uu_*); unpack data_road.zip again')
    return files


def _label_path(folder, key):
    return os.path.join(folder, 'gt_image_2', f'{key[0]}_road_{key[1]}.png')


def _size(path):
    """(width, height) from the file's head alone."""
    try:
        with Image.open(path) as image:
            return image.size
    except DAMAGED as error:
        raise unreadable(path, error) from error


def missing_message(kitti_dir):
    """What to tell a user who has no KITTI Road at `kitti_dir`."""
    return (f'{kitti_dir}: KITTI Road is not there. Get it from {PAGE} (direct: {LINK}; licence {LICENCE}), and '
            f'unpack it so that {os.path.join(kitti_dir, "training", "image_2")} exists; or '
            'let --download-kitti do both; or run `python main.py --sample`, which needs no download')


def differing_counts(training, testing):
    """What differs from the full data set: 'training images 150 of 289', ...; empty when complete."""
    found = {'training images': len(training), 'labels': sum(f.label is not None for f in training),
             'test images': len(testing)}
    return [f'{what} {found[what]} of {full}' for what, full in FULL.items() if found[what] != full]


def named(frames, names, kitti_dir):
    """The frames of these names. Raises InputError where one is missing."""
    by_name = {frame.name: frame for frame in frames}
    for name in names:
        if name not in by_name:
            raise InputError(f'{kitti_dir}: frame {name} of the run is not there; name the run\'s data with --kitti-dir')
    return [by_name[name] for name in names]


def split(frames, val_frames):
    """Split into (training, validation): the last `val_frames` of each category validate.

    Neighbouring frames show the same street, so a random split would leak; published numbers use the last 16.

    Raises:
        InputError: a category would be left without a training frame.
    """
    training, validation = [], []
    for category in CATEGORIES:
        of_category = [frame for frame in frames if frame.category == category]
        if of_category and len(of_category) <= val_frames:
            raise InputError(f'--val-frames {val_frames}: category {category} has only {len(of_category)} frames; at '
                             f'most {len(of_category) - 1} can be kept for validation')
        cut = len(of_category) - val_frames
        training += of_category[:cut]
        validation += of_category[cut:]
    return training, validation


# ---------------------------------------------------------------------------------------------------- reading


def read_image(path):
    """Read an image as uint8 RGB [h, w, 3], turned upright as its EXIF data say, whatever its mode.

    Grey is repeated, alpha left out, of 16 bits the upper 8 taken; of several pictures in a file the first.

    Raises:
        InputError: it cannot be read, or has 32 bits a channel.
    """
    try:
        with Image.open(path) as file:
            file.verify()  # a PNG's checksums, which decoding alone does not always look at
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
    except DAMAGED as error:
        raise unreadable(path, error) from error
    if image.mode.startswith('I;16'):  # convert() would clip at 255 instead of scaling
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    if image.mode in ('I', 'F'):
        raise InputError(f'{path}: has 32 bits a channel, whose range cannot be told; save it with 8 or 16')
    if image.mode == 'P':  # converted at once, one with an alpha channel gives a warning
        image = image.convert('RGBA')
    return np.asarray(image.convert('RGB'))


def unreadable(path, error):
    """The InputError for an image that cannot be read, by cause as far as it can be told."""
    if not os.path.exists(path):
        return InputError(f'{path}: no such file')
    if isinstance(error, PermissionError):
        return InputError(f'{path}: no permission to read it')
    if os.path.getsize(path) == 0:
        return InputError(f'{path}: the file is empty; copy or unpack it again')
    return InputError(f'{path}: not a readable image (cut short, or not an image at all); copy or unpack it again')


def read_label(path):
    """Read a KITTI Road label.

    Red > 0 means the pixel counts, blue > 0 means road: magenta is road, red is not road, black does not count. A few
    pixels are pure blue (road, but not counted), so channels are compared and never whole colours.

    Returns:
        (road, counts): bool arrays [h, w].
    """
    label = read_image(path)
    return label[..., 2] > 0, label[..., 0] > 0


# --------------------------------------------------------------------------------------------------- resizing


def padded(shape):
    """(h, w) enlarged to what VGG16 halves five times without a rest."""
    return tuple(-(-size // STRIDE) * STRIDE for size in shape)


def resize_image(image, shape, variant=PLAIN):
    """uint8 [h, w, 3] => uint8 [*padded(shape), 3]: bilinear (area-weighted when shrinking), edge pixels repeated."""
    return _pad(relight(resize(image, shape, variant, Image.Resampling.BILINEAR), variant), shape, mode='edge')


def resize_label(road, counts, shape, variant=PLAIN):
    """bool [h, w] twice => uint8 [*padded(shape), 2], channels (not road, road); (0, 0) where a pixel does not count.

    The two planes are resized apart, nearest: resizing the coloured label instead mixes the colours at every edge.
    """
    road, counts = (resize(plane, shape, variant, Image.Resampling.NEAREST) for plane in (road, counts))
    return _pad(np.stack([counts & ~road, counts & road], -1).astype(np.uint8), shape, mode='constant')


def resize_label_classically(label, shape, variant=PLAIN):
    """uint8 [h, w, 3] => uint8 [*padded(shape), 2] by the rule of the published programs, to show what it costs.

    They resize the colours bilinearly and call everything road that is not exactly red: black, which does not count, and
    every mixed colour at an edge.
    """
    road = np.any(resize(label, shape, variant, Image.Resampling.BILINEAR) != (255, 0, 0), axis=-1)
    return _pad(np.stack([~road, road], -1).astype(np.uint8), shape, mode='constant')


def _pad(array, shape, mode):
    rows, cols = (full - size for full, size in zip(padded(shape), shape))
    return np.pad(array, ((0, rows), (0, cols), (0, 0)), mode=mode) if rows or cols else array


def resize_confidence(confidence, shape):
    """float32 [h, w] in [0, 1] => float32 of `shape`, bilinear."""
    if confidence.shape == tuple(shape):
        return confidence
    height, width = shape
    return np.asarray(Image.fromarray(confidence).resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)


class Sample(NamedTuple):
    """A training example: a frame, in one of its variants."""
    frame: Frame
    variant: Variant = PLAIN


def load_image(sample, shape):
    """Read a sample's image: uint8 [*padded(shape), 3]."""
    return resize_image(read_image(sample.frame.image), shape, sample.variant)


def load_label(sample, shape):
    """Read a sample's label: uint8 [*padded(shape), 2], as resize_label gives it."""
    if sample.frame.classic:
        return resize_label_classically(read_image(sample.frame.label), shape, sample.variant)
    return resize_label(*read_label(sample.frame.label), shape, sample.variant)


def epoch_samples(frames, variants, augment, seed, epoch):
    """An epoch's samples: every frame once, in an order and each in a variant drawn from (seed, epoch).

    Args:
        variants: how many a frame there are to choose from (road.variants.draw_variants); 0 draws each afresh.
        augment: the changes they may show, of road.variants.AUGMENTATIONS.
    """
    rng = np.random.default_rng([seed, epoch])
    order, choices = rng.permutation(len(frames)), rng.integers(max(variants, 1), size=len(frames))

    def variant(name, choice):
        if variants:
            return draw_variants(name, variants, seed, augment)[choice]
        return draw_variant(np.random.default_rng([seed, epoch, *name.encode()]), augment)

    return [Sample(frames[i], variant(frames[i].name, choice)) for i, choice in zip(order, choices)]
