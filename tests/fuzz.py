"""Garbles bytes of every kind of input file, and reads it as the program does.

    python tests/fuzz.py                 # 2,210 cases, about a minute; prints the counts a kind, exits 1 where one is wrong
    python tests/fuzz.py --count 20      # 20 of each kind

Each case must end in one of three ways: refused with an InputError of one line; read, with the same values as the file
before; or, for a format without a checksum, read with other values. Anything else is wrong: another exception, a crash or
60 s without an end (cases run in a child process, which then starts again behind it), other values in spite of a
checksum, an input file that was changed. The same count garbles the same bytes.
"""

import argparse
import contextlib
import hashlib
import io
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
SECONDS = 60


class Kind:
    """A kind of input file: `files` to garble, one a case in turn, and how the program reads what they belong to."""

    def __init__(self, files, read, checksum, rewritten=False):
        self.files = [files] if isinstance(files, str) else files
        self.read = read  # () => a value that can be compared
        self.checksum = checksum  # a change in what is read must be noticed
        self.rewritten = rewritten  # the program may write it anew: it is its own


def garble(rng, data):
    """Other bytes than `data`: bits turned, runs overwritten, cut out, put in, or the end missing."""
    garbled, size = bytearray(data), max(len(data), 1)
    # half of the cases near the start or the end, where formats keep what the rest hangs on
    at = int(rng.choice([rng.integers(size), rng.integers(size), rng.integers(min(200, size)),
                         size - 1 - rng.integers(min(400, size))]))
    run = int(rng.integers(1, 60))
    how = rng.integers(8)
    if how < 2:
        garbled[at] ^= 1 << int(rng.integers(8))
    elif how == 2:
        for place in rng.integers(size, size=rng.integers(1, 30)):
            garbled[place] = rng.integers(256)
    elif how == 3:
        garbled[at:at + run] = rng.bytes(len(garbled[at:at + run]))
    elif how == 4:
        garbled[at:at + run] = bytes([rng.choice([0, 255])]) * len(garbled[at:at + run])
    elif how == 5:
        del garbled[at:at + run]
    elif how == 6:
        garbled[at:at] = rng.bytes(run)
    else:
        del garbled[at:]
    return bytes(garbled) if garbled != data else garble(rng, data)


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.md5(file.read()).hexdigest()


# ------------------------------------------------------------------------------------------------------ kinds


