"""Draw the README's pictures into imgs/, from the program itself.

    python imgs/draw.py                 # trains on the sample scenes first, about two minutes on 2 cores
    python imgs/draw.py --run runs/x    # of the finished run `python main.py --sample --name x`; from the same folder

writes network.png, conv1x1.png, upsampling.png, skips.png, results.png, semantic_segmantation.gif, road.gif. Shapes, kernels,
numbers of weights and confidences are read from graphs that the program builds; none is typed here.
"""

import argparse
import json
import os
import sys
import tempfile
from fractions import Fraction
from types import SimpleNamespace

import matplotlib
import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

matplotlib.use('Agg')  # draws into files, on machines without a screen too
import matplotlib.pyplot as plt  # noqa: E402

IMGS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(IMGS)
sys.path.insert(0, ROOT)
import helper  # noqa: E402
import main  # noqa: E402
from road import checkpoints, kitti, runs, scores, vgg16  # noqa: E402
from road.tf1 import tf  # noqa: E402

IMAGE_SHAPE = (160, 576)  # the image that the schemes are drawn for
GRID = ('um_000002', 'um_000004', 'umm_000000', 'umm_000003', 'uu_000003', 'uu_000005')  # test scenes of results.png
GIF_SIZE, GIF_SECONDS = (600, 180), 1.2  # seconds a scene

INK, GREY = '#1f2933', '#616e7c'
FROZEN, FROZEN_DARK, FROZEN_PANEL = '#cfe1f7', '#a3c5ee', '#eef5fd'
TRAINED, TRAINED_DARK, TRAINED_PANEL = '#cdebd2', '#96d3a2', '#eff9f1'
SKIP, WINDOW, PANEL = '#8a4fbf', '#d95f02', '#f5f7fa'


# ------------------------------------------------------------------------------------------ what the program says


def network(image_shape):
    """The full network for one image of a size. Nothing is computed: TensorFlow only works out the shapes.

    Returns:
        shape: function from an operation's name to its output's [h, w, c]; variables: {name: shape}.
    """
    weights = {name: np.broadcast_to(np.float32(0), size) for name, size in vgg16.shapes(with_top=True).items()}
    with tf.Graph().as_default() as graph:
        vgg16.build_graph(weights)
        main.layers(*(graph.get_tensor_by_name(name) for name in vgg16.TENSORS[2:]), main.NUM_CLASSES)
        variables = {v.op.name: tuple(v.shape.as_list()) for v in tf.trainable_variables()}
    with tf.Graph().as_default() as sized:  # the same graph behind an image whose size is known
        image = tf.placeholder(tf.float32, [1, *image_shape, 3], name='image')
        tf.import_graph_def(graph.as_graph_def(), {'image_input:0': image}, name='')
    return lambda name: tuple(sized.get_tensor_by_name(f'{name}:0').shape.as_list()[1:]), variables


def times(shape):
    return ' × '.join(map(str, shape))


def upsample(layer, image):
    """Put float32 [h, w] through a decoder layer as main.layers makes and initialises it: (kernel, output)."""
    with tf.Graph().as_default(), tf.Session() as sess:
        main.layers(*(tf.placeholder(tf.float32, [None, None, None, 1]) for _ in range(3)), 1)
        main.initialize_missing(sess)
        height, width = image.shape
        source, skip, size = {'upscore2': ('score_fr/BiasAdd', 'score_pool4/BiasAdd', (2 * height, 2 * width)),
                              'upscore8': ('fuse_pool3', 'score_pool3/BiasAdd', (height, width))}[layer]
        feed = {f'decoder/{source}:0': image[np.newaxis, ..., np.newaxis],
                f'decoder/{skip}:0': np.zeros([1, *size, 1])}  # only its size matters to the layer
        kernel = sess.run(tf.trainable_variables(f'decoder/{layer}/kernel')[0])
        return kernel[..., 0, 0], sess.run(f'decoder/{layer}/conv2d_transpose:0', feed)[0, ..., 0]


