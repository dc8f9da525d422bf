"""Give the program wrong input: garbled bytes, and data sets with plausible mistakes.

    python tools/fuzz.py --count 20         # cases of each kind; a quarter of an hour on 2 cores
    python tools/fuzz.py --plausible 2000   # data sets; a minute

Bytes of every kind of input file are garbled, and main.py is run. It must end with exit code 2 and
a line about it, or with results. A traceback, a file left behind or no end is a fault.
A drawn data set with one of CHANGES, or a random pair, is opened. This must raise an InputError
that names a file, or give every picture and label as drawn. The exit code is 1 on a fault.
"""

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import h5py
import imageio.v3 as iio
import numpy as np
from PIL import ExifTags, Image

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road.data import IGNORE_LABEL, formats
from road.data.folder import palette_colour
from road.data.images import read_image
from road.errors import InputError
from road.network import vgg16
from road.settings import parse_training
from tools.soak import NEW_RUN, RUN, finish, start, write_inputs
from tools.train_sample_encoder import random_weights

NEW = [*NEW_RUN, '--epochs=1', '--no-cache']
MASKS = [*NEW, '--dataset-dir=masks']
EVALUATE, RESUME = ['evaluate', RUN], ['--resume', RUN, '--epochs=2']
PREDICT = ['predict', RUN, 'pictures', '--output=painted', '--confidence']
# Kind: pattern of the files, which are garbled in turn; command line; whether the format has a
# checksum, so that no change may go unnoticed.
KINDS = {
    'image': ('data_road/training/image_2/*', NEW, True),
    'label': ('data_road/training/gt_image_2/*_road_*', NEW, True),
    'calibration': ('data_road/training/calib/*', EVALUATE, False),
    'mask': ('masks/masks/*', MASKS, True),
    'classes.txt': ('masks/classes.txt', MASKS, False),
    'h5': ('weights.h5', [*NEW, '--vgg-dir=new', '--vgg-weights=weights.h5'], False),
    'graph': ('vgg/saved_model.pb', NEW, True),
    'graph variables': ('vgg/variables/*', NEW, True),
    'picture or video': ('pictures/*', PREDICT, False),
    'checkpoint': (f'{RUN}/checkpoints/best/epoch*', EVALUATE, True),
    'state.json': (f'{RUN}/checkpoints/last/state.json', RESUME, False),
    'metrics.csv': (f'{RUN}/metrics.csv', RESUME, True),
    'config.json': (f'{RUN}/config.json', EVALUATE, False),
    'cache': ('data/cache/*/*', [*NEW_RUN, '--epochs=1'], True)}


def garble(rng, data):
    """Flip a bit, overwrite, remove or insert a run of bytes, or cut off the end."""
    size = len(data)
    # half of the cases near the start or the end, where formats keep their structure
    at = int(rng.choice([rng.integers(size), rng.integers(size), rng.integers(min(200, size)),
                         size - 1 - rng.integers(min(400, size))]))
    run = data[at:at + int(rng.integers(1, 60))]
    rest = data[at + len(run):]
    flipped = bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1:]
    ends = (flipped, rng.bytes(len(run)) + rest, bytes(len(run)) + rest, b'\xff' * len(run) + rest,
            rest, rng.bytes(len(run)) + run + rest, b'')
    garbled = data[:at] + ends[rng.integers(len(ends))]
    return garbled if garbled != data else garble(rng, data)


def write_files(folder):
    """Write what KINDS names, but for the run and its cache, into the folder."""
    write_inputs(folder, training=2, testing=1)
    with h5py.File(f'{folder}/weights.h5', 'w') as file:  # with Keras' names
        for name, array in random_weights(vgg16.WIDTHS).items():
            file[f'block{name[4]}_conv{name[6]}/{name.partition("/")[2]}'] = array
    shutil.copytree(f'{folder}/data_road/training/image_2', f'{folder}/masks/images')
    Path(folder, 'pictures').mkdir()
    frame = read_image(str(next(Path(folder, 'masks/images').iterdir())))
    frames = np.stack([frame[:64, i:i + 128] for i in range(3)])
    iio.imwrite(f'{folder}/pictures/a.jpg', frame)
    iio.imwrite(f'{folder}/pictures/b.gif', frames)
    iio.imwrite(f'{folder}/pictures/c.mp4', frames, plugin='pyav', codec='h264')
    Path(folder, 'masks/masks').mkdir()
    for label in Path(folder, 'data_road/training/gt_image_2').glob('*_road_*'):
        shutil.copy(label, Path(folder, 'masks/masks', label.name.replace('_road', '')))
    Path(folder, 'masks/classes.txt').write_text(
        '# of the masks\n#ff0000 not road #ff0000\n#ff00ff road\n#000000 ignore\n#0000ff ignore\n')


