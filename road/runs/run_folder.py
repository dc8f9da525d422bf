"""Run folders, runs/<name>/: made before training starts, read again by what uses a trained run.

README.md lists their files. Everything random depends on (seed, epoch) alone: on a CPU, a run that
was stopped and resumed ends with the same metrics (on a GPU perhaps with --deterministic: untried).
"""

import argparse
import hashlib
import itertools
import math
import os
import shlex
import time
from contextlib import suppress
from typing import NamedTuple

from road import files, settings
from road.data import formats
from road.data.dataset import Class
from road.data.images import low_light
from road.errors import InputError
from road.network.device import environment
from road.network.tf1 import tf
from road.network.vgg_folder import find_vgg
from road.runs import checkpoints
from road.runs.metrics import are_rows

PATHS = ('data_dir', 'dataset_dir', 'vgg_dir')
NOT_RECORDED = ('resume', 'debug')  # options that are no settings of the run
MAY_DIFFER = (*PATHS, *NOT_RECORDED, 'vgg_weights', 'cache', 'cache_limit', 'clip_norm')  # resumed
OTHER_VERSION = ('another version of this program wrote it; use that version, whose commit is in '
                 'environment.json, or train again')
LOWERED = ('learning_rate', 'encoder_learning_rate', 'batch_size')  # may be, of a resumed run


class Run(NamedTuple):
    """What a run folder records."""
    folder: str
    settings: dict  # by option name, as in image_size
    encoder: str  # fingerprint of the VGG16 graph
    training: list  # frame names
    validation: list
    classes: tuple  # of road.data.dataset.Class
    label_values: dict  # what each value of a label stands for: {'#ff00ff': 'road', ...}
    light: float  # darker images are brightened to it
    bits: int = 16  # that 16-bit images use: see road.data.dataset.Dataset.with_infos

    def record(self):
        """Write config.json into the run folder. Raises OSError."""
        config = {**self._asdict(), 'working_directory': os.getcwd()}
        del config['folder']  # the run may be moved
        files.write_json(os.path.join(self.folder, 'config.json'), config)

    def checkpoint(self, name):
        """The folder of checkpoint 'last' or 'best'."""
        return os.path.join(self.folder, 'checkpoints', name)

    def read_checkpoint(self, name, verify=True):
        """As checkpoints.read; also raises InputError if the checkpoint is of another run."""
        folder = self.checkpoint(name)
        prefix, state = checkpoints.read(folder, verify)
        for key, value in (('encoder', self.encoder),
                           ('image_size', list(self.settings['image_size']))):
            if state.get(key) != value:
                raise InputError(f'{folder}: belongs to another run, its {key} is {state.get(key)} '
                                 f"and not {value}; put the run's own checkpoint back")
        if not are_rows(state.get('rows'), len(self.classes)):
            raise InputError(f'{folder}/state.json: {OTHER_VERSION}')
        return prefix, state

    @property
    def threshold(self):
        """The probability from which on masks show class 1: that of MaxF in validation, or 0.5."""
        return self.best()['threshold']

    @property
    def checked_path(self):
        """Where road.data.check remembers files; None if the data folder is of another machine."""
        folder = self.settings['data_dir']
        return os.path.join(folder, 'checked.json') if os.path.isdir(folder) else None

    def best(self):
        """The best epoch, its threshold, and an MD5 that stands for its weights: a dict."""
        prefix, state = self.read_checkpoint('best', verify=False)
        threshold = state['rows'][-1].get('threshold', math.nan)
        # TensorFlow's index has the names, shapes and checksums of all variables
        return {'epoch': state['epoch'], 'checkpoint': files.file_digest(f'{prefix}.index'),
                'threshold': 0.5 if math.isnan(threshold) else threshold}


