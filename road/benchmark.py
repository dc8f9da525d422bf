"""What running the encoder once is worth, measured side by side on the machine at hand.

    python main.py benchmark --kitti-dir DIR --vgg-dir DIR      # a table, and runs/benchmark.json
    python main.py benchmark --quick                            # about a minute

The *plain loop* is what programs of this kind do: it reads, resizes and feeds the images at every step, runs the whole
network in float32, and takes one image at a time at test time. It and ours run in one process, in turns, so that
whatever else the machine does falls on both. Figures are medians of several, with the lowest and the highest beside
them; a first, compiling pass of each is not counted.
"""

import os
import re
import resource
import sys
import time
from contextlib import ExitStack, contextmanager
from statistics import median

import imageio.v3 as iio
import numpy as np
from scipy.special import softmax
from tqdm import tqdm

import helper
from road import kitti
from road.activations import ENCODER_BATCH, Cache
from road.tf1 import tf

BATCH, EPOCHS, RUN_IMAGES = 4, 30, 100  # of the run whose whole time is given
SIZES = ((160, 576), (256, 832), (384, 1248))
COUNTS = (25, 50, 100)
LARGE = ((80, 128), (80, 256), (40, 512))  # height and channels of the convolutions that stand for the machine's best


def rates(functions, repeats):
    """Units a second of each function, called in turns: {name: [rate, ...]}. A function returns its number of units."""
    measured = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in tqdm(range(repeats), desc=', '.join(functions), leave=False):
        for name, function in functions.items():
            start = time.perf_counter()
            units = function()
            measured[name].append(units / (time.perf_counter() - start))
    return measured


def benchmark(open_model, open_encoder, config, encoder_config, vgg_dir, kitti_dir, folder, quick):
    """Measure; returns what is written as JSON, a dict of figures.

    Args:
        open_model, open_encoder: main.py's functions of these names.
        config, encoder_config: tf.ConfigProto, of the decoder and of the encoder.
        folder: an empty folder for the cache and the painted images.
        quick: fewer repeats, one size, and a shorter run.
    """
    frames = kitti.training_frames(os.path.join(kitti_dir, 'training'))
    encode, layers = open_encoder(vgg_dir, encoder_config)
    repeats = 2 if quick else 5
    result = {}
    with ExitStack() as stack:
        frozen = stack.enter_context(open_model(vgg_dir, config))
        whole = stack.enter_context(open_model(vgg_dir, config, train_encoder='all'))
        result['training'] = training(frozen, whole, encode, layers, frames, SIZES[0], folder, repeats, quick)
        result['inference'] = inference(frozen, encode, kitti_dir, SIZES[0], folder, 2 if quick else 3)
        result['encoder'] = encoder_share(frozen[1], encode, encoder_config, SIZES[0], repeats)
        result['growth'] = growth(frozen, encode, layers, frames, folder, quick)
    return result


def plain_step(opened, frames, shape, keep=0.5):
    """A function that trains on BATCH frames as the plain loop does."""
    sess, model = opened
    turn = iter(range(10**9))

    def step():
        samples = [kitti.Sample(frames[(next(turn)) % len(frames)]) for _ in range(BATCH)]
        images, labels = helper.read_images(samples, shape)
        sess.run([model.train_op, model.loss], {model.image_input: images, model.correct_label: labels,
                                                model.keep_prob: keep, model.learning_rate: 1e-5})
        return BATCH
    return step


def epochs(opened, cache, frames, number, keep=0.5):
    """Train `number` epochs on cached activations; returns the number of images."""
    sess, model = opened
    get_batches_fn = helper.gen_batch_function(None, None, frames=frames, read_batch=cache.read)
    for _ in range(number):
        for activations, labels in get_batches_fn(BATCH):
            sess.run([model.train_op, model.loss], {model.frontier: activations, model.correct_label: labels,
                                                    model.keep_prob: keep, model.learning_rate: 1e-5})
    return number * len(frames)


