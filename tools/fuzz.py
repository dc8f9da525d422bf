"""Garble bytes of every kind of input file, and read it as the program does.

    python tools/fuzz.py --count 170     # cases of each kind; two minutes

Each case must be refused with an InputError, or give the intact file's values, or (in a format
without a checksum) other values; else the exit code is 1. A crash, or 60 s without an end, stops
the program: the last line before the traceback names the case. The same count garbles the same.
"""

import argparse
import contextlib
import faulthandler
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import main
from road.data import kitti, unpack
from road.data.batches import Sample
from road.data.calibration import read_calibration
from road.data.folder import read_classes_file
from road.data.images import read_image
from road.data.labels import count_values
from road.errors import InputError
from road.files import file_digest
from road.network import vgg16, vgg_folder, vgg_weights
from road.network.feature_cache import FeatureCache
from road.runs import checkpoints, run_folder
from road.runs.metrics import Metrics
from road.sample import scenes
from road.tables import table


class Kind(NamedTuple):
    files: list  # garbled in turn, one per case
    read: object  # () => a value that can be compared
    checksum: bool = False  # whether the reader must notice a change


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


def values(arrays):
    return [array.tobytes() for array in arrays]


def data_kinds(folder, frame):
    """{name: Kind} of a frame and an encoder, whose graphs it writes to `recorded` and `bare`."""
    weights = vgg16.random_weights(vgg16.WIDTHS)
    npz, h5 = f'{folder}/weights.npz', f'{folder}/weights.h5'
    recorded, bare = f'{folder}/recorded', f'{folder}/bare'
    short = [name.replace('/filter', '_W').replace('/biases', '_b') for name in weights]
    np.savez(npz, **dict(zip(short, weights.values())))
    with h5py.File(h5, 'w') as file:
        for name, array in weights.items():
            layer, part = name.split('/')
            file[f'{vgg_weights.LAYERS[layer]}/{part}'] = array
    vgg_folder.save(weights, recorded)
    shutil.copytree(recorded, bare)
    os.remove(f'{bare}/source.json')
    archive = shutil.make_archive(f'{folder}/vgg', 'zip', folder, 'recorded')
    mask, classes = f'{folder}/mask.png', f'{folder}/classes.txt'
    Image.open(frame.label).quantize(4).save(mask, transparency=3)
    Path(classes).write_text('# of the masks\n0 not road #ff0000\n1 road\n255 ignore\n')

    def read_weights(path):
        return {name: array.tobytes() for name, array in vgg_weights.read_weights(path).items()}

    def unpacked():
        unpack.unpack(archive, 'recorded', f'{folder}/unpacked', vgg_folder.check)
        return vgg_folder.check(f'{folder}/unpacked')

    files = [f'{recorded}/saved_model.pb', *Path(recorded, 'variables').iterdir()]
    return {'image': Kind([frame.image], lambda: read_image(frame.image).tobytes(), checksum=True),
            'label': Kind([frame.label], lambda: kitti.read_label(frame.label).tobytes(), True),
            'mask': Kind([mask], lambda: repr(count_values(mask)), checksum=True),
            'classes': Kind([classes], lambda: repr(read_classes_file(classes))),
            'calibration': Kind([frame.calib], lambda: repr(read_calibration(frame.calib))),
            'npz': Kind([npz], lambda: read_weights(npz), checksum=True),
            'h5': Kind([h5], lambda: read_weights(h5)),
            'graph, recorded': Kind(files, lambda: vgg_folder.check(recorded), checksum=True),
            'graph': Kind([f'{bare}/saved_model.pb'], lambda: vgg_folder.check(bare)),
            'archive': Kind([archive], unpacked, checksum=True)}


