"""What main.py leans on: getting the VGG16 graph, batches from a KITTI folder, test images out.

The functions keep the names and argument orders of the classic road-segmentation exercise; what is new is
keyword-only.
"""

import os
import time
import zlib
from itertools import count

import imageio.v3 as iio
import numpy as np
from PIL import Image
from scipy.special import softmax
from tqdm import tqdm

from road import download, kitti, unpack, vgg16, vgg_folder
from road.ahead import batched, map_ahead
from road.errors import InputError

# The classic download: the SavedModel itself, zipped, about 1 GB. Nobody maintains it any more.
VGG_URL = 'https://s3-us-west-1.amazonaws.com/udacity-selfdrivingcar/vgg.zip'
# The second source: Keras' ImageNet weights with the fully connected top, 553 MB, to be converted.
KERAS_URL = ('https://storage.googleapis.com/tensorflow/keras-applications/vgg16/'
             'vgg16_weights_tf_dim_ordering_tf_kernels.h5')
KERAS_MD5 = '64373286793e3c8b2b4e3219cbf3544b'
KERAS_MD5S = {os.path.basename(KERAS_URL): KERAS_MD5,  # both as keras.applications.vgg16 states them
              'vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5': '6d6bbae143d832006294945121d1f1fc'}

OVERLAYS = ('both', 'tint', 'outline', 'mask')  # how paint shows the road
TINT_COLOUR = (0, 255, 0)
TINT_STRENGTH = 0.5  # where the confidence is 1
OUTLINE_COLOUR = (255, 255, 0)
OUTLINE_SHARE = 400  # the outline is one pixel thick for so many of the image's smaller side
BATCH = 4  # images in one pass of the network


# ------------------------------------------------------------------------------------------------------ VGG16


def maybe_download_pretrained_vgg(data_dir, *, vgg_dir=None, weights=None):
    """Make sure that the VGG16 graph is there: find it, build it from a local file, or download it.

    Args:
        data_dir: the graph's folder is `<data_dir>/vgg`.
        vgg_dir: another folder for the graph.
        weights: a local file to build the graph from (see road.vgg16.read_weights) instead of downloading.
    Returns:
        the graph's folder, complete.
    Raises:
        InputError: it is not whole (road.vgg_folder.check), was built from other weights, or cannot be had.
    """
    vgg_dir = vgg_dir or os.path.join(data_dir, 'vgg')
    if not os.path.lexists(vgg_dir):
        with download.alone(vgg_dir):
            if not os.path.lexists(vgg_dir):  # else another process has made it meanwhile
                _make_graph(vgg_dir, weights)
    graph = vgg_folder.check(vgg_dir)
    if weights and vgg16.read_source(vgg_dir) != _source(weights):
        raise InputError(f'{vgg_dir}: was not built from {weights}; move the folder away or name another one with --vgg-dir')
    print(f'Encoder in {vgg_dir}: {graph.summary}')
    return vgg_dir


def _make_graph(vgg_dir, weights):
    if weights:
        print(f'Building the VGG16 graph in {vgg_dir} from {weights}')
        source = _source(weights)
        vgg16.save_graph(vgg16.read_weights(weights), vgg_dir, source)
    else:
        _fetch_vgg(vgg_dir)


def _source(weights):
    """What source.json records of a weights file: its name and MD5, which for Keras' own files is known."""
    if not os.path.isfile(weights):
        raise InputError(f'{weights}: no such file; --vgg-weights takes a .h5 or .npz file of VGG16 weights')
    md5, name = download.file_digest(weights, 'md5'), os.path.basename(weights)
    if md5 != KERAS_MD5S.get(name, md5):
        raise InputError(f"{weights}: has MD5 {md5}, Keras' file of that name {KERAS_MD5S[name]}; get it again, or rename it "
                         'if it is meant to be another')
    return f'{name} (MD5 {md5})'


def _fetch_vgg(vgg_dir):
    """Download the graph from the first source that has it; why one fails is printed."""
    for fetch in (_fetch_classic, _fetch_keras):
        try:
            fetch(vgg_dir)
            download.discard(VGG_URL, os.path.dirname(os.path.abspath(vgg_dir)))  # half of it is of no use any more
            return
        except InputError as error:
            print(f'Warning: {error}')
    raise InputError(f'{vgg_dir}: the VGG16 graph could not be downloaded from either source. By hand: get {KERAS_URL} '
                     'and give it as --vgg-weights FILE; or run `python main.py --sample`, which needs no download')


