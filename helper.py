"""The helper functions of the classic road-segmentation exercise, on top of the package `road`.

They keep the names and argument orders of the exercise.
"""

import os
import time

from road.data import kitti
from road.data.batches import Batches, read_images
from road.data.images import read_frames
from road.network.predictor import Predictor, output_bytes
from road.network.vgg_folder import find_vgg
from road.prefetch import prefetch
from road.progress import tqdm
from road.runs.painting import add_legend, paint, write_png


def maybe_download_pretrained_vgg(data_dir):
    """Make sure that the VGG16 graph is in `<data_dir>/vgg`: find it, or download and build it.

    Returns road.network.vgg_folder.Graph: folder, fingerprint, summary, source.
    Raises InputError: the graph is damaged, or cannot be downloaded.
    """
    return find_vgg(os.path.join(data_dir, 'vgg'))


def gen_batch_function(data_folder, image_shape):
    """Make get_batches_fn(batch_size), which yields an epoch's (images, labels) per call.

    Args:
        data_folder: KITTI Road's `training` folder.
        image_shape: (height, width) that images are resized to, rounded up to multiples of 32.
    Yields:
        images: uint8 [n, h, w, 3], RGB; labels: uint8 [n, h, w, 2], one-hot (not road, road),
        (0, 0) where a pixel is ignored. The last batch may be smaller.
    """
    frames = kitti.training_frames(data_folder)
    batches = Batches(frames, image_shape, lambda samples: read_images(samples, kitti.read_label))

    def get_batches_fn(batch_size):  # a function: main.train_nn goes on after the epoch of Batches
        return batches(batch_size)

    return get_batches_fn


def gen_test_output(sess, logits, keep_prob, image_pl, data_folder, image_shape):
    """Yield (file name, painted image uint8 [h, w, 3]) for the images of a `testing` folder."""
    predictor = Predictor(sess, logits, keep_prob, image_pl, image_shape)
    return paint_frames(predictor, kitti.testing_frames(data_folder))


def paint_frames(predictor, frames, classes=kitti.CLASSES, use=lambda name, image: (name, image)):
    """Yield (file name, painted image uint8 [h, w, 3]) for road.data.dataset.Frame.

    Args:
        classes: road.data.dataset.Class of what the predictor finds; more than two have a legend.
        use: yield what this function makes of them, in a thread.
    """
    def painted(output):
        frame, image, confidence = output
        image = paint(image, confidence, classes=classes, threshold=predictor.threshold)
        return use(f'{frame.name}.png', add_legend(image, classes))

    # painted in a thread while the session works on the next batch
    outputs = predictor.predict(read_frames(frames))
    yield from prefetch(painted, outputs, size=output_bytes)


def save_inference_samples(runs_dir, data_dir, sess, image_shape, logits, keep_prob, input_image):
    """Write every test image of `<data_dir>/data_road` with its road painted.

    Returns:
        the folder written to, `<runs_dir>/fcn8s-YYYYMMDD-HHMMSS/images`.
    """
    output_dir = os.path.join(runs_dir, time.strftime('fcn8s-%Y%m%d-%H%M%S'), 'images')
    frames = kitti.testing_frames(os.path.join(data_dir, 'data_road', 'testing'))
    predictor = Predictor(sess, logits, keep_prob, input_image, image_shape)
    write_test_images(predictor, frames, output_dir)
    return output_dir


def write_test_images(predictor, frames, folder, classes=kitti.CLASSES):
    """Write the images of frames, painted by paint_frames, into a folder."""
    def write(name, image):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)  # names may have folders in them
        write_png(path, image)

    written = paint_frames(predictor, frames, classes, write)
    for _ in tqdm(written, total=len(frames), desc='painting', unit='image'):
        pass
