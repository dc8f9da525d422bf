"""Runs of main.py that take two seconds, in processes of their own: for soak.py and fuzz.py.

A process is forked, so that TensorFlow is imported once; the caller must not have used TensorFlow
before, and Windows has no fork. Each works in a folder with data_road, vgg and, once begun, RUN.
"""

import csv
import glob
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import main
from road.network import vgg16, vgg_folder
from road.network.tf1 import tf
from road.runs.metrics import TIMES
from road.sample import scenes

RUN = 'runs/run'
NEW_RUN = ['--dataset-dir=data_road', '--vgg-dir=vgg', '--data-dir=data', '--name=run',
           '--val-frames=1', '--image-size=64x192', '--batch-size=2']


def write_inputs(folder, training, testing):
    """Write drawn scenes, so many frames of each category, and a narrow VGG16 into the folder."""
    scenes.write_dataset(f'{folder}/data_road', training, testing, height=94, width=310)
    vgg_folder.save(vgg16.random_weights(fc_width=16), f'{folder}/vgg')


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

    Returns (exit code, fault as text or None, results); results are {file: content} of what two
    runs of the same settings must share.
    """
    process.join(seconds)
    process.kill()
    process.join()
    output, fault, files = Path(folder, 'output.txt').read_text(errors='replace'), None, {}
    leftovers = glob.glob(f'{folder}/**/.*', recursive=True)
    if process.exitcode not in (0, 2, -signal.SIGKILL) or 'Traceback' in output:
        fault = f'exit code {process.exitcode}: {output[-1000:]}'
    elif leftovers and process.exitcode != -signal.SIGKILL:
        fault = f'left behind: {leftovers}'
    if process.exitcode == 0:
        files = {'metrics.csv': read_metrics(folder)}
        for pattern in ('checkpoints/*/*.data-*', 'images/*', 'evaluation-*.json'):
            for path in Path(folder, RUN).glob(pattern):
                # the letter in a checkpoint's file name depends on how often it was written
                name = path.parent if 'checkpoints' in pattern else path
                files[str(name.relative_to(folder))] = path.read_bytes()
    return process.exitcode, fault, files


def read_metrics(folder):
    """The rows of the run's metrics.csv, {column: text}, without what differs between two runs."""
    lines = Path(folder, RUN, 'metrics.csv').read_text().splitlines()
    return [{name: row[name] for name in row.keys() - TIMES} for row in csv.DictReader(lines)]
