"""Images: read from files of any kind, resized to what VGG16 can halve five times."""

import logging
import os
import struct
import warnings
import zlib

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from road.data.augmentation import PLAIN, relight, resize
from road.errors import InputError
from road.prefetch import prefetch
from road.settings import MAX_SIDE

STRIDE = 32  # VGG16 halves the image five times
VERSION = 2  # a part of cache keys: raise it when images are read or resized otherwise
# what Pillow raises on damaged bytes is not documented as one type
DAMAGED = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, LookupError,
           TypeError, AttributeError, OverflowError, RuntimeError, Image.DecompressionBombError)
RAW = ('.dng', '.nef', '.nrw', '.cr2', '.cr3', '.crw', '.arw', '.raf', '.orf', '.rw2', '.pef',
       '.srw', '.3fr', '.iiq', '.x3f', '.rwl')  # of cameras; Pillow reads at most a small preview
# A file is a video by its ending, and an image, which may be animated, by any other.
VIDEOS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts',
          '.wmv', '.flv', '.ogv', '.3gp', '.mjpeg', '.y4m')
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
         4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
         6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}
LOGS = np.log((np.arange(256) + 0.5) / 256)  # of grey levels; neither black nor white is 0 or 1
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # colour profiles have megabytes
# Pillow's warnings do not name the file, and what matters becomes an error.
warnings.filterwarnings('ignore', module='PIL')
logging.getLogger('PIL').setLevel(logging.CRITICAL)


