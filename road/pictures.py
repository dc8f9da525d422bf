"""Pictures of a finished run: curves.png, contact_sheet.png, road.gif. Each is whole or not there."""

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import helper
from road import kitti, scores
from road.errors import cannot_write

SHEET_IMAGES, SHEET_COLUMNS, TILE = 24, 4, (400, 121)  # test images at most; width and height in pixels
GIF_FRAMES, GIF_SIZE, GIF_MS, GIF_COLOURS = 60, (414, 126), 400, 128  # 60 frames of KITTI take about 2 MB


def spread(items, count):
    """At most `count` of the items, evenly spread, in their order."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))] if items else []


def draw(folder, rows, validated):
    """Draw all three into a run's folder, which holds its test images.

    Args:
        rows: dicts, see draw_curves.
        validated: list of (frame, road, counts, confidence) of the validation frames, [h, w] each.
    """
    ious = [scores.scores(scores.histogram(confidence, road, counts)).IoU for _, road, counts, confidence in validated]
    ranked = sorted(zip(ious, (output[0] for output in validated), (output[3] for output in validated)),
                    key=lambda each: each[0])
    marked = [(f'{word}: validation {frame.name}, IoU {iou:.1%}', helper.paint(kitti.read_image(frame.image), confidence))
              for word, some in (('worst', ranked[:2]), ('best', ranked[2:][-2:])) for iou, frame, confidence in some]
    images_dir = os.path.join(folder, 'images')
    draw_curves(os.path.join(folder, 'curves.png'), rows, os.path.basename(folder))
    contact_sheet(os.path.join(folder, 'contact_sheet.png'), images_dir, marked)
    road_gif(os.path.join(folder, 'road.gif'), images_dir)


def _save(path, save):
    """save(part), then give the file its name."""
    part = f'{path}.part'
    try:
        save(part)
        os.replace(part, path)
    except OSError as error:  # Pillow's does not name the file
        raise cannot_write(path, error) from error
    finally:
        if os.path.exists(part):
            os.remove(part)


def draw_curves(path, rows, title):
    """Losses and scores over epochs as PNG.

    Args:
        rows: dicts as road.records.FORMATS names their figures, one an epoch, scores in per cent.
    """
    from matplotlib.figure import Figure  # here, because importing it takes seconds
    epochs = [row['epoch'] for row in rows]
    figure = Figure(figsize=(11, 4.5), layout='constrained')
    figure.suptitle(title)
    losses, scores = figure.subplots(1, 2)
    best = max(rows, key=lambda row: row['val_MaxF'])
    for axes, names in ((losses, ('cross_entropy', 'l2')),
                        (scores, ('val_MaxF', 'val_AP', 'val_IoU', 'train_MaxF', 'train_IoU'))):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], label=f'{name}, last {rows[-1][name]:.4g}', marker='.',
                      linestyle='--' if name.startswith('train') else '-')
        axes.axvline(best['epoch'], color='grey', linewidth=0.8, label=f'best epoch, {best["epoch"]}')
        axes.set(xlabel='epoch')
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small')
    losses.set(title='losses', yscale='log')
    scores.set(title='scores, per cent')
    _save(path, lambda part: figure.savefig(part, dpi=110, format='png'))


def contact_sheet(path, images_dir, marked):
    """A grid: first the marked pictures, a row of their own, then test images, evenly spread where there are many.

    Args:
        images_dir: holds the painted test images.
        marked: [(text, uint8 [h, w, 3])], such as the worst and best validation frames.
    """
    tiles = [(text, Image.fromarray(picture)) for text, picture in marked]
    tiles += [(None, None)] * (-len(tiles) % SHEET_COLUMNS)
    for name in spread(sorted(os.listdir(images_dir)), SHEET_IMAGES):
        with Image.open(os.path.join(images_dir, name)) as image:
            tiles.append((f'test {os.path.splitext(name)[0]}', image.convert('RGB')))
    width, height = TILE
    line, gap = 16, 6
    rows = -(-len(tiles) // SHEET_COLUMNS)
    sheet = Image.new('RGB', (SHEET_COLUMNS * (width + gap) + gap, rows * (height + line + gap) + gap), 'white')
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, (text, image) in enumerate(tiles):
        if image:
            x, y = gap + i % SHEET_COLUMNS * (width + gap), gap + i // SHEET_COLUMNS * (height + line + gap)
            draw.text((x, y), text, 'black', font)
            sheet.paste(image.resize(TILE, Image.Resampling.LANCZOS), (x, y + line))
    _save(path, lambda part: sheet.save(part, 'PNG'))


def road_gif(path, images_dir):
    """The painted test images in sequence as an animation, small enough for a README."""
    frames = []
    for name in spread(sorted(os.listdir(images_dir)), GIF_FRAMES):
        with Image.open(os.path.join(images_dir, name)) as image:
            small = image.convert('RGB').resize(GIF_SIZE, Image.Resampling.LANCZOS)
            frames.append(small.quantize(GIF_COLOURS, dither=Image.Dither.NONE))
    _save(path, lambda part: frames[0].save(part, 'GIF', save_all=True, append_images=frames[1:], duration=GIF_MS, loop=0))
