"""Garble bytes of every kind of input file, and run main.py on it.

    python tools/fuzz.py --count 20     # cases of each kind; a quarter of an hour on 2 cores

Each case must end with exit code 2 and a line about it, or with the intact file's results, or (in a
format without a checksum) with other results. A traceback, a crash, a file left behind or a minute
without an end is a fault; the exit code is then 1. The same count garbles the same.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import h5py
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road.network import vgg16
from tools.soak import NEW_RUN, RUN, finish, start, write_inputs

NEW = [*NEW_RUN, '--epochs=1', '--no-cache']
MASKS = [*NEW, '--dataset-dir=masks']
EVALUATE, RESUME = ['evaluate', RUN], ['--resume', RUN, '--epochs=2']
# Kind: pattern of the files, which are garbled in turn; command line; whether the format has a
# checksum, so that no change may go unnoticed.
KINDS = {
    'image': ('data_road/training/image_2/*', NEW, True),
    'label': ('data_road/training/gt_image_2/*_road_*', NEW, True),
    'calibration': ('data_road/training/calib/*', EVALUATE, False),
    'mask': ('masks/masks/*', MASKS, True),
    'classes.txt': ('masks/classes.txt', MASKS, False),
    'npz': ('weights.npz', [*NEW, '--vgg-dir=new', '--vgg-weights=weights.npz'], True),
    'h5': ('weights.h5', [*NEW, '--vgg-dir=new', '--vgg-weights=weights.h5'], False),
    'graph': ('vgg/saved_model.pb', NEW, True),
    'graph variables': ('vgg/variables/*', NEW, True),
    'foreign graph': ('foreign/saved_model.pb', [*NEW, '--vgg-dir=foreign'], False),
    'checkpoint': (f'{RUN}/checkpoints/best/model*', EVALUATE, True),
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
    shutil.copytree(f'{folder}/vgg', f'{folder}/foreign')
    Path(folder, 'foreign/source.json').unlink()
    weights = vgg16.random_weights(vgg16.WIDTHS)
    short = [name.replace('/filter', '_W').replace('/biases', '_b') for name in weights]
    np.savez(f'{folder}/weights.npz', **dict(zip(short, weights.values())))
    with h5py.File(f'{folder}/weights.h5', 'w') as file:
        for name, array in weights.items():  # conv1_1/filter and so on, by Keras' names
            file[f'block{name[4]}_conv{name[6]}/{name.partition("/")[2]}'] = array
    shutil.copytree(f'{folder}/data_road/training/image_2', f'{folder}/masks/images')
    Path(folder, 'masks/masks').mkdir()
    for label in Path(folder, 'data_road/training/gt_image_2').glob('*_road_*'):
        shutil.copy(label, Path(folder, 'masks/masks', label.name.replace('_road', '')))
    Path(folder, 'masks/classes.txt').write_text(
        '# of the masks\n#ff0000 not road #ff0000\n#ff00ff road\n#000000 ignore\n#0000ff ignore\n')


def run(folder, words):
    """Run main.py in the folder: (exit code, fault, results), as small_runs.finish."""
    if words not in (EVALUATE, RESUME):
        shutil.rmtree(f'{folder}/{RUN}', ignore_errors=True)
    code, fault, results = finish(start(folder, words), folder, 60)
    return code, 'no end' if code < 0 and not fault else fault, results


def fuzz(place, count):
    """Run and print `count` cases of each kind; returns a list of faults."""
    original, case, faults = f'{place}/original', f'{place}/case', []
    Path(original).mkdir()
    start(original, original, write_files).join()
    code, fault, _ = run(original, [*NEW_RUN, '--epochs=1'])
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
            code, fault, results = run(case, words)
            shutil.rmtree(case)
            if number < 0:
                assert code == 0 and not fault, (kind, fault)
                expected = results
                continue
            outcome = 'refused'
            if code == 0:
                outcome = 'same' if results == expected else 'other results'
            if fault or (checksum and outcome == 'other results'):
                faults.append(f'{kind} {number}: {fault or outcome}')
            outcomes[outcome] += 1
        print(f'{kind}: {dict(outcomes)}', flush=True)
    return faults


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--count', type=int, default=20, metavar='N', help='cases of each kind')
    args = parser.parse_args()
    # few channels, so that the garbled bytes are not a needle in 59 MB of weights
    with tempfile.TemporaryDirectory() as place, \
            mock.patch.object(vgg16, 'WIDTHS', (2, 3, 4, 5, 6)):
        faults = fuzz(place, args.count)
    print(f'{len(faults)} faults', *faults, sep='\n')
    sys.exit(1 if faults else 0)
