"""What is wrong with the values of labels: the cause, as far as it is known, and one cure.

Labels are {path: road.data.check.FileInfo}; kind and values of a FileInfo are those of
road.data.labels.count_values.
"""

import os
from collections import Counter

from road.data.labels import add_values

BLUE = 0x0000FF  # in a label of KITTI Road: ignored road
LOSSY = 'JPEG', 'MPO', 'JPEG2000', 'WEBP', 'AVIF'  # the first two always
MANY_VALUES = 8  # of no class, in a file: more than a forgotten class or two
MOST_LINES = 10


def id_conflict(infos, known=()):
    """A line, without a cure, if an id looks different in two labels, or a colour has two ids.

    Each file may have a palette of its own, and an optimiser may have sorted it, made a palette of
    grey levels, or one bit of 0 and 255. `known` are ids that other labels may have.
    """
    modes = {path: info.kind.split()[1] for path, info in infos.items()}
    levels = {value for path, info in infos.items() if modes[path] not in ('1', 'P')
              for value, *_ in info.values}
    # beside grey levels 0 and 1 a bit is 1, but where there may be 255 it can be that too
    bit = 0x010101 if 1 in levels and 255 not in levels.union(known) else 0xFFFFFF
    looks = []
    for path, info in infos.items():
        unit = bit if modes[path] == '1' else 0x010101
        looks += [(path, value, colour if modes[path] == 'P' else unit * value)
                  for value, colour, _ in info.values if value != -1]
    # two places of a palette may have one colour, and what is transparent or has no entry is black
    counts = Counter((path, colour) for path, _, colour in looks)
    shared = {0} | {colour for (_, colour), count in counts.items() if count > 1}
    seen = {}  # id => colour, and colour => id, with the first file that has it
    for path, value, colour in looks:
        words = f'the value {value}', f'#{colour:06x}'
        for key, meaning in (words, words[::-1])[:1 if colour in shared else 2]:
            other, first = seen.setdefault(key, (meaning, path))
            if other != meaning:
                return f'{path}: {key} is {meaning} here, but {other} in {first}'
    return None


def value_faults(data, infos):
    """Lines about values that are no class, or not what they seem, in labels of a Dataset."""
    rule, values = data.rule, add_values(infos.values())
    pixels = sum(count for *_, count in values)
    fault = _fault_of_all(data, infos, values)
    if fault:
        return [fault]
    found = {}  # (what is wrong, cure) => {path: pixels}
    for path, info in infos.items():
        unknown = rule.count(info.values)[1]
        cause = damage(info, unknown, rule) or _mismatch(info, unknown, data)
        wrong = {cause: sum(unknown.values())} if cause else {
            (f'the value {rule.show(value)} is no class', rule.hint): count
            for value, count in unknown.items()}
        for key, count in wrong.items():
            found.setdefault(key, {})[path] = count
    lines = []
    for (what, cure), files in sorted(found.items(), key=lambda each: -sum(each[1].values())):
        paths, count = list(files), sum(files.values())
        where = ', '.join(map(os.path.basename, paths[:3])) + (', ...' if paths[3:] else '')
        lines.append(f'{paths[0]}: {what}; {count} pixels, {count / pixels:.2%} of all labels, in '
                     f'{len(paths)} of them ({where}); {cure}')
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f'{data.folder}: labels have {len(lines) - MOST_LINES} other values '
                              'that are no class']
    return lines


def _fault_of_all(data, infos, values):
    """A line if the labels together have not the meaning that the rule gives them, or None."""
    if not data.rule.by_colour:
        mixed = id_conflict(infos, data.rule.indices) or _not_black(data, infos)
        if mixed:
            cure = 'save all labels as grey images'
            if data.format == 'folder':
                cure = 'list colours in classes.txt in place of ids, as in #800000 road'
            return f'{mixed}; {cure}'
    if data.format in ('cityscapes', 'kitti-semantics') and 33 in data.rule.indices:
        pixels = Counter({value: count for value, _, count in values})
        # a road of train ids has 0; of ids 7, and 0 is rare
        if all(value in [*range(19), 255] for value in pixels) and (
                pixels[255] or pixels[0] > pixels[7]):
            return (f'{min(infos)}: holds train ids (0 to 18, and 255), as all labels do, where '
                    'ids are expected (7 is road, 33 bicycle); take the original labels, or, of '
                    'Cityscapes, name them *_gtFine_labelTrainIds.png')
    if data.format == 'kitti':
        blue = sum(count for _, colour, count in values if colour == BLUE)
        if blue > 0.01 * sum(count for *_, count in values):  # KITTI's own have a few such pixels
            return (f'{min(infos)}: labels are blue without red in {blue} pixels; were red and '
                    f'blue swapped when they were saved, as cv2 does? {data.rule.hint}')
    return None


def damage(info, unknown, rule):
    """(cause, cure) if saving or resizing has made the values of no class, {value: pixels}."""
    image_format, many = info.kind.split()[0], len(unknown) > MANY_VALUES
    if unknown and image_format in LOSSY[:2] or many and image_format in LOSSY:
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
    if rule.by_colour:
        coloured = any(value != (value & 255) * 0x010101 for value in rule.indices)
        if not (unknown and coloured and info.kind.split()[1][0] in 'LI'):
            return None
        what, cure = 'a grey image, where colours', 'list ids in classes.txt, as in 1 road'
    elif -1 in unknown:
        what = 'an RGB image, where ids'
        cure = ('list colours in classes.txt, as in #800000 road, or, if a single channel holds '
                'the ids, save that channel as a grey image')
    else:
        return None
    return f'is {what} are expected', cure if data.format == 'folder' else rule.hint


def _not_black(data, infos):
    """Words if, by the palettes of labels, not the background is black but another class."""
    ground, *others = data.classes
    if ground.name.lower().strip('_') == 'background':
        for path, info in infos.items():
            black = {data.rule.indices.get(value) for value, colour, _ in info.values if not colour}
            for index, each in enumerate(others, 1):
                if info.kind.endswith(' P') and index in black:
                    return f'{path}: {each.name} is black in the palette, and not {ground.name}'
    return None
