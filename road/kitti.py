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
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image, ImageOps

from road.errors import InputError
from road.scores import CATEGORIES
from road.variants import PLAIN, Variant, draw_variants, relight, resize

PAGE = 'https://www.cvlibs.net/datasets/kitti/eval_road.php'
LINK = 'https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip'
LICENCE = 'CC BY-NC-SA 3.0'
FULL = {'training images': 289, 'labels': 289, 'test images': 290}

STRIDE = 32  # VGG16 halves the image five times

_NAME = re.compile(r'(um|umm|uu)_(\d{6})\.png')
_LABEL = re.compile(r'(um|umm|uu)_road_(\d{6})\.png')


class Frame(NamedTuple):
    """One picture of the data set; paths are None where there is no such file."""
    name: str  # um_000012
    image: str
    label: Optional[str]
    calib: Optional[str]

    @property
    def category(self):
        return self.name.split('_')[0]


# ----------------------------------------------------------------------------------------------------- folder


def training_frames(folder):
    """The labelled frames of a `training` folder, sorted by name.

    Args:
        folder: holds image_2, gt_image_2 and perhaps calib.
    Raises:
        InputError: the folder is missing or empty, a label has no image or an image no label, or the two differ in
            size.
    """
    images = _files(os.path.join(folder, 'image_2'), _NAME)
    labels = _files(os.path.join(folder, 'gt_image_2'), _LABEL)
    for key in sorted(images.keys() - labels.keys()):
        raise InputError(f'{images[key]}: has no label; expected {_label_path(folder, key)} (or remove the image)')
    for key in sorted(labels.keys() - images.keys()):
        raise InputError(f'{labels[key]}: is the label of an image that is missing; expected '
                         f'{os.path.join(folder, "image_2", "_".join(key))}.png (or remove the label)')
    frames = [Frame('_'.join(key), images[key], labels[key], _calib(folder, key)) for key in sorted(images)]
    for frame in frames:
        image_size, label_size = _size(frame.image), _size(frame.label)
        if image_size != label_size:
            raise InputError(f'{frame.label}: is {label_size[0]}x{label_size[1]} pixels, but its image is '
                             f'{image_size[0]}x{image_size[1]}; a label must be as large as its image')
    return frames


def testing_frames(folder):
    """The frames of a `testing` folder (image_2 and perhaps calib), sorted by name. Raises as training_frames does."""
    images = _files(os.path.join(folder, 'image_2'), _NAME)
    for path in images.values():
        _size(path)
    return [Frame('_'.join(key), images[key], None, _calib(folder, key)) for key in sorted(images)]


def _files(folder, pattern):
    """(category, number) -> path of the files of that name; raises InputError where there is none."""
    if not os.path.isdir(folder):
        raise InputError(f'{folder}: no such folder; KITTI Road has training/image_2, training/gt_image_2 and '
                         'testing/image_2')
    matches = [pattern.fullmatch(name) for name in os.listdir(folder)]
    files = {m.groups(): os.path.join(folder, m.group()) for m in matches if m}
    if not files:
        raise InputError(f'{folder}: holds no KITTI Road file (um_*.png, umm_*.png, uu_*.png); unpack data_road.zip again')
    return files


def _label_path(folder, key):
    return os.path.join(folder, 'gt_image_2', f'{key[0]}_road_{key[1]}.png')


def _calib(folder, key):
    path = os.path.join(folder, 'calib', '_'.join(key) + '.txt')
    return path if os.path.isfile(path) else None


def _size(path):
    """(width, height) from the file's head alone."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(path, error) from error


def missing_message(kitti_dir):
    """What to tell a user who has no KITTI Road at `kitti_dir`."""
    return (f'{kitti_dir}: KITTI Road is not there. Get it from {PAGE} (direct: {LINK}; licence {LICENCE}), and '
            f'unpack it so that {os.path.join(kitti_dir, "training", "image_2")} exists; or run '
            '`python main.py --sample`, which needs no download')


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
            image = ImageOps.exif_transpose(file)
    # What Pillow raises on damaged bytes is not documented as one type.
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, struct.error, Image.DecompressionBombError) as error:
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
    return resize_label(*read_label(sample.frame.label), shape, sample.variant)


def epoch_samples(frames, variants, seed, epoch):
    """An epoch's samples: every frame once, in an order and each in a variant drawn from (seed, epoch)."""
    rng = np.random.default_rng([seed, epoch])
    order, choices = rng.permutation(len(frames)), rng.integers(variants, size=len(frames))
    return [Sample(frames[i], draw_variants(frames[i].name, variants, seed)[choice]) for i, choice in zip(order, choices)]
