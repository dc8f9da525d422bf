"""A folder of one's own pictures, with a mask for each.

    <folder>/images/**    of any format and name
    <folder>/masks/**     same stem; grey ids (8 or 16 bits), 1 bit, palette, RGB or RGBA
    <folder>/classes.txt  a line per class: VALUE NAME [#RRGGBB]

VALUE is an id (the grey level, or the place in the palette) or a colour of the masks, as #RRGGBB or
R,G,B. Several values may have one name. The name `ignore` marks ignored pixels; #RRGGBB at the end
is the colour to paint. With two classes, the one that is not called background is the target.
Without classes.txt, masks of two values are background (what is black, else grey or white, else
darker) and target.

images/ and masks/ may have the subfolders train, val and test, or others of SPLITS; images in test
may lack masks. Or val.txt names the images that validate, a stem per line; else the last 15 % do.
"""

import os
import re
import unicodedata
from itertools import chain

from road.data import IGNORE_LABEL
from road.data.check import inspect_files
from road.data.dataset import Class, Dataset, find_frames, image_endings
from road.data.labels import UNKNOWN, LabelRule
from road.errors import InputError

EXPECTED = 'images/ holds the images, masks/ a mask of the same stem for each'
IGNORE = 'ignore'  # the name of ignored pixels
# words in the names of subfolders, in any case of letters; '' is a split that is not read
SPLITS = {'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
          'test': 'test', 'testing': 'test',
          **dict.fromkeys(('trainval', 'dev', 'eval', 'evaluation', 'holdout'), '')}
_LINE = re.compile(r'(#[0-9a-fA-F]{6}|\d+(?:(?:\s*,\s*|\s+)\d+){2}|\d+)'
                   r'(?:\s+([^\s#](?:.*?\S)??))?(?:\s+#([0-9a-fA-F]{6}))?')


def find_dataset(folder, checked_path=None):
    """The Dataset of a folder; without classes.txt every mask is read, see road.data.check.

    Raises InputError where classes.txt or val.txt has a fault, or the classes are not known.
    """
    images, masks = os.path.join(folder, 'images'), os.path.join(folder, 'masks')
    splits = {}  # folder in images/ => train, val or test; the first of two for one split
    for name in sorted(os.listdir(images)) if os.path.isdir(images) else ():
        split = SPLITS.get(name.casefold())
        if split and split not in splits.values() and os.path.isdir(os.path.join(images, name)):
            splits[name] = split
    unlabelled = tuple(f'{name}/' for name, split in splits.items() if split == 'test')
    frames, faults = find_frames(images, masks, EXPECTED, unlabelled=unlabelled)
    labels = [frame.label for frame in frames if frame.label]
    if not labels:
        raise InputError(f'{masks}: holds no mask for any of the {len(frames)} images; {EXPECTED}'
                         if frames else faults[0])
    parts, strays = {'train': [], 'val': [], 'test': []}, set()
    for frame in frames:
        folders = os.path.dirname(frame.name)
        split = splits.get(folders.split('/')[0])
        parts[split or 'train'].append(frame)
        beside_train = split is None and 'train' in splits.values()
        if beside_train or _splits_in(folders) - {split}:
            strays.add(os.path.dirname(frame.image))
    faults += [f'{path}: holds images beside train, or is named like a split and is none; give '
               f'{images} one folder each for train, val and test, and move or rename others'
               for path in sorted(strays)]
    faults += [f'{os.path.join(images, name)}: holds no images; put some there or remove it'
               for name, split in splits.items() if not parts[split]]
    val_path = os.path.join(folder, 'val.txt')
    if os.path.exists(val_path):
        if parts['val']:
            faults.append(f'{val_path}: {images} has images to validate too; remove one of them')
        parts['val'] = _named_in(val_path, parts['train'], faults)
        parts['train'] = [frame for frame in parts['train'] if frame not in parts['val']]
    if not parts['train'] and not faults:
        faults.append(f'{images}: no image is left to train on; leave some out of val')
    classes_path = os.path.join(folder, 'classes.txt')
    if os.path.exists(classes_path):
        classes, rule = read_classes_file(classes_path)
    else:
        classes, rule = _infer_classes(classes_path, masks, labels, checked_path)
    return Dataset('folder', 'Own pictures', folder, classes, rule, *parts.values(), tuple(faults))


def _splits_in(folders):
    """The splits that words in names of folders mean, as in train2017, testA or My-Test: a set."""
    words = map(str.casefold, re.findall(r'[A-Z]?[a-z]+|[A-Z]+', folders))
    return {SPLITS[word] for word in words if word in SPLITS}


def _lines(path):
    """(line number, text) of the lines of a text file that are not blank."""
    try:
        with open(path, encoding='utf-8-sig') as file:  # editors on Windows write a mark first
            lines = [(number, unicodedata.normalize('NFC', line.strip()))
                     for number, line in enumerate(file, 1)]
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is not a text file in UTF-8; save it as such') from error
    return [(number, line) for number, line in lines if line]


