"""`main.py runs`: all runs of a folder as a table, the highest validation score first."""

import glob
import math
import os

from road import files
from road.data.formats import target_line
from road.errors import InputError
from road.runs import checkpoints, run_folder
from road.runs.metrics import best_of, fields, score_of
from road.settings import option_text
from road.tables import table

SCORES = {'epoch': 'best', 'val_MaxF': 'MaxF', 'val_AP': 'AP', 'val_IoU': 'IoU',
          'val_mean_IoU': 'mean IoU'}  # columns of metrics.csv and their headings


def run(args, open_run):
    """Print the table, what the runs look for, and which runs cannot be read."""
    if not os.path.isdir(args.runs_dir):
        raise InputError(f'{args.runs_dir}: no such folder; name that of the runs with --runs-dir')
    found, warnings = [], []
    for folder in sorted(glob.glob(os.path.join(glob.escape(args.runs_dir), '*', ''))):
        try:
            loaded, rows = run_folder.load(os.path.dirname(folder), begun=False), []
            if name := checkpoints.latest(loaded.folder):
                rows = loaded.read_checkpoint(name, verify=False)[1]['rows']
            found.append((loaded, rows))
        except InputError as error:
            warnings.append(f'Warning: {error}')
    found.sort(key=lambda each: _order(each[1]))
    all_settings = [loaded.settings for loaded, _ in found]
    differing = {key for one in all_settings for key in one if key not in ('name', 'runs_dir')
                 and any(other.get(key) != one[key] for other in all_settings)}
    names = [name for name in SCORES if any(rows and name in rows[0] for _, rows in found)]
    head = ('run', 'commit', 'epochs', *(SCORES[name] for name in names), 'seconds',
            'settings that differ')
    rows = [_cells(*each, names, differing) for each in found]
    targets = dict.fromkeys(target_line(loaded) for loaded, _ in found)  # each once, in order
    print('\n'.join([table([head, *rows]), *targets, *warnings]))


def _order(rows):
    """Sort key: the highest MaxF first, then mean IoU, then no score, then no epoch."""
    score = score_of(best_of(rows)) if rows else math.nan
    if math.isnan(score):
        return 2, not rows
    return 'val_mean_IoU' in rows[0], -score


def _cells(loaded, rows, names, differing):
    environment = files.read_json(os.path.join(loaded.folder, 'environment.json'))
    commit = str(environment.get('commit') or '-')[:7]
    if environment.get('dirty'):
        commit += '+'
    best = fields(best_of(rows)) if rows else {}
    scores = [best.get(name, '-') for name in names]
    options = [' '.join(option_text(key, value)) for key, value in loaded.settings.items()
               if key in differing]
    epochs, seconds = loaded.settings.get('epochs'), sum(row['seconds'] for row in rows)
    return (os.path.basename(loaded.folder), commit, f'{len(rows)}/{epochs}', *scores,
            f'{seconds:.1f}', ' '.join(options))