def open_image(path):
    """Open an image of any mode as PIL.Image, the first of its file, turned as its EXIF data say.

    Its info says Pillow's format and mode of the file ('kind'), how it was turned ('turn', None or
    of TURNS), and if it has 16 bits ('deep'). Raises InputError if it is damaged or 16 bits do not
    hold its levels.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe may keep its reader waiting
        raise InputError(f'{path}: is no file but a folder, pipe or device; name an image file')
    try:
        if path.lower().endswith(RAW):
            raise UnidentifiedImageError
        with Image.open(path) as file:
            file.verify()  # the checksums of a PNG, which decoding alone does not always check
        with Image.open(path) as file:
            kind = f'{file.format} {file.mode}'
            deep = ';16' in str(file.tile)  # Pillow's name of how the file stores its levels
            turn = _turn(file)
            file.load()  # this already turns a TIFF
            missing = _turn(file)
            image = file if missing is None else file.transpose(missing)
    except (*DAMAGED, MemoryError) as error:
        raise InputError(f'{path}: {why_unreadable(path, error)}') from error
    if image.mode == 'I' and np.min(image) >= 0 and np.max(image) < 2**16:  # signed, or 32 bits
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    if image.mode in ('I', 'F', 'LAB'):
        raise InputError(f'{path}: has negative or fractional levels, or more than 16 bits; save '
                         'it with 8 or 16 bits, grey or RGB')
    image.info |= {'kind': kind, 'turn': turn, 'deep': deep or image.mode.startswith('I;16')}
    return image


def _turn(image):
    """How EXIF data say that an image is to be turned, of TURNS; None if not, or if damaged."""
    # ImageOps.exif_transpose would also write the EXIF data again, and fail on unusual tags
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except DAMAGED:
        return None


def read_image(path, bits=16):
    """Read an image of any mode as uint8 RGB [h, w, 3]; raises InputError as open_image.

    Grey is repeated, alpha is left out, and 16-bit levels are divided by 2**(bits - 8): cameras
    store 10, 12 or 14 bits in 16. See Dataset.with_infos. bits=None: those of the image itself.
    """
    image = open_image(path)
    levels = _levels(image, path)
    if image.info['deep']:
        bits = bits or used_bits(int(levels.max()))
        levels = np.minimum(levels >> bits - 8, 255).astype(np.uint8)
    return levels if levels.ndim == 3 else np.repeat(levels[..., np.newaxis], 3, axis=2)


def image_bytes(path):
    """The bytes of an image as read_image gives it, by its header; 0 if that cannot be read."""
    if not os.path.isfile(path):  # a pipe may keep its reader waiting
        return 0
    try:
        with Image.open(path) as file:
            return 3 * file.width * file.height
    except (*DAMAGED, MemoryError):
        return 0


def inspect_image(path):
    """(height, width), and kind, values, level and turned of road.data.check.FileInfo."""
    image = open_image(path)
    level = int(_levels(image, path).max()) if image.info['deep'] else 0
    return (image.height, image.width), '', [], level, image.info['turn'] is not None


def used_bits(level):
    """How many of 16 bits are used, if this is the largest level: 8, 10, 12, 14 or 16."""
    return max(8, level.bit_length() + 1 & ~1)


def _levels(image, path):
    """uint8 [h, w, 3]; of 16 bits uint16, grey as [h, w]."""
    if image.mode.startswith('I;16'):  # convert() would clip at 255 instead of scaling
        return np.asarray(image, np.uint16)
    if image.mode == 'P':  # a palette with an alpha channel, converted to RGB directly, warns
        image = image.convert('RGBA')
    levels = np.asarray(image if image.mode == 'RGB' else image.convert('RGB'))
    if not image.info['deep']:
        return levels
    deep = _deep_colours(path, image.info['turn'])
    if np.array_equal(deep >> 8, levels):
        return deep
    if levels.max() < 64:  # 14 bits or fewer: too little is left
        raise InputError(f'{path}: its 16-bit colours cannot be read in full; save it with 8 bits')
    return levels.astype(np.uint16) << 8  # FFmpeg reads tiles as black, and CMYK as RGB


def _deep_colours(path, turn):
    """16-bit colours, uint16 [h, w, 3], of which Pillow keeps 8 bits; empty if not readable."""
    try:
        import av  # here, because few images need it
        with av.open(f'file:{path}') as file:
            levels = next(file.decode(video=0)).to_ndarray(format='rgb48le')
    except Exception:  # PyAV may be missing; what it raises on other kinds is not documented
        return np.empty((0, 0, 3), np.uint16)
    if turn is None:
        return levels
    planes = np.moveaxis(levels, -1, 0)
    return np.stack([Image.fromarray(plane).transpose(turn) for plane in planes], axis=-1)


def read_frames(frames):
    """Yield (frame, uint8 image [h, w, 3]) for each frame, decoded ahead in threads."""
    return prefetch(lambda frame: (frame, read_image(frame.image, frame.bits)), frames,
                    size=lambda frame: image_bytes(frame.image))


def why_unreadable(path, error):
    """Why an image cannot be read, as far as it is known, and the cure."""
    if getattr(error, 'errno', None):
        return f'cannot be read ({error.strerror})'
    if isinstance(error, MemoryError):
        return 'there is not enough memory to read it; close other programs, or make it smaller'
    if isinstance(error, Image.DecompressionBombError):
        return (f'has more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels, the most '
                'that Pillow reads; make it smaller')
    with open(path, 'rb') as file:
        start = file.read(40)
    if start.startswith(b'version https://git-lfs'):
        return 'is a pointer of Git LFS in place of the file; run `git lfs pull`'
    foreign = start[4:8] == b'ftyp' or path.lower().endswith(RAW)  # HEIC, or a damaged AVIF
    try:
        TiffImagePlugin.TiffImageFile(path)
    except DAMAGED as cause:
        foreign = foreign or 'unknown pixel mode' in str(cause)
    if foreign:
        return ('is of a kind that is not read here, as HEIC, raw photos and TIFF with 64 bits; '
                'convert it to JPEG or PNG')
    if os.path.splitext(path)[1].lower() not in Image.registered_extensions():
        return 'is no image or video; name images, videos or folders of them'
    return 'not a readable image, or cut short; copy or unpack it again'


def network_shape(shape, scale=1):
    """(h, w) times scale, rounded up to multiples of STRIDE, to which images are resized.

    Padding costs MaxF, at 200x672 15 points with repeated edge rows and 1 with reflected rows.
    """
    return tuple(-(-round(size * scale) // STRIDE) * STRIDE for size in shape)


def fit_shape(shape, image_shape, scale=1):
    """The (height, width), multiples of STRIDE, to which an image of `shape` is resized.

    With about the proportions of image_shape, which is --image-size, it gets that size times scale;
    with others it keeps them and gets about as many pixels: see docs/experiments.csv.
    """
    (height, width), (usual_height, usual_width) = shape, network_shape(image_shape)
    scaled = network_shape(image_shape, scale)
    if 0.8 <= width * usual_height / (height * usual_width) <= 1.25:
        return scaled
    return _fit_pixels(shape, scaled[0] * scaled[1])


def default_shape(shape, usual):
    """The (height, width) to train at, for images that are mostly of `shape`; at most MAX_SIDE.

    It has about as many pixels as `usual`, but hardly more than the images have.
    """
    fitted, pixels = fit_shape(shape, usual), shape[0] * shape[1]
    if fitted[0] * fitted[1] > 1.25 * pixels:
        fitted = _fit_pixels(shape, pixels)
    return tuple(min(side, MAX_SIDE) for side in fitted)


def _fit_pixels(shape, pixels):
    scale = (pixels / (shape[0] * shape[1])) ** 0.5 / STRIDE
    return tuple(max(round(side * scale), 1) * STRIDE for side in shape)


def resize_image(image, shape, augmentation=PLAIN, light=0.0):
    """uint8 [h, w, 3] => uint8 [*network_shape(shape), 3], bilinear (area-weighted to shrink).

    An image that is darker than `light` is brightened to it.
    """
    image = resize(image, network_shape(shape), augmentation, Image.Resampling.BILINEAR)
    return relight(brighten(image, light), augmentation)


def _light(image):
    """The light of a uint8 image [h, w, 3]: a share of white, 0 to 1.

    It is the log-average (geometric mean) of the lower half, where the road is (Reinhard et al.,
    "Photographic Tone Reproduction for Digital Images", SIGGRAPH 2002).
    """
    lower = np.bincount(image[len(image) // 2:].ravel(), minlength=256)
    return np.exp(LOGS @ lower / lower.sum())


def low_light(frames):
    """The lower quartile of the light of frames, see _light, from at most 200 of them: a float."""
    lights = [_light(image) for _, image in read_frames(frames[::-(-len(frames) // 200)])]
    return round(float(np.quantile(lights, 0.25)), 4)


def brighten(image, light):
    """Brighten a uint8 image [h, w, 3] whose light, see _light, is less than `light`, by a gamma.

    Networks miss most of a road that is darker than those they were trained on. The gamma reaches
    `light`, but is at least 0.5, because black borders also lower the light.
    """
    if not light:
        return image
    gamma = np.clip(np.log(light) / np.log(_light(image)), 0.5, 1)
    levels = np.rint(256 * np.exp(gamma * LOGS) - 0.5).astype(np.uint8)
    return np.asarray(Image.fromarray(image).point(levels.tolist() * 3))


def resize_label(label, shape, augmentation=PLAIN):
    """As resize_image, for uint8 classes [h, w]: nearest; 255 outside the image."""
    return resize(label, network_shape(shape), augmentation, Image.Resampling.NEAREST)


def resize_confidence(confidence, shape):
    """Resize probabilities: float32 [h, w] or [h, w, classes] => [*shape, ...], bilinear."""
    if confidence.shape[:2] == tuple(shape):
        return confidence
    if confidence.ndim == 3:
        planes = np.moveaxis(confidence, -1, 0)
        return np.stack([resize_confidence(plane, shape) for plane in planes], axis=-1)
    return np.asarray(Image.fromarray(confidence).resize(shape[::-1], Image.Resampling.BILINEAR))
