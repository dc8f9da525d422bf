"""Measure how fast this device trains and paints, side by side with a baseline.

    python tools/benchmark.py --dataset-dir DIR --vgg-dir DIR
    python tools/benchmark.py --quick                         # about three minutes on 2 cores
    python tools/benchmark.py --exports RUN/export/saved_model.pb RUN/export-onnx/model.onnx

The baseline reads, resizes and feeds the images at every step, runs the whole network in float32,
and takes one image at a time at test time. Both take turns in one process, so that other load on
the device slows both. A first call, which compiles, is left out.
"""

import argparse
import os
import random
import sys
import tempfile
from statistics import median
from timeit import timeit

import numpy as np
from tqdm import tqdm

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import helper
import main
from road import settings
from road.data import kitti
from road.data.batches import Batches, read_images, sample_of
from road.data.dataset import one_hot
from road.data.images import resize_image
from road.errors import InputError
from road.files import file_digest
from road.network import vgg16, vgg_folder
from road.network.device import find_device
from road.network.encoder import Encoder
from road.network.feature_cache import FeatureCache
from road.network.predictor import Predictor
from road.network.tf1 import tf
from road.sample import scenes
from road.tables import table
from tools.train_sample_encoder import random_weights

BATCH, EPOCHS = 4, 30
SHAPE = 160, 576  # of the images, height and width


def measure(functions, repeats):
    """Images per second of {name: (function, its number of images)}: {name: [number, ...]}."""
    measured = {name: [] for name in functions}
    for function, _ in functions.values():
        function()
    for _ in tqdm(range(repeats), desc=', '.join(functions), leave=False):
        for name, (function, images) in functions.items():
            measured[name].append(images / timeit(function, number=1))
    return measured


def benchmark(device, vgg_dir, dataset_dir, folder, repeats):
    """Measure everything; `folder` is empty, for the cache and painted images.

    Returns {what: as measure}, and (images, seconds of their encoder pass, seconds per epoch).
    """
    data = kitti.find_dataset(dataset_dir)
    frames, some, few = data.training, data.training[:40], data.testing[:8]
    encoder = Encoder(main.load_vgg, vgg_dir, device.encoder_config)
    float32 = tf.ConfigProto(gpu_options=device.config.gpu_options)
    with main.open_model(vgg_dir, float32, train_encoder='none') as frozen, \
            main.open_model(vgg_dir, float32, train_encoder='all') as trained, \
            main.open_model(vgg_dir, device.config, train_encoder='all') as ours_trained:
        fill_cache(encoder, data, some[:BATCH], f'{folder}/first')
        features, encoder_seconds = fill_cache(encoder, data, some, f'{folder}/cache')
        sess, model = frozen
        whole = Predictor(sess, model.logits, model.keep_prob, model.image_input, SHAPE)
        split = Predictor(sess, model.logits, model.keep_prob, model.features, SHAPE, encoder)
        results = {
            'decoder trained, images/s': measure({
                'baseline': (lambda: train_step(frozen, frames), BATCH),
                'ours': (lambda: train_epochs(frozen, features, some, 2), 2 * len(some))}, repeats),
            'everything trained, images/s': measure({
                'baseline': (lambda: train_step(trained, frames), BATCH),
                'ours': (lambda: train_step(ours_trained, frames), BATCH)}, repeats),
            'PNG to painted PNG, images/s': measure({
                'baseline': (lambda: [helper.write_test_images(whole, [frame], folder)
                                      for frame in few], len(few)),
                'ours': (lambda: helper.write_test_images(split, data.testing, folder),
                         len(data.testing))}, repeats)}
    seconds = len(some) / median(results['decoder trained, images/s']['ours'])
    return results, (len(some), encoder_seconds, seconds)


def train(opened, tensors, inputs, labels):
    """One training step of (sess, Model), with `inputs` fed to `tensors`."""
    sess, model = opened
    fed = {tensors: inputs, model.correct_label: labels}
    sess.run([model.train_op, model.loss], {**fed, model.keep_prob: 0.5, model.learning_rate: 1e-5})


def train_step(opened, frames):
    """Train on BATCH frames drawn at random, which are read and encoded."""
    samples = [sample_of(frame, SHAPE) for frame in random.sample(frames, BATCH)]
    inputs, labels = read_images(samples, kitti.read_label)
    train(opened, opened[1].image_input, inputs, one_hot(labels, 2))


