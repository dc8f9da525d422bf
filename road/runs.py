"""Run folders, runs/<name>/: made before training starts, never written over, read again by what uses a trained run.

    command.txt         the command line, one more line each time the run is resumed
    config.json         every setting, the encoder's fingerprint, the frames of each split
    environment.json    commit, versions, device, fingerprint of the labels
    log.txt             what the screen showed, without the progress bars
    metrics.csv         a row an epoch, as on the screen
    metrics.json        final figures, once the run is through
    checkpoints/        last and best, see road.checkpoints
    events/             for TensorBoard
    curves.png, contact_sheet.png, road.gif, images/       once the run is through

All that is random depends on (seed, epoch) alone, so a run that was stopped anywhere goes on from the end of its last
finished epoch and ends with the same figures.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from typing import NamedTuple

from road import checkpoints, options
from road.checkpoints import write_whole
from road.errors import InputError, cannot_write
from road.machine import PRECISIONS, environment
from road.records import best_of, fields, sound
from road.vgg16 import FIRST_TRAINED


class Run(NamedTuple):
    """What a run folder records."""
    folder: str
    settings: dict  # by option name, as in image_size
    encoder: str  # fingerprint, road.vgg16.fingerprint
    training: list  # frame names
    validation: list

    def checkpoint(self, name):
        """The folder of checkpoint 'last' or 'best'."""
        return os.path.join(self.folder, 'checkpoints', name)

    def read_checkpoint(self, name):
        """(prefix for tf.train.Saver, state) of checkpoint 'last' or 'best', found whole and of this run's encoder."""
        folder = self.checkpoint(name)
        prefix, state = checkpoints.read(folder)
        for what, wanted in (('encoder', self.encoder), ('image_size', list(self.settings['image_size']))):
            if state.get(what) != wanted:
                raise InputError(f'{folder}: belongs to another run, its {what} is {state.get(what)} and not {wanted}; '
                                 'put the run\'s own checkpoint back')
        if not sound(state.get('rows')):
            raise InputError(f'{folder}/state.json: damaged; expected the rows that training wrote there. Train again')
        return prefix, state

    @property
    def decoder(self):
        """Path prefix of the best epoch's checkpoint, for tf.train.Saver."""
        return self.read_checkpoint('best')[0]


# --------------------------------------------------------------------------------------------- making a folder


def refuse_existing(runs_dir, name):
    """Raise InputError where there is a run of that name: it is not written over."""
    folder = os.path.join(runs_dir, name)
    if os.path.lexists(folder):
        raise InputError(f'{folder}: there is a run of that name already; go on with it by --resume {folder}, or give '
                         'another --name')


def create(runs_dir, name, settings, encoder, training, validation, device, precision):
    """Make runs_dir/name and record there the command, the settings, the frames of each split and the environment.

    Raises:
        InputError: there is a run of that name already, or the folder cannot be written.
    """
    refuse_existing(runs_dir, name)
    run = Run(os.path.join(runs_dir, name), _without_modes(settings), encoder, [f.name for f in training], [f.name for f in validation])
    around = {**environment(device, precision), 'encoder': encoder, 'labels': label_fingerprint(training + validation)}
    building = None
    try:
        os.makedirs(runs_dir, exist_ok=True)
        building = tempfile.mkdtemp(prefix=f'.{name}-', dir=runs_dir)  # so that a killed start leaves no half of a run
        _write_config(building, run)
        write_whole(os.path.join(building, 'environment.json'), json.dumps(around, indent=1))
        note_command(building)
        os.chmod(building, 0o755)
        os.rename(building, run.folder)
    except (OSError, InputError) as error:
        reason = getattr(error.__cause__ or error, 'strerror', error)
        raise InputError(f'{run.folder}: cannot be written ({reason}); give another --runs-dir') from error
    finally:
        if building:
            shutil.rmtree(building, ignore_errors=True)
    return run


def _without_modes(settings):
    """What of a command line's options a run is trained with: all but how this process was started."""
    return {key: value for key, value in settings.items() if key not in ('resume', 'debug')}


def _write_config(folder, run):
    config = {key: value for key, value in run._asdict().items() if key != 'folder'}
    write_whole(os.path.join(folder, 'config.json'), json.dumps(config, indent=1))


def note_command(folder):
    """Add this process' command line to command.txt."""
    with open(os.path.join(folder, 'command.txt'), 'a', encoding='utf-8') as file:
        file.write(shlex.join(['python', *sys.argv]) + '\n')


