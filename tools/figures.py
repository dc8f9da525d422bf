"""Draw the pictures in imgs/ from the program itself.

    python tools/figures.py                 # trains on the sample first; two minutes or less
    python tools/figures.py --run runs/x    # of a complete run

Shapes, kernels and numbers of weights are read from graphs that the program builds. Publish
pictures of `main.py --sample` only.
"""

import argparse
import glob
import itertools
import math
import os
import re
import shutil
import sys
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image, ImageOps

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import main
from road.data import images
from road.data.dataset import evenly_spaced
from road.network import vgg16
from road.network.predictor import Predictor
from road.network.tf1 import tf
from road.runs import run_folder
from road.runs.painting import class_colours, paint
from road.scoring.scorers import TwoClassScorer

plt.switch_backend('Agg')  # draws into files, without a screen
IMGS = os.path.join(os.path.dirname(main.__file__), 'imgs')
EXPERIMENTS = os.path.join(os.path.dirname(main.__file__), 'docs', 'experiments.md')
IMAGE_SHAPE = (160, 576)  # of the image in network.png and conv1x1.png

INK, GREY = '#1f2933', '#616e7c'
FROZEN, FROZEN_DARK, FROZEN_PANEL = '#cfe1f7', '#a3c5ee', '#eef5fd'
TRAINED, TRAINED_DARK, TRAINED_PANEL = '#cdebd2', '#96d3a2', '#eff9f1'
SKIP, WINDOW, PANEL = '#8a4fbf', '#d95f02', '#f5f7fa'


def network(image_shape):
    """For one image: (function from an operation's name to its [h, w, c], {variable: shape})."""
    shapes = vgg16.shapes(with_top=True)
    weights = {name: np.broadcast_to(np.float32(0), size) for name, size in shapes.items()}
    with tf.Graph().as_default() as graph:
        vgg16.build_graph(weights)
        layers = (graph.get_tensor_by_name(name) for name in vgg16.TENSORS[2:])
        main.layers(*layers, 2)
        variables = {v.op.name: tuple(v.shape.as_list()) for v in tf.trainable_variables()}
    with tf.Graph().as_default() as sized:  # the same graph behind an image of known size
        image = tf.placeholder(tf.float32, [1, *image_shape, 3], name='image')
        tf.import_graph_def(graph.as_graph_def(), {'image_input:0': image}, name='')
    return lambda name: tuple(sized.get_tensor_by_name(f'{name}:0').shape[1:].as_list()), variables


def times(shape):
    return ' × '.join(map(str, shape))


def canvas(height):
    """A white figure of 900 by `height` units, y downwards."""
    figure = plt.figure(figsize=(9, height / 100), dpi=200, facecolor='white')
    ax = figure.add_axes([0, 0, 1, 1])
    ax.set(xlim=(0, 900), ylim=(height, 0))
    ax.axis('off')
    return ax


def box(ax, x, y, width, height, colour, text=''):
    style = 'round,pad=0,rounding_size=5'
    ax.add_patch(FancyBboxPatch((x, y), width, height, style, color=colour, linewidth=0))
    write(ax, x + width / 2, y + height / 2, text)


def write(ax, x, y, text, *, size=8, colour=INK, align='center', **style):
    ax.text(x, y, text, size=size, color=colour, ha=align, va='center', linespacing=1.35, **style)


def title(ax, x, y, text, size=9.5, align='left'):
    write(ax, x, y, text, size=size, align=align, weight='bold')


def arrow(ax, *points, colour=GREY):
    """A line through the points with a head at the last."""
    *points, before, end = points
    ax.plot(*zip(*points, before), color=colour, linewidth=1.4, solid_capstyle='butt')
    style = {'arrowstyle': '-|>,head_width=0.25,head_length=0.5', 'linewidth': 1.4}
    ax.annotate('', end, before, arrowprops={**style, 'color': colour, 'shrinkA': 0, 'shrinkB': 0})