def _fetch_classic(vgg_dir):
    def finish(folder):
        try:
            vgg_folder.check(folder)
        except InputError as error:
            raise download.Damaged(f'{VGG_URL}: the archive holds no VGG16 graph ({error})') from error
        vgg16.write_source(folder, VGG_URL)

    download.fetch(VGG_URL, os.path.dirname(os.path.abspath(vgg_dir)),
                   lambda archive: unpack.unpack(archive, 'vgg', vgg_dir, finish))


def _fetch_keras(vgg_dir):
    def build(weights):
        vgg16.save_graph(vgg16.read_weights(weights), vgg_dir, f'{KERAS_URL} (MD5 {KERAS_MD5})')

    download.fetch(KERAS_URL, os.path.dirname(os.path.abspath(vgg_dir)), build, md5=KERAS_MD5)


def maybe_download_kitti(kitti_dir):
    """Make sure that KITTI Road is there: find it or, licence and page printed first, download and unpack it.

    Raises InputError where it cannot be had; the folder appears only when whole.
    """
    def finish(folder):
        if not os.path.isdir(os.path.join(folder, 'training', 'image_2')):
            raise download.Damaged(f'{kitti.LINK}: the archive holds no KITTI Road, training/image_2 is missing')

    def get(archive):
        unpack.unpack(archive, 'data_road', kitti_dir, finish)

    if not os.path.lexists(kitti_dir):
        print(f'KITTI Road: licence {kitti.LICENCE}, not for commercial use; its page is {kitti.PAGE}')
        with download.alone(kitti_dir):
            if not os.path.lexists(kitti_dir):  # else another process has made it meanwhile
                download.fetch(kitti.LINK, os.path.dirname(os.path.abspath(kitti_dir)), get)


# ---------------------------------------------------------------------------------------------------- batches


def gen_batch_function(data_folder, image_shape, *, frames=None, variants=1, augment=(), seed=0, read_batch=None,
                       first_epoch=1):
    """Make the function that yields training batches, read ahead in threads.

    Args:
        data_folder: KITTI Road's `training` folder.
        image_shape: (height, width) the images are resized to.
        frames: the frames to draw from (road.kitti.Frame); default all in data_folder.
        variants: augmented variants a frame (road.variants), of which each epoch takes one; 0 draws a new one every time.
        augment: the changes they may show, of road.variants.AUGMENTATIONS.
        seed: of order and variants. Each call of the function is an epoch with an order of its own.
        read_batch: makes a batch of samples (road.kitti.Sample); default read_images.
        first_epoch: the epoch of the first call.
    Returns:
        get_batches_fn(batch_size), which yields what read_batch gives, by default (images, labels); the last batch is
        perhaps smaller. Its attribute `frames` is the number of frames an epoch, names(epoch, step, batch_size) are the
        names of the frames of a step.
    """
    frames = kitti.training_frames(data_folder) if frames is None else frames
    read_batch = read_batch or (lambda samples: read_images(samples, image_shape))
    epochs = count(first_epoch)

    def get_batches_fn(batch_size):
        samples = kitti.epoch_samples(frames, variants, augment, seed, next(epochs))
        yield from map_ahead(read_batch, batched(samples, batch_size))

    def names(epoch, step, batch_size):
        samples = kitti.epoch_samples(frames, variants, augment, seed, epoch)
        return [sample.frame.name for sample in samples[(step - 1) * batch_size:step * batch_size]]

    get_batches_fn.frames, get_batches_fn.names = len(frames), names
    return get_batches_fn


def read_images(samples, image_shape):
    """Read a batch: (images, labels).

    images: uint8 [n, h, w, 3] RGB; labels: uint8 [n, h, w, 2] one-hot (not road, road), (0, 0) where a pixel does not count; h
    and w are image_shape rounded up to multiples of 32.
    """
    return (np.stack([kitti.load_image(sample, image_shape) for sample in samples]),
            np.stack([kitti.load_label(sample, image_shape) for sample in samples]))


# ----------------------------------------------------------------------------------------------------- output


def road_confidences(sess, logits, keep_prob, image_pl, images, image_shape):
    """Confidence that a pixel is road, float32 [n, height, width] in [0, 1] for uint8 images [n, h, w, 3].

    `logits` is the flat Tensor [pixels, classes] with road as class 1; the softmax is taken here, outside the graph,
    which stays as it was built.
    """
    flat = sess.run(logits, {image_pl: images, keep_prob: 1.0})
    road = softmax(flat, axis=-1)[:, 1].reshape(-1, *kitti.padded(image_shape))
    return road[:, :image_shape[0], :image_shape[1]]  # without what resize_image padded


