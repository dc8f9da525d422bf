"""Draw the pictures in imgs/ from the program itself.

    python main.py --sample --name figures     # publish pictures of drawn scenes only
    python tools/figures.py runs/figures       # half a minute
"""

import argparse
import os
import sys

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps
from scipy.special import softmax

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import main
from road.data import images
from road.network import vgg16
from road.network.tf1 import tf
from road.runs import run_folder
from road.scoring.scorers import TwoClassScorer

# Minutes and MaxF on all of KITTI Road: seed 0, last epoch, 2 cores of an AMD EPYC with bfloat16.
PRESETS = ((3.5, 91.39, 'default'), (5.6, 94.46, '--preset quick'),
           (18.8, 95.56, '--preset laptop'), (49, 95.89, '--preset best'))
PUBLISHED = ((96.04, 'published, trained on a GPU: KittiSeg 96.04, MultiNet 96.00'), (96.00, ''),
             (80.9, 'mean road mask of the training images: 80.9'))
GREY, SKIP, WINDOW = '#616e7c', '#8a4fbf', '#d95f02'
FROZEN, FROZEN_DARK, TRAINED, TRAINED_DARK = '#cfe1f7', '#a3c5ee', '#cdebd2', '#96d3a2'
TITLE = {'size': 9.5, 'weight': 'bold'}
plt.rcParams.update({'backend': 'Agg', 'font.size': 8, 'text.color': '#1f2933', 'savefig.dpi': 200})


def times(*shape):
    return ' × '.join(map(str, shape))


def draw_network(image, painted):
    """network.png: every layer with its shape, the skips, what is frozen and what is trained."""
    ax = plt.figure(figsize=(9, 4.3)).add_axes([0, 0, 1, 1], xlim=(-0.5, 7.7), ylim=(4.7, 0))
    ax.axis('off')

    def arrow(start, end, colour=GREY, line='arc3'):
        ax.annotate('', end, start, arrowprops={
            'arrowstyle': '-|>,head_width=0.25,head_length=0.5', 'connectionstyle': line,
            'color': colour, 'linewidth': 1.4, 'shrinkA': 0, 'shrinkB': 0})

    def layer(column, row, text, stride, channels=2, colour=TRAINED):
        ax.bar(column, 0.74, 0.88, row - 0.37, color=colour)
        ax.text(column, row, f'{text}\n{times(160 // stride, 576 // stride, channels)}',
                ha='center', va='center', linespacing=1.35)

    with tf.Graph().as_default():
        main.layers(*(tf.zeros([1, 8, 8, channels]) for channels in (256, 512, 4096)), 2)
        decoder = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
    encoder = sum(map(np.prod, vgg16.shapes(with_top=True).values()))
    ax.bar([4.05, 4.05], 2.05, 7.1, [0.1, 2.55], color=[FROZEN, TRAINED], alpha=0.35, zorder=-1)
    ax.text(0.6, 0.35, f'VGG16 encoder, frozen: {encoder:,} parameters', **TITLE)
    ax.text(0.6, 2.9, f'FCN-8s decoder, trained:\n{decoder:,} parameters', **TITLE)
    for block, (count, channels) in enumerate(zip(vgg16.BLOCKS, vgg16.WIDTHS), 1):
        convs = '\n'.join(f'conv{block}_{i}' for i in range(1, count + 1))
        layer(block, 0.9, convs, 2 ** (block - 1), channels, FROZEN)
        layer(block, 1.7, f'pool{block}', 2 ** block, channels, FROZEN_DARK)
    layer(6, 0.9, 'fc6, dropout\n7×7 convolution', 32, 4096, FROZEN)
    layer(7, 0.9, 'fc7, dropout\n1×1 convolution', 32, 4096, FROZEN)
    layer(7, 4.1, 'score_fr\n1×1 convolution', 32)
    layer(6, 4.1, 'upscore2\n2× upsampling', 16)
    layer(5, 4.1, 'fuse_pool4\nsum', 16, colour=TRAINED_DARK)
    layer(4, 4.1, 'upscore_pool4\n2× upsampling', 8)
    layer(3, 4.1, 'fuse_pool3\nsum', 8, colour=TRAINED_DARK)
    layer(2, 4.1, 'upscore8\n8× upsampling', 1)
    for column in range(7):
        arrow((column + 0.44, 0.9), (column + 0.56, 0.9))
    for column in range(2, 8):
        arrow((column - 0.44, 4.1), (column - 0.56, 4.1))
    arrow((7, 1.27), (7, 3.73))
    for block, stride, scale in (3, 8, main.POOL3_SCALE), (4, 16, main.POOL4_SCALE):
        layer(block, 3, f'score_pool{block}\n1×1 convolution', stride)
        arrow((block, 2.07), (block, 2.63), SKIP)
        ax.text(block + 0.07, 2.4, f'skip × {scale:g}', color=SKIP)
    arrow((3, 3.37), (3, 3.73), SKIP)
    arrow((4.44, 3), (5, 3.73), SKIP, 'angle,angleA=0,angleB=90,rad=0')
    for x, y, name, picture in (0, 0.9, 'image', image), (1, 4.1, 'softmax: road', painted):
        ax.imshow(picture, extent=(x - 0.44, x + 0.44, y + 0.16, y - 0.16), aspect='auto')
        ax.text(x, y - 0.25, name, ha='center', weight='bold')
    plt.savefig('imgs/network.png')


