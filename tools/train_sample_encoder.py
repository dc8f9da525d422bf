"""Train the encoder of `main.py --sample` and write road/sample/encoder.npz.

    python tools/train_sample_encoder.py     # about 15 minutes on 2 cores

Behind random weights the decoder's 1x1 convolutions find no road edge. So the 13 convolutions of a
narrow VGG16 are trained here, with batch normalisation and a simple head, on scenes of another seed
than the sample's own. Then the normalisation is folded into filters and biases.
"""

import argparse
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from road.data import IGNORE_LABEL
from road.data.dataset import one_hot
from road.data.images import resize_image, resize_label
from road.data.kitti import CATEGORIES
from road.files import atomic_path
from road.network import vgg16
from road.network.tf1 import tf
from road.progress import tqdm
from road.sample import prepare, scenes
from road.settings import SAMPLE_DEFAULTS

SHAPE = SAMPLE_DEFAULTS['image_size']  # roads then have the size that the encoder knows
WIDTHS = (8, 16, 24, 32, 32)  # channels per block
BATCH = 8  # images per step
LEARNING_RATE = 0.015  # of Adam, the highest
EPSILON = 1e-3  # added to a channel's variance
LAST = [f'conv{block}_{count}' for block, count in enumerate(vgg16.BLOCKS, 1)]  # before a pooling
# Root mean squares of pool3, pool4 and pool5. The decoder multiplies the first two by 0.0001 and
# 0.01. The largest activations are about ten times as large, and float16 ends at 65,504.
POOL_SIZES = (3000.0, 100.0, 1.0)


def main(argv=None):
    """Draw, train, fold and write the file."""
    parser = argparse.ArgumentParser(description='Train the encoder of main.py --sample.')
    add = parser.add_argument
    add('--output', default=prepare.WEIGHTS, metavar='FILE', help='the .npz file to write')
    add('--scenes', type=int, default=720, metavar='N', help='number of scenes to train on')
    add('--steps', type=int, default=2000, metavar='N', help='number of training steps')
    args = parser.parse_args(argv)
    weights = {name.replace('/filter', '_W').replace('/biases', '_b'): np.float16(value)
               for name, value in fold(*train(*draw(args.scenes), args.steps)).items()}
    with atomic_path(args.output) as path:
        np.savez_compressed(path, **weights)
    print(f'{args.output}: {os.path.getsize(args.output):,} bytes')


def draw(count):
    """Draw scenes: uint8 images [count, *SHAPE, 3] and one-hot labels [count, *SHAPE, 2]."""
    images, labels = [], []
    for number in tqdm(range(count), 'Drawing scenes'):
        # the sample's own frames have 0 or 1 as second number, see scenes.write_frame
        rng = np.random.default_rng([0, 2, number])
        image, label, _ = scenes.draw_scene(rng, CATEGORIES[number % 3])
        classes = np.where(label[..., 0] > 0, label[..., 2] > 0, IGNORE_LABEL).astype(np.uint8)
        images.append(resize_image(image, SHAPE))
        labels.append(one_hot(resize_label(classes, SHAPE), 2))
    return np.stack(images), np.stack(labels)


def train(images, labels, steps):
    """Train the convolutions on uint8 [n, h, w, 3] and [n, h, w, 2]; return fold's arguments."""
    rng = np.random.default_rng([0, 3])
    passes = steps * BATCH // len(images) + 1
    order = np.concatenate([rng.permutation(len(images)) for _ in range(passes)])
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.set_random_seed(0)
        image = tf.placeholder(tf.float32, [None, *images.shape[1:]])
        label = tf.placeholder(tf.float32, [None, *labels.shape[1:]])
        learning_rate = tf.placeholder(tf.float32, [])
        pools, variables, moments = normalised_graph(image, random_weights())
        squares = [tf.reduce_mean(pool ** 2) for pool in pools]
        loss, fine_loss, coarse_loss = head_losses(pools, label)
        adam = tf.train.AdamOptimizer(learning_rate, beta2=0.99)
        train_op = adam.minimize(loss + 0.3 * (fine_loss + coarse_loss))
        sess.run(tf.global_variables_initializer())
        sess.graph.finalize()
        bar = tqdm(range(steps), 'Training the encoder', unit='step', dynamic_ncols=True)
        for step in bar:
            chosen = order[step * BATCH:(step + 1) * BATCH]
            mirror, gain, offset = rng.random([3, BATCH, 1, 1, 1], np.float32)
            x, y = (np.where(mirror < 0.5, array[:, :, ::-1], array)
                    for array in (images[chosen], labels[chosen]))
            # The learning rate goes up in the first fifth, then down along a cosine.
            done = step / steps
            cycle = 0.002 + min(done / 0.2, (1 + np.cos(np.pi * (done - 0.2) / 0.8)) / 2)
            _, value = sess.run([train_op, loss], {
                image: x * (0.8 + 0.4 * gain) + (40 * offset - 20), label: y,
                learning_rate: LEARNING_RATE * cycle})
            bar.set_postfix(loss=f'{value:.4f}', refresh=False)
        # The moments to keep are those of the final filters, over many unchanged images.
        found = [sess.run((moments, squares), {image: images[i:i + BATCH]})
                 for i in range(0, min(len(images), 96), BATCH)]
        moments = {name: np.mean([each[name] for each, _ in found], axis=0) for name in moments}
        return sess.run(variables), moments, np.sqrt(np.mean([each for _, each in found], axis=0))