def fuzz(place, count):
    """Run and print `count` cases of each kind; returns a list of faults."""
    original, case, faults = f'{place}/original', f'{place}/case', []
    Path(original).mkdir()
    start(original, original, write_files).join()
    code, fault, _ = finish(start(original, [*NEW_RUN, '--epochs=1']), original)
    assert code == 0, fault
    for kind, (pattern, words, checksum) in KINDS.items():
        outcomes = Counter()
        for number in range(-1, count):  # -1 is the intact file
            shutil.copytree(original, case)
            files = sorted(Path(case).glob(pattern))
            path = files[number % len(files)]
            if number >= 0:
                rng = np.random.default_rng([*kind.encode(), number])
                path.write_bytes(garble(rng, path.read_bytes()))
            if words not in (EVALUATE, RESUME, PREDICT):
                shutil.rmtree(f'{case}/{RUN}')
            code, fault, results = finish(start(case, words), case, 60)
            shutil.rmtree(case)
            if number < 0:
                assert code == 0 and not fault, (kind, fault)
                expected = results
                continue
            outcome = 'refused' if code > 0 else 'no end'
            if code == 0:
                outcome = 'same' if results == expected else 'other results'
            if fault or outcome == 'no end' or (checksum and outcome == 'other results'):
                faults.append(f'{kind} {number}: {fault or outcome}')
            outcomes[outcome] += 1
        print(f'{kind}: {dict(outcomes)}', flush=True)
    return faults


def grey(ids, _):
    return Image.fromarray(ids)


def rgb(ids, colours):
    return Image.fromarray(colours[ids])


def one_bit(ids, _):
    return Image.fromarray(ids == 1 if ids.max() < 2 else ids)  # no bit can be ignored


def palette(ids, colours, first=(0, 1, 2)):
    """A mask whose palette has the colours of the ids 0, 1 and 2 at the places `first`."""
    places = np.arange(256, dtype=np.uint8)
    places[:3] = first
    mask = Image.fromarray(places[ids])
    mask.putpalette(colours[np.argsort(places)].tobytes())
    return mask


GREYS = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
VOC = np.uint8([list(palette_colour(value).to_bytes(3, 'big')) for value in range(256)])
# How masks are drawn: by which function, the colour of each id, and classes.txt.
STYLES = {
    'grey': (grey, GREYS, '0 background\n1 road\n2 car\n255 ignore\n'),
    'palette': (palette, VOC, '0 background\n1 road\n2 car\n'),
    'colours': (rgb, VOC, '#000000 background\n#800000 road\n#008000 car\n'),
    '1 bit': (one_bit, GREYS, '0 background\n1 road\n'),
    'no list': (grey, GREYS, '')}


# What changes: a scene, all, the second, the folders, the text of classes.txt. To what: new
# attributes, see make_case. What must come of it alone; 'either' depends on the style.
CHANGES = {
    'palette in another order': (
        'one', {'draw': lambda ids, colours: palette(ids, colours, (1, 2, 0))}, 'either'),
    'quantize()': ('one', {'draw': lambda *args: rgb(*args).quantize()}, 'either'),
    'one bit': ('one', lambda scene: {'ids': np.uint8(scene.ids == 1), 'draw': one_bit}, 'either'),
    'ids as RGB': ('all', {'draw': rgb, 'colours': GREYS}, 'either'),
    'ids in red': ('all', {'draw': rgb, 'colours': GREYS * np.uint8([1, 0, 0])}, 'either'),
    'alpha': ('all', {'draw': lambda ids, colours: Image.fromarray(
        np.dstack([colours[ids], 255 * np.uint8(ids > 0)]))}, 'either'),
    '16-bit TIFF': ('all', {'draw': lambda ids, _: Image.fromarray(ids.astype(np.uint16)),
                            'ending': 'tif'}, 'either'),
    'JPEG': ('all', {'draw': rgb, 'ending': 'jpg'}, 'refused'),
    'another size': ('one', {'step': lambda mask: mask.resize((16, 12))}, 'refused'),
    'black': ('all', {'step': lambda mask: Image.new('L', mask.size)}, 'refused'),
    'ring of 255': ('one', lambda scene: {'ids': np.where(
        np.diff(scene.ids, prepend=0), np.uint8(255), scene.ids)}, 'either'),
    'one row': ('one', lambda scene: {'picture': scene.picture[-1:], 'ids': scene.ids[-1:]},
                'either'),
    'turned by EXIF': ('one', {'turns': 1}, 'read'),
    'mask of stored pixels': ('one', {
        'turns': 1, 'step': lambda mask: mask.transpose(Image.Transpose.ROTATE_90)}, 'refused'),
    'mask missing': ('one', {'missing': True}, 'refused'),
    'not UTF-8': ('one', lambda scene: {'name': scene.name + '\udcfc'}, 'read'),
    'case of letters': ('second', {'name': 'IMG_0'}, 'refused'),
    'Train': ('folders', ('Train', 'validation', 'TEST'), 'read'),
    'train1': ('folders', ('train1', 'val1', 'test1'), 'refused'),
    'lines in reverse': ('text', lambda text: ''.join(text.splitlines(True)[::-1]), 'read'),
    'a colour twice': ('text', lambda text: text.replace('\n', ' #ff0000\n'), 'either'),
    '_BACKGROUND_': ('text', lambda text: text.replace('background', '_BACKGROUND_'), 'read')}


