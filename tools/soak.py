"""Kill runs at random moments, resume them, and compare them with an undisturbed run.

    python tools/soak.py --kills 50     # about five minutes on 2 cores; exits with 1 on a fault

Each round trains one small run on drawn scenes, which is killed (SIGKILL) in each of PHASES and
resumed. After every kill metrics.csv must be readable and both checkpoints complete. At the end
metrics.csv (without times), checkpoints and test images must equal the undisturbed run's.
"""

import argparse
import glob
import os
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road.runs import checkpoints
from tools.small_runs import NEW_RUN, RUN, finish, read_metrics, start, write_inputs

# A process is killed after these files have changed, in the order of a run, or anywhere; with the
# longest wait from there, in seconds.
PHASES = (('data/cache/*/*', 0.1), (f'{RUN}/metrics.csv', 0.5), (f'{RUN}/checkpoints/*/*', 0.06),
          (f'{RUN}/checkpoints/*/*', 0.06), ('anywhere', 3.0), (f'{RUN}/.*.images', 0.3))


def start_run(folder):
    """Start the folder's run in a process of its own, or resume it if it exists."""
    words = [*NEW_RUN, '--epochs=4', '--copies=2', '--augment=mirror']
    return start(folder, ['--resume', RUN] if os.path.isdir(f'{folder}/{RUN}') else words)


def kill_once(folder, files, wait):
    """Start the run and kill it `wait` seconds after the files change: (was killed, fault)."""
    before, process = glob.glob(f'{folder}/{files}'), start_run(folder)
    while process.is_alive() and files != 'anywhere' and glob.glob(f'{folder}/{files}') == before:
        time.sleep(0.001)
    code, fault, _ = finish(process, folder, wait)
    return code == -signal.SIGKILL, fault


def check_readable(folder):
    """Raise an error if metrics.csv or a checkpoint cannot be read, or they do not match."""
    epochs = []
    if os.path.exists(f'{folder}/{RUN}/metrics.csv'):
        epochs = [int(row['epoch']) for row in read_metrics(folder)]
        assert epochs == list(range(1, len(epochs) + 1)), epochs
    for name in ('last', 'best'):
        if checkpoints.exists(f'{folder}/{RUN}/checkpoints/{name}'):
            _, state = checkpoints.read(f'{folder}/{RUN}/checkpoints/{name}')
            assert name == 'best' or state['epoch'] - len(epochs) in (0, 1), (state, epochs)


def soak(place, kills):
    """Kill `kills` times: (number of rounds, faults)."""
    rng, killed, rounds, inputs = random.Random(0), 0, 0, f'{place}/inputs'
    os.mkdir(inputs)
    start(inputs, inputs, lambda folder: write_inputs(folder, training=5, testing=4)).join()
    folder = shutil.copytree(inputs, f'{place}/undisturbed')
    code, fault, expected = finish(start_run(folder), folder)
    assert code == 0, fault
    faults = [fault]
    while killed < kills:
        rounds += 1
        folder = shutil.copytree(inputs, f'{place}/round{rounds}')
        for files, longest in PHASES:
            was_killed, fault = kill_once(folder, files, rng.uniform(0, longest))
            faults.append(fault)
            if was_killed:
                killed += 1
                print(f'{killed}/{kills} round {rounds}, {files}', flush=True)
                check_readable(folder)
        _, fault, found = finish(start_run(folder), folder)
        faults.append(fault)
        faults += [f'round {rounds}: {file} differs' for file in sorted({*expected, *found})
                   if found.get(file) != expected.get(file)]
    return rounds, [fault for fault in faults if fault]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--kills', type=int, default=50, metavar='N', help='number of kills')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds, faults = soak(folder, args.kills)
    print(f'{rounds} runs compared, {len(faults)} faults', *faults, sep='\n')
    sys.exit(1 if faults else 0)
