"""Reads every file of a KITTI Road folder and of the VGG16 folder, and says of each what is wrong with it.

`python main.py check` lists all faults; training looks at the same ones before its first step (refuse_faults). Files are
decoded in threads. A file that was fine and has the size and time it had then is not decoded again for training:
`checked.json` in the data folder says which were.
"""

import os
from collections import Counter
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from road import birdseye, kept, kitti, vgg_folder
from road.ahead import map_ahead
from road.errors import InputError

# Of KITTI's sizes the largest is 1.02 times the smallest; a picture so unlike the others is a thumbnail or not of the set.
UNLIKE = 1.5
COLOURS = {(255, 0, 0): 'red', (255, 0, 255): 'magenta', (0, 0, 0): 'black', (0, 0, 255): 'blue'}


class Report(NamedTuple):
    """What was found: faults and notes are lines that begin with a path."""
    faults: list
    notes: list
    fine: Counter  # 'training images' and so on -> how many have no fault
    graph: str  # the VGG16 graph in a line


def check(kitti_dir, vgg_dir=None, checked_path=None, trust=False):
    """Look at everything; a bar shows how far it is.

    Args:
        vgg_dir: None to leave the graph out.
        checked_path: where to keep which files were fine; None to keep nothing.
        trust: skip what checked_path says was fine, if its size and time are the same.
    """
    checked = kept.read(checked_path) if checked_path and trust else {}
    training = kitti.find(os.path.join(kitti_dir, 'training'), labelled=True)
    testing = kitti.find(os.path.join(kitti_dir, 'testing'), labelled=False)
    files = ([('training images', frame.image, _image) for frame in training.frames] +
             [('labels', frame.label, _label) for frame in training.frames if frame.label] +
             [('test images', frame.image, _image) for frame in testing.frames] +
             [('calibration files', frame.calib, _calibration) for frame in training.frames + testing.frames if frame.calib])
    jobs = [partial(_graph, vgg_dir)] if vgg_dir else []
    jobs += [partial(_look, path, look, checked) for _, path, look in files]
    results = list(tqdm(map_ahead(lambda job: job(), jobs), total=len(jobs), desc='checking', unit='file'))
    graph, graph_fault = results.pop(0) if vgg_dir else ('not there yet; training makes it', None)

    fault_of = {path: fault for (_, path, _), (_, fault) in zip(files, results)}
    size_of = {path: size for (_, path, _), (size, _) in zip(files, results) if size}
    _compare_sizes(training.frames, testing.frames, size_of, fault_of)
    folder_faults = training.faults + testing.faults if os.path.isdir(kitti_dir) else [kitti.missing_message(kitti_dir)]
    faults = folder_faults + [fault for fault in fault_of.values() if fault]
    fine = Counter(kind for kind, path, _ in files if not fault_of[path])
    if checked_path:
        _remember(checked_path, [path for _, path, _ in files if path in size_of and not fault_of[path]], size_of)
    notes = [f'{path}: no file of KITTI Road, not read' for path in training.strays + testing.strays]
    bare = [frame.image for frame in training.frames + testing.frames if not frame.calib]
    if bare:
        notes.append(f'{bare[0]}: no calibration file beside it ({len(bare)} such images): no bird\'s eye scores of it')
    return Report(faults + ([graph_fault] if graph_fault else []), notes, fine, graph or 'has a fault')


def text(report, kitti_dir, vgg_dir):
    """The report for the screen: what is fine counted, a line a note and a fault."""
    fine = ', '.join(f'{number} {kind}' for kind, number in report.fine.items()) or 'nothing'
    return '\n'.join([f'KITTI Road in {kitti_dir}: fine are {fine}', f'Encoder in {vgg_dir}: {report.graph}',
                      *(f'Note   {note}' for note in report.notes), *(f'Fault  {fault}' for fault in report.faults),
                      *([] if report.faults else ['No faults'])])


def refuse_faults(kitti_dir, checked_path):
    """Raise InputError with the first fault of a KITTI folder and how many there are."""
    faults = check(kitti_dir, None, checked_path, trust=True).faults
    if faults:
        more = f' ({len(faults)} faults in all; `python main.py check --kitti-dir {kitti_dir}` lists them)'
        raise InputError(faults[0] + (more if len(faults) > 1 else ''))


def _graph(vgg_dir):
    """(summary, None) or (None, fault) of the VGG16 folder."""
    try:
        return vgg_folder.check(vgg_dir).summary, None
    except InputError as error:
        return None, str(error)


def _look(path, look, checked):
    """((width, height) or None, fault or None) of a file."""
    known = checked.get(os.path.abspath(path))
    try:
        if isinstance(known, list) and len(known) == 4 and known == [*_state(path), *known[2:]]:
            return tuple(known[2:]), None
        return look(path)
    except InputError as error:
        return None, str(error)
    except OSError as error:
        return None, f'{path}: cannot be read ({error.strerror})'


def _state(path):
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _remember(checked_path, paths, size_of):
    """Keep of each file: bytes, time of change in ns, width, height."""
    try:
        if paths:
            os.makedirs(os.path.dirname(checked_path), exist_ok=True)
        kept.write(checked_path, {os.path.abspath(path): [*_state(path), *size_of[path]] for path in paths})
    except OSError:
        pass  # only the next check takes longer for it


def _image(path):
    """((width, height), None) of a picture. Raises InputError where it is not a whole RGB PNG."""
    return _decode(path).size, None


def _decode(path):
    try:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:  # verify leaves nothing to decode
            image.load()
    except kitti.DAMAGED as error:
        raise kitti.unreadable(path, error) from error
    if image.format != 'PNG':
        raise InputError(f'{path}: is {image.format} under the name of a PNG; copy or unpack it again')
    if image.mode != 'RGB':
        raise InputError(f'{path}: has mode {image.mode}, expected RGB, 8 bits a channel; copy or unpack it again')
    return image


def _label(path):
    image = _decode(path)
    colours = image.getcolors(len(COLOURS)) or image.getcolors(image.width * image.height)
    unknown = [(count, colour) for count, colour in colours if colour not in COLOURS]
    if unknown:
        pixels, (_, colour) = sum(count for count, _ in unknown), max(unknown)
        return image.size, (f'{path}: {pixels} pixels have colours unknown to KITTI Road, mostly {colour}; expected '
                            f'{", ".join(COLOURS.values())} alone')
    return image.size, None


def _calibration(path):
    birdseye.read_calibration(path)
    return None, None


def _compare_sizes(training, testing, size_of, fault_of):
    """Add the faults of labels unlike their image, and of images unlike the others."""
    images = [frame.image for frame in training + testing if frame.image in size_of]
    usual = np.median([size_of[path] for path in images], axis=0) if images else None
    for path in images:
        ratio = np.divide(size_of[path], usual)
        if max(*ratio, *(1 / ratio)) > UNLIKE:
            fault_of[path] = (f'{path}: is {size_of[path][0]}x{size_of[path][1]} pixels, the others about '
                              f'{usual[0]:.0f}x{usual[1]:.0f}; copy or unpack it again')
    for frame in training:
        if frame.image in size_of and frame.label in size_of and not fault_of[frame.label]:
            fault_of[frame.label] = kitti.size_fault(frame, tuple(size_of[frame.image]), tuple(size_of[frame.label]))