def random_weights(widths=WIDTHS, fc_width=None, seed=0):
    """He-initialised weights, as road.network.vgg_weights.read_weights returns; all biases 0.

    widths: channels per block; fc_width: of fc6 and fc7, None leaves them out.
    """
    rng, weights = np.random.default_rng(seed), {}
    for name, shape in vgg16.shapes(bool(fc_width), widths, fc_width).items():
        if name.endswith('/biases'):
            weights[name] = np.zeros(shape, np.float32)
        else:
            deviation = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
            weights[name] = rng.standard_normal(shape, np.float32) * deviation
    return weights


def normalised_graph(image, weights):
    """The 13 convolutions of VGG16, each with batch normalisation between convolution and ReLU.

    image: float32 Tensor [n, h, w, 3], RGB, 0 to 255; weights: the start. Returns [pool3, pool4,
    pool5]; variables {'conv1_1/filter', 'conv1_1/scale', 'conv1_1/shift'} ...; the batch's moments,
    {'conv1_1': [mean, variance]} ...
    """
    moments, pools = {}, []
    x = image[..., ::-1] - tf.constant(vgg16.MEAN_BGR)
    for name in vgg16.CONVS:
        kernel = tf.get_variable(f'{name}/filter', initializer=weights[f'{name}/filter'])
        x = tf.nn.conv2d(x, kernel, strides=1, padding='SAME')
        start = weights[f'{name}/biases']
        scale = tf.get_variable(f'{name}/scale', initializer=np.ones_like(start))
        shift = tf.get_variable(f'{name}/shift', initializer=start)
        x, *moments[name] = tf.nn.fused_batch_norm(x, scale, shift, epsilon=EPSILON)
        x = tf.nn.relu(x)
        if name in LAST:
            x = tf.nn.max_pool2d(x, ksize=2, strides=2, padding='SAME')
            pools.append(x)
    variables = {variable.op.name: variable for variable in tf.trainable_variables()}
    return pools[2:], variables, moments


def head_losses(pools, label):
    """Scalar cross-entropies of three scores: all pools summed, pool3 alone, the other two.

    The second loss teaches pool3 edges before the sum has learned where the road is.
    """
    def score(number):  # [n, h, w, c] => [n, h, w, 1]
        pool, start = pools[number], tf.truncated_normal_initializer(stddev=0.05)
        kernel = tf.get_variable(f'head{number}', [1, 1, pool.shape[-1], 1], initializer=start)
        return tf.nn.conv2d(pool, kernel, 1, 'SAME')

    def enlarged(x, like):
        return tf.image.resize_bilinear(x, tf.shape(like)[1:3], half_pixel_centers=True)

    def loss(score):
        logits = enlarged(score, label)[..., 0] + bias
        per_pixel = tf.nn.sigmoid_cross_entropy_with_logits(labels=label[..., 1], logits=logits)
        return tf.reduce_sum(valid * per_pixel) / tf.reduce_sum(valid)

    fine, middle, coarse = score(0), score(1), score(2)
    bias = tf.get_variable('head_bias', [], initializer=tf.zeros_initializer())
    valid = tf.reduce_sum(label, axis=-1)
    others = enlarged(enlarged(coarse, middle) + middle, fine)
    return loss(others + fine), loss(fine), loss(others)


def fold(values, moments, sizes):
    """Float32 weights with which vgg16.build_graph computes what normalised_graph computes.

    values, moments: of the variables and moments that normalised_graph returns; sizes: root mean
    squares of pool3, pool4 and pool5, which are scaled to POOL_SIZES.
    """
    scales = {name: new / old for name, new, old in zip(LAST[2:], POOL_SIZES, sizes)}
    weights, before = {}, 1.0
    for name in vgg16.CONVS:
        mean, variance = moments[name]
        factor = values[f'{name}/scale'] / np.sqrt(variance + EPSILON)
        # ReLU and max pooling pass a positive factor on; the next convolution takes it back.
        after = scales.get(name, 1.0)
        weights[f'{name}/filter'] = np.float32(values[f'{name}/filter'] * factor * (after / before))
        weights[f'{name}/biases'] = np.float32((values[f'{name}/shift'] - mean * factor) * after)
        before = after
    return weights


if __name__ == '__main__':
    main()