def fill_cache(encoder, data, frames, folder):
    """A FeatureCache of these frames in an empty folder, and the seconds it took to fill."""
    digests = {path: file_digest(path) for frame in frames for path in (frame.image, frame.label)}
    features = FeatureCache(encoder, data._replace(digests=digests))
    samples = [sample_of(frame, SHAPE) for frame in frames]
    return features, timeit(lambda: features.fill(folder, samples, encoder='benchmark'), number=1)


def train_epochs(opened, features, frames, number):
    """Train `number` epochs on cached features, as main.train does."""
    model, batches = opened[1], Batches(frames, SHAPE, features.read)
    batches.dropout_noise = model.dropout_noise
    for _ in range(number):
        for inputs, labels in batches(BATCH):
            train(opened, (*model.features, *model.dropout_noise), inputs, labels)


def report(results, seconds):
    """The results of `benchmark` as text."""
    rows = [('', 'median', 'lowest', 'highest', 'last is faster')]
    for what, measured in results.items():
        *_, last = measured.values()
        for name, values in measured.items():
            figures = (median(values), min(values), max(values), median(last) / median(values))
            rows.append((f'{what}: {name}', *(f'{figure:.2f}' for figure in figures)))
    count, encoder, epoch = seconds
    return (f'{table(rows)}\n\n{EPOCHS} epochs of {count} images: {encoder + EPOCHS * epoch:.1f} s '
            f'(encoder pass {encoder:.1f} s, epoch {epoch:.1f} s)')


def open_export(path, images):
    """A function that labels images, uint8 [1, h, w, 3], with an exported model."""
    if path.endswith('.onnx'):
        import onnxruntime
        session = onnxruntime.InferenceSession(path)
        return lambda: session.run(None, {'images': images})
    if path.endswith('.tflite'):
        label = tf.lite.Interpreter(path, num_threads=os.cpu_count()).get_signature_runner()
        shape = label.get_input_details()['image']['shape'][1:3]
        return lambda: label(image=np.float32(resize_image(images[0], shape))[np.newaxis])
    model = tf.compat.v2.saved_model.load(os.path.dirname(os.path.abspath(path)))
    return lambda: model.signatures['serving_default'](tf.constant(images))


def compare_exports(paths, repeats):
    """A table: milliseconds of the fastest call for an image of 375x1242, and megabytes."""
    images = np.random.default_rng(0).integers(256, size=(1, 375, 1242, 3), dtype=np.uint8)
    measured = measure({path: (open_export(path, images), 1) for path in paths}, repeats)
    rows = [('', 'ms', 'times as fast', 'MB')]
    for path, speeds in measured.items():
        times = max(speeds) / max(measured[paths[0]])
        size = os.path.getsize(path) / 1e6
        rows.append((path, f'{1000 / max(speeds):.0f}', f'{times:.2f}', f'{size:.1f}'))
    return table(rows)


def run(argv=None):
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.split('\n\n')[0])
    add = parser.add_argument
    add('--dataset-dir', metavar='DIR', help='KITTI Road (default: drawn scenes)')
    add('--vgg-dir', metavar='DIR', help='the VGG16 graph (default: one of random weights)')
    add('--precision', choices=settings.PRECISIONS, default='auto',
        help='encoder precision (default: auto)')
    add('--quick', action='store_true', help='fewer repeats; about three minutes on 2 CPU cores')
    add('--exports', nargs='+', metavar='FILE', help='compare these files of main.py export only')
    args = parser.parse_args(argv)
    if args.exports:
        print(compare_exports(args.exports, 2 if args.quick else 10))
        return
    device = find_device(args.precision, 'all')
    with tempfile.TemporaryDirectory() as folder:
        dataset_dir, vgg_dir = args.dataset_dir or f'{folder}/data', args.vgg_dir or f'{folder}/vgg'
        if not args.dataset_dir:
            scenes.write_dataset(dataset_dir)
        if not args.vgg_dir:
            vgg_folder.save(random_weights(vgg16.WIDTHS), vgg_dir)
        try:
            results = benchmark(device, vgg_dir, dataset_dir, folder, 2 if args.quick else 5)
        except InputError as error:
            parser.error(str(error))
    print(f'{device.name}, {device.precision}\n{report(*results)}')


if __name__ == '__main__':
    run()