def load(folder, begun=True):
    """Read a run folder. InputError: it is not a run, is damaged, or (begun) has no epoch yet."""
    path = os.path.join(folder, 'config.json')
    if not os.path.isfile(path):
        what = 'is no run, it has no config.json' if os.path.exists(folder) else 'no such folder'
        raise InputError(f'{folder}: {what}; name a run, a folder in runs/')
    config = files.read_json(path)
    try:
        directory = config.pop('working_directory')
        config['settings'] = settings.retype(config['settings'])
        config['classes'] = tuple(Class(name, tuple(rgb)) for name, rgb in config['classes'])
        run = Run(folder, **config)
        for name in PATHS:
            absolute = os.path.join(directory, run.settings[name])
            if os.path.exists(absolute) and not os.path.exists(run.settings[name]):
                run.settings[name] = absolute  # from this working directory it is not there
    except argparse.ArgumentTypeError as error:
        raise InputError(f'{path}: {error}; put it right') from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        why = OTHER_VERSION if config else 'damaged. Copy the run again or train again'
        raise InputError(f'{path}: {why}') from error
    if begun and not checkpoints.exists(run.checkpoint('best')):
        _refuse_lost(run)
        raise InputError(f'{folder}: has no checkpoint, because it was stopped in its first epoch; '
                         f'continue it with --resume {folder}')
    return run


def _refuse_lost(run):
    """Raise InputError if a checkpoint is missing though metrics.csv has a finished epoch."""
    with suppress(OSError), open(f'{run.folder}/metrics.csv', encoding='utf-8') as file:
        if len(file.readlines()) > 1:
            raise InputError(f'{run.checkpoint("best")}: missing; copy the run again, or train a '
                             'new run')


def find_encoder(run, vgg_dir=None):
    """The road.network.vgg_folder.Graph of a run, perhaps moved. Raises InputError."""
    graph = find_vgg(_find(run, 'vgg_dir', vgg_dir))
    _compare_encoder(run, graph.fingerprint, graph.folder)
    return graph


def find_dataset(run, folder=None):
    """The data set of a run, perhaps moved: road.data.dataset.Dataset. Raises InputError."""
    data = formats.find_dataset(run.settings['dataset'], _find(run, 'dataset_dir', folder), 0,
                                run.settings['target'], run.checked_path)
    return data.with_infos({}, run.bits)


def _find(run, setting, folder):
    folder = folder or run.settings[setting]
    if not os.path.isdir(folder):
        raise InputError(f'{folder}: no such folder; give the one that {run.folder} was trained '
                         f'with as {settings.option_text(setting, folder)[0]}')
    return folder


def _compare_encoder(run, fingerprint, vgg_dir):
    if run.encoder != fingerprint:
        raise InputError(f'{vgg_dir}: is not the encoder of {run.folder}; name it with --vgg-dir')


def compare_data(run, data):
    """Refuse a Dataset of other classes with InputError, warn of other labels; the labels' MD5."""
    _compare_classes(run, data.classes, data.label_values)
    by_name = {frame.name: frame for frame in data.training + data.validation}
    own = [by_name[name] for name in run.training + run.validation if name in by_name]
    recorded = files.read_json(f'{run.folder}/environment.json').get('labels')
    labels = _fingerprint(own, 'label', files.file_digest)
    if recorded is None:
        print(f'Warning: {run.folder}/environment.json does not say whether the labels are those '
              'of the training')
    elif recorded != labels:
        print(f'Warning: the labels are not those that {run.folder} was trained with; its metrics '
              'and these scores cannot be compared')
    return labels


def _compare_classes(run, classes, label_values):
    """Names, order, colours, and the values in the labels: a prediction is an index of a class."""
    if (run.classes, run.label_values) != (classes, label_values):
        def show(classes, label_values):
            return ', '.join(f'{each.name} (' + ' '.join(
                [value for value, name in label_values.items() if name == each.name]
                + ['painted #{:02x}{:02x}{:02x}'.format(*each.colour)]) + ')' for each in classes)

        raise InputError(f'{run.folder}: was trained with the classes '
                         f'{show(run.classes, run.label_values)}; the data set has '
                         f'{show(classes, label_values)}; restore its classes, or train a new run')