def kinds(folder):
    """Make a small file of each kind in `folder`: {name: Kind}."""
    import h5py
    import numpy as np

    import main
    from road import (activations, birdseye, check, checkpoints, kitti, options, records, runs, scenes, scores, unpack, vgg16,
                      vgg_folder)
    from road.errors import InputError
    from road.tf1 import tf

    data = os.path.join(folder, 'data_road')
    scenes.write_dataset(data, training=2, testing=1, height=94, width=310)
    training = os.path.join(data, 'training')
    frame = kitti.training_frames(training)[0]

    # Weights of the true layout and of small widths: what is garbled is then not a needle in 59 MB.
    vgg16.WIDTHS = (2, 3, 4, 5, 6)
    weights = vgg16.random_weights(vgg16.WIDTHS)
    npz, h5 = os.path.join(folder, 'weights.npz'), os.path.join(folder, 'weights.h5')
    np.savez(npz, **{name.replace('/filter', '_W').replace('/biases', '_b'): array for name, array in weights.items()})
    with h5py.File(h5, 'w') as file:
        for name in vgg16.CONVS:
            block = f'block{name[4]}_conv{name[6]}'
            file[f'{block}/{block}_W_1:0'], file[f'{block}/{block}_b_1:0'] = weights[f'{name}/filter'], weights[f'{name}/biases']

    def values(weights):
        return {name: array.tobytes() for name, array in weights.items()}

    recorded, bare = os.path.join(folder, 'recorded'), os.path.join(folder, 'vgg')
    vgg16.save_graph(weights, recorded)
    shutil.copytree(recorded, bare)
    os.remove(os.path.join(bare, 'source.json'))
    variables = [os.path.join(bare, 'variables', name) for name in ('variables.index', 'variables.data-00000-of-00001')]

    def read_variables():
        vgg_folder.check(bare)
        reader = tf.train.load_checkpoint(os.path.join(bare, 'variables', 'variables'))
        return {name: reader.get_tensor(name).tobytes() for name in weights}

    settings = {**vars(options.parse_training(['--image-size', '64x192'])), 'vgg_dir': bare, 'kitti_dir': data}
    run = runs.create(os.path.join(folder, 'runs'), 'first', settings, 'fingerprint', [frame], [frame], 'CPU', 'float32')
    graph = tf.Graph()
    sess = tf.Session(graph=graph)
    with graph.as_default():
        main.layers(*[tf.placeholder(tf.float32, [None, None, None, c]) for c in (4, 5, 6)], 2)
        saver, decoder = tf.train.Saver(), tf.trainable_variables()
        sess.run(tf.global_variables_initializer())
        record = records.Record(run, saver, saver, sess)
        record.add(1, 0.5, 0.1, 1e-3, 9.0, *[scores.scores(np.ones([2, 256], np.int64))] * 2)
        record.finish()
    best = run.checkpoint('best')

    def read_checkpoint():
        prefix, state = run.read_checkpoint('best')
        checkpoints.restore(saver, sess, prefix)
        return [repr(state)] + [value.tobytes() for value in sess.run(decoder)]

    def metrics():  # written anew from the checkpoint where a run goes on
        with graph.as_default():
            records.Record(run, saver, saver, sess).events.close()
        with open(os.path.join(run.folder, 'metrics.csv')) as file:
            return file.read()

    def read_config():
        loaded = runs.load(run.folder)
        kitti.split([frame._replace(name=name) for name in loaded.training], 1) if len(loaded.training) > 1 else None
        os.path.lexists(loaded.settings['vgg_dir']), os.path.isdir(loaded.settings['kitti_dir'])
        return repr(loaded)

    sample = kitti.Sample(frame)

    def cache():
        made = activations.Cache(os.path.join(folder, 'cache'), 'fuzz', (64, 192), [(8, 3), (16, 3), (32, 3)])

        def encode(images):
            return [images[:, ::stride, ::stride].astype(np.float32) for stride in (8, 16, 32)]
        if not made.fill([sample], encode):
            raise InputError('not cached')
        (*arrays, ), labels = made.read([sample])
        return [array.tobytes() for array in (*arrays, labels)]

    cache()
    cached = [os.path.join(at, name) for at, _, names in os.walk(os.path.join(folder, 'cache')) for name in names]

    archive = shutil.make_archive(os.path.join(folder, 'vgg'), 'zip', folder, 'recorded')

    def unpacked():
        target = os.path.join(folder, 'unpacked')
        try:
            unpack.unpack(archive, 'recorded', target, vgg_folder.check)
            return [digest(os.path.join(target, name)) for name in ('saved_model.pb', 'variables/variables.index')]
        finally:
            shutil.rmtree(target, ignore_errors=True)

    checked = os.path.join(folder, 'checked.json')
    check.refuse_faults(data, checked)

    def label():
        check.refuse_faults(data, None)
        return [plane.tobytes() for plane in kitti.read_label(frame.label)]

    def calibration():
        read = birdseye.read_calibration(frame.calib)
        birdseye.to_birdseye(np.zeros((94, 310), np.uint8), read)
        return repr(read)

    return {
        'image': Kind(frame.image, lambda: kitti.read_image(frame.image).tobytes(), checksum=True),
        'label': Kind(frame.label, label, checksum=True),
        'calibration': Kind(frame.calib, calibration, checksum=False),
        'npz': Kind(npz, lambda: values(vgg16.read_weights(npz)), checksum=True),
        'h5': Kind(h5, lambda: values(vgg16.read_weights(h5)), checksum=False),
        'checkpoint': Kind([run.decoder + '.index', run.decoder + '.data-00000-of-00001'], read_checkpoint, checksum=True),
        'state.json': Kind(os.path.join(best, 'state.json'), read_checkpoint, checksum=False),
        'metrics.csv': Kind(os.path.join(run.folder, 'metrics.csv'), metrics, checksum=True, rewritten=True),
        'config.json': Kind(os.path.join(run.folder, 'config.json'), read_config, checksum=False),
        'cache file': Kind(cached, cache, checksum=True, rewritten=True),
        'saved_model.pb, recorded': Kind(os.path.join(recorded, 'saved_model.pb'),
                                         lambda: vgg_folder.check(recorded).fingerprint, checksum=True),
        'saved_model.pb': Kind(os.path.join(bare, 'saved_model.pb'), lambda: vgg_folder.check(bare).fingerprint, checksum=False),
        'variables': Kind(variables, read_variables, checksum=True),
        'archive': Kind(archive, unpacked, checksum=True),
        'checked.json': Kind(checked, lambda: check.refuse_faults(data, checked), checksum=True, rewritten=True)}