def cached(frames, encode, layers, shape, folder, name):
    """A cache of these frames in a folder of its own, and the seconds it took to fill."""
    cache = Cache(os.path.join(folder, name), 'benchmark', shape, layers)
    start = time.perf_counter()
    if not cache.fill([kitti.Sample(frame) for frame in frames], encode):
        raise OSError(f'{folder}: no room for the activations')
    return cache, time.perf_counter() - start


def training(frozen, whole, encode, layers, frames, shape, folder, repeats, quick):
    """Images a second of an epoch after the first, and the seconds of a whole run."""
    images = (frames * RUN_IMAGES)[:len(frames) if quick else RUN_IMAGES]
    cache, encoder_seconds = cached(images, encode, layers, shape, folder, 'training')
    few = images[:40]
    measured = rates({'plain, decoder only': plain_step(frozen, images, shape),
                      'plain, everything': plain_step(whole, images, shape),
                      'ours': lambda: epochs(frozen, cache, few, 2)}, repeats)
    start = time.perf_counter()
    epochs(frozen, cache, images, 3 if quick else EPOCHS)
    run_seconds = (time.perf_counter() - start) * (EPOCHS / 3 if quick else 1)
    return {'size': f'{shape[0]}x{shape[1]}', 'images a second': measured, 'images': len(images), 'epochs': EPOCHS, 'encoder pass, s': encoder_seconds,
            'epochs after it, s': run_seconds, 'extrapolated from 3 epochs': quick}


def inference(opened, encode, kitti_dir, shape, folder, repeats):
    """Images a second from PNG file to painted PNG file."""
    sess, model = opened
    testing_dir = os.path.join(kitti_dir, 'testing')
    frames = kitti.testing_frames(testing_dir)

    def plain():
        for frame in frames[:8]:
            image = kitti.read_image(frame.image)
            small = kitti.resize_image(image, shape)
            flat = softmax(sess.run(model.logits, {model.image_input: [small], model.keep_prob: 1.0}), axis=-1)
            confidence = kitti.resize_confidence(flat[:, 1].reshape(small.shape[:2]), image.shape[:2])
            iio.imwrite(os.path.join(folder, 'plain.png'), helper.paint(image, confidence))
        return len(frames[:8])

    def ours():
        helper.save_inference_samples(None, None, sess, shape, model.logits, model.keep_prob, model.frontier, encode=encode,
                                      output_dir=os.path.join(folder, 'images'), testing_dir=testing_dir)
        return len(frames)

    return {'images a second': rates({'plain': plain, 'ours': ours}, repeats)}


def flops(graph, shape, fc6):
    """Multiplications and additions of the convolutions before the frontier, for one image of `shape`."""
    total = 0
    for op in graph.get_operations():  # convolutions of block b run on images halved b - 1 times, fc6 on pool5
        match = re.fullmatch(r'conv(\d)_\d/filter|fc6/weights', op.name)
        if op.type in ('VarHandleOp', 'VariableV2') and match and (match[1] or fc6):
            size = np.prod([dimension.size for dimension in op.get_attr('shape').dim])
            total += 2 * size * shape[0] * shape[1] / 4 ** (int(match[1]) - 1 if match[1] else 5)
    return total


def encoder_share(model, encode, config, shape, repeats):
    """The encoder's GFLOP/s, beside the best the machine reaches on large convolutions in the same precision."""
    gflop = flops(model.logits.graph, shape, fc6='fc6' in model.frontier[-1].name) / 1e9
    images = np.random.default_rng(0).integers(0, 255, (ENCODER_BATCH, *shape, 3), np.uint8)

    def encoder():
        encode(images)
        return ENCODER_BATCH * gflop

    functions = {'encoder': encoder}
    with ExitStack() as stack:
        for size, width in LARGE:
            functions[f'{width} channels'] = stack.enter_context(_convolutions(config, size, width))
        measured = rates(functions, repeats)
    best = max((name for name in measured if name != 'encoder'), key=lambda name: median(measured[name]))
    return {'GFLOP an image': gflop, 'GFLOP/s': measured, 'best': best}


