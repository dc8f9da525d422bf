"""`main.py runs`: the runs of a folder, a table per data set, highest validation score first."""

import glob
import math
import os
import textwrap

from road import files
from road.data.formats import target_line
from road.errors import InputError
from road.runs import checkpoints, run_folder
from road.runs.metrics import best_of, fields, score_of
from road.settings import changed
from road.tables import table

SCORES = {'epoch': 'best', 'val_MaxF': 'MaxF', 'val_AP': 'AP', 'val_IoU': 'IoU',
          'val_mean_IoU': 'mean IoU'}  # columns of metrics.csv and their headings
OMITTED = ('dataset_dir', 'dataset', 'target', 'epochs', 'data_dir', 'vgg_dir')  # options


def run(args, open_run):
    """Print the tables, what the runs look for, and which runs cannot be read."""
    if not os.path.isdir(args.runs_dir):
        raise InputError(f'{args.runs_dir}: no such folder; name that of the runs with --runs-dir')
    tables, lines, warnings = {}, [], []
    for folder in sorted(glob.glob(os.path.join(glob.escape(args.runs_dir), '*', ''))):
        try:
            loaded, rows = run_folder.load(os.path.dirname(folder), begun=False), []
            if name := checkpoints.latest(loaded.folder):
                rows = loaded.read_checkpoint(name, verify=False)[1]['rows']
            title = f'{target_line(loaded)}, in {loaded.settings["dataset_dir"]}'
            tables.setdefault(title, []).append((loaded, rows))
        except InputError as error:
            warnings.append(f'Warning: {error}')
    for title, each in tables.items():
        each.sort(key=lambda one: _order(one[1]))
        names = [name for name in SCORES if any(rows and name in rows[0] for _, rows in each)]
        head = ('run', 'commit', 'epochs', *(SCORES[name] for name in names), 'seconds', 'options')
        cells = [_cells(loaded, rows, names) for loaded, rows in each]
        lines += [title, *table([head, *cells]).split('\n'), '']
    for line in lines + warnings:
        print(textwrap.fill(line, 120, subsequent_indent='    ', break_on_hyphens=False))


def _order(rows):
    """Sort key: the highest score first, then no score, then no epoch."""
    score = score_of(best_of(rows)) if rows else math.nan
    return math.isnan(score), not rows, -score


def _cells(loaded, rows, names):
    environment = files.read_json(os.path.join(loaded.folder, 'environment.json'))
    commit = str(environment.get('commit') or '-')[:7]
    if environment.get('dirty'):
        commit += '+'
    best = fields(best_of(rows)) if rows else {}
    scores = [best.get(name, '-') for name in names]
    seconds = sum(row['seconds'] for row in rows)
    return (os.path.basename(loaded.folder), commit, f'{len(rows)}/{loaded.settings["epochs"]}',
            *scores, f'{seconds:.1f}', changed(loaded.settings, OMITTED))
