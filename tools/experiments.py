"""Train every setting of a list with several seeds, and collect the scores in one CSV file.

    python tools/experiments.py LIST --dataset-dir DIR ...

    # LIST: a setting per line, its name and then options of main.py. Options that follow LIST on
    # the command line are added to every setting.
    frozen:
    mirrored: --augment mirror --copies 2

Each training is a process and a run, <runs-dir>/<name>-seed<N>. Start the command again after a
stop: finished runs are skipped, a stopped run is resumed.
"""

import argparse
import csv
import math
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road import errors, settings
from road.errors import InputError
from road.files import atomic_path, read_json, write_json
from road.runs.log import Terminated, stoppable
from road.tables import table

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
# of the validation frames, per cent, after the last epoch; nan is what a run does not have
SCORES = ('MaxF', 'AP', 'IoU', 'mean_IoU', 'accuracy')
# seconds: of all epochs; minutes: of the whole command, nan where it was stopped and resumed
MEASURES = (*SCORES, 'seconds', 'minutes', 'peak_memory_gib')
COLUMNS = ('name', 'seed', *MEASURES, 'commit', 'options')
OWN = ('--name', '--seed', '--runs-dir', '--resume')  # given to every run, not by the list


def read_list(path, common=()):
    """Read a list: {name: option words}, in order, each followed by the words `common`.

    Raises InputError; ends the program with code 2 where main.py lacks an option.
    """
    listed = {}
    for line in map(str.strip, Path(path).read_text('utf-8-sig').splitlines()):
        if not line or line.startswith('#'):
            continue
        name, _, options = line.partition(':')
        try:
            if settings.run_name(name) in listed:
                raise ValueError(f'{name} is there twice')
            listed[name] = [*shlex.split(options), *common]
            for word in listed[name]:
                if word.partition('=')[0] in OWN:
                    raise ValueError(f'{word} is set for each run by this program; leave it out')
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise InputError(f'{path}: line {line!r}: {error}; expected NAME: OPTIONS') from error
        settings.parse_training(listed[name])
    return listed


def run_all(listed, seeds, runs_dir):
    """Train what is missing of a list with the seeds 0 to seeds - 1; returns the rows of the table.

    Raises InputError: a run of this name has other options, or a run fails. What is done is kept.
    """
    runs = [(name, seed, f'{runs_dir}/{name}-seed{seed}') for seed in range(seeds)
            for name in listed]
    words = {folder: [*listed[name], f'--seed={seed}', f'--name={name}-seed{seed}',
                      f'--runs-dir={runs_dir}'] for name, seed, folder in runs}
    for folder in filter(os.path.lexists, words):
        with open(f'{folder}/command.txt', encoding='utf-8') as file:
            recorded = shlex.split(file.readline())[2:]  # the first command, without python main.py
        if recorded != words[folder]:
            raise InputError(f'{folder}: was trained with other options ({shlex.join(recorded)}); '
                             'give the setting another name')
    rows = []
    for number, (name, seed, folder) in enumerate(runs, 1):
        if not os.path.exists(f'{folder}/metrics.json'):
            print(f'{number}/{len(runs)}: {name}, seed {seed}', flush=True)
            train(folder, words[folder])
        row = name, str(seed), *results(folder), shlex.join(listed[name])
        rows.append(dict(zip(COLUMNS, row)))
        with atomic_path(f'{runs_dir}/experiments.csv') as path, open(path, 'w') as file:
            csv.writer(file, lineterminator='\n').writerows([COLUMNS, *map(dict.values, rows)])
    return rows


def train(folder, words):
    new, start = not os.path.isdir(folder), time.perf_counter()
    words = words if new else ['--resume', folder]
    code = subprocess.run([sys.executable, MAIN, *words]).returncode
    if code in (130, 143):
        raise KeyboardInterrupt
    if code:
        raise InputError(f'{folder}: the training ended with exit code {code}, see above')
    if new:
        write_json(f'{folder}/minutes.json', {'minutes': (time.perf_counter() - start) / 60})


def results(folder):
    """What the table says of a run, as text: COLUMNS without name, seed and options."""
    metrics = read_json(f'{folder}/metrics.json')
    if not metrics:
        raise InputError(f'{folder}: metrics.json is damaged; move the run away and start again')
    scores = [metrics['last'].get(f'val_{score}') for score in SCORES]
    scores = ['nan' if score is None else f'{score:.4f}' for score in scores]
    minutes = read_json(f'{folder}/minutes.json').get('minutes', math.nan)
    commit = read_json(f'{folder}/environment.json').get('commit') or ''
    return (*scores, f'{metrics["seconds"]:.1f}', f'{minutes:.2f}',
            str(metrics.get('peak_memory_gib') or math.nan), commit[:7])


def summary(rows, names):
    """The rows as text: per setting the mean and the standard deviation over its seeds."""
    columns = [column for column in MEASURES if any(row[column] != 'nan' for row in rows)]
    lines = [('setting', 'seeds', *columns)]
    for name in names:
        cells = []
        for column in columns:
            values = [float(row[column]) for row in rows if row['name'] == name]
            deviation = f' ± {np.std(values, ddof=1):.2f}' if len(values) > 1 else ''
            cells.append(f'{np.mean(values):.2f}{deviation}')
        lines.append((name, str(len(values)), *cells))
    return table(lines)


def run(argv=None):
    """Run the command line; returns the exit code, as main.main does."""
    note = 'All other options are options of main.py and are added to every setting.'
    description = __doc__.split('\n\n')[0]
    parser = argparse.ArgumentParser(allow_abbrev=False, description=description, epilog=note)
    add = parser.add_argument
    add('list', metavar='LIST', help='a text file with a setting per line, NAME: OPTIONS')
    add('--seeds', type=settings.number(int, 1, 100), default=3, metavar='N',
        help='train each setting with the seeds 0 to N-1 (default: 3)')
    add('--runs-dir', default='runs/experiments', metavar='DIR',
        help='folder of the runs and experiments.csv (default: %(default)s)')
    args, common = parser.parse_known_args(argv)
    try:
        listed = read_list(args.list, common)
        with stoppable():
            print(summary(run_all(listed, args.seeds, args.runs_dir), listed))
    except KeyboardInterrupt as stop:
        print('Stopped', file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except (InputError, OSError) as error:
        print(f'Error: {errors.describe(error, {})}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(run())
