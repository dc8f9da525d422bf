"""Pictures of a complete run: curves.png and contact_sheet.png."""

import math
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from road.data.dataset import evenly_spaced
from road.data.images import read_image
from road.files import atomic_path
from road.runs.metrics import best_of
from road.runs.painting import add_legend, font, legend, paint, paint_errors, write_png
from road.scoring.scorers import make_scorer

SHEET_IMAGES, SHEET_COLUMNS = 24, 4  # of images/, at most
TILE_WIDTH, TEXT_SIZE, GAP = 400, 12, 6  # pixels


def draw(run, rows, outputs, split='test'):
    """Draw them into a run folder, which holds painted images of this split in images/.

    rows: of road.runs.metrics; outputs: of Validation.outputs, of the validation frames.
    """
    folder = Path(run.folder)
    save_figure(plot_curves(rows, folder.name), folder / 'curves.png')
    painted = folder / 'images'
    paths = [path for path in sorted(painted.rglob('*.png')) if path.is_file()]
    images = [(f'{split} {path.relative_to(painted).with_suffix("")}', str(path)) for path in paths]
    marked = list(best_and_worst(outputs, run.classes, run.threshold))
    draw_contact_sheet(folder / 'contact_sheet.png', marked, images, run.classes)
    print(f'{len(images)} {split} images are in {painted}')


def best_and_worst(outputs, classes, threshold=0.5):
    """Yield the two worst of the outputs, their errors painted, and the two best, painted.

    By the IoU of road or the mean IoU of the classes in the frame: (text, uint8 [h, w, 3]).
    """
    name = 'mean_IoU' if len(classes) > 2 else 'mask_IoU'
    ranked = []
    for output in outputs:
        scorer = make_scorer(classes, mask_threshold=threshold)
        scorer.add([output])
        iou = scorer.scores()[name]
        if not math.isnan(iou):
            ranked.append((iou, output))
            ranked.sort(key=lambda each: each[0])
            del ranked[2:-2]  # the probabilities of all frames may not fit into memory
    for i, (iou, (frame, label, found)) in enumerate(ranked):
        image = read_image(frame.image, frame.bits)
        if i < len(ranked) / 2:
            text = f'worst, IoU {iou:.1%}: validation {frame.name} (missed red, false blue)'
            yield text, paint_errors(image, found, label, threshold)
        else:
            text = f'best, IoU {iou:.1%}: validation {frame.name}'
            yield text, paint(image, found, classes=classes, threshold=threshold)


def plot_curves(rows, title):
    """Losses and scores (in per cent) over epochs as Figure."""
    from matplotlib.figure import Figure  # imported here, because it takes seconds
    epochs, best = [row['epoch'] for row in rows], best_of(rows)['epoch']
    scored = [name for name in rows[0] if name.startswith(('val_', 'train_'))]
    figure = Figure(figsize=(11, 4.5), layout='constrained')
    figure.suptitle(title, parse_math=False)  # a name may have dollar signs
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
    return figure


def save_figure(figure, path):
    """Write a Figure as PNG, complete or not at all. Raises OSError."""
    from matplotlib.text import Text
    font(TEXT_SIZE, ''.join(text.get_text() for text in figure.findobj(Text)))  # says what it lacks
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing')
        figure.savefig(temporary, dpi=110)


def draw_contact_sheet(path, marked, images, classes):
    """Draw a grid of what best_and_worst gives and of painted images [(text, path)]."""
    images = evenly_spaced(images, SHEET_IMAGES)
    letters = font(TEXT_SIZE, ''.join(text for text, _ in marked + images))
    painted = ((text, _read_painted(image, classes)) for text, image in images)
    tiles, size = [], None
    for text, picture in chain(marked, painted):
        if not size:  # all tiles have the proportions of the first
            size = TILE_WIDTH, max(1, round(TILE_WIDTH * len(picture) / picture.shape[1]))
        tile = ImageOps.pad(Image.fromarray(picture), size, Image.Resampling.LANCZOS, 'white')
        tile = ImageOps.expand(tile, (GAP, GAP + TEXT_SIZE + GAP, 0, 0), 'white')
        ImageDraw.Draw(tile).text((GAP, GAP // 2), text, 'black', letters)
        tiles.append(tile)
    width, height = tiles[0].size
    rows = -(-len(tiles) // SHEET_COLUMNS)
    sheet = Image.new('RGB', (SHEET_COLUMNS * width + GAP, rows * height + GAP), 'white')
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % SHEET_COLUMNS * width, i // SHEET_COLUMNS * height))
    write_png(path, add_legend(np.asarray(sheet), classes, TEXT_SIZE))


def _read_painted(path, classes):
    """A painted image without its legend."""
    picture = read_image(path)
    return picture[:-len(legend(classes, picture.shape[1]))] if len(classes) > 2 else picture
