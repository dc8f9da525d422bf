"""Kill real runs at random moments, resume them, and compare them with an undisturbed run.

    python tools/soak.py --kills 50     # about ten minutes on 2 cores; exits with 1 on a difference

Each round trains one small run on drawn scenes, which is killed (SIGKILL) in each of PHASES and
resumed. After every kill metrics.csv must be readable and both checkpoints complete. At the end
metrics.csv (without times), checkpoints and test images must equal the undisturbed run's.
"""

import argparse
import contextlib
import csv
import glob
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road.network import vgg16, vgg_folder
from road.runs import checkpoints, metrics
from road.sample import scenes

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
# Where a process is killed, in the order of a run, and the longest wait after that point, seconds.
PHASES = (('cache', 0.1), ('first epoch', 1.0), ('checkpoint', 0.06), ('checkpoint', 0.06),
          ('anywhere', 0.0), ('images', 0.3))


def run_of(place):  # each place has one run and its cache; data lie beside places
    return f'{place}/runs/soak'


def start(place):
    """Start the place's run in a process of its own, or resume it if its folder exists."""
    shared, words = os.path.dirname(place), ['--resume', run_of(place)]
    if not os.path.isdir(run_of(place)):
        words = [f'--kitti-dir={shared}/data_road', f'--vgg-dir={shared}/vgg', '--name=soak',
                 f'--data-dir={place}/data', f'--runs-dir={place}/runs', '--epochs=4', '--copies=2',
                 '--val-frames=1', '--image-size=64x192', '--batch-size=2', '--augment=mirror']
    with open(f'{place}.txt', 'a') as output:
        return subprocess.Popen([sys.executable, MAIN, *words], stdout=output, stderr=output)


def end(child, place):
    """Wait for a process that finishes or is killed; returns whether it was killed."""
    code = child.wait()
    if code not in (0, -signal.SIGKILL):
        output = Path(f'{place}.txt').read_text()
        sys.exit(f'a run ended with exit code {code}:\n{output[-3000:]}')
    return code != 0


def reached(place, phase):
    """A function that tells whether the process has come to the phase after this call."""
    run = run_of(place)
    before = set(glob.glob(f'{run}/checkpoints/*/*'))
    return {'cache': lambda: glob.glob(f'{place}/data/cache/*/*'),
            'first epoch': lambda: os.path.exists(f'{run}/metrics.csv'),
            'checkpoint': lambda: set(glob.glob(f'{run}/checkpoints/*/*')) != before,
            'anywhere': lambda: True,
            'images': lambda: glob.glob(f'{run}/.*.images')}[phase]


def kill_once(place, phase, wait):
    """Start a process and kill it `wait` seconds after the phase; returns whether it still ran."""
    has_come, child = reached(place, phase), start(place)
    while child.poll() is None and not has_come():
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(wait)
    child.kill()
    return end(child, place)


def read_rows(run):
    return list(csv.DictReader(Path(run, 'metrics.csv').read_text().splitlines()))


def check_readable(run):
    epochs = 0
    if os.path.exists(f'{run}/metrics.csv'):
        for epochs, row in enumerate(read_rows(run), 1):
            assert list(row) == metrics.columns(2) and int(row['epoch']) == epochs, row
    for name in ('last', 'best'):
        if checkpoints.exists(f'{run}/checkpoints/{name}'):
            _, state = checkpoints.read(f'{run}/checkpoints/{name}')
            assert name == 'best' or state['epoch'] - epochs in (0, 1), (state['epoch'], epochs)


def final(run):
    """{file: content} of what two runs of the same settings must share."""
    names = {*metrics.columns(2)} - {*metrics.TIMES}
    files = {'metrics.csv': [{name: row[name] for name in names} for row in read_rows(run)]}
    paths = glob.glob(f'{run}/checkpoints/*/*.data-*') + glob.glob(f'{run}/images/*')
    for path in paths:
        # the letter in a checkpoint's file name depends on how often it was written
        name = os.path.dirname(path) if 'checkpoints' in path else path
        files[os.path.relpath(name, run)] = Path(path).read_bytes()
    left = glob.glob(f'{run}/**/.*', recursive=True)
    assert len(paths) == len(files) - 1 and not left, (paths, left)
    return files


def soak(folder, kills, phases=PHASES):
    """Kill `kills` times: (number of rounds, names of files that differ)."""
    rng, killed, differing, rounds = random.Random(0), 0, [], 0
    scenes.write_dataset(f'{folder}/data_road', training=5, testing=4, height=94, width=310)
    vgg_folder.save(vgg16.random_weights(fc_width=16), f'{folder}/vgg')
    began, alone = time.perf_counter(), f'{folder}/alone'
    end(start(alone), alone)
    seconds, expected = time.perf_counter() - began, final(run_of(alone))
    while killed < kills:
        rounds += 1
        place = f'{folder}/round{rounds}'
        for phase, longest in phases:
            wait = rng.uniform(0, seconds if phase == 'anywhere' else longest)
            if killed < kills and kill_once(place, phase, wait):
                killed += 1
                print(f'{killed}/{kills} round {rounds}, {phase}, {wait:.2f} s', flush=True)
                check_readable(run_of(place))
        end(start(place), place)
        found = final(run_of(place))
        differing += [f'round {rounds}: {file}' for file in sorted(expected.keys() | found.keys())
                      if found.get(file) != expected.get(file)]
    return rounds, differing


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--kills', type=int, default=50, metavar='N', help='number of kills')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds, differing = soak(folder, args.kills)
    print(f'{rounds} runs compared, {len(differing)} files differ', *differing, sep='\n')
    sys.exit(1 if differing else 0)