def confidences(sess, logits, keep_prob, image_pl, images, image_shape, *, encode=None):
    """Yield (key, image, confidence) for each (key, image), in order.

    Args:
        images: yields (key, image), key anything, image uint8 [h, w, 3] of any size.
        image_shape: (height, width) the images are resized to, ahead in threads; None runs each at its own size.
        encode: images => the frontier's values; image_pl is then the frontier, a tuple of Tensors.
    Yields:
        confidence: float32 [h, w] in [0, 1], of the image's own size.
    """
    def resized(item):
        key, image = item
        return key, image, kitti.resize_image(image, image_shape or image.shape[:2])

    # images of their own size may differ from each other, and may be so large that one at a time is enough
    for batch in batched(map_ahead(resized, images, depth=2 * BATCH), BATCH if image_shape else 1):
        inputs = np.stack([small for _, _, small in batch])
        inputs = tuple(encode(inputs)) if encode else inputs
        shape = image_shape or batch[0][1].shape[:2]
        of_batch = road_confidences(sess, logits, keep_prob, image_pl, inputs, shape)
        for (key, image, _), confidence in zip(batch, of_batch):
            yield key, image, kitti.resize_confidence(confidence, image.shape[:2])


def read_frames(frames):
    """Yield (frame, image uint8 [h, w, 3]) for each road.kitti.Frame, decoded ahead in threads."""
    return map_ahead(lambda frame: (frame, kitti.read_image(frame.image)), frames)


def paint(image, confidence, overlay='both'):
    """Show the road in an image: uint8 [h, w, 3] and float [h, w] in [0, 1] => uint8 [h, w, 3].

    Args:
        overlay: 'tint', green as strong as the confidence; 'outline', a thin yellow line inside the edge of what has a
            confidence of at least 0.5; 'both'; or 'mask', that in white on black, without the image.
    """
    road = confidence >= 0.5
    if overlay == 'mask':
        return np.repeat(np.uint8(255) * road[..., np.newaxis], 3, axis=2)
    painted = image.copy()
    if overlay != 'outline':  # Pillow takes a quarter of NumPy's time for this
        alpha = Image.fromarray(np.rint(confidence * (255 * TINT_STRENGTH)).astype(np.uint8))
        tint = Image.new('RGB', alpha.size, TINT_COLOUR)
        painted = np.array(Image.composite(tint, Image.fromarray(image), alpha))
    if overlay != 'tint':
        painted[_outline(road)] = OUTLINE_COLOUR
    return painted


def _outline(road):
    """The outermost pixels of a bool [h, w]; the picture's own border is no edge."""
    inner = road
    for _ in range(max(1, round(min(road.shape) / OUTLINE_SHARE))):
        around = np.pad(inner, 1, mode='edge')
        inner = inner & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return road & ~inner


def write_png(path, image):
    """Write a uint8 [h, w, 3] or [h, w] array as PNG; the file is whole or not there."""
    part = os.path.join(os.path.dirname(path), f'.{os.path.basename(path)}.part')
    try:
        # a quarter of the default's time, for a file as large
        iio.imwrite(part, image, plugin='pillow', extension='.png', compress_level=1, compress_type=zlib.Z_RLE)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def gen_test_output(sess, logits, keep_prob, image_pl, data_folder, image_shape, *, encode=None):
    """Yield (file name, painted image uint8 [h, w, 3] at its original size) for the images of a `testing` folder."""
    frames = kitti.testing_frames(data_folder)
    outputs = confidences(sess, logits, keep_prob, image_pl, read_frames(frames), image_shape, encode=encode)
    # painted in a thread while the session works on the next batch
    yield from map_ahead(lambda out: (os.path.basename(out[0].image), paint(out[1], out[2])), outputs, depth=8)


def save_inference_samples(runs_dir, data_dir, sess, image_shape, logits, keep_prob, input_image, *,
                           output_dir=None, testing_dir=None, encode=None):
    """Write every test image with its road painted.

    Args:
        runs_dir: the images go to `<runs_dir>/fcn8s-YYYYMMDD-HHMMSS/images`, unless output_dir names a folder.
        data_dir: the test images are in `<data_dir>/data_road/testing`, unless testing_dir names that folder.
    Returns:
        the folder written to.
    """
    output_dir = output_dir or os.path.join(runs_dir, time.strftime('fcn8s-%Y%m%d-%H%M%S'), 'images')
    testing_dir = testing_dir or os.path.join(data_dir, 'data_road', 'testing')
    os.makedirs(output_dir, exist_ok=True)
    outputs = gen_test_output(sess, logits, keep_prob, input_image, testing_dir, image_shape, encode=encode)

    total = len(kitti.testing_frames(testing_dir))
    written = map_ahead(lambda output: write_png(os.path.join(output_dir, output[0]), output[1]), outputs)
    for _ in tqdm(written, total=total, desc='test images', unit='image'):
        pass
    return output_dir
