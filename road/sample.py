"""The sample's encoder: a narrow VGG16, trained on drawn scenes in about a minute.

    make_encoder('data/sample/vgg')          # a SavedModel for main.load_vgg, like the one with ImageNet's weights

ImageNet's weights cannot be had without a download, and behind random ones the decoder's 1x1 convolutions find no road
edge. So the thirteen convolutions are trained here, with batch normalisation and a head as simple as can be, on scenes
of another seed than the sample's own. The head is then thrown away and the normalisation folded into filters and biases
(it is one factor and one summand a channel). What remains is a VGG16 like any other, which the run loads, freezes and
trains a decoder on.
"""

import os
import shutil

import numpy as np
from tqdm import tqdm

from road import kitti, scenery, scenes, vgg16
from road.ahead import map_ahead
from road.errors import InputError
from road.scores import CATEGORIES
from road.tf1 import tf

VERSION = 1  # raise it with every change of the training: an encoder of an older version is made again
SHAPE = (96, 320)  # images, pixels; the sample's own --image-size, so that roads have the size the encoder knows
RATE = 0.015  # Adam's learning rate at its highest
EPSILON = 1e-3  # added to a channel's variance
# Root mean squares of pool3, pool4, pool5. The decoder multiplies the first two by 0.0001 and 0.01; the largest
# activations are about ten times as large, and should stay below float16's 65,504.
SIZES = (3000.0, 100.0, 1.0)


def make_encoder(vgg_dir, *, count=180, steps=550, batch_size=8, seed=0, config=None):
    """Train the encoder and write its graph, unless the folder holds one made with the same arguments.

    Args:
        vgg_dir: the folder; a graph appears there only when it is whole.
        count: scenes to train on.
        config: tf.ConfigProto of the session.
    Raises:
        InputError: the folder holds something that was not made here.
    """
    source = f'road/sample.py version {VERSION}, scenes {scenes.VERSION}: {count=} {steps=} {batch_size=} {seed=}'
    made = vgg16.read_source(vgg_dir)
    if made == source:
        return
    if os.path.lexists(vgg_dir) and not str(made).startswith('road/sample.py'):
        raise InputError(f'{vgg_dir}: expected nothing there yet, or the encoder of a sample; move it away')
    images, labels = draw(count, seed)
    weights = fold(*train(images, labels, steps, batch_size, seed, config))
    if made:
        shutil.rmtree(vgg_dir)
    vgg16.save_graph(weights, vgg_dir, source)


def draw(count, seed):
    """Draw scenes: uint8 images [count, *SHAPE, 3] and labels [count, *SHAPE, 2] as road.kitti.resize_label gives."""
    def example(number):
        rng = np.random.default_rng([seed, 2, number])  # the sample's own have 0 or 1 there, see scenes.write_frame
        image, label, _ = scenes.draw_scene(rng, CATEGORIES[number % 3])
        return kitti.resize_image(image, SHAPE), kitti.resize_label(label[..., 2] > 0, label[..., 0] > 0, SHAPE)

    scenery.make_textures()
    drawn = tqdm(map_ahead(example, range(count)), total=count, desc='Drawing scenes for the encoder', unit='scene')
    return tuple(map(np.stack, zip(*drawn)))