def run_kinds(folder, opened):
    """The files of a run (main.OpenRun), and of the feature cache."""
    run, predictor, sess, model, *_ = opened
    data = run_folder.find_dataset(run)
    best, sample = run.best_checkpoint, [Sample(data.training[0], run.seen)]
    data = data._replace(digests={path: file_digest(path) for path in sample[0].frame[1:3]})

    def read_checkpoint():
        prefix, state = run.read_checkpoint('best')
        checkpoints.restore(model.weights_saver, sess, prefix)
        variables = sess.run(sess.graph.get_collection('trainable_variables'))
        return [repr(state), *values(variables)]

    def read_metrics():  # written anew from the checkpoint when a run is resumed
        Metrics(run, sess, model, None, None).events.close()
        return Path(run.folder, 'metrics.csv').read_text()

    def read_config():
        loaded = run_folder.load(run.folder)
        data.named(loaded.training + loaded.validation)
        return repr(loaded)

    def read_cache():
        features = FeatureCache(predictor.encode, (64, 192), data)
        features.fill(f'{folder}/cache', sample, encoder='fuzz')
        arrays, labels = features.read(sample)
        return values([*arrays, labels])

    read_cache()
    return {
        'checkpoint': Kind([f'{best}.index', f'{best}.data-00000-of-00001'], read_checkpoint, True),
        'state.json': Kind([f'{run.checkpoint("best")}/state.json'], read_checkpoint),
        'metrics.csv': Kind([f'{run.folder}/metrics.csv'], read_metrics, True),
        'config.json': Kind([f'{run.folder}/config.json'], read_config),
        'cache file': Kind(list(Path(folder, 'cache').glob('*/*')), read_cache, True)}


def one_case(kind, expected, rng, number):
    path = Path(kind.files[number % len(kind.files)])
    original = path.read_bytes()
    path.write_bytes(garble(rng, original))
    try:
        other = 'WRONG: other values' if kind.checksum else 'other values'
        outcome = 'same' if kind.read() == expected else other
    except InputError:
        outcome = 'refused'
    except Exception as error:  # this is what the cases look for
        outcome = f'WRONG: {type(error).__name__}: {str(error)[:300]!r}'
    path.write_bytes(original)
    return outcome


def fuzz(count):
    """Run `count` cases of each kind: {kind: Counter of outcomes}, and a list of what was wrong."""
    outcomes, wrong = {}, []
    # few channels, so that the garbled bytes are not a needle in 59 MB of weights
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, 'w') as silence, \
            contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence), \
            mock.patch.object(vgg16, 'WIDTHS', (2, 3, 4, 5, 6)):
        scenes.write_dataset(f'{folder}/data_road', training=2, testing=1, height=94, width=310)
        kinds = data_kinds(folder, kitti.training_frames(f'{folder}/data_road/training')[0])
        assert main.main([
            f'--kitti-dir={folder}/data_road', f'--vgg-dir={folder}/recorded', '--name=run',
            f'--data-dir={folder}/data', f'--runs-dir={folder}', '--epochs=1', '--val-frames=1',
            '--image-size=64x192', '--no-cache']) == 0
        with main.open_run(f'{folder}/run') as opened:
            kinds.update(run_kinds(folder, opened))
            for name, kind in kinds.items():
                expected, outcomes[name] = kind.read(), Counter()
                for number in range(count):
                    print(f'{name} {number}', file=sys.__stderr__)
                    faulthandler.dump_traceback_later(60, exit=True)
                    rng = np.random.default_rng([*name.encode(), number])
                    outcome = one_case(kind, expected, rng, number)
                    outcomes[name][outcome.split(':')[0]] += 1
                    if outcome.startswith('WRONG'):
                        wrong.append(f'{name} {number}: {outcome}')
        faulthandler.cancel_dump_traceback_later()
    return outcomes, wrong


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--count', type=int, default=170, metavar='N', help='cases of each kind')
    faulthandler.enable()
    outcomes, wrong = fuzz(parser.parse_args().count)
    columns = ('refused', 'same', 'other values', 'WRONG')
    rows = [(name, *(str(each[column]) for column in columns)) for name, each in outcomes.items()]
    print(table([('', *columns), *rows]))
    print(f'{len(wrong)} wrong', *wrong, sep='\n')
    sys.exit(1 if wrong else 0)