@contextmanager
def _convolutions(config, size, width, depth=8):
    """Yield a function that runs `depth` 3x3 convolutions of `width` channels in a row; it returns the GFLOP they took."""
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        x = start = tf.placeholder(tf.float32, [None, size, size * 3, width])
        kernel = tf.constant(np.random.default_rng(0).normal(0, (9 * width)**-0.5, (3, 3, width, width)), tf.float32)
        for _ in range(depth):
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, 'SAME'))
        end = tf.reduce_max(x)
        values = np.ones((1, size, size * 3, width), np.float32)

        def run():
            sess.run(end, {start: values})
            return depth * 2 * 9 * width**2 * size * size * 3 / 1e9
        yield run


def growth(opened, encode, layers, frames, folder, quick):
    """Seconds of encoder pass and of an epoch for more images and larger ones, and the process' memory at its peak."""
    rows = []
    for shape in SIZES[:1] if quick else SIZES:
        for count in COUNTS[:1] if quick else COUNTS if shape == SIZES[0] else COUNTS[:1]:
            some = (frames * count)[:count]
            cache, encoder_seconds = cached(some, encode, layers, shape, folder, f'growth-{count}-{shape[1]}')
            epochs(opened, cache, some[:BATCH], 1)
            start = time.perf_counter()
            epochs(opened, cache, some, 2)
            rows.append({'size': f'{shape[0]}x{shape[1]}', 'images': count, 'encoder pass, s': encoder_seconds,
                         'epoch, s': (time.perf_counter() - start) / 2, 'peak GiB': peak_gib()})
    return rows


def peak_gib():
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == 'darwin' else 1024) / 2**30


def report(result):
    """The figures as a table."""
    def spread(values):
        return f'{median(values):8.2f}  ({min(values):.2f} to {max(values):.2f})'

    train, test, encoder = result['training'], result['inference'], result['encoder']
    ours = median(train['images a second']['ours'])
    count, total = train['images'], train['encoder pass, s'] + train['epochs after it, s']
    lines = [f'Training, images/s at {train["size"]}; the time of {train["epochs"]} epochs on {count} images']
    for name, values in train['images a second'].items():
        rate = median(values)
        seconds = total if name == 'ours' else train['epochs'] * count / rate
        lines.append(f'  {name:22s}{spread(values):34s} an epoch {count / rate:8.1f} s   run {seconds:8.1f} s   '
                     f'ours is {ours / rate:6.1f} times as fast an epoch, {seconds / total:6.1f} a run')
    lines.append(f'  (ours: encoder pass {train["encoder pass, s"]:.1f} s, then {train["epochs after it, s"]:.1f} s; the plain '
                 'runs are worked out from their rate)')
    lines.append('From PNG file to painted PNG file, images/s')
    ours = median(test['images a second']['ours'])
    for name, values in test['images a second'].items():
        lines.append(f'  {name:22s}{spread(values):34s} ours is {ours / median(values):6.2f} times as fast')
    lines.append(f'Encoder, {encoder["GFLOP an image"]:.1f} GFLOP an image')
    best = median(encoder['GFLOP/s'][encoder['best']])
    for name, values in encoder['GFLOP/s'].items():
        lines.append(f'  {name:22s}{spread(values):34s} GFLOP/s, {median(values) / best:5.0%} of the best convolution')
    lines.append('Growth                    encoder pass     an epoch     memory at its peak')
    for row in result['growth']:
        lines.append(f'  {row["size"]:9s}{row["images"]:5d} images {row["encoder pass, s"]:10.1f} s {row["epoch, s"]:10.2f} s '
                     f'{row["peak GiB"]:10.1f} GiB')
    return '\n'.join(lines)