def trained_run(folder):
    """What the figures need of a finished run: where its pictures are, and its confidences with and without skips.

    Returns:
        namespace of: images, the folder of painted test images; of the last validation frame image uint8 [h, w, 3],
        road and counts bool [h, w], and confidences, three float32 [h, w] (score_fr alone, + pool4, + pool3); frames,
        the number of validation frames; ious, three floats over all of them.
    """
    with open(os.path.join(folder, 'config.json')) as file:
        config = json.load(file)
    settings, names = config['settings'], config['validation']
    image_shape = tuple(settings['image_size'])
    frames = kitti.training_frames(os.path.join(settings['kitti_dir'], 'training'))
    frames = [frame for frame in frames if frame.name in names]
    run = SimpleNamespace(images=os.path.join(folder, 'images'), frames=len(frames), confidences=[])
    histograms = np.zeros([3, 2, scores.LEVELS], np.int64)
    with main.open_model(settings['vgg_dir'], None) as (sess, model):
        checkpoints.restore(model.weights, sess, runs.load(folder).decoder)
        skips = [sess.graph.get_tensor_by_name(f'decoder/{name}/BiasAdd:0') for name in ('score_pool4', 'score_pool3')]
        for frame in frames:
            image, (road, counts) = kitti.read_image(frame.image), kitti.read_label(frame.label)
            values = sess.run(model.frontier, {model.image_input: kitti.resize_image(image, image_shape)[np.newaxis]})
            values = dict(zip(model.frontier, values))
            zeros = {skip: np.zeros_like(value) for skip, value in zip(skips, sess.run(skips, values))}
            for i in range(3):  # how many of the skips are there
                feed = {**values, **{skip: zeros[skip] for skip in skips[i:]}}
                confidence, = helper.road_confidences(sess, model.logits, model.keep_prob, tuple(feed),
                                                      tuple(feed.values()), image_shape)
                confidence = kitti.resize_confidence(confidence, road.shape)
                histograms[i] += scores.histogram(confidence, road, counts)
                if frame.name == names[-1]:
                    run.image, run.road, run.counts = image, road, counts
                    run.confidences.append(confidence)
    run.ious = [scores.scores(histogram).IoU for histogram in histograms]
    return run


# ------------------------------------------------------------------------------------------------- drawing tools


def canvas(height):
    """A white figure 900 by `height` units, y downwards; twice as many pixels, for sharp text."""
    fig = plt.figure(figsize=(9, height / 100), dpi=200, facecolor='white')
    ax = fig.add_axes([0, 0, 1, 1])
    ax.set(xlim=(0, 900), ylim=(height, 0))
    ax.axis('off')
    return ax


def box(ax, x, y, width, height, colour, text=''):
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle='round,pad=0,rounding_size=5', color=colour,
                                linewidth=0))
    write(ax, x + width / 2, y + height / 2, text)


def write(ax, x, y, text, *, size=8, colour=INK, align='center', **style):
    ax.text(x, y, text, size=size, color=colour, ha=align, va='center', linespacing=1.35, **style)


def arrow(ax, *points, colour=GREY):
    """A line through the points with a head at the last."""
    *points, before, end = points
    ax.plot(*zip(*points, before), color=colour, linewidth=1.4, solid_joinstyle='round', solid_capstyle='butt')
    ax.annotate('', end, before, arrowprops=dict(arrowstyle='-|>,head_width=0.25,head_length=0.5', color=colour,
                                                 linewidth=1.4, shrinkA=0, shrinkB=0))


def picture(ax, image, x, y, width, height, **style):
    """An image in a frame."""
    ax.imshow(image, extent=(x, x + width, y + height, y), aspect='auto', zorder=2, **style)
    ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=GREY, linewidth=0.6,
                           zorder=3))


def save(name):
    plt.savefig(os.path.join(IMGS, name))
    plt.close()


# ------------------------------------------------------------------------------------------------------- figures