def _named_in(path, frames, faults):
    """The frames whose stems val.txt lists, folders before them or not; adds lines to faults."""
    named = set()
    for number, line in _lines(path):
        stem, ending = os.path.splitext(line)
        name = stem if ending.lower() in image_endings() else line
        found = {frame.name for frame in frames if f'/{frame.name}'.endswith(f'/{name}')}
        if line[0] == '#' and not found:
            continue
        if len(found) != 1:
            faults.append(f'{path}:{number}: {line}: {len(found)} images have this stem; give the '
                          'stem of one, with its folders')
        named |= found
    if not named and not faults:
        faults.append(f'{path}: names no image; give a stem per line')
    return [frame for frame in frames if frame.name in named]


def read_classes_file(path):
    """Read classes.txt: (tuple of Class, LabelRule). Raises InputError with the line's number.

    Classes stand in the order of the lines, but one called background comes first.
    """
    names, colours, kinds = {}, {}, set()  # both of value; whether values are colours
    for number, line in _lines(path):
        match = _LINE.fullmatch(line)
        if not match and line[0] == '#':
            continue
        value, by_colour = _parse_value(match[1]) if match else (None, False)
        kinds.add(by_colour)
        if (value is None or not match[2] or match[2].split()[-1][0] == '#'
                or value in names or len(kinds) > 1):
            raise InputError(
                f'{path}:{number}: {line}: expected VALUE NAME [#RRGGBB], as in 1 road or #ff00ff '
                'road; each value once, all of them ids, 0 to 65535, or colours of parts 0 to 255')
        names[value] = IGNORE if match[2].lower().strip('_') == IGNORE else match[2]
        if match[3]:
            colours[value] = int(match[3], 16)
    classes, rule = make_classes(kinds == {True}, names, colours, f'give it a line in {path}, with '
                                 f'the name {IGNORE} for ignored pixels')
    if not 2 <= len(classes) <= UNKNOWN:
        raise InputError(f'{path}: has {len(classes)} classes; give 2 to {UNKNOWN}, a line VALUE '
                         'NAME for each')
    painted = [each.colour for each in classes]
    same = [each.name for each in classes if painted.count(each.colour) > 1]
    if same:
        raise InputError(f'{path}: {", ".join(same)}: would be painted in one colour; end their '
                         'lines with a #RRGGBB of their own')
    return classes, rule


def _parse_value(text):
    """(value, whether it is a colour); the value is None if a number is too large."""
    if text[0] == '#':
        return int(text[1:], 16), True
    numbers = list(map(int, re.split(r'[\s,]+', text)))
    if len(numbers) == 1:
        return (numbers[0] if numbers[0] <= 65535 else None), False
    return (int.from_bytes(numbers, 'big') if max(numbers) <= 255 else None), True


def make_classes(by_colour, names, colours, hint):
    """(tuple of Class, LabelRule) from {value: name}, and {value: 0xRRGGBB} of what is given.

    A class of several values is painted as the first that has a colour.
    """
    painted = {name: value if by_colour else palette_colour(value)
               for value, name in reversed(names.items()) if name != IGNORE}
    order = sorted(reversed(painted), key=lambda name: not _is_background(name, painted))
    painted |= {names[value]: colour for value, colour in reversed(colours.items())}
    classes = tuple(Class(name, tuple(painted[name].to_bytes(3, 'big'))) for name in order)
    indices = {value: IGNORE_LABEL if name == IGNORE else order.index(name)
               for value, name in names.items()}
    return classes, LabelRule(by_colour, indices, hint)


def _is_background(name, names):
    """Whether a class is background, _background_ (LabelMe), Background, ..., or `not NAME`."""
    plain = name.lower().strip('_')
    return plain == 'background' or plain in (f'not {other.lower()}' for other in names)


def palette_colour(value):
    """The colour 0xRRGGBB of an id in the palette of PASCAL VOC, as LabelMe uses it."""
    return sum((value >> 3 * i + channel & 1) << 23 - 8 * channel - i
               for i in range(8) for channel in range(3))


def _infer_classes(path, masks, labels, checked_path):
    """(classes, LabelRule) of the two most frequent values; path is where classes.txt would be.

    Ids count where all masks are grey, and colours elsewhere: each palette has an order of its own.
    Other values are faults, which road.data.check finds.
    """
    infos, unread = inspect_files([], labels, checked_path, trust=True)
    if not infos:
        raise InputError(unread[labels[0]])
    values = [info.values for info in infos.values()]
    by_colour = any(colour not in (-1, value * 0x010101) for value, colour, _ in chain(*values))
    rule = LabelRule(by_colour, {}, '')  # without classes, it knows no value
    _, counts = rule.count(*values)
    if len(counts) == 1:
        raise InputError(f'{masks}: no mask has a pixel of a target, every pixel is '
                         f'{rule.show(*counts)} (or transparent); save the target with another '
                         'value')
    pair = sorted(value for value, _ in counts.most_common(2))
    background, target = sorted(pair, key=_plainness) if by_colour else pair
    return make_classes(
        by_colour, {background: 'background', target: 'target'}, {background: 0},
        f'masks are {rule.show(background)} for background and {rule.show(target)} for target; '
        f'for other values write {path}, a line VALUE NAME for each value '
        f'(several may have one name, and {IGNORE} marks ignored pixels)')


def _plainness(colour):
    """Sorts the likely background first: black, then grey and white, then the darker colour."""
    red, green, blue = (colour % 2**24).to_bytes(3, 'big')
    vivid = (max(red, green, blue) - min(red, green, blue)) // 64
    return vivid, 299 * red + 587 * green + 114 * blue