@contextmanager
def whole_folder(folder):
    """Yields a folder to fill, which takes the place of `folder` once it is full; what a killed process left goes."""
    part = f'{folder}.part'
    try:
        shutil.rmtree(part, ignore_errors=True)
        os.mkdir(part)
        yield part
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(part, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error


def label_fingerprint(frames):
    """MD5 (hex) of the frames' names and label files."""
    digest = hashlib.md5()
    for frame in frames:
        digest.update(frame.name.encode())
        with open(frame.label, 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------- reading a folder


def load(folder, *, begun=True):
    """Read a run folder back. Raises InputError where it is not one, or (where begun) no epoch of it is finished."""
    path = os.path.join(folder, 'config.json')
    try:
        with open(path, encoding='utf-8') as file:
            config = json.load(file)
        run = Run(folder, **config)
        settings, shape = run.settings, run.settings['image_size']
        # what those who use a run rely on
        if not (isinstance(run.encoder, str) and len(shape) == 2 and all(type(s) is int and 32 <= s <= 8192 for s in shape) and
                all(isinstance(name, str) for name in run.training + run.validation) and run.training and run.validation and
                settings['precision'] in PRECISIONS and settings['train_encoder'] in FIRST_TRAINED and
                settings['temperature'] > 0 and isinstance(settings['xla'], bool)):
            raise ValueError
        for key in ('vgg_dir', 'kitti_dir'):
            if b'\0' in os.fsencode(settings[key]):
                raise ValueError
    except OSError as error:
        raise InputError(f'{folder}: not a run; expected a folder under runs/ with config.json ({error.strerror})') from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f'{path}: damaged; expected what training wrote there. Train again') from error
    if begun:
        if not checkpoints.exists(run.checkpoint('best')):
            raise InputError(f'{run.checkpoint("best")}: no checkpoint; the run ended before its first epoch did. Go on '
                             f'with it by --resume {folder}')
        run.read_checkpoint('best')
    return run


def settings_to_resume(given):
    """The settings of the run that is to go on, as options.parse_training gives settings.

    Args:
        given: Namespace of what the command line says (options.parse_training): resume, debug, and settings.
    Raises:
        InputError: not a run; a setting that is given is not the run's (--epochs may be more).
    """
    run = load(given.resume, begun=False)
    defaults = vars(options.parse_training([]))
    settings = {**defaults, **run.settings}
    settings.update({name: tuple(value) for name, value in settings.items() if isinstance(value, list)})
    for name, value in settings.items():
        if defaults.get(name) is not None and not isinstance(value, (type(defaults[name]), int)):
            raise InputError(f'{given.resume}/config.json: damaged, {name} is {value!r}. Train again')
    folder = os.path.normpath(given.resume)
    settings.update(runs_dir=os.path.dirname(folder) or '.', name=os.path.basename(folder))  # it may have been moved
    for name, value in _without_modes(vars(given)).items():
        if value == settings[name] or name == 'epochs' and value > settings[name]:
            continue
        option, text = options.words(name, value)
        advice = 'more can be given, fewer not' if name == 'epochs' else 'leave it out, or train a run of another --name'
        raise InputError(f'{option} {text}: {given.resume} has {option} {options.words(name, settings[name])[1]}; {advice}')
    if checkpoints.exists(run.checkpoint('last')):
        run.read_checkpoint('last')  # said now if it is damaged, not after minutes
    return argparse.Namespace(**{**settings, **vars(given)})


def reopen(folder, settings, encoder, training, validation, device, precision):
    """Go on with the run in `folder`, whose data and encoder must be what they were: the Run, its --epochs perhaps more."""
    run = load(folder, begun=False)
    try:
        with open(os.path.join(folder, 'environment.json'), encoding='utf-8') as file:
            before = json.load(file)
        labels = before['labels']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{folder}/environment.json: damaged; expected what training wrote there. Train again') from error
    if run.encoder != encoder:
        raise InputError(f'{settings["vgg_dir"]}: is not the encoder that {folder} was begun with (fingerprint {encoder}, '
                         f'expected {run.encoder}); put that one back')
    if ([f.name for f in training], [f.name for f in validation]) != (run.training, run.validation) or \
            label_fingerprint(training + validation) != labels:
        raise InputError(f'{settings["kitti_dir"]}: its frames or labels are not those that {folder} was begun with; put '
                         'those back')
    for name, value in environment(device, precision).items():
        if value != before.get(name):
            print(f'Warning: {name} was {before.get(name)} when the run began and is {value} now; its figures may differ '
                  'from those of a run in one go')
    run = run._replace(settings=_without_modes(settings))
    _write_config(folder, run)
    note_command(folder)
    return run


# ------------------------------------------------------------------------------------------------------ table


def table(runs_dir):
    """The runs of a folder as text, highest validation MaxF first; what cannot be read is named below the table."""
    if not os.path.isdir(runs_dir):
        raise InputError(f'{runs_dir}: no such folder; expected one of runs. Name it with --runs-dir')
    found, unreadable = [], []
    for name in sorted(os.listdir(runs_dir)):
        folder = os.path.join(runs_dir, name)
        if name.startswith('.') or not os.path.isdir(folder):
            continue
        try:
            run = load(folder, begun=False)
            rows = run.read_checkpoint('last')[1]['rows'] if checkpoints.exists(run.checkpoint('last')) else []
            with open(os.path.join(folder, 'environment.json'), encoding='utf-8') as file:
                commit, dirty = map(json.load(file).get, ('commit', 'dirty'))
            found.append((run, (commit or '-')[:7] + '+' * bool(dirty), rows, rows and fields(best_of(rows))))
        except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            unreadable.append(f'Warning: {error if isinstance(error, InputError) else f"{folder}: its records are damaged"}')
    found.sort(key=lambda each: -best_of(each[2])['val_MaxF'] if each[2] else 1)
    differing = {key for run, *_ in found for key, value in run.settings.items()
                 if key not in ('name', 'runs_dir') and
                 any(other.settings.get(key) != value for other, *_ in found)}
    lines = [('run', 'commit', 'epochs', 'best', 'MaxF', 'AP', 'IoU', 'seconds', 'settings that differ')]
    for run, commit, rows, best in found:
        scores = [best['epoch'], best['val_MaxF'], best['val_AP'], best['val_IoU']] if rows else ['-'] * 4
        settings = ' '.join(' '.join(options.words(key, tuple(value) if isinstance(value, list) else value))
                            for key, value in run.settings.items() if key in differing)
        lines.append((os.path.basename(run.folder), commit, f'{len(rows)}/{run.settings.get("epochs")}', *scores,
                      f'{sum(row["seconds"] for row in rows):.1f}', settings))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join(['  '.join(f'{text:{width}s}' for text, width in zip(each, widths)).rstrip() for each in lines]
                     + unreadable)
