"""Many trainings, one after the other, each with several seeds; what they reached goes to one CSV.

    main.py experiments LIST --kitti-dir DIR ...

    # LIST: a line a setting, its name and then the options that main.py takes. What follows LIST on the command line is
    # added to every one of them.
    frozen:
    mirrored: --augment mirror --variants 2

Every training is a run in a process of its own, <runs-dir>/<name>-seed<N>. One that is finished is not done again, one
that was stopped goes on where it was. All share the cache of activations. Rows are written when a run is through.
"""

import argparse
import csv
import io
import json
import os
import shlex
import statistics
import subprocess
import sys

from road import options
from road.checkpoints import write_whole
from road.errors import InputError

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
TABLE = 'experiments.csv'
SCORES = ('MaxF', 'AP', 'IoU')  # of the validation frames, per cent, after the last epoch and (best_) after the best one
# seconds: of all epochs, validation included, without what comes before and after
COLUMNS = ('name', 'seed', *SCORES, *(f'best_{score}' for score in SCORES), 'best_epoch', 'seconds', 'commit', 'options')


def read_list(path, common):
    """{name: option words} of a list, in its order, each with the words `common` after its own.

    Raises:
        InputError: it cannot be read, or a line of it is no setting; options that do not parse end the program with 2.
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().split('\n')
    except (OSError, ValueError) as error:
        raise InputError(f'{path}: cannot be read as a list of experiments ({error}); expected lines NAME: OPTIONS') from error
    settings = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        name, colon, words = line.partition(':')
        try:
            if not colon:
                raise ValueError('has no colon')
            if options.run_name(name) in settings:
                raise ValueError(f'{name} is there twice')
            settings[name] = shlex.split(words) + common
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise InputError(f'{path}, line {number}: {error}; expected NAME: OPTIONS, each name once') from error
        options.parse_training(settings[name])
    if not settings:
        raise InputError(f'{path}: names no experiment; expected lines NAME: OPTIONS')
    return settings


def read_table(path):
    """The rows of a CSV that run_all wrote: {(name, seed): row}, dicts of text; none where there is no file."""
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding='utf-8', newline='') as file:
            rows = list(csv.DictReader(file))
        if any(list(row) != list(COLUMNS) or None in row.values() for row in rows):
            raise ValueError('its columns are others')
        return {(row['name'], int(row['seed'])): row for row in rows}
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f'{path}: not a table of experiments ({error}); move it away: finished runs are not done again') from error


def run_all(path, common, seeds, runs_dir):
    """Train what is not done yet of a list; returns the table as text.

    Args:
        path: of the list.
        common: option words for every setting.
        seeds: how many, from 0 on.
        runs_dir: where runs and the table go.
    Raises:
        InputError: a setting of that name has other options, or a run fails. What is done is kept.
    """
    settings, table = read_list(path, common), os.path.join(runs_dir, TABLE)
    rows = read_table(table)
    for (name, _), row in rows.items():
        if name in settings and row['options'] != shlex.join(settings[name]):
            raise InputError(f'{path}: {name} has the options {shlex.join(settings[name])}, but in {table} it has '
                             f'{row["options"]}; give it another name')
    os.makedirs(runs_dir, exist_ok=True)
    # all settings with one seed before the next seed: what is known early says something about each
    wanted = [(name, seed) for seed in range(seeds) for name in settings]
    for number, (name, seed) in enumerate(wanted, 1):
        if (name, seed) not in rows:
            print(f'{number}/{len(wanted)}: {name}, seed {seed}', flush=True)
            rows[name, seed] = _train(name, seed, settings[name], runs_dir)
            _write(table, rows)
    return text(rows, settings)


def _train(name, seed, words, runs_dir):
    """Train, or finish, one run in a process of its own; returns its row."""
    run = os.path.join(runs_dir, f'{name}-seed{seed}')
    done = os.path.join(run, 'metrics.json')
    if not os.path.exists(done):
        more = ['--resume', run] if os.path.isdir(run) else [*words, '--seed', str(seed), '--name', os.path.basename(run),
                                                             '--runs-dir', runs_dir]
        code = subprocess.run([sys.executable, MAIN, *more]).returncode
        if code in (130, 143):
            raise KeyboardInterrupt
        if code:
            raise InputError(f'{run}: the training ended with exit code {code}, its reason is above; the experiments before '
                             'it are kept')
    try:
        with open(done, encoding='utf-8') as file:
            figures = json.load(file)
        with open(os.path.join(run, 'environment.json'), encoding='utf-8') as file:
            commit = json.load(file)['commit'] or ''
        best, last = figures['best'], figures['last']
        row = [name, seed, *(f'{epoch[f"val_{score}"]:.4f}' for epoch in (last, best) for score in SCORES), best['epoch'],
               f'{figures["seconds"]:.1f}', commit[:7], shlex.join(words)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{run}: its records are damaged; move it away, and it is trained again') from error
    return dict(zip(COLUMNS, map(str, row)))


def _write(path, rows):
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows.values())
    write_whole(path, table.getvalue())


def text(rows, settings):
    """The table as text: a line a setting, the mean over its seeds and the standard deviation between them."""
    lines = [('setting', 'seeds', *(f'{score}{what}' for what in ('', ' best') for score in SCORES[:2]), 'seconds')]
    for name in settings:
        mine = [row for (of, _), row in rows.items() if of == name]
        figures = []
        for column in ('MaxF', 'AP', 'best_MaxF', 'best_AP'):
            values = [float(row[column]) for row in mine]
            spread = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
            figures.append(f'{statistics.mean(values):.2f}{spread}')
        lines.append((name, str(len(mine)), *figures, f'{statistics.mean(float(row["seconds"]) for row in mine):.0f}'))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join('  '.join(f'{text:{width}s}' for text, width in zip(line, widths)).rstrip() for line in lines)