def make_case(number):
    """The data set of a case: first those with each change alone in each style, then pairs."""
    rng = np.random.default_rng(number)
    alone = [(style, [change]) for style in STYLES for change in CHANGES]
    pair = rng.choice(list(STYLES)), rng.permutation(list(CHANGES))[:2]
    style, changes = alone[number] if number < len(alone) else pair
    draw, colours, text = STYLES[style]
    data = SimpleNamespace(
        scenes=[], text=text, folders=('a', 'b', 'c'), title=f'{style}, {" and ".join(changes)}',
        names=['background', 'road' if text else 'target'] + ['car'] * ('car' in text),
        expected=CHANGES[changes[0]][2] if len(changes) == 1 else 'either')
    count = rng.integers(5, 9)
    for i in range(count):
        ids = np.zeros((24, 32), np.uint8)  # 255 is ignored
        ids[rng.integers(8, 14):, rng.integers(1, 10):rng.integers(20, 31)] = 1
        ids[18:22, 12:rng.integers(14, 25)] = len(data.names) - 1
        data.scenes.append(SimpleNamespace(
            name=f'img_{i}', split=max(0, i + 3 - count), ids=ids, turns=0,
            picture=rng.integers(0, 256, (24, 32, 3), np.uint8), draw=draw, colours=colours,
            ending='png', step=lambda mask: mask, missing=False))
    which = {'one': [rng.choice(data.scenes)], 'all': data.scenes, 'second': data.scenes[1:2]}
    for what, new, _ in map(CHANGES.get, changes):
        for scene in which.get(what, ()):
            vars(scene).update(new if isinstance(new, dict) else new(scene))
        if what not in which:
            setattr(data, what, new if what == 'folders' else new(data.text))
    return data


def write_case(data, folder):
    """Write the files of a data set; returns {path of an image: its scene}."""
    scenes = {}
    for scene in data.scenes:
        name = f'{data.folders[scene.split]}/{scene.name}'
        image = Path(folder, f'images/{name}.png')
        mask = Path(folder, f'masks/{name}.{scene.ending}')
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if scene.turns else 1
        Image.fromarray(np.rot90(scene.picture, scene.turns)).save(image, exif=exif)
        drawn = scene.step(scene.draw(scene.ids, scene.colours))
        drawn = drawn.convert('RGB') if scene.ending == 'jpg' else drawn
        if not scene.missing:
            drawn.save(mask)
        scenes[str(image)] = scene
    if data.text:
        Path(folder, 'classes.txt').write_text(data.text)
    return scenes


def open_case(data, folder):
    """Open a data set as a training does: 'read', 'refused', or what is wrong."""
    scenes = write_case(data, f'{folder}/set')
    args = parse_training([f'--dataset-dir={folder}/set', f'--data-dir={folder}/data'])
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            found = formats.open_dataset(args)
    except InputError as error:
        return 'refused' if f'{folder}/set' in str(error) else f'names no file: {error}'
    names = [each.name.lower().strip('_') for each in found.classes]
    if sorted(names) != sorted(data.names) or names[0] != 'background':
        return f'classes {names}'
    indices = np.full(256, IGNORE_LABEL, np.uint8)
    indices[:len(names)] = [names.index(name) for name in data.names]
    parts = found.training, found.validation, found.testing
    frames = [(split, frame) for split, part in enumerate(parts) for frame in part]
    if sorted(frame.image for _, frame in frames) != sorted(scenes):
        return 'a picture is missing or there twice'
    for split, frame in frames:
        scene = scenes[frame.image]
        if split == 2 if data.folders[0] == 'a' else split != scene.split:
            return f'{frame.name}: is in another split'
        if not np.array_equal(read_image(frame.image, frame.bits), scene.picture):
            return f'{frame.name}: another picture is read'
        if frame.label is None and split < 2 or frame.label and not np.array_equal(
                found.read_label(frame.label), indices[scene.ids]):
            return f'{frame.name}: another label is read'
    return 'read'


def plausible(numbers):
    """Run and print the cases of these numbers; returns a list of faults."""
    outcomes, faults = Counter(), []
    for number in numbers:
        data = make_case(number)
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = open_case(data, folder)
            except Exception as error:  # anything but an InputError
                outcome = repr(error)
        if outcome not in ('read', 'refused') or data.expected not in ('either', outcome):
            faults.append(f'{number}: {data.title}: {outcome}')
            outcome = 'wrong'
        outcomes[outcome] += 1
    print(f'plausible: {dict(outcomes)}')
    return faults


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--count', type=int, default=20, metavar='N', help='cases of each kind')
    parser.add_argument('--plausible', type=int, metavar='N', help='number of data sets')
    args = parser.parse_args()
    # few channels, so that the garbled bytes are not a needle in 59 MB of weights
    vgg16.WIDTHS = 2, 3, 4, 5, 6
    with tempfile.TemporaryDirectory() as place:
        faults = plausible(range(args.plausible)) if args.plausible else fuzz(place, args.count)
    print(f'{len(faults)} faults', *faults, sep='\n')
    sys.exit(1 if faults else 0)
