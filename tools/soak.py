"""Kill runs at random moments, resume them, and compare them with an undisturbed run.

    python tools/soak.py --kills 50     # three minutes on 2 cores; exits with 1 on a fault

Each round trains one small run on drawn scenes, which is killed (SIGKILL) in each of PHASES and
resumed. It must never refuse to go on. At the end metrics.csv (without times), checkpoints and test
images must equal the undisturbed run's.

Processes are forked: the caller must not have used TensorFlow, and Windows has no fork.
"""

import argparse
import csv
import glob
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import main
from road.network import vgg_folder
from road.network.tf1 import tf
from road.runs.metrics import TIMES
from road.sample import scenes
from tools.train_sample_encoder import random_weights

RUN = 'runs/run'
NEW_RUN = ['--dataset-dir=data_road', '--vgg-dir=vgg', '--data-dir=data', '--name=run',
           '--val-frames=1', '--image-size=64x192', '--batch-size=2']
# A process is killed after these files have changed, in the order of a run, or anywhere; with the
# longest wait from there, in seconds.
PHASES = (('data/cache/*/*', 0.1), (f'{RUN}/metrics.csv', 0.5), (f'{RUN}/checkpoints/*/*', 0.06),
          (f'{RUN}/checkpoints/*/*', 0.06), ('anywhere', 3.0), (f'{RUN}/.*.images', 0.3))


def write_inputs(folder, training, testing):
    """Write drawn scenes, so many frames of each category, and a narrow VGG16 into the folder."""
    scenes.write_dataset(f'{folder}/data_road', training, testing, height=94, width=310)
    vgg_folder.save(random_weights(fc_width=16), f'{folder}/vgg')


def start(folder, words, function=main.main):
    """Call function(words) in a new process in the folder; output.txt there gets what it prints."""
    def called():
        os.chdir(folder)
        with open('output.txt', 'w') as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.exit(function(words))

    _ = tf.version  # imports TensorFlow, for all processes to come
    process = multiprocessing.get_context('fork').Process(target=called)
    process.start()
    return process


def finish(process, folder, seconds=None):
    """Wait for a process of `start`, kill it after so many seconds.

    Returns (exit code, fault as text or None, results and evaluations of the run: {file: content}).
    """
    process.join(seconds)
    process.kill()
    process.join()
    fault, files = None, {}
    output = Path(folder, 'output.txt').read_text(errors='replace')
    leftovers = {*glob.glob(f'{folder}/**/.*', recursive=True)}
    leftovers -= {f'{folder}/painted/.predict.jsonl'}  # the record of predict
    if process.exitcode not in (0, 2, -signal.SIGKILL) or 'Traceback' in output:
        fault = f'exit code {process.exitcode}: {output[-1000:]}'
    elif leftovers and process.exitcode != -signal.SIGKILL:
        fault = f'left behind: {leftovers}'
    if process.exitcode == 0:
        evaluations = Path(folder, RUN).glob('evaluation-*.json')
        files = results(f'{folder}/{RUN}') | {path.name: path.read_bytes() for path in evaluations}
    return process.exitcode, fault, files


def results(run):
    """What two runs of the same settings must share: {file: content}, metrics without times."""
    with open(f'{run}/metrics.csv', encoding='utf-8') as file:
        rows = [{name: row[name] for name in row.keys() - TIMES} for row in csv.DictReader(file)]
    paths = [*Path(run).glob('checkpoints/*/*.data-*'), *Path(run).glob('images/*')]
    assert len(paths) > 2
    return {'metrics.csv': rows,
            **{str(path.relative_to(run)): path.read_bytes() for path in paths}}


def start_run(folder):
    """Start the folder's run in a process of its own, or resume it if it exists."""
    words = [*NEW_RUN, '--epochs=4', '--copies=2', '--augment=mirror']
    return start(folder, ['--resume', RUN] if os.path.isdir(f'{folder}/{RUN}') else words)


def soak(place, kills):
    """Rounds until there were `kills` kills: (number of rounds, faults)."""
    rng, inputs = random.Random(0), f'{place}/inputs'
    killed = rounds = 0
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
            path = f'{folder}/{files}'
            before, process = glob.glob(path), start_run(folder)
            while files != 'anywhere' and process.is_alive() and glob.glob(path) == before:
                time.sleep(0.001)
            code, fault, _ = finish(process, folder, rng.uniform(0, longest))
            faults.append('refused' if code == 2 else fault)
            if code == -signal.SIGKILL:
                killed += 1
                print(f'{killed} kills, round {rounds}, {files}', flush=True)
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