def draw_network(run):
    """network.png: every layer with its shape, the two skips, what is frozen and what is trained."""
    shape, variables = network(IMAGE_SHAPE)
    numbers = {'decoder': 0, 'encoder': 0}
    for name, size in variables.items():
        numbers['decoder' if name.startswith('decoder/') else 'encoder'] += int(np.prod(size))
    ax = canvas(396)
    pitch, width, top, split, bottom = 111, 98, 42, 128, 170
    left = [8 + pitch * i for i in range(8)]
    middle = [x + width / 2 for x in left]
    box(ax, left[1] - 8, 6, 900 - left[1] + 4, 180, FROZEN_PANEL)
    write(ax, left[1] + 2, 24, f'VGG16 encoder, frozen: {numbers["encoder"]:,} parameters', align='left', size=9.5,
          weight='bold')
    box(ax, left[1] - 8, 232, 900 - left[1] + 4, 158, TRAINED_PANEL)
    write(ax, left[1] + 2, 262, f'FCN-8s decoder, trained:\n{numbers["decoder"]:,} parameters', align='left', size=9.5,
          weight='bold')

    # the encoder, from left to right
    columns = []
    for block, count in enumerate(vgg16.BLOCKS, 1):
        convs = [f'conv{block}_{i}' for i in range(1, count + 1)]
        columns.append(('\n'.join(convs), shape(f'{convs[-1]}/Relu'), f'pool{block}\n{times(shape(f"pool{block}"))}'))
    for name in ('fc6', 'fc7'):
        kernel = '×'.join(map(str, variables[f'{name}/weights'][:2]))
        columns.append((f'{name}\n{kernel} convolution', shape(f'{name}/Relu'), 'dropout'))
    for i, (names, size, below) in enumerate(columns, 1):
        box(ax, left[i], top, width, bottom - top, FROZEN)
        box(ax, left[i], split, width, bottom - split, FROZEN_DARK, below)
        write(ax, middle[i], (top + split) / 2, f'{names}\n{times(size)}')
        arrow(ax, (left[i - 1] + width, 85), (left[i], 85))
    picture(ax, run.image, left[0], 71, width, 28)
    write(ax, middle[0], 57, 'image', size=9, weight='bold')
    write(ax, middle[0], 112, times(shape('image')))

    # the decoder, from right to left: layer, column, row
    rows, high = (244, 328), 52
    kernel = '×'.join(map(str, variables['decoder/score_fr/kernel'][:2]))
    what = {'score': f'{kernel} convolution', 'fuse': 'sum'}
    places = {'score_fr': (7, 1), 'upscore2': (6, 1), 'score_pool4': (4, 0), 'fuse_pool4': (5, 1),
              'upscore_pool4': (4, 1), 'score_pool3': (3, 0), 'fuse_pool3': (3, 1), 'upscore8': (2, 1)}
    for layer, (i, row) in places.items():
        kind = layer.split('_')[0]
        size = shape(f'decoder/{layer}' + {'score': '/BiasAdd', 'fuse': ''}.get(kind, '/conv2d_transpose'))
        detail = what.get(kind) or f'{variables[f"decoder/{layer}/kernel"][0] // 2}× upsampling'  # kernel 2 × stride
        box(ax, left[i], rows[row], width, high, TRAINED_DARK if kind == 'fuse' else TRAINED,
            f'{layer}\n{detail}\n{times(size)}')
    line = rows[1] + high / 2
    arrow(ax, (middle[7], bottom), (middle[7], rows[1]))
    for i in range(7, 2, -1):
        arrow(ax, (left[i], line), (left[i - 1] + width, line))
    arrow(ax, (middle[3], bottom), (middle[3], rows[0]), colour=SKIP)
    arrow(ax, (middle[4], bottom), (middle[4], rows[0]), colour=SKIP)
    arrow(ax, (middle[3], rows[0] + high), (middle[3], rows[1]), colour=SKIP)
    side = rows[0] + high / 2
    arrow(ax, (left[4] + width, side), (middle[5], side), (middle[5], rows[1]), colour=SKIP)
    for i, scale in ((3, main.POOL3_SCALE), (4, main.POOL4_SCALE)):
        write(ax, middle[i] + 7, 209, f'× {scale:.10f}'.rstrip('0'), colour=SKIP, align='left', size=9, weight='bold')
    write(ax, middle[2] + 20, 209, 'skips', colour=SKIP, align='right', size=9, weight='bold')
    arrow(ax, (left[2], line), (left[0] + width, line))
    write(ax, middle[1], line - 11, 'softmax')
    picture(ax, helper.paint(run.image, run.confidences[-1]), left[0], line - 14, width, 28)
    write(ax, middle[0], line - 28, 'road', size=9, weight='bold')
    write(ax, middle[0], line + 27, times(shape('image')[:2]))
    save('network.png')


