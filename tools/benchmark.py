"""Measure how fast this device trains and paints, side by side with the plain loop.

    python tools/benchmark.py --kitti-dir DIR --vgg-dir DIR
    python tools/benchmark.py --quick                         # about three minutes on 2 cores

The plain loop reads, resizes and feeds the images at every step, runs the whole network in float32,
and takes one image at a time at test time. Both take turns in one process, so that other load on
the device slows both. A first call, which compiles, is left out. "everything trained" compares the
arithmetic of training all layers, with each kind of gradients of road.network.conv_gradient, with
that of one large convolution, in the encoder's precision.
"""

import argparse
import math
import os
import re
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from statistics import median
from unittest import mock

from scipy.special import softmax
from tqdm import tqdm

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import helper
import main
from road import settings
from road.data import images, kitti
from road.data.batches import Batches, Sample, read_images
from road.data.dataset import one_hot
from road.errors import InputError
from road.files import file_digest
from road.network import conv_gradient, vgg16, vgg_folder
from road.network.device import find_device
from road.network.encoder import Encoder
from road.network.feature_cache import FeatureCache
from road.network.predictor import Predictor
from road.network.tf1 import tf
from road.runs.painting import paint, write_png
from road.sample import scenes
from road.tables import table

BATCH, EPOCHS = 4, 30
SHAPE = 160, 576  # of the images, height and width


def rates(functions, repeats):
    """Units per second of functions that return their number of units: {name: [rate, ...]}."""
    measured = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in tqdm(range(repeats), desc=', '.join(functions), leave=False):
        for name, function in functions.items():
            start = time.perf_counter()
            units = function()
            measured[name].append(units / (time.perf_counter() - start))
    return measured


def benchmark(device, vgg_dir, kitti_dir, folder, quick):
    """Measure: {rates, seconds}. `folder` is empty, for the cache and painted images."""
    frames = kitti.training_frames(os.path.join(kitti_dir, 'training'))
    encoder = Encoder(main.load_vgg, vgg_dir, device.encoder_config)
    some, repeats = frames[:40], 2 if quick else 5
    float32 = tf.ConfigProto(gpu_options=device.config.gpu_options)
    with ExitStack() as stack:
        def opened(config, train_encoder):
            return stack.enter_context(
                main.open_model(vgg_dir, config, train_encoder=train_encoder))

        frozen = opened(float32, 'none')
        with mock.patch.object(conv_gradient, 'gradients', tf.gradients):
            plain, whole = opened(float32, 'all'), opened(device.config, 'all')
        with mock.patch.object(conv_gradient, 'gradients', conv_gradient.by_products):
            products = opened(device.config, 'all')
        convolve = stack.enter_context(convolution(device.config))
        data = kitti.find_dataset(kitti_dir, 0)
        cached(encoder, data, some[:BATCH], f'{folder}/first')
        features, encoder_seconds = cached(encoder, data, some, f'{folder}/cache')
        training = {'plain, decoder only': plain_step(frozen, frames),
                    'plain, everything': plain_step(plain, frames),
                    'ours': lambda: train_epochs(frozen, features, some, 2)}
        painted = painting(frozen, encoder, os.path.join(kitti_dir, 'testing'), folder)
        everything = {"TensorFlow's gradients": whole_step(whole, frames),
                      'matrix products': whole_step(products, frames),
                      'one large convolution': convolve}
        measured = {'training, images/s': rates(training, repeats),
                    'everything trained, GFLOP/s': rates(everything, repeats),
                    'PNG to painted PNG, images/s': rates(painted, repeats)}
        epoch_seconds = len(some) / median(measured['training, images/s']['ours'])
        return {'rates': measured, 'seconds': (len(some), encoder_seconds, epoch_seconds)}


def plain_step(opened, frames):
    """A function that trains on BATCH frames as the plain loop does."""
    turn = iter(range(10**9))

    def step():
        samples = [Sample(frames[next(turn) % len(frames)]) for _ in range(BATCH)]
        inputs, labels = read_images(samples, SHAPE, kitti.read_label)
        train(opened, opened[1].image_input, inputs, one_hot(labels, 2))
        return BATCH
    return step


def whole_step(opened, frames):
    """A function that trains all layers on BATCH images already read; returns its GFLOP."""
    sess, model = opened
    inputs, labels = read_images([Sample(frame) for frame in frames[:BATCH]], SHAPE,
                                 kitti.read_label)
    variables = sess.graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)
    gflop = training_gflop({v.op.name: v.shape.as_list() for v in variables}, BATCH, SHAPE)

    def step():
        train(opened, model.image_input, inputs, one_hot(labels, 2))
        return gflop
    return step


def training_gflop(shapes, batch, image_shape):
    """GFLOP of VGG16's convolutions in a training step: forward, and two gradients of the same.

    Args:
        shapes: name of each variable => shape, as road.network.vgg16.shapes.
    """
    flop = 0
    for name, shape in shapes.items():
        found = re.match(r'conv(\d)_\d/filter|fc\d/weights', name)
        if found:
            stride = 2 ** (int(found[1] or 6) - 1)
            flop += 2 * math.prod(shape) * batch * math.prod(image_shape) / stride**2
    return 3 * flop / 1e9