def draw_conv1x1(image):
    """conv1x1.png: fully connected layers as convolutions, for images of three sizes."""
    ax = plt.figure(figsize=(9, 3.5)).add_axes([0, 0, 1, 1], xlim=(0, 167), ylim=(63, 0))
    ax.axis('off')
    for y, (height, width), answers, text in (
            (7, (7, 7), (1, 1), 'Fully connected: 25,088 inputs, so one image size and one answer'),
            (27, (5, 18), (5, 18), 'The same weights as convolutions: an answer for each position'),
            (45, (12, 39), (12, 39), 'A larger image has more (outlined: one 7 × 7 window)')):
        ax.text(3, y - 4, text, **TITLE)
        ax.imshow(image, extent=(3, 3 + width / 2, y + height / 2, y), aspect='auto')
        ax.text(3, y + height + 4, f'image: {times(32 * height, 32 * width, 3)}')
        for x, name, (rows, wide), channels, colours, window in (
                (30, 'pool5', (height, width), 512, 'Blues', 7),
                (77, 'fc6, fc7', answers, 4096, 'Blues', 1),
                (124, 'score_fr', answers, 2, 'Greens', 1)):
            top = y + (height - rows) / 2
            ax.pcolor(x + np.arange(wide + 1), top + np.arange(rows + 1), np.ones([rows, wide]),
                      cmap=colours, vmin=0, vmax=2.8, edgecolors='white')
            corner = x + wide // 2 - window // 2, top + rows // 2 - window // 2
            ax.add_patch(plt.Rectangle(corner, window, window, color=WINDOW, fill=window == 1))
            ax.text(x, y + height + 4, f'{name}: {times(rows, wide, channels)}')
    plt.savefig('imgs/conv1x1.png')