def outline(ax, x, y, width, height, color=GREY, linewidth=0.6, zorder=3, fill=False):
    style = {'color': color, 'linewidth': linewidth, 'zorder': zorder}
    ax.add_patch(Rectangle((x, y), width, height, fill=fill, **style))


def picture(ax, image, x, y, width, height, **style):
    ax.imshow(image, extent=(x, x + width, y + height, y), aspect='auto', zorder=2, **style)
    outline(ax, x, y, width, height)


def save(name):
    plt.savefig(os.path.join(IMGS, name))
    plt.close()


def draw_network(image, confidence):
    """network.png: every layer with its shape, the skips, what is frozen and what is trained."""
    shape, variables = network(IMAGE_SHAPE)
    decoder = sum(math.prod(size) for name, size in variables.items() if 'decoder/' in name)
    encoder = sum(map(math.prod, variables.values())) - decoder
    ax = canvas(396)
    pitch, width, top, split, bottom = 111, 98, 42, 128, 170
    left = [8 + pitch * i for i in range(8)]
    middle = [x + width / 2 for x in left]
    box(ax, left[1] - 8, 6, 900 - left[1] + 4, 180, FROZEN_PANEL)
    title(ax, left[1] + 2, 24, f'VGG16 encoder, frozen: {encoder:,} parameters')
    box(ax, left[1] - 8, 232, 900 - left[1] + 4, 158, TRAINED_PANEL)
    title(ax, left[1] + 2, 262, f'FCN-8s decoder, trained:\n{decoder:,} parameters')

    # the encoder, from left to right: names, shape, what is below
    columns = []
    for block, count in enumerate(vgg16.BLOCKS, 1):
        convs = [f'conv{block}_{i}' for i in range(1, count + 1)]
        pool = f'pool{block}\n{times(shape(f"pool{block}"))}'
        columns.append(('\n'.join(convs), shape(f'{convs[-1]}/Relu'), pool))
    for name in ('fc6', 'fc7'):
        side = variables[f'{name}/weights'][0]
        columns.append((f'{name}\n{side}×{side} convolution', shape(f'{name}/Relu'), 'dropout'))
    for i, (names, size, below) in enumerate(columns, 1):
        box(ax, left[i], top, width, bottom - top, FROZEN)
        box(ax, left[i], split, width, bottom - split, FROZEN_DARK, below)
        write(ax, middle[i], (top + split) / 2, f'{names}\n{times(size)}')
        arrow(ax, (left[i - 1] + width, 85), (left[i], 85))
    picture(ax, image, left[0], 71, width, 28)
    title(ax, middle[0], 57, 'image', 9, 'center')
    write(ax, middle[0], 112, times(shape('image')))

    # the decoder, from right to left: layer, column, row
    rows, high = (244, 328), 52
    for i, layer in ((7, 'score_fr'), (6, 'upscore2'), (5, 'fuse_pool4'), (4, 'upscore_pool4'),
                     (4, 'score_pool4'), (3, 'fuse_pool3'), (3, 'score_pool3'), (2, 'upscore8')):
        side, y = variables.get(f'decoder/{layer}/kernel', [0])[0], rows[layer[:7] != 'score_p']
        detail, output, colour = {  # an upsampling's kernel is twice its stride
            's': (f'{side}×{side} convolution', '/BiasAdd', TRAINED),
            'u': (f'{side // 2}× upsampling', '/conv2d_transpose', TRAINED),
            'f': ('sum', '', TRAINED_DARK)}[layer[0]]
        text = f'{layer}\n{detail}\n{times(shape(f"decoder/{layer}{output}"))}'
        box(ax, left[i], y, width, high, colour, text)
    line, side = rows[1] + high / 2, rows[0] + high / 2
    arrow(ax, (middle[7], bottom), (middle[7], rows[1]))
    for i in range(7, 2, -1):
        arrow(ax, (left[i], line), (left[i - 1] + width, line))
    for i, scale in ((3, main.POOL3_SCALE), (4, main.POOL4_SCALE)):
        arrow(ax, (middle[i], bottom), (middle[i], rows[0]), colour=SKIP)
        write(ax, middle[i] + 7, 209, f'× {scale:g}', align='left', colour=SKIP, size=9)
    arrow(ax, (middle[3], rows[0] + high), (middle[3], rows[1]), colour=SKIP)
    arrow(ax, (left[4] + width, side), (middle[5], side), (middle[5], rows[1]), colour=SKIP)
    write(ax, middle[2] + 20, 209, 'skips', align='right', colour=SKIP, size=9)
    arrow(ax, (left[2], line), (left[0] + width, line))
    write(ax, middle[1], line - 11, 'softmax')
    picture(ax, paint(image, confidence), left[0], line - 14, width, 28)
    title(ax, middle[0], line - 28, 'road', 9, 'center')
    write(ax, middle[0], line + 27, times(shape('image')[:2]))
    save('network.png')