def draw_conv1x1(run):
    """conv1x1.png: fully connected layers as convolutions, for images of three sizes."""
    ax = canvas(426)
    _, variables = network(IMAGE_SHAPE)
    kernel, last = variables['fc6/weights'], variables['decoder/score_fr/kernel']
    window, large = kernel[0], (375, 1242)  # the latter is KITTI's usual size
    classic = (window * kitti.STRIDE,) * 2  # the only image size whose pool5 is as large as fc6's kernel
    cell, columns = 5.3, (20, 150, 400, 650)
    for x, head, below in zip(columns, ('image', 'pool5', 'fc6, fc7', 'score_fr'),
                              ('', '', f'convolutions, {times(kernel[:2])} and {times(variables["fc7/weights"][:2])}',
                               f'convolution, {times(last[:2])}')):
        write(ax, x, 20, head, size=10, weight='bold', align='left')
        write(ax, x, 38, below, colour=GREY, align='left')
    write(ax, columns[1], 38, f'outlined: what one {times(kernel[:2])} window sees', colour=WINDOW, align='left')

    def grid(x, y, size, colour, row, column, window):
        """A cell for each position, and the square of `window` cells around one of them, outlined or filled."""
        for i, j in np.ndindex(size[:2]):
            ax.add_patch(Rectangle((x + j * cell, y + i * cell), cell, cell, facecolor=colour, edgecolor='white',
                                   linewidth=0.5))
        corner = x + (column - window // 2) * cell, y + (row - window // 2) * cell
        ax.add_patch(Rectangle(corner, window * cell, window * cell, fill=window == 1, facecolor=WINDOW,
                               edgecolor=WINDOW, linewidth=1.4))

    y = 56
    for image_shape, title in (
            (classic, f'Fully connected: {int(np.prod(kernel[:3])):,} inputs, so one image size and one answer'),
            (IMAGE_SHAPE, 'The same weights as convolutions: an answer for each position'),
            (kitti.padded(large), f'A larger image ({times(large)}, padded): the same weights, more positions')):
        shape, _ = network(image_shape)
        sizes = [shape(name) for name in ('image', 'pool5', 'fc7/Relu', 'decoder/score_fr/BiasAdd')]
        rows, wide = sizes[1][:2]
        row, column = rows // 2, wide // 2
        if image_shape == classic:  # a fully connected layer has no positions
            sizes[2:] = [(1, 1, size[-1]) for size in sizes[2:]]
        else:
            column += 4
        height = rows * cell
        box(ax, 8, y, 884, height + 72, PANEL)
        write(ax, columns[0], y + 17, title, align='left', size=9, weight='bold')
        top = y + 38
        picture(ax, run.image, columns[0], top + height * 0.28, wide * cell * 0.44, height * 0.44)
        grid(columns[1], top, sizes[1], FROZEN_DARK, row, column, window)
        for x, size, colour in ((columns[2], sizes[2], FROZEN_DARK), (columns[3], sizes[3], TRAINED_DARK)):
            grid(x, top + (rows - size[0]) / 2 * cell, size, colour, min(row, size[0] - 1), min(column, size[1] - 1), 1)
        for x, size in zip(columns, sizes):
            write(ax, x, top + height + 19, times(size), align='left')
        for x in columns[1:]:
            arrow(ax, (x - 32, top + height / 2), (x - 10, top + height / 2))
        y += height + 82
    save('conv1x1.png')


def draw_upsampling():
    """upsampling.png: a small input, the bilinear kernels, and what the transposed convolutions make of it."""
    small = np.float32([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    row, column = 1, 2  # the pixel whose share of the output is outlined
    ax = canvas(580)

    def cells(values, head, x, cell, outline, text):
        """Values as cells, each with its text; outline is (top, left, side) of a square of cells."""
        height, width = values.shape
        y = middle - height * cell / 2
        picture(ax, values, x, y, width * cell, height * cell, cmap='Blues', vmin=0, vmax=1.3)
        write(ax, x, y - 12, head, size=9.5, align='left', weight='bold')
        for (i, j), value in np.ndenumerate(values) if text else ():
            write(ax, x + (j + 0.5) * cell, y + (i + 0.5) * cell, text(float(value)), size=7.5,
                  colour='white' if value > 0.7 else INK)
        top, left, side = (part * cell for part in outline)
        ax.add_patch(Rectangle((x + left, y + top), side, side, fill=False, edgecolor=WINDOW, linewidth=1.6,
                               zorder=4))

    for layer, middle in (('upscore2', 150), ('upscore8', 422)):
        kernel, large = upsample(layer, small)
        stride, size = large.shape[0] // small.shape[0], kernel.shape[0]
        fraction, decimal = (lambda v: str(Fraction(v))), (lambda v: f'{v:.2f}' if v else '0')
        if layer == 'upscore8':  # too many cells for numbers
            fraction = decimal = None
        cells(small, f'input, {times(small.shape)}', 60, 30, (row, column, 1), '{:.0f}'.format)
        cells(kernel, f'kernel, {times(kernel.shape)}', 310, 144 / size, (0, 0, size), fraction)
        cells(large, f'{layer}, stride {stride}: {times(large.shape)}', 550, 60 / stride,
              (stride * row - stride // 2, stride * column - stride // 2, size), decimal)
        arrow(ax, (494, middle), (532, middle))
        write(ax, 260, middle, '∗', size=16, colour=GREY)
    write(ax, 450, 563, 'Outlined: the share of one input pixel, which is the kernel times its value. Where shares '
          'overlap, they add up.', colour=WINDOW, size=9)
    save('upsampling.png')


def draw_skips(run):
    """skips.png: one validation scene's confidences from score_fr alone, with pool4, with pool4 and pool3."""
    fig, axes = plt.subplots(3, 2, figsize=(9, 5.16), dpi=150, facecolor='white')
    fig.subplots_adjust(left=0.006, right=0.994, bottom=0.085, top=0.95, wspace=0.02, hspace=0.2)
    label = np.where(run.road[..., np.newaxis], (255, 0, 255), (255, 0, 0)) * run.counts[..., np.newaxis]
    heads = ['score_fr alone (stride 32)', '+ score_pool4 (stride 16)', '+ score_pool3 (stride 8)']
    shown = [(run.image, 'image'), (label.astype(np.uint8), 'label: magenta is road')]
    shown += [(confidence, f'{head}: IoU {iou:.1%}') for confidence, head, iou in zip(run.confidences, heads, run.ious)]
    shown.append((helper.paint(run.image, run.confidences[-1]), 'painted'))
    for ax, (values, head) in zip(axes.flat, shown):
        mesh = ax.imshow(values, cmap='viridis', vmin=0, vmax=1, aspect='auto')
        ax.set_title(head, size=9.5, color=INK, pad=4, weight='bold')
        ax.axis('off')
        if values.ndim == 2:
            ax.contour(run.road, [0.5], colors='white', linewidths=0.7)
            scale = mesh
    bar = fig.colorbar(scale, cax=fig.add_axes([0.19, 0.045, 0.22, 0.016]), orientation='horizontal', ticks=[0, 0.5, 1])
    bar.ax.tick_params(labelsize=8, colors=INK, length=2, pad=1)
    bar.outline.set_visible(False)
    fig.text(0.18, 0.053, 'confidence in road', size=8, color=INK, ha='right', va='center')
    fig.text(0.994, 0.053, f"white: the road's edge in the label     IoU: over all {run.frames} validation frames",
             size=8, color=INK, ha='right', va='center')
    save('skips.png')


def draw_results(run):
    """results.png, a grid of painted test scenes, and semantic_segmantation.gif, all of them in turn."""
    names = sorted(os.listdir(run.images))
    grid = [f'{name}.png' for name in GRID if f'{name}.png' in names] or names[:len(GRID)]
    width, height, gap = 496, 150, 8
    sheet = Image.new('RGB', (2 * width + gap, (height + gap) * -(-len(grid) // 2) - gap), 'white')
    for i, name in enumerate(grid):
        scene = Image.open(os.path.join(run.images, name)).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(scene, (i % 2 * (width + gap), i // 2 * (height + gap)))
    sheet.save(os.path.join(IMGS, 'results.png'), optimize=True)
    save_gif('semantic_segmantation.gif', [os.path.join(run.images, name) for name in names])


def draw_road(folder):
    """road.gif: the first test scenes, each as it is and then with its road outlined, as `main.py predict` does it."""
    testing = os.path.join(runs.load(folder).settings['kitti_dir'], 'testing', 'image_2')
    scenes = [os.path.join(testing, name) for name in sorted(os.listdir(testing))[:len(GRID)]]
    with tempfile.TemporaryDirectory() as painted:
        if main.main(['predict', folder, *scenes, '--overlay', 'outline', '--output', painted]):
            sys.exit('nothing to draw road.gif from; see the error above')
        save_gif('road.gif', [path for scene in scenes for path in (scene, os.path.join(painted, os.path.basename(scene)))])


def save_gif(name, paths):
    frames = [Image.open(path).resize(GIF_SIZE, Image.Resampling.LANCZOS).quantize(256, dither=Image.Dither.NONE)
              for path in paths]
    frames[0].save(os.path.join(IMGS, name), save_all=True, append_images=frames[1:], duration=int(1000 * GIF_SECONDS), loop=0)


def draw(folder):
    """Draw every picture, with the results of the run in `folder`."""
    run = trained_run(folder)
    draw_network(run)
    draw_conv1x1(run)
    draw_upsampling()
    draw_skips(run)
    draw_results(run)
    draw_road(folder)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--run', metavar='RUN', help='folder of a finished run; default: train one on the sample')
    args = parser.parse_args()
    if args.run:
        if not os.path.isdir(os.path.join(args.run, 'images')):
            parser.error(f'{args.run}: not a finished run, it has no images; name a folder in runs/')
        draw(args.run)
    else:
        with tempfile.TemporaryDirectory() as runs_dir:
            if main.main(['--sample', '--name', 'figures', '--runs-dir', runs_dir,
                          '--data-dir', os.path.join(ROOT, 'data')]):
                sys.exit('no run to draw from; see the error above')
            draw(os.path.join(runs_dir, 'figures'))