def _fingerprint(frames, kind, digest):
    """MD5 (hex) of the frames' names and files; kind: image or label; digest: path => MD5 (hex)."""
    lines = [f'{frame.name} {digest(getattr(frame, kind))}\n' for frame in frames]
    text = os.fsencode(''.join(lines))  # names may be no UTF-8
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def resumed_settings(args, is_chief=True):
    """All settings of the run in args.resume; of a new run, args as they are.

    args is a Namespace of settings.parse_training; with resume, of the given settings alone.
    Without is_chief the run folder may exist: another process makes it. Raises InputError if the
    name is taken, args.resume is no run, or a setting differs that may not: see --resume's help.
    """
    if not args.resume:
        if is_chief and args.name:
            _refuse_existing(os.path.join(args.runs_dir, args.name))
        # now, not after a download of the data; a graph that is there does not need the file
        if args.vgg_weights and not any(map(os.path.exists, (args.vgg_weights, args.vgg_dir))):
            raise InputError(f'{args.vgg_weights}: no such file; correct --vgg-weights')
        return args
    run = load(args.resume, begun=False)
    runs_dir, name = os.path.split(os.path.normpath(args.resume))  # the run may have been moved
    recorded = {**run.settings, 'runs_dir': runs_dir or '.', 'name': name}
    given = vars(args)
    if 'data_dir' in given:
        for name in ('dataset_dir', 'vgg_dir'):
            with suppress(ValueError):  # another drive on Windows
                inside = os.path.relpath(recorded[name], recorded['data_dir'])
                moved = os.path.join(args.data_dir, inside)
                if os.path.exists(moved) and not inside.startswith(os.pardir):
                    recorded[name] = moved
    for name, value in given.items():
        before = recorded[name]
        allowed = value == before or name in MAY_DIFFER
        advice = 'leave the option out, or train a new run'
        if name == 'epochs':
            allowed, advice = value >= before, 'it can only be increased'
        elif name in LOWERED:
            allowed, advice = value <= before, 'it can only be lowered'
        if not allowed:
            typed, own = (' '.join(settings.option_text(name, x)).strip() for x in (value, before))
            if before is None or before is False or before == ():
                own = f'no {typed.split()[0]}'
            raise InputError(f'{typed}: {args.resume} has {own}; {advice}')
    if name := checkpoints.latest(run.folder):
        run.read_checkpoint(name)  # damage is reported now, not after minutes of preparation
    elif is_chief:
        _refuse_lost(run)
    resumed = argparse.Namespace(**{**recorded, **given})
    if not (resumed.sample or resumed.vgg_weights):
        _find(run, 'vgg_dir', resumed.vgg_dir)  # otherwise another one would be downloaded
    return resumed


def is_finished(args):
    """Whether args, see resumed_settings, resume a run that has all its epochs and pictures."""
    if not args.resume:
        return False
    return files.read_json(os.path.join(args.resume, 'metrics.json')).get('epochs') == args.epochs


def begin(args, data, vgg, device, is_chief=True):
    """Make the run folder or, with args.resume, check that everything is as it was: Run.

    args: see resumed_settings; data, vgg, device: a Dataset, Graph and Device. Raises InputError
    if the name is taken, or the resumed run has other data or another encoder.
    """
    automatic = '' if args.name else time.strftime('fcn8s-%Y%m%d-%H%M%S')
    args.name = args.name or automatic
    names = ([frame.name for frame in part] for part in (data.training, data.validation))
    recorded = {name: value for name, value in vars(args).items() if name not in NOT_RECORDED}
    run = Run(os.path.join(args.runs_dir, args.name), recorded, vgg.fingerprint, *names,
              data.classes, data.label_values, low_light(data.training), data.bits)
    if not is_chief:  # another process makes the folder
        return run
    frames = data.training + data.validation
    facts = {**environment(device), 'encoder': vgg.fingerprint,
             'labels': _fingerprint(frames, 'label', data.digests.get),
             'images': _fingerprint(frames, 'image', data.digests.get)}
    if args.resume:
        _compare(run, facts)
        return run
    files.remove_leftovers(args.runs_dir)
    for number in itertools.count(2):  # two runs may begin in one second
        try:
            with files.atomic_folder(run.folder, replace=False) as temporary:
                run._replace(folder=temporary).record()
                files.write_json(f'{temporary}/environment.json', facts)
            return run
        except OSError:
            if not automatic:
                _refuse_existing(run.folder)
            if not os.path.lexists(run.folder):
                raise
        args.name = run.settings['name'] = f'{automatic}-{number}'
        run = run._replace(folder=os.path.join(args.runs_dir, args.name))


