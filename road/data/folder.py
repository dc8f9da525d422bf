"""A folder of one's own pictures, with a mask for each; docs/data.md describes lists and splits.

    <folder>/images/**    of any format and name
    <folder>/masks/**     same stem; grey ids (8 or 16 bits), 1 bit, palette, RGB or RGBA
    <folder>/classes.txt  a line per class: VALUE NAME [#RRGGBB]

or as labelling tools export them: LAYOUTS and CLASS_LISTS. Without a list, masks of two values are
background (what is black, else grey or white, else darker) and target.
"""

import os
import posixpath
import re
import shlex
import unicodedata
from itertools import chain

from road.data import IGNORE_LABEL
from road.data.check import inspect_files
from road.data.dataset import ANY, Class, Dataset, find_frames, image_endings, list_images
from road.data.labels import UNKNOWN, LabelRule
from road.errors import InputError

EXPECTED = 'A mask has the name of its image, or NAME_mask'
# folders of images and of masks, and patterns of the paths below
BESIDE = '(.*)(?<!_mask)', '(.*)_mask'
LAYOUTS = (('images', 'masks', (ANY, ANY)), ('images', 'masks', (ANY, '(.*)_(?:mask|L)')),
           ('images', 'images', BESIDE),
           ('', '', ('([^/]+/)images/(.*)', '([^/]+/)masks/(.*)')),
           ('', '', ('([^/]+/)images/(.*)', '([^/]+/)masks/(.*)_(?:mask|L)')),
           ('', '', BESIDE),  # Roboflow, in train/, valid/ and test/
           ('', '', ('([^/]+)(?<!annot)(/.*)', '([^/]+)annot(/.*)')))  # CamVid 1.0 of CVAT
CLASS_LISTS = ('classes.txt', 'labelmap.txt', 'label_colors.txt', '_classes.csv',
               'train/_classes.csv', 'class_dict.csv')
LINES = [re.compile(line) for line in (
    r'(?P<value>#[0-9a-fA-F]{6}|\d+(?:(?:\s*,\s*|\s+)\d+){2}|\d+)'
    r'(?:\s+(?P<name>[^\s#](?:.*?\S)??))?(?:\s+#(?P<colour>[0-9a-fA-F]{6}))?',
    r'(?P<name>[^#].*):(?P<value>\d+,\d+,\d+):.*:.*',  # CVAT: the name, colour, parts, actions
    r'(?P<value>\d+)\s*,\s*(?P<name>\D.*)',  # Roboflow
    r'(?P<name>.+?)\s*,\s*(?P<value>\d+\s*,\s*\d+\s*,\s*\d+)')]  # Kaggle
IGNORE = 'ignore'  # the name of ignored pixels
# words in the names of subfolders, in any case of letters; '' is a split that is not read
SPLITS = {'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
          'test': 'test', 'testing': 'test',
          **dict.fromkeys(('trainval', 'dev', 'eval', 'evaluation', 'holdout'), '')}
MASKS = re.compile('mask|label|annot|segm|truth|(^|[/_])(gt|ann)', re.I)  # in names of folders


def find_dataset(folder, checked_path=None):
    """The Dataset of a folder; without a list of classes every mask is read, see road.data.check.

    Raises InputError where the layout or the classes are not known, or their list has a fault.
    """
    root, frames, faults = _find_frames(folder)
    splits = {}  # folder in root => train, val or test; the first of two for one split
    for name in sorted(next(os.walk(root))[1]):
        split = SPLITS.get(name.casefold())
        if split and split not in splits.values():
            splits[name] = split
    parts, strays = {'train': [], 'val': [], 'test': []}, set()
    for frame in frames:
        folders = os.path.dirname(frame.name)
        split = splits.get(folders.split('/')[0])
        parts[split or 'train'].append(frame)
        beside_train = split is None and 'train' in splits.values()
        if beside_train or _splits_in(folders) - {split}:
            strays.add(os.path.dirname(frame.image))
    faults += [f'{path}: holds images beside train, or is named like a split and is none; give '
               f'{root} one folder each for train, val and test, and move or rename others'
               for path in sorted(strays)]
    faults += [f'{os.path.join(root, name)}: holds no images; put some there or remove it'
               for name, split in splits.items() if not parts[split]]
    val_path = os.path.join(folder, 'val.txt')
    labelled = [frame for frame in chain(*parts.values()) if frame.label]
    is_cvat = os.path.dirname(labelled[0].label).endswith('annot')  # it lists pairs in val.txt
    if os.path.exists(val_path) and not is_cvat:
        if parts['val']:
            faults.append(f'{val_path}: {root} has images to validate too; remove one of them')
        parts['train'], parts['val'] = _split_by_list(val_path, parts['train'], faults)
    if not parts['train'] and not faults:
        faults.append(f'{root}: no image is left to train on; leave some out of val')
    lists = class_lists(folder)
    if lists:
        classes, rule = read_classes_file(lists[0])
    else:
        classes, rule = _infer_classes(os.path.join(folder, 'classes.txt'),
                                       [frame.label for frame in labelled], checked_path)
    return Dataset('folder', 'Own pictures', folder, classes, rule, *parts.values(), tuple(faults),
                   recognised=(*labelled[0][1:3], *lists[:1]))


def _find_frames(folder):
    """(folder of splits, frames, faults) of the first of LAYOUTS that gives an image a mask."""
    for *parts, patterns in LAYOUTS:
        images, masks = (os.path.join(folder, part).rstrip(os.sep) for part in parts)
        frames, faults = find_frames(images, masks, EXPECTED, patterns, ('test/', 'testing/'))
        if any(frame.label for frame in frames):
            return images, frames, faults
    raise InputError(_advice(folder))


