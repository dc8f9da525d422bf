"""Kill real runs at random moments, resume them, and compare what they end with to a run that was left alone.

    python tests/soak.py --kills 50         # about ten minutes on 2 cores; exits with 1 where anything differs

Each round trains one small run on drawn scenes. Its process is killed (SIGKILL) while the cache is written, in the first
epoch, while a checkpoint is written, somewhere at random, and while test images are written; each time it is started
again, and after the last kill left to finish. After every kill metrics.csv must be readable and both checkpoints whole; at
the end metrics.csv and metrics.json (without times), checkpoints and test images must equal the other run's to the byte.
"""

import argparse
import csv
import glob
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from road import checkpoints, records, runs, scenes, vgg16  # noqa: E402

EPOCHS = 4
# Where a process is killed, in the order in which a run comes by, and the longest wait after it came by, in seconds.
PHASES = (('cache', 0.1), ('first epoch', 1.0), ('checkpoint', 0.06), ('checkpoint', 0.06), ('anywhere', 0.0), ('images', 0.3))


class Workplace:
    """A data set and an encoder that runs share; each run has its own cache and run folder."""

    def __init__(self, folder):
        self.folder, self.kitti_dir, self.vgg_dir = folder, os.path.join(folder, 'data_road'), os.path.join(folder, 'vgg')
        scenes.write_dataset(self.kitti_dir, training=5, testing=4, height=94, width=310)
        vgg16.save_graph(vgg16.random_weights(fc_width=16), self.vgg_dir)

    def run(self, name):
        return os.path.join(self.folder, name, 'runs', 'soak')

    def start(self, name):
        """Start a run's process, or go on with the run where there is one."""
        if os.path.isdir(self.run(name)):
            words = ['--resume', self.run(name)]
        else:
            words = ['--kitti-dir', self.kitti_dir, '--vgg-dir', self.vgg_dir, '--epochs', str(EPOCHS), '--val-frames', '1',
                     '--image-size', '64x192', '--batch-size', '2', '--variants', '2', '--augment', 'mirror', '--data-dir',
                     os.path.join(self.folder, name, 'data'), '--runs-dir', os.path.dirname(self.run(name)), '--name', 'soak']
        with open(os.path.join(self.folder, 'output.txt'), 'a') as output:
            return subprocess.Popen([sys.executable, 'main.py', *words], cwd=ROOT, stdout=output, stderr=output)

    def finish(self, name):
        """Run a process to its end; returns the seconds it took."""
        start = time.perf_counter()
        code = self.start(name).wait()
        if code:
            with open(os.path.join(self.folder, 'output.txt')) as output:
                sys.exit(f'a run ended with exit code {code}:\n{output.read()[-3000:]}')
        return time.perf_counter() - start


def reached(workplace, name, phase):
    """A function that says whether the process has come to the phase since now."""
    run = workplace.run(name)

    def listing():
        return sorted(glob.glob(os.path.join(run, 'checkpoints', '*', '*')))

    def first_epoch():
        try:
            with open(os.path.join(run, 'log.txt')) as file:
                return records.HEADER in file.read()
        except OSError:
            return False

    before = listing()
    return {'cache': lambda: glob.glob(os.path.join(workplace.folder, name, 'data', 'cache', '*', '*')),
            'first epoch': first_epoch, 'checkpoint': lambda: listing() != before,
            'images': lambda: os.path.isdir(os.path.join(run, 'images.part')), 'anywhere': lambda: True}[phase]


def kill_once(workplace, name, phase, wait):
    """Start the run's process and kill it `wait` seconds after it came to the phase; returns whether it still ran."""
    came = reached(workplace, name, phase)
    child = workplace.start(name)
    try:
        while child.poll() is None and not came():
            time.sleep(0.001)
        deadline = time.perf_counter() + wait
        while child.poll() is None and time.perf_counter() < deadline:
            time.sleep(0.001)
    finally:
        child.send_signal(signal.SIGKILL)
        code = child.wait()
    if code not in (0, -signal.SIGKILL):
        sys.exit(f'a run ended by itself with exit code {code}; see {workplace.folder}/output.txt')
    return code == -signal.SIGKILL


def check_readable(run):
    """Raise where what a kill left is not in order."""
    epochs = 0
    if os.path.exists(os.path.join(run, 'metrics.csv')):
        with open(os.path.join(run, 'metrics.csv'), newline='') as file:
            rows = list(csv.DictReader(file))
        for epochs, row in enumerate(rows, 1):
            assert list(row) == list(records.FORMATS) and int(row['epoch']) == epochs, row
            list(map(float, row.values()))  # every one a number
    for name in ('last', 'best'):
        folder = os.path.join(run, 'checkpoints', name)
        if checkpoints.exists(folder):
            _, state = checkpoints.read(folder)
            assert name == 'best' or state['epoch'] - epochs in (0, 1), (state['epoch'], epochs)
    if os.path.isdir(run):
        runs.load(run, begun=False)


def final(run):
    """{file: bytes} of what two runs of the same settings must share."""
    files = {}
    with open(os.path.join(run, 'metrics.csv'), newline='') as file:
        files['metrics.csv'] = [{key: text for key, text in row.items() if key not in records.TIMES}
                                for row in csv.DictReader(file)]
    with open(os.path.join(run, 'metrics.json')) as file:
        figures = json.load(file)
    for part in (figures, figures['best'], figures['last']):
        for name in records.TIMES:
            part.pop(name, None)
    files['metrics.json'] = json.dumps(figures)
    for name in ('last', 'best'):
        data, = glob.glob(os.path.join(run, 'checkpoints', name, '*.data-*'))
        with open(data, 'rb') as file:
            files[f'checkpoints/{name}'] = file.read()
    for path in sorted(glob.glob(os.path.join(run, 'images', '*'))):
        with open(path, 'rb') as file:
            files[f'images/{os.path.basename(path)}'] = file.read()
    assert not glob.glob(os.path.join(run, '**', '*.part'), recursive=True)
    return files


def soak(folder, kills, seed=0, phases=PHASES, report=print):
    """Kill `kills` times; returns (Counter of kills by phase, rounds compared, names of the files that differed)."""
    chance, counts, differing, rounds = random.Random(seed), Counter(), [], 0
    workplace = Workplace(folder)
    seconds = workplace.finish('alone')
    expected = final(workplace.run('alone'))
    while sum(counts.values()) < kills:
        rounds += 1
        name = f'round{rounds}'
        for phase, longest in phases:
            if sum(counts.values()) == kills:
                break
            wait = chance.uniform(0, seconds if phase == 'anywhere' else longest)
            if kill_once(workplace, name, phase, wait):
                counts[phase] += 1
                report(f'{sum(counts.values())}/{kills}: round {rounds}, {phase}, {wait:.3f} s in', flush=True)
                check_readable(workplace.run(name))
        workplace.finish(name)
        found = final(workplace.run(name))
        differing += [f'round {rounds}: {file}' for file in sorted(expected.keys() | found.keys())
                      if found.get(file) != expected.get(file)]
    return counts, rounds, differing


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--kills', type=int, default=50, metavar='N', help='how many (default 50)')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of the moments')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        by_phase, compared, wrong = soak(place, arguments.kills, arguments.seed)
    print(f'{sum(by_phase.values())} kills ({", ".join(f"{phase} {n}" for phase, n in by_phase.items())}), {compared} runs '
          f'compared, {len(wrong)} files differ{": " + ", ".join(wrong) if wrong else ""}')
    sys.exit(1 if wrong else 0)