def initial_weights(args, data, vgg):
    """What a training starts from, of the best epoch of args.init: {variable: array}.

    Empty without --init and if args.resume has a checkpoint; the decoder is part of it if the
    classes are the same, in the same order. Raises InputError if the run does not fit.
    """
    if not args.init or args.resume and checkpoints.latest(args.resume):
        return {}
    run, order = load(args.init), settings.TRAIN_ENCODER
    _compare_encoder(run, vgg.fingerprint, vgg.folder)
    trained = run.settings['train_encoder']
    if order.index(trained) > order.index(args.train_encoder):
        raise InputError(f'{run.folder}: has trained encoder blocks that would be frozen here; '
                         f'give --train-encoder {trained}, or a --preset that trains them')
    names, others = ([each.name for each in part.classes] for part in (data, run))
    reader = tf.train.load_checkpoint(run.read_checkpoint('best')[0])
    weights = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
               if names == others or not name.startswith('decoder/')}
    layers = ', '.join(sorted({name.split('/')[0] for name in weights}))
    if not layers:
        raise InputError(f'{run.folder}: has a decoder alone, of other classes; name another run')
    print(f'Initial weights of {layers}: those of {run.folder}')
    return weights


def next_commands(run):
    """What people do after a training, as text: evaluate, predict, a preset that scores higher."""
    values, defaults = run.settings, vars(settings.parse_training([]))
    higher = {None: 'quick', 'quick': 'laptop', 'laptop': 'best'}.get(values['preset'])
    purpose = 'a longer training with higher scores' if values['preset'] else settings.MORE
    repeated = ['data_dir', 'dataset_dir', 'target', 'vgg_dir', 'val_frames', 'init']
    if values['dataset_dir'] == defaults['dataset_dir']:  # elsewhere the format is detected
        repeated.append('dataset')
    words = [word for name in repeated if values[name] != defaults[name]
             for word in settings.option_text(name, values[name])]
    if values['sample']:
        words, purpose = ['--download-kitti'], 'real images'
    commands = [(['evaluate', run.folder], 'scores of the validation frames'),
                (['predict', run.folder, 'PICTURES'], 'paint your own images, folders or videos')]
    if higher:
        commands.append(([*words, '--preset', higher], purpose))
    return '\n'.join(['Next:', *(f'    python main.py {shlex.join(each)}    # {purpose}'
                                 for each, purpose in commands)])


def _refuse_existing(folder):
    if os.path.lexists(folder):
        raise InputError(f'{folder}: there is a run of that name already; continue it with '
                         f'--resume {folder}, or give another --name')


def _compare(run, facts):
    """Raise InputError if a run's data or encoder have changed; print what else has."""
    begun = load(run.folder, begun=False)
    before = files.read_json(f'{run.folder}/environment.json')
    if not before:
        raise InputError(f'{run.folder}/environment.json: missing or damaged; copy the run again, '
                         'or train a new run')
    _compare_encoder(begun, run.encoder, run.settings['vgg_dir'])
    _compare_classes(begun, run.classes, run.label_values)
    for what, now, then in (('training images', run.training, begun.training),
                            ('validation images', run.validation, begun.validation),
                            ('contents of the images', facts['images'], before.get('images')),
                            ('labels', facts['labels'], before.get('labels'))):
        if now != then:
            raise InputError(f'{run.settings["dataset_dir"]}: the {what} are not those that '
                             f'{run.folder} records; name the data set it began with by '
                             '--dataset-dir, or train a new run')
    for name, value in facts.items():
        if value != before.get(name):
            print(f'Warning: {name} was {before.get(name)} when the run began and is {value} now; '
                  'its metrics may differ from those of a run without interruption')
    for name in (*LOWERED, 'clip_norm'):
        value, former = run.settings[name], begun.settings[name]
        if value != former:
            print(f'Warning: {name} was {former} and is {value} from here on; the results are no '
                  'longer those of a run in one go')
