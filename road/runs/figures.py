"""Pictures of a complete run: curves.png, contact_sheet.png and, with test images, road.gif."""

import glob
import math
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from road.data.dataset import evenly_spaced
from road.data.images import read_image, resize_confidence
from road.files import atomic_path
from road.runs.checkpoints import writing
from road.runs.metrics import best_of
from road.runs.painting import add_legend, legend, paint
from road.scoring.scorers import make_scorer

SHEET_IMAGES, SHEET_COLUMNS = 24, 4  # test images at most
TILE_WIDTH, TEXT_HEIGHT, GAP = 400, 16, 6  # pixels
# 60 frames of KITTI take about 2 MB
GIF_FRAMES, GIF_WIDTH, GIF_MS, GIF_COLOURS = 60, 414, 400, 128


def draw(run, rows, outputs):
    """Draw them into a run folder, which may hold painted test images in images/.

    Args:
        run: road.runs.run_folder.Run.
        rows: those of road.runs.metrics.
        outputs: yields (frame, label, confidence) of the validation frames, as
            road.scoring.validation.Validation.outputs.
    """
    folder, classes, ranked = run.folder, run.classes, []
    name = 'mean_IoU' if len(classes) > 2 else 'IoU'
    for output in outputs:
        scorer = make_scorer(classes)
        scorer.add([output])
        iou = scorer.scores()[name]
        if not math.isnan(iou):
            ranked.append((iou, output))
            ranked.sort(key=lambda each: each[0])
            del ranked[2:-2]  # the confidences of all frames may not fit into memory
    marked = []
    for word, (iou, (frame, _, confidence)) in zip(('worst', 'worst', 'best', 'best'), ranked):
        image = read_image(frame.image, frame.bits)
        painted = paint(image, resize_confidence(confidence, image.shape[:2]), classes=classes)
        marked.append((f'{word}: validation {frame.name}, {name.replace("_", " ")} {iou:.1%}',
                       painted))
    draw_curves(os.path.join(folder, 'curves.png'), rows, os.path.basename(folder))
    pattern = os.path.join(glob.escape(os.path.join(folder, 'images')), '**', '*.png')
    images = sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
    draw_contact_sheet(os.path.join(folder, 'contact_sheet.png'), marked, images, classes)
    if images:
        draw_gif(os.path.join(folder, 'road.gif'), images, classes)
        print(f'{len(images)} test images are in {os.path.join(folder, "images")}')


def draw_curves(path, rows, title):
    """Draw losses and scores (in per cent) over epochs."""
    from matplotlib.figure import Figure  # imported here, because it takes seconds
    epochs, best = [row['epoch'] for row in rows], best_of(rows)['epoch']
    scored = [name for name in rows[0] if name.startswith(('val_', 'train_'))]
    figure = Figure(figsize=(11, 4.5), layout='constrained')
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, ('cross_entropy', 'l2')), (right, sorted(scored, reverse=True))):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], marker='.',
                      label=f'{name}, last {rows[-1][name]:.4g}',
                      linestyle='--' if name.startswith('train') else '-')
        axes.axvline(best, color='grey', linewidth=0.8, label=f'best epoch, {best}')
        axes.set(xlabel='epoch')
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small')
    left.set(title='losses', yscale='log')
    right.set(title='scores, per cent')
    with writing(path), atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_contact_sheet(path, marked, images, classes):
    """Draw a grid of pictures: the marked ones in the first row, then test images, evenly spaced.

    Args:
        marked: [(text, uint8 [h, w, 3])], up to four.
        images: paths of the painted test images, in the folder images/ beside `path`.
        classes: of road.data.dataset.Class; more than two have a legend.
    """
    tiles = marked + [(None, None)] * (-len(marked) % SHEET_COLUMNS)
    for name in evenly_spaced(images, SHEET_IMAGES):
        text = os.path.relpath(name, os.path.join(os.path.dirname(path), 'images'))
        tiles.append((f'test {os.path.splitext(text)[0]}', _read_painted(name, classes)))
    size = _common_size([picture for _, picture in tiles if picture is not None], TILE_WIDTH)
    width, height = size[0] + GAP, size[1] + TEXT_HEIGHT + GAP
    rows = -(-len(tiles) // SHEET_COLUMNS)
    sheet = Image.new('RGB', (SHEET_COLUMNS * width + GAP, rows * height + GAP), 'white')
    for i, (text, picture) in enumerate(tiles):
        if picture is not None:
            x, y = GAP + i % SHEET_COLUMNS * width, GAP + i // SHEET_COLUMNS * height
            ImageDraw.Draw(sheet).text((x, y), text, 'black', ImageFont.load_default(12))
            sheet.paste(_fit(picture, size), (x, y + TEXT_HEIGHT))
    with writing(path), atomic_path(path) as temporary:
        Image.fromarray(add_legend(np.asarray(sheet), classes)).save(temporary)


def draw_gif(path, images, classes):
    """Draw the painted test images (paths) as an animation, small enough for a README."""
    some = [_read_painted(name, classes) for name in evenly_spaced(images, 9)]
    size, frames = _common_size(some, GIF_WIDTH), []
    for name in evenly_spaced(images, GIF_FRAMES):
        small = np.asarray(_fit(_read_painted(name, classes), size))
        small = Image.fromarray(add_legend(small, classes))
        frames.append(small.quantize(GIF_COLOURS, dither=Image.Dither.NONE))
    with writing(path), atomic_path(path) as temporary:
        frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=GIF_MS, loop=0)


def _read_painted(path, classes):
    """A painted test image without its legend."""
    picture = read_image(path)
    return picture[:-len(legend(classes, picture.shape[1]))] if len(classes) > 2 else picture


def _common_size(pictures, width):
    """(width, height) with the proportions that most of the pictures have."""
    ratios = [picture.shape[0] / picture.shape[1] for picture in pictures] or [1]
    return width, max(1, round(width * float(np.median(ratios))))


def _fit(picture, size):
    return ImageOps.pad(Image.fromarray(picture), size, Image.Resampling.LANCZOS, 'white')
