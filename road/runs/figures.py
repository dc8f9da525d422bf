"""Pictures of a complete run: curves.png, contact_sheet.png and, with test images, road.gif."""

import glob
import math
import os

from PIL import Image, ImageDraw, ImageFont

from road.data.dataset import evenly_spaced
from road.data.images import read_image
from road.files import atomic_path
from road.runs.checkpoints import writing
from road.runs.metrics import best_of
from road.runs.painting import paint
from road.scoring import scores

SHEET_IMAGES, SHEET_COLUMNS = 24, 4  # test images at most
TILE, TEXT_HEIGHT, GAP = (400, 121), 16, 6  # pixels; width, height
# 60 frames of KITTI take about 2 MB
GIF_FRAMES, GIF_SIZE, GIF_MS, GIF_COLOURS = 60, (414, 126), 400, 128


def draw(folder, rows, outputs):
    """Draw them into a run folder, which may hold painted test images in images/.

    rows are those of road.runs.metrics; outputs yields (frame, road, valid, confidence) of the
    validation frames, [h, w] each.
    """
    ranked = []
    for frame, road, valid, confidence in outputs:
        iou = scores.scores(scores.histogram(confidence, road, valid)).IoU
        if not math.isnan(iou):
            ranked.append((iou, frame, confidence))
    ranked.sort(key=lambda each: each[0])
    words, marked = ('worst', 'worst', 'best', 'best'), []
    for word, (iou, frame, confidence) in zip(words, ranked[:2] + ranked[2:][-2:]):
        picture = paint(read_image(frame.image), confidence)
        marked.append((f'{word}: validation {frame.name}, IoU {iou:.1%}', picture))
    draw_curves(os.path.join(folder, 'curves.png'), rows, os.path.basename(folder))
    images = sorted(glob.glob(os.path.join(glob.escape(folder), 'images', '*')))
    draw_contact_sheet(os.path.join(folder, 'contact_sheet.png'), marked, images)
    if images:
        draw_gif(os.path.join(folder, 'road.gif'), images)
        print(f'{len(images)} test images are in {os.path.join(folder, "images")}')


def draw_curves(path, rows, title):
    """Draw losses and scores (in per cent) over epochs."""
    from matplotlib.figure import Figure  # imported here, because it takes seconds
    epochs, best = [row['epoch'] for row in rows], best_of(rows)['epoch']
    figure = Figure(figsize=(11, 4.5), layout='constrained')
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, ('cross_entropy', 'l2')),
                        (right, ('val_MaxF', 'val_AP', 'val_IoU', 'train_MaxF', 'train_IoU'))):
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


def draw_contact_sheet(path, marked, images):
    """Draw a grid of pictures: the marked ones in the first row, then test images, evenly spaced.

    marked: [(text, uint8 [h, w, 3])], up to four; images: paths of the painted test images.
    """
    tiles = [(text, Image.fromarray(picture)) for text, picture in marked]
    tiles += [(None, None)] * (-len(tiles) % SHEET_COLUMNS)
    for name in evenly_spaced(images, SHEET_IMAGES):
        text = os.path.splitext(os.path.basename(name))[0]
        tiles.append((f'test {text}', Image.fromarray(read_image(name))))
    width, height = TILE[0] + GAP, TILE[1] + TEXT_HEIGHT + GAP
    rows = -(-len(tiles) // SHEET_COLUMNS)
    sheet = Image.new('RGB', (SHEET_COLUMNS * width + GAP, rows * height + GAP), 'white')
    for i, (text, image) in enumerate(tiles):
        if image:
            x, y = GAP + i % SHEET_COLUMNS * width, GAP + i // SHEET_COLUMNS * height
            ImageDraw.Draw(sheet).text((x, y), text, 'black', ImageFont.load_default(12))
            sheet.paste(image.resize(TILE, Image.Resampling.LANCZOS), (x, y + TEXT_HEIGHT))
    with writing(path), atomic_path(path) as temporary:
        sheet.save(temporary)


def draw_gif(path, images):
    """Draw the painted test images (paths) as an animation, small enough for a README."""
    small = [Image.fromarray(read_image(name)).resize(GIF_SIZE, Image.Resampling.LANCZOS)
             for name in evenly_spaced(images, GIF_FRAMES)]
    frames = [image.quantize(GIF_COLOURS, dither=Image.Dither.NONE) for image in small]
    with writing(path), atomic_path(path) as temporary:
        frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=GIF_MS, loop=0)