def one_case(kind, expected, number, seed):
    """Garble, read, put back; returns how it ended."""
    import numpy as np

    from road.errors import InputError
    rng = np.random.default_rng([*seed.encode(), number])
    path = kind.files[number % len(kind.files)]
    with open(path, 'rb') as file:
        original = file.read()
    others = {other: digest(other) for other in kind.files if other != path}
    with open(path, 'wb') as file:
        file.write(garble(rng, original))
    garbled = digest(path)
    try:
        value = kind.read()
        outcome = 'same' if value == expected else 'WRONG: other values' if kind.checksum else 'other values'
    except InputError as error:
        outcome = 'refused' if '\n' not in str(error) and str(error).isprintable() else f'WRONG: {error!r}'
    except Exception as error:  # the very thing looked for
        outcome = f'WRONG: {type(error).__name__}: {str(error)[:300]!r}'
    if not kind.rewritten and digest(path) != garbled or any(digest(other) != before for other, before in others.items()):
        outcome = 'WRONG: a file was changed'
    with open(path, 'wb') as file:
        file.write(original)
    return outcome


# --------------------------------------------------------------------------------------------------- processes


def work(cases):
    """The child: runs the cases named on standard input, a line 'kind<tab>number' each; answers each with a line."""
    channel = os.fdopen(os.dup(1), 'w')
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        made = kinds(folder)
        expected = {name: kind.read() for name, kind in made.items()}
        before = {path: digest(path) for kind in made.values() for path in kind.files}
        print('ready', file=channel, flush=True)
        for line in cases:
            name, number = line.rstrip('\n').split('\t')
            print(one_case(made[name], expected[name], int(number), name), file=channel, flush=True)
        for path, was in before.items():
            assert digest(path) == was, path


def fuzz(count, names=None):
    """Run `count` cases of each kind: {kind: Counter of outcomes}, and a list of what was wrong."""
    names = names or NAMES
    waiting = [(name, number) for number in range(count) for name in names]
    outcomes, wrong = defaultdict(Counter), []
    while waiting:
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), '--work'], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        answers = queue.Queue()
        threading.Thread(target=lambda: [answers.put(line) for line in child.stdout] + [answers.put('')], daemon=True).start()
        said = []
        threading.Thread(target=lambda: said.extend(child.stderr), daemon=True).start()
        done = 0
        if answers.get() != 'ready\n':
            raise RuntimeError('the files could not be made: ' + ''.join(said))
        try:
            for name, number in waiting:
                child.stdin.write(f'{name}\t{number}\n')
                child.stdin.flush()
                outcome = answers.get(timeout=SECONDS).strip() or 'WRONG: crash'
                done += 1
                outcomes[name][outcome.split(':')[0]] += 1
                if outcome.startswith('WRONG'):
                    wrong.append(f'{name} {number}: {outcome}')
                if outcome == 'WRONG: crash':
                    wrong.append(''.join(said[-5:]))
                    break
        except (queue.Empty, BrokenPipeError) as error:
            name, number = waiting[done]
            outcomes[name]['WRONG'] += 1
            wrong.append(f'{name} {number}: {"no end in " + str(SECONDS) + " s" if isinstance(error, queue.Empty) else "crash"}')
            done += 1
            child.kill()
        waiting = waiting[done:]
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        if child.wait(timeout=SECONDS) and not waiting:
            wrong.append('an original file is not as it was, or the child failed: ' + ''.join(said[-5:]))
    return outcomes, wrong


NAMES = ('image', 'label', 'calibration', 'npz', 'h5', 'checkpoint', 'state.json', 'metrics.csv', 'config.json', 'cache file',
         'saved_model.pb, recorded', 'saved_model.pb', 'variables', 'archive', 'checked.json')


def main():
    parser = argparse.ArgumentParser(description='Garble input files and read them as the program does.')
    parser.add_argument('--count', type=int, default=170, metavar='N', help='cases of each kind')
    parser.add_argument('--only', choices=NAMES, help='one kind alone')
    parser.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        return work(sys.stdin)
    outcomes, wrong = fuzz(args.count, [args.only] if args.only else None)
    columns = ('refused', 'same', 'other values', 'WRONG')
    print(f'{"":26s}' + ''.join(f'{column:>14s}' for column in columns))
    for name, counter in outcomes.items():
        print(f'{name:26s}' + ''.join(f'{counter[column]:14d}' for column in columns))
    print(f'{sum(sum(counter.values()) for counter in outcomes.values())} cases, {len(wrong)} wrong')
    print('\n'.join(wrong))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