def _advice(folder):
    """What is wrong with a folder that has no layout, and the commands that give it the nearest."""
    files = list_images(folder)
    stems, moves = {}, {}  # moves: {to: from}
    for name in files:
        where, stem = posixpath.split(name)
        stems.setdefault(where, set()).add(re.sub('_(mask|L)$', '', stem))
    for masks in filter(MASKS.search, stems):
        shared, images = max(((len(stems[path] & stems[masks]), path)
                              for path in stems if not MASKS.search(path)), default=(0, ''))
        if shared:
            while '/' in images and '/' in masks and images.split('/')[-1] == masks.split('/')[-1]:
                parents = posixpath.dirname(images), posixpath.dirname(masks)
                if _splits_in(posixpath.basename(images)) and '/' in ''.join(parents):
                    break  # train/ and val/ have to lie in images/ itself
                images, masks = parents
            part = ''.join(_splits_in(images)) or posixpath.basename(posixpath.dirname(images))
            moves.setdefault(f'masks/{part}', masks)  # first: it may be in images
            moves.setdefault(f'images/{part}', images)
    if not moves:
        return (f'{folder}: has no image with a mask; put images into images/ and masks of the '
                'same names into masks/, or name the folder that holds both (labels in JSON or XML '
                'have to be exported as masks). docs/data.md lists the formats that are known')
    root = shlex.quote(folder)
    commands = [f'mkdir -p {root}/images {root}/masks'] if 'masks/' not in moves else []
    for to, source in moves.items():
        to = to.rstrip('/')
        if not source:  # the images alone
            path = next(path for name, path in files.items() if '/' not in name)
            commands.append(f'mkdir {root}/images')
            commands.append(f'mv {root}/*{os.path.splitext(path)[1]} {root}/{to}')
        elif source != to:
            commands.append(f'mv {root}/{shlex.quote(source)} {root}/{shlex.quote(to)}')
    return (f'{folder}: is in no known format; these commands turn it into the nearest, '
            f'images/NAME with masks/NAME: {" && ".join(commands)}')


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


def _split_by_list(path, frames, faults):
    """(other frames, those whose stems val.txt lists, with folders or not); adds to faults."""
    endings = image_endings()
    named, by_end = set(), {}  # a/b/c ends with a/b/c, b/c and c
    for frame in frames:
        parts = frame.name.split('/')
        for i in range(len(parts)):
            by_end.setdefault('/'.join(parts[i:]), set()).add(frame.name)
    for number, line in _lines(path):
        stem, ending = os.path.splitext(line)
        found = by_end.get(stem if ending.lower() in endings else line, set())
        if line[0] == '#' and not found:
            continue
        if len(found) != 1:
            faults.append(f'{path}:{number}: {line}: {len(found)} images have this stem; give the '
                          'stem of one, with its folders')
        named |= found
    if not named and not faults:
        faults.append(f'{path}: names no image; give a stem per line')
    return ([frame for frame in frames if frame.name not in named],
            [frame for frame in frames if frame.name in named])


def class_lists(folder):
    """Paths of the CLASS_LISTS that are there, the one that counts first."""
    paths = [os.path.join(folder, name) for name in CLASS_LISTS]
    return [path for path in paths if os.path.isfile(path)]


def read_classes_file(path):
    """Read a list of classes: (tuple of Class, LabelRule). Raises InputError that names the line.

    Classes stand in the order of the lines, but one called background comes first.
    """
    names, colours, kinds = {}, {}, set()  # both of value; whether values are colours
    for number, line in _lines(path):
        match = next(filter(None, (pattern.fullmatch(line) for pattern in LINES)), None)
        if not match and (line[0] == '#' or number == 1 and path.endswith('.csv')):  # a heading
            continue
        value, by_colour = _parse_value(match['value']) if match else (None, False)
        kinds.add(by_colour)
        if (value is None or not match['name'] or match['name'].split()[-1][0] == '#'
                or value in names or len(kinds) > 1):
            raise InputError(
                f'{path}:{number}: {line}: expected VALUE NAME [#RRGGBB], as in 1 road or #ff00ff '
                'road; each value once, all of them ids, 0 to 65535, or colours of parts 0 to 255')
        is_ignored = match['name'].lower().strip('_') in (IGNORE, 'void')
        names[value] = IGNORE if is_ignored else match['name']
        if match.groupdict().get('colour'):
            colours[value] = int(match['colour'], 16)
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
    """(tuple of Class, LabelRule) of {value: name}, and {value: 0xRRGGBB} of what is given.

    A class of several values is painted as the first that has a colour.
    """
    painted = {name: value if by_colour else palette_colour(value)
               for value, name in reversed(names.items()) if name != IGNORE}
    order = sorted(dict.fromkeys(name for name in names.values() if name != IGNORE),
                   key=lambda name: not _is_background(name, painted))
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
    bits = f'{value:024b}'[::-1]  # the lowest first: three in turn go to red, green and blue
    return int(bits[::3] + bits[1::3] + bits[2::3], 2)


def _infer_classes(path, labels, checked_path):
    """(classes, LabelRule) of the two most frequent values; path is where classes.txt would be."""
    infos, unread = inspect_files([], labels, checked_path, trust=True)
    if not infos:
        raise InputError(unread[labels[0]])
    values = [info.values for info in infos.values()]
    # Colours count if not all masks are grey: each palette has an order of its own.
    by_colour = any(colour not in (-1, value * 0x010101) for value, colour, _ in chain(*values))
    rule = LabelRule(by_colour, {}, '')  # without classes, it knows no value
    _, counts = rule.count(*values)
    if len(counts) == 1:
        raise InputError(f'{os.path.commonpath(labels)}: no mask has a pixel of a target, every '
                         f'pixel is {rule.show(*counts)} (or transparent); save the target with '
                         'another value')
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
