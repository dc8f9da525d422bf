"""What is wrong with the values of labels: the cause, as far as it is known, and one cure.

Labels are {path: road.data.check.FileInfo}; kind and values of a FileInfo are those of
road.data.labels.count_values.
"""

import os
from collections import Counter

from road.data.labels import add_values

LOSSY = 'JPEG', 'MPO', 'JPEG2000', 'WEBP', 'AVIF'  # the first two always
MANY_VALUES = 8  # of no class, in a file: more than a forgotten class or two
MOST_LINES = 10
BLUE = 0x0000FF  # in a label of KITTI Road: ignored road


def value_faults(data, infos):
    """Lines about values that are no class, or not what they seem, in labels of a Dataset."""
    rule, values = data.rule, add_values(infos.values())
    if data.format == 'kitti':
        common = _swapped(data, infos, values)
    else:
        common = not rule.by_colour and (_conflict(data, infos) or _train_ids(data, infos, values))
    if common:
        return [common]
    found = {}  # (what is wrong, cure) => {path: pixels}
    for path, info in infos.items():
        unknown = rule.count(info.values)[1]
        cause = damage(info, unknown, rule) or _mismatch(info, unknown, data)
        wrong = {cause: sum(unknown.values())} if cause else {
            (f'the value {rule.show(value)} is no class', rule.hint): count
            for value, count in unknown.items()}
        for key, count in wrong.items():
            found.setdefault(key, {})[path] = count
    lines, pixels = [], sum(count for *_, count in values)
    for (what, cure), files in sorted(found.items(), key=lambda each: -sum(each[1].values())):
        paths, count = list(files), sum(files.values())
        where = ', '.join(map(os.path.basename, paths[:3])) + (', ...' if paths[3:] else '')
        share = f'{count} pixels, {count / pixels:.2%} of all labels, in ' if count else 'in '
        lines.append(f'{paths[0]}: {what}; {share}{len(paths)} of them ({where}); {cure}')
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f'{data.folder}: labels have {len(lines) - MOST_LINES} other values '
                              'that are no class']
    return lines


def _swapped(data, infos, values):
    blue = sum(count for _, colour, count in values if colour == BLUE)
    if blue <= 0.01 * sum(count for *_, count in values):  # KITTI's own have a few such pixels
        return None
    return (f'{min(infos)}: labels are blue without red in {blue} pixels; were red and blue '
            f'swapped when they were saved, as cv2 does? {data.rule.hint}')


def _conflict(data, infos):
    """A line if an id has not one meaning in all labels, or not the one that a palette shows.

    Each palette file has a palette of its own, and programs that optimise files sort palettes, or
    make one of grey levels, or one bit of 0 and 255.
    """
    cure = 'save all labels as grey images'
    if data.format == 'folder':
        cure = 'list colours in classes.txt in place of ids, as in #800000 road'
    seen = {}  # what has one meaning => that, and the first file that shows it
    for path, info in infos.items():
        mode = info.kind.split()[1]
        kind, facts = 'grey', []
        if mode == '1':
            kind = 'of 1 bit'
        elif mode == 'P' and any(colour != value * 0x010101 for value, colour, _ in info.values):
            kind = 'of a palette'
            places = Counter(colour for _, colour, _ in info.values)
            for value, colour, _ in info.values:
                words = f'the value {value}', f'#{colour:06x}'
                facts.append(words)
                # what is transparent, or has no entry in the palette, is black too
                if colour and places[colour] == 1:
                    facts.append(words[::-1])
                if not colour and _hides_background(data, value):
                    return f'{path}: black is {value}, and not {data.classes[0].name}; {cure}'
        for what, meaning in [('the image', kind), *facts]:
            other, first = seen.setdefault(what, (meaning, path))
            if other != meaning:
                return f'{path}: {what} is {meaning} here, but {other} in {first}; {cure}'
    return None


def _hides_background(data, value):
    """Whether a value, black in a palette, is a class beside one that is called background."""
    named = data.classes[0].name.lower().strip('_') == 'background'
    return named and 0 < data.rule.indices.get(value, 0) < len(data.classes)


def _train_ids(data, infos, values):
    """A line if Cityscapes' ids look like train ids, whose road is 0 and not 7."""
    pixels = Counter({value: count for value, _, count in values})
    if (data.format not in ('cityscapes', 'kitti-semantics') or 33 not in data.rule.indices
            or not all(value < 19 or value == 255 for value in pixels)
            or not pixels[255] and pixels[0] <= pixels[7]):
        return None
    return (f'{min(infos)}: holds train ids (0 to 18, and 255), as all labels do, where ids are '
            'expected (7 is road, 33 bicycle); take the original labels, or, of Cityscapes, name '
            'them *_gtFine_labelTrainIds.png')


def damage(info, unknown, rule):
    """(cause, cure) if saving or resizing has made the values of no class, {value: pixels}."""
    image_format, many = info.kind.split()[0], len(unknown) > MANY_VALUES
    # one of few ids may even have become another id, which no value shows
    if image_format in LOSSY[:2] or many and image_format in LOSSY:
        return f'is a {image_format} image, which changes values at edges', 'export labels as PNG'
    # not all values of a photograph are remembered
    share = 1 - sum(rule.count(info.values)[0].values()) / (info.width * info.height)
    if many and share < min(0.5, 0.01 * len(unknown)) and (
            rule.by_colour or min(unknown) < max(rule.indices)):
        return ('has values between those of the classes, as smooth resizing leaves them',
                'resize labels with nearest neighbour')
    return None


def _mismatch(info, unknown, data):
    """(cause, cure) if a label has ids where the rule has colours, or the reverse."""
    rule = data.rule
    coloured = any(value != (value & 255) * 0x010101 for value in rule.indices)
    if rule.by_colour and unknown and coloured and info.kind.split()[1][0] in 'LI':
        what, cure = 'a grey image, where colours', 'list ids in classes.txt, as in 1 road'
    elif not rule.by_colour and -1 in unknown:
        what = 'an RGB image, where ids'
        cure = ('list colours in classes.txt, as in #800000 road, or, if a single channel holds '
                'the ids, save that channel as a grey image')
    else:
        return None
    return f'is {what} are expected', cure if data.format == 'folder' else rule.hint