def draw_conv1x1(image):
    """conv1x1.png: fully connected layers as convolutions, for images of three sizes."""
    kernel = vgg16.shapes(with_top=True)['fc6/weights']
    classic = (kernel[0] * images.STRIDE,) * 2  # the size whose pool5 is as large as fc6's kernel
    ax, cell, columns = canvas(426), 5.3, (20, 150, 400, 650)
    for x, head in zip(columns, ('image', 'pool5', 'fc6, fc7', 'score_fr')):
        title(ax, x, 20, head, 10)
    note = f'outlined: what one {times(kernel[:2])} window sees'
    write(ax, columns[1], 38, note, colour=WINDOW, align='left')

    def grid(x, y, size, colour, window):
        """A cell per position; `window` cells around the middle one are outlined."""
        for i, j in np.ndindex(size[:2]):
            place = x + j * cell, y + i * cell
            ax.add_patch(Rectangle(place, cell, cell, facecolor=colour, edgecolor='white', lw=0.5))
        top, left, side = (*(n // 2 - window // 2 for n in size[:2]), window * cell)
        outline(ax, x + left * cell, y + top * cell, side, side, WINDOW, 1.4, 1, window == 1)

    y, inputs = 56, f'{math.prod(kernel[:3]):,} inputs'
    for image_shape, text in (
            (classic, f'Fully connected: {inputs}, so one image size and one answer'),
            (IMAGE_SHAPE, 'The same weights as convolutions: an answer for each position'),
            (images.network_shape((375, 1242)), 'A larger image has more positions')):
        shape, _ = network(image_shape)
        sizes = [shape(name) for name in ('image', 'pool5', 'fc7/Relu', 'decoder/score_fr/BiasAdd')]
        rows, wide = sizes[1][:2]
        if image_shape == classic:  # a fully connected layer has no positions
            sizes[2:] = [(1, 1, size[-1]) for size in sizes[2:]]
        height, top = rows * cell, y + 38
        box(ax, 8, y, 884, height + 72, PANEL)
        title(ax, columns[0], y + 17, text, 9)
        picture(ax, image, columns[0], top + height * 0.28, wide * cell * 0.44, height * 0.44)
        grid(columns[1], top, sizes[1], FROZEN_DARK, kernel[0])
        for x, size, colour in zip(columns[2:], sizes[2:], (FROZEN_DARK, TRAINED_DARK)):
            grid(x, top + (rows - size[0]) / 2 * cell, size, colour, 1)
        for x, size in zip(columns, sizes):
            write(ax, x, top + height + 19, times(size), align='left')
        y += height + 82
    save('conv1x1.png')


def draw_upsampling():
    """upsampling.png: an input, the bilinear kernels, and what transposed convolutions give."""
    small = np.float32([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    row, column = 1, 2  # the pixel whose share of the output is outlined
    ax = canvas(580)

    def cells(values, name, x, middle, cell, outlined, text):
        """Values as cells with their text; `outlined` is (top, left, side) in cells."""
        height, width = values.shape
        y = middle - height * cell / 2
        picture(ax, values, x, y, width * cell, height * cell, cmap='Blues', vmin=0, vmax=1.3)
        title(ax, x, y - 12, f'{name}: {times(values.shape)}')
        for (i, j), value in np.ndenumerate(values) if text else ():
            ink, left, top = 'white' if value > 0.7 else INK, x + j * cell, y + i * cell
            write(ax, left + cell / 2, top + cell / 2, text(float(value)), size=7.5, colour=ink)
        top, left, side = (part * cell for part in outlined)
        outline(ax, x + left, y + top, side, side, WINDOW, 1.6, zorder=4)

    decimals = '{:.2f}'.format  # upscore8 has too many cells for text
    for layer, stride, middle, text in ('upscore2', 2, 150, decimals), ('upscore8', 8, 422, None):
        size, (height, width) = 2 * stride, small.shape
        kernel = main.bilinear_kernel(size, 1)
        shape = 1, height * stride, width * stride, 1
        with tf.Graph().as_default(), tf.Session() as sess:
            x = small[np.newaxis, ..., np.newaxis]
            x = tf.nn.conv2d_transpose(x, kernel, shape, strides=stride, padding='SAME')
            large = sess.run(x)[0, ..., 0]
        share = (stride * row - stride // 2, stride * column - stride // 2, size)
        cells(small, 'input', 60, middle, 30, (row, column, 1), '{:.0f}'.format)
        cells(kernel[..., 0, 0], 'kernel', 310, middle, 144 / size, (0, 0, size), text)
        cells(large, f'{layer}, stride {stride}', 550, middle, 60 / stride, share, text)
        arrow(ax, (494, middle), (532, middle))
        write(ax, 260, middle, '∗', size=16, colour=GREY)
    note = 'Outlined: the share of one input pixel. Where shares overlap, they add up.'
    write(ax, 450, 563, note, colour=WINDOW, size=9)
    save('upsampling.png')


def predict_without_skips(folder):
    """Predict a run's validation frames with no skip, with one, and with both.

    Returns the last frame's image, painted label, road and three confidences, three IoUs, frame
    count.
    """
    scorers = [TwoClassScorer() for _ in range(3)]
    with main.open_run(folder) as (run, predictor, sess, model, *_):
        data = run_folder.find_dataset(run)
        frames = data.named(run.validation)
        names = [f'decoder/score_{pool}/BiasAdd:0' for pool in ('pool4', 'pool3')]
        skips = list(map(sess.graph.get_tensor_by_name, names))
        for frame in frames:
            image, label = images.read_image(frame.image), data.read_label(frame.label)
            small = images.resize_image(image, predictor.image_shape, predictor.seen)
            values = predictor.encode(small[np.newaxis])
            zeros = [0 * value for value in sess.run(skips, {model.features: values})]
            confidences = []
            for i in range(3):  # how many skips are used; zeros replace the others
                part = Predictor(sess, model.logits, model.keep_prob,
                                 (*model.features, *skips[i:]), predictor.image_shape)
                confidence, = part.confidences((*values, *zeros[i:]))
                confidences.append(images.resize_confidence(confidence, label.shape))
                scorers[i].add([(frame, label, confidences[i])])
    ious = [scorer.scores()['IoU'] for scorer in scorers]
    painted_label = class_colours(label, run.classes)
    return image, painted_label, label == 1, confidences, ious, len(frames)


def draw_skips(image, label, road, confidences, ious, frames):
    figure, axes = plt.subplots(3, 2, figsize=(9, 5.16), dpi=150, facecolor='white')
    figure.subplots_adjust(left=0.006, right=0.994, bottom=0.085, top=0.95, wspace=0.02, hspace=0.2)
    heads = ('score_fr alone (stride 32)', '+ score_pool4 (stride 16)', '+ score_pool3 (stride 8)')
    heads = [f'{head}: IoU {iou:.1%}' for head, iou in zip(heads, ious)]
    shown = [(image, 'image'), (label, 'label: magenta is road'), *zip(confidences, heads),
             (paint(image, confidences[-1]), 'painted')]
    for ax, (values, head) in zip(axes.flat, shown):
        ax.imshow(values, cmap='viridis', vmin=0, vmax=1, aspect='auto')
        ax.set_title(head, size=9.5, color=INK, pad=4, weight='bold')
        ax.axis('off')
        if values.ndim == 2:
            ax.contour(road, [0.5], colors='white', linewidths=0.7)
    note = f'white: edge of the label     IoU: over {frames} validation frames'
    figure.text(0.994, 0.045, note, size=8, color=INK, ha='right')
    save('skips.png')


def read_minutes(path):
    """The first table of docs/experiments.md with minutes: [(setting, MaxF, minutes or None)]."""
    with open(path, encoding='utf-8') as file:
        lines = itertools.dropwhile(
            lambda line: not re.fullmatch(r'\| setting .* minutes \|\n', line), file)
        lines = list(itertools.takewhile(str.strip, lines))[2:]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    return [(name, float(MaxF), float(cells[-1]) if cells[-1] else None)
            for name, MaxF, *cells in rows]


def draw_minutes(rows):
    figure, ax = plt.subplots(figsize=(9, 4), dpi=150, facecolor='white')
    for setting, MaxF, minutes in rows:
        if minutes is None:
            ax.axhline(MaxF, color=GREY, linewidth=1, linestyle='--')
            below = MaxF == min(row[1] for row in rows if row[2] is None)
            ax.text(1.05, MaxF + (-0.06 if below else 0.04), f'{setting}: {MaxF:.2f}', size=8,
                    color=GREY, va='top' if below else 'bottom')
        else:
            ax.plot(minutes, MaxF, 'o', color=WINDOW)
            ax.annotate(f'{setting}: {MaxF:.2f}', (minutes, MaxF), (-8, 0), size=8, color=INK,
                        textcoords='offset points', ha='right', va='center')
    ax.set(xscale='log', xlim=(1, 100), xticks=[1, 3, 6, 20, 47, 100], ylim=(91, 96.5),
           xticklabels=[1, 3, 6, 20, 47, 100], xlabel='minutes on 2 CPU cores, the whole command',
           ylabel='MaxF, per cent')
    ax.minorticks_off()
    ax.spines[['top', 'right']].set_visible(False)
    figure.tight_layout()
    save('minutes.png')


def draw_results(painted):  # a folder
    paths = evenly_spaced(sorted(glob.glob(f'{painted}/*')), 6)
    tiles = [Image.open(path).resize((496, 150), Image.Resampling.LANCZOS) for path in paths]
    tiles = [ImageOps.expand(tile, 4, 'white') for tile in tiles]
    sheet = np.vstack([np.hstack(tiles[i:i + 2]) for i in range(0, len(tiles), 2)])
    Image.fromarray(sheet).save(os.path.join(IMGS, 'results.png'), optimize=True)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--run', metavar='RUN', help='a complete run; default: train on the sample')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs_dir:
        if not args.run and main.main(['--sample', '--name', 'figures', '--runs-dir', runs_dir]):
            sys.exit('there is no run to draw; see the error above')
        run = args.run or f'{runs_dir}/figures'
        image, _, _, confidences, *_ = shown = predict_without_skips(run)
        draw_network(image, confidences[-1])
        draw_conv1x1(image)
        draw_upsampling()
        draw_minutes(read_minutes(EXPERIMENTS))
        draw_skips(*shown)
        draw_results(f'{run}/images')
        shutil.copyfile(f'{run}/road.gif', os.path.join(IMGS, 'semantic_segmantation.gif'))