def train(images, labels, steps, batch_size, seed, config=None):
    """Train the convolutions on uint8 images [n, h, w, 3] and labels [n, h, w, 2]; returns what fold takes."""
    rng = np.random.default_rng([seed, 3])
    order = np.concatenate([rng.permutation(len(images)) for _ in range(steps * batch_size // len(images) + 1)])
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        tf.set_random_seed(seed)
        image, label = (tf.placeholder(tf.float32, [None, *a.shape[1:]]) for a in (images, labels))
        rate = tf.placeholder(tf.float32, [])
        pools, variables, moments = normalised_graph(image, vgg16.random_weights(seed=seed))
        squares = [tf.reduce_mean(pool ** 2) for pool in pools]
        losses = head_losses(pools, label)
        train_op = tf.train.AdamOptimizer(rate, beta2=0.99).minimize(losses[0] + 0.3 * (losses[1] + losses[2]))
        sess.run(tf.global_variables_initializer())
        sess.graph.finalize()
        with tqdm(total=steps * batch_size, desc='Training the encoder', unit='image', dynamic_ncols=True) as bar:
            for step in range(steps):
                chosen = order[step * batch_size:(step + 1) * batch_size]
                mirror, gain, offset = rng.random([3, batch_size, 1, 1, 1], np.float32)
                x, y = (np.where(mirror < 0.5, a[:, :, ::-1], a) for a in (images[chosen], labels[chosen]))
                x = x * (0.8 + 0.4 * gain) + (40 * offset - 20)
                _, loss = sess.run([train_op, losses[0]], {image: x, label: y, rate: RATE * one_cycle(step / steps)})
                bar.set_postfix(loss=f'{loss:.4f}', refresh=False)
                bar.update(batch_size)
        # The means and variances to keep are those of the final filters, over many images as they are.
        found = [sess.run((moments, squares), {image: images[i:i + 8]}) for i in range(0, min(len(images), 96), 8)]
        moments = {name: np.mean([each[name] for each, _ in found], axis=0) for name in moments}
        return sess.run(variables), moments, np.sqrt(np.mean([each for _, each in found], axis=0))


def one_cycle(progress):
    """Share of the highest learning rate: up in the first fifth, then down along a cosine."""
    return progress / 0.2 + 0.002 if progress < 0.2 else 0.002 + (1 + np.cos(np.pi * (progress - 0.2) / 0.8)) / 2


def normalised_graph(image, weights, moments=None):
    """The thirteen convolutions of VGG16, each with batch normalisation between convolution and ReLU.

    Args:
        image: float32 Tensor [n, h, w, 3], RGB, 0 to 255.
        weights: dict of float32 arrays as road.vgg16.random_weights gives, to start with.
        moments: {'conv1_1': (mean, variance)} ... to normalise with; where there are none, the batch's own.
    Returns:
        (pools, variables, moments): pool3, pool4, pool5; {'conv1_1/filter', 'conv1_1/scale', 'conv1_1/shift': variable}
        ...; {'conv1_1': Tensor [2, channels]} ..., the moments used.
    """
    variables, used, pools = {}, {}, []

    def variable(name, value):
        variables[name] = tf.get_variable(name, initializer=tf.constant(value))
        return variables[name]

    x = image[..., ::-1] - tf.constant(vgg16.MEAN_BGR)
    for name in vgg16.CONVS:
        x = tf.nn.conv2d(x, variable(f'{name}/filter', weights[f'{name}/filter']), strides=1, padding='SAME')
        start = weights[f'{name}/biases']
        scale, shift = variable(f'{name}/scale', np.ones_like(start)), variable(f'{name}/shift', start)
        mean, variance = moments[name] if moments else (None, None)
        x, mean, variance = tf.nn.fused_batch_norm(x, scale, shift, mean, variance, EPSILON, is_training=not moments)
        used[name] = tf.stack([mean, variance])
        x = tf.nn.relu(x)
        if is_last(name):
            x = tf.nn.max_pool2d(x, ksize=2, strides=2, padding='SAME')
            pools.append(x)
    return pools[2:], variables, used


def is_last(name):
    """Whether a convolution is its block's last."""
    return int(name[6]) == vgg16.BLOCKS[int(name[4]) - 1]


def head_losses(pools, label):
    """Cross-entropies, scalar Tensors: of the three pools' summed scores, of pool3's score alone, and of the others'.

    The second loss teaches pool3 edges before the sum has learned where the road is.
    """
    fine, middle, coarse = (  # [n, h, w, c] => [n, h, w, 1]
        tf.nn.conv2d(pool, tf.get_variable(f'head{i}', [1, 1, pool.shape[-1], 1],
                                           initializer=tf.truncated_normal_initializer(stddev=0.05)), 1, 'SAME')
        for i, pool in enumerate(pools))
    bias = tf.get_variable('head_bias', [], initializer=tf.zeros_initializer())
    counts = tf.reduce_sum(label, axis=-1)

    def enlarged(x, like):
        return tf.image.resize_bilinear(x, tf.shape(like)[1:3], half_pixel_centers=True)

    def loss(score):
        logits = enlarged(score, label)[..., 0] + bias
        per_pixel = tf.nn.sigmoid_cross_entropy_with_logits(labels=label[..., 1], logits=logits)
        return tf.reduce_sum(counts * per_pixel) / tf.reduce_sum(counts)

    others = enlarged(enlarged(coarse, middle) + middle, fine)
    return loss(others + fine), loss(fine), loss(others)


def fold(values, moments, sizes):
    """Weights for road.vgg16.build_graph that give what normalised_graph gives, times SIZES / sizes at pool3 to pool5.

    Args:
        values: {'conv1_1/filter', 'conv1_1/scale', 'conv1_1/shift': array} ...
        moments: {'conv1_1': (mean, variance)} ...
        sizes: root mean squares of pool3, pool4 and pool5.
    """
    weights, before = {}, 1.0
    for name in vgg16.CONVS:
        mean, variance = moments[name]
        factor = values[f'{name}/scale'] / np.sqrt(variance + EPSILON)
        # ReLU and max pooling pass a positive factor on; the next convolution takes it back.
        block = int(name[4])
        after = SIZES[block - 3] / sizes[block - 3] if is_last(name) and block >= 3 else 1.0
        weights[f'{name}/filter'] = np.float32(values[f'{name}/filter'] * factor * (after / before))
        weights[f'{name}/biases'] = np.float32((values[f'{name}/shift'] - mean * factor) * after)
        before = after
    return weights