def draw_upsampling():
    """upsampling.png: an input, the bilinear kernels, and what transposed convolutions give."""
    small = np.float32([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    figure, axes = plt.subplots(2, 3, figsize=(9, 5.8), width_ratios=(5, 5, 10), layout='tight')
    figure.supxlabel('Outlined: the share of one input pixel; shares add up', color=WINDOW)
    for row, name, stride in zip(axes, ('upscore2', 'upscore8'), (2, 8)):
        kernel = main.bilinear_kernel(2 * stride, 1)
        with tf.Graph().as_default(), tf.Session() as sess:
            large = sess.run(tf.nn.conv2d_transpose(
                small[np.newaxis, ..., np.newaxis], kernel, (1, 4 * stride, 5 * stride, 1), stride))
        for ax, values, title, (left, top, side) in zip(  # of what is outlined
                row, (small, kernel[..., 0, 0], large[0, ..., 0]),
                ('input', '∗ kernel', f'= {name}, stride {stride}'),
                ((2, 1, 1), (0, 0, 2 * stride), (1.5 * stride, 0.5 * stride, 2 * stride))):
            ax.imshow(values, cmap='Blues', vmin=0, vmax=1.3)
            ax.set_title(f'{title}: {times(*values.shape)}', **TITLE)
            ax.set(xticks=[], yticks=[])
            ax.add_patch(plt.Rectangle((left - 0.5, top - 0.5), side, side, color=WINDOW,
                                       fill=False, linewidth=1.6, clip_on=False, zorder=3))
            if values.size <= 80:
                for (i, j), value in np.ndenumerate(values):
                    ax.text(j, i, f'{value:.2f}', color='white' if value > 0.7 else 'black',
                            ha='center', va='center', size=7)
    plt.savefig('imgs/upsampling.png')


def draw_skips(folder):
    """skips.png: a run's validation frames predicted with no skip, with one, and with both."""
    names = 'score_fr alone (stride 32)', '+ score_pool4 (stride 16)', '+ score_pool3 (stride 8)'
    scorers = [TwoClassScorer() for _ in names]
    roads = [None] * 3  # of the last frame, with no skip, one and both
    with main.open_run(folder) as (run, predictor, sess, model, *_):
        data = run_folder.find_dataset(run)
        for frame in data.named(run.validation):
            image, label = images.read_image(frame.image), data.read_label(frame.label)
            small = images.resize_image(image, predictor.image_shape, light=predictor.light)
            size = np.array(small.shape[:2])
            zeros = [(f'decoder/score_{pool}/BiasAdd:0', np.zeros([1, *size // stride, 2]))
                     for pool, stride in (('pool4', 16), ('pool3', 8))]
            for i in range(3):  # how many skips are used; zeros replace the others
                fed = {model.image_input: [small], model.keep_prob: 1, **dict(zeros[i:])}
                found = softmax(sess.run(model.logits, fed), axis=-1).reshape(*size, 2)
                scorers[i].add([(frame, label, found)])
                roads[i] = images.resize_confidence(found, label.shape)[..., 1]
    _, axes = plt.subplots(2, 2, figsize=(9, 3.5), layout='tight')
    titles = [f'{name}: validation IoU {scorer.scores()["IoU"]:.1%}'
              for name, scorer in zip(names, scorers)]
    for ax, values, title in zip(axes.flat, (image, *roads), ('white: edge of the label', *titles)):
        ax.imshow(values, vmin=0, vmax=1, aspect='auto')
        ax.contour(label == 1, [0.5], colors='white', linewidths=0.7)
        ax.set_title(title, **TITLE)
        ax.axis('off')
    plt.savefig('imgs/skips.png')


def draw_minutes():
    """minutes.png: MaxF of the presets over their minutes, with published scores."""
    _, ax = plt.subplots(figsize=(9, 4), layout='tight')
    for minutes, MaxF, name in PRESETS:
        ax.plot(minutes, MaxF, 'o', color=WINDOW, zorder=3)
        ax.text(minutes, MaxF - 0.5, f'{name}\n{MaxF} in {minutes} min', ha='center', va='top')
    for MaxF, name in PUBLISHED:
        ax.axhline(MaxF, color=GREY, linewidth=0.8, linestyle='--')
        ax.text(1.05, MaxF + 0.25, name, color=GREY)
    ax.set(xscale='log', xlim=(1, 100), xlabel='minutes on 2 CPU cores, the whole command',
           ylim=(80, 98), ylabel='MaxF, per cent')
    ax.set_xticks([1, 10, 100], ['1', '10', '100'])
    plt.savefig('imgs/minutes.png')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('run', metavar='RUN', help='folder of a complete run')
    run = parser.parse_args().run
    painted = [Image.open(f'{run}/images/{name}') for name in sorted(os.listdir(f'{run}/images'))]
    data = run_folder.find_dataset(run_folder.load(run))
    image = images.read_image(data.testing[0].image)
    draw_network(image, painted[0])
    draw_conv1x1(image)
    draw_upsampling()
    draw_skips(run)
    draw_minutes()
    tiles = [ImageOps.expand(each.resize((496, 150)), 4, 'white') for each in painted[::3]]
    sheet = np.vstack([np.hstack(tiles[i:i + 2]) for i in range(0, len(tiles), 2)])
    Image.fromarray(sheet).save('imgs/results.png', optimize=True)
