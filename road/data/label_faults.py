"""What is wrong with the values of labels, {path: road.data.check.FileInfo}: cause and cure."""

import os
from collections import Counter

from road.data.labels import LabelRule

LOSSY = 'JPEG', 'MPO', 'JPEG2000', 'WEBP', 'AVIF'  # the first two always
MANY_VALUES = 8  # of no class, in a file: more than a forgotten class or two
LIST_COLOURS = ('list colours in classes.txt, as in #800000 road, or, if a single channel holds '
                'the ids, save that channel as a grey image')
TRAIN_IDS = ('holds train ids (0 to 18, and 255), as all labels do, where ids are expected (7 is '
             'road, 33 bicycle)', 'take the original labels, or, of Cityscapes, name them '
             '*_gtFine_labelTrainIds.png')


def value_faults(data, infos):
    """Lines about values that are no class, or not what they seem, in labels of a Dataset."""
    train_ids = _are_train_ids(data, infos)
    found = {}  # (what is wrong, cure) => {path: pixels}
    meanings = {}  # what must mean the same in all labels => (meaning, first label that shows it)
    for path, info in infos.items():
        unknown = data.rule.count(info.values)[1]
        cause = TRAIN_IDS if train_ids else (
            _cause(info, unknown, data) or _conflict(path, info, data, meanings))
        wrong = {cause: info.pixels} if cause else {
            (f'the value {data.rule.show(value)} is no class', data.rule.hint): count
            for value, count in unknown.items()}
        for key, count in wrong.items():
            found.setdefault(key, {})[path] = count
    lines = []
    for (what, cure), files in sorted(found.items(), key=lambda each: -sum(each[1].values())):
        paths, pixels = list(files), sum(files.values())
        names = ', '.join(map(os.path.basename, paths[:3])) + (', ...' if paths[3:] else '')
        lines.append(f'{paths[0]}: {what}; {pixels} pixels in {len(paths)} of {len(infos)} '
                     f'labels ({names}); {cure}')
    return lines


def _conflict(path, info, data, meanings):
    """(what is wrong, cure) if ids mean something else than elsewhere, or than a palette shows."""
    # Programs that optimise files sort palettes, or make one of grey levels, or 1 bit of 0 and 255.
    # An image of value 0 alone, if that is black, means the same in every mode.
    if data.rule.by_colour or all(value == colour == 0 for value, colour, _ in info.values):
        return None
    cure = 'save all labels as grey images'
    if data.format == 'folder':
        cure = 'list colours in classes.txt in place of ids, as in #800000 road'
    background, *others = data.classes
    has_background = background.name.lower().strip('_') == 'background'
    mode = info.kind.split()[1]
    facts = [('the image', 'of 1 bit' if mode == '1' else 'grey')]
    if mode == 'P' and any(colour != value * 0x010101 for value, colour, _ in info.values):
        facts = [('the image', 'of a palette')]
        places = Counter(colour for _, colour, _ in info.values)
        for value, colour, _ in info.values:
            words = f'the value {value}', f'#{colour:06x}'
            facts.append(words)
            # what is transparent, or has no entry in the palette, is black too
            if colour and places[colour] == 1:
                facts.append(words[::-1])
            index = data.rule.indices.get(value, 0)
            if has_background and not colour and 0 < index <= len(others):
                return f'black is {value}, and not {background.name}', cure
    for what, meaning in facts:
        other, first = meanings.setdefault(what, (meaning, path))
        if other != meaning:
            return f'{what} is {meaning} here, but {other} in {first}', cure
    return None


def _are_train_ids(data, infos):
    """Whether Cityscapes' ids look like train ids, whose road is 0 and not 7."""
    pixels = LabelRule(False, {}, '').count(*(info.values for info in infos.values()))[1]
    return (data.format in ('cityscapes', 'kitti-semantics') and 33 in data.rule.indices
            and all(value < 19 or value == 255 for value in pixels)
            and (pixels[255] > 0 or pixels[0] > pixels[7]))


def _cause(info, unknown, data):
    """(what is wrong, cure) of a label with values of no class, {value: pixels}, or None."""
    rule = data.rule
    many = len(unknown) > MANY_VALUES
    image_format, mode = info.kind.split()
    # one of few ids may even have become another id, which no value shows
    if image_format in LOSSY[:2] or many and image_format in LOSSY:
        return f'is a {image_format} image, which changes values at edges', 'export labels as PNG'
    # not all values of a photograph are remembered
    share = 1 - sum(rule.count(info.values)[0].values()) / info.pixels
    if many and share < min(0.5, 0.01 * len(unknown)) and (
            rule.by_colour or min(unknown) < max(rule.indices)):
        return ('has values between those of the classes, as smooth resizing leaves them',
                'resize labels with nearest neighbour')
    coloured = any(value != (value & 255) * 0x010101 for value in rule.indices)
    blue = sum(pixels for _, colour, pixels in info.values if colour == 0x0000FF)
    cure = rule.hint
    if rule.by_colour and unknown and coloured and mode[0] in 'LI':
        what, cure = ('is a grey image, where colours are expected',
                      'list ids in classes.txt, as in 1 road')
    elif not rule.by_colour and -1 in unknown:
        what, cure = 'is an RGB image, where ids are expected', LIST_COLOURS
    elif data.format == 'kitti' and blue > 0.01 * info.pixels:
        what = 'is blue without red, as if both were swapped when it was saved, as cv2 does'
    elif many:
        what = f'has more than {MANY_VALUES} values that are no class, as a photograph has'
    else:
        return None
    return what, cure if data.format == 'folder' else rule.hint