@contextmanager
def convolution(config):
    """Yield a function that convolves as conv4_2 of KITTI images does; returns its GFLOP."""
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        x = tf.get_variable('x', [BATCH, 48, 156, 512])
        kernel = tf.get_variable('kernel', [3, 3, 512, 512])
        # what is fetched stays in float32, so it is not the convolution
        fetched = tf.reduce_sum(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, 'SAME')))
        sess.run(tf.global_variables_initializer())

        def convolve():
            sess.run(fetched)
            return 2e-9 * BATCH * 48 * 156 * kernel.shape.num_elements()
        yield convolve


def train(opened, tensors, inputs, labels):
    sess, model = opened
    fed = {tensors: inputs, model.correct_label: labels}
    sess.run([model.train_op, model.loss], {**fed, model.keep_prob: 0.5, model.learning_rate: 1e-5})


def train_epochs(opened, features, frames, number):
    """Train `number` epochs on cached features, as main.train does; returns the image count."""
    model, batches = opened[1], Batches(frames, features.read)
    batches.dropout_noise = model.dropout_noise
    for _ in range(number):
        for inputs, labels in batches(BATCH):
            train(opened, (*model.features, *model.dropout_noise), inputs, labels)
    return number * len(frames)


def cached(encoder, data, frames, folder):
    """A FeatureCache of these frames in an empty folder, and the seconds it took to fill."""
    digests = {path: file_digest(path) for frame in frames for path in (frame.image, frame.label)}
    features = FeatureCache(encoder, SHAPE, data._replace(digests=digests))
    start = time.perf_counter()
    features.fill(folder, [Sample(frame) for frame in frames], encoder='benchmark')
    return features, time.perf_counter() - start


def painting(opened, encoder, testing_dir, folder):
    """Functions from PNG file to painted PNG file: the plain loop and ours."""
    (sess, model), frames = opened, kitti.testing_frames(testing_dir)
    predictor = Predictor(sess, model.logits, model.keep_prob, model.features, SHAPE, encoder)

    def plain(number=8):
        for frame in frames[:number]:
            image = images.read_image(frame.image)
            small = images.resize_image(image, SHAPE)
            logits = sess.run(model.logits, {model.image_input: [small], model.keep_prob: 1.0})
            confidence = softmax(logits, axis=-1)[:, 1].reshape(SHAPE)
            confidence = images.resize_confidence(confidence, image.shape[:2])
            write_png(f'{folder}/plain.png', paint(image, confidence))
        return min(number, len(frames))

    def ours():
        helper.write_test_images(predictor, frames, folder)
        return len(frames)

    return {'plain': plain, 'ours': ours}


def report(result):
    rows = [('', 'median', 'lowest', 'highest', 'last is faster')]
    for what, measured in result['rates'].items():
        *_, last = measured.values()
        for name, values in measured.items():
            figures = (median(values), min(values), max(values), median(last) / median(values))
            rows.append((f'{what}: {name}', *(f'{figure:.2f}' for figure in figures)))
    count, encoder, epoch = result['seconds']
    part, whole, _ = map(median, result['rates']['training, images/s'].values())
    return (f'{table(rows)}\n\n{EPOCHS} epochs of {count} images: {encoder + EPOCHS * epoch:.1f} s '
            f'(encoder pass {encoder:.1f} s, epoch {epoch:.1f} s); plain, decoder only '
            f'{EPOCHS * count / part:.1f} s; plain, everything {EPOCHS * count / whole:.1f} s')


def run(argv=None):
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.split('\n\n')[0])
    add = parser.add_argument
    add('--kitti-dir', metavar='DIR', help='KITTI Road; if not given, drawn scenes')
    add('--vgg-dir', metavar='DIR', help='the VGG16 graph; if not given, one of random weights')
    add('--precision', choices=settings.PRECISIONS, default='auto',
        help='encoder precision (default: auto)')
    add('--quick', action='store_true', help='fewer repeats; about three minutes on 2 CPU cores')
    args = parser.parse_args(argv)
    device = find_device(args.precision, 'all')
    with tempfile.TemporaryDirectory() as folder:
        kitti_dir, vgg_dir = args.kitti_dir or f'{folder}/data', args.vgg_dir or f'{folder}/vgg'
        if not args.kitti_dir:
            scenes.write_dataset(kitti_dir)
        if not args.vgg_dir:
            vgg_folder.save(vgg16.random_weights(vgg16.WIDTHS), vgg_dir)
        try:
            result = benchmark(device, vgg_dir, kitti_dir, folder, args.quick)
        except InputError as error:
            parser.error(str(error))
    print(f'{device.name}, {device.precision}\n{report(result)}')


if __name__ == '__main__':
    run()
