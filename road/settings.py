"""The command line: every option of every command, with its default, range and presets.

TensorFlow is not imported here, so that --help and mistakes are answered at once.
"""

import argparse
import difflib
import os
import re
import sys
from argparse import ArgumentTypeError
from contextlib import suppress
from functools import partial
from pathlib import Path

PRECISIONS = ('auto', 'float32', 'bfloat16', 'float16')
TRAIN_ENCODER = ('none', 'conv5', 'conv4', 'conv3', 'all')
AUGMENTATIONS = ('mirror', 'brightness', 'contrast', 'gamma', 'colour', 'crop', 'rotation')
DATASETS = ('kitti', 'kitti-semantics', 'camvid', 'cityscapes', 'folder')
EXPORTS = {'savedmodel': 'export', 'onnx': 'export-onnx', 'tflite': 'export-tflite'}  # folders
OVERLAYS = ('both', 'tint', 'outline', 'mask')
VERSION = '1.0'  # of pyproject.toml
MAX_SIDE = 8192  # of --image-size, pixels
COPIES = 8  # of each image where --augment is given alone
INDIFFERENT = ('runs_dir', 'name', 'resume', 'debug', 'vgg_weights', 'download_kitti')  # to scores


class DefaultSize(tuple):
    """A default image size (height, width), which is fitted to the data set."""


class DefaultEpochs(int):
    """A default number of epochs, which is raised for a small data set."""


# Defaults of --sample: 20 frames per category, small images, and an encoder with few channels.
SAMPLE_DEFAULTS = {'val_frames': 5, 'image_size': (96, 320), 'epochs': 10, 'batch_size': 1,
                   'learning_rate': 0.1, 'keep_prob': 0.9, 'l2': 1e-5}
# Without mirroring, AUGMENTATIONS[0]: KITTI's cars drive on the right, and it lowers the score.
_TRAINED = {'train_encoder': 'conv4', 'clip_norm': 1.0, 'encoder_learning_rate': 1e-4,
            'batch_size': 2, 'augment': AUGMENTATIONS[1:]}
PRESETS = {
    'quick': {**_TRAINED, 'epochs': 4, 'copies': 2, 'image_size': (224, 768), 'train_scale': 0.7},
    'laptop': {**_TRAINED, 'epochs': 6, 'copies': 3, 'image_size': (288, 960)},
    'best': {**_TRAINED, 'epochs': 12, 'copies': 6, 'image_size': (320, 1056)},
    'full': {**_TRAINED, 'train_encoder': 'all', 'encoder_learning_rate': 5e-5, 'batch_size': 4,
             'epochs': 100, 'copies': 0, 'image_size': (384, 1248)}}

COMMANDS = {
    'train': 'train a model (the default command)',
    'evaluate': "print a run's scores on its validation, training or test frames",
    'submit': "write a run's confidence maps as a zip for the KITTI benchmark server",
    'predict': 'paint road, or classes, into images, folders of images and videos',
    'export': 'write a run as a model file that needs nothing of this project',
    'check': 'read every file of the data and of the VGG16 graph, and list the faults',
    'runs': 'list all runs, the highest validation score first'}
MORE = 'takes two minutes more on KITTI Road and scores three points more'  # --preset quick


def parse(argv):
    """Parse a command line => (one of COMMANDS, argparse.Namespace). Mistakes exit with 2."""
    command, words = 'train', list(argv)
    if words[:1] == ['help']:
        words[0] = '--help'
    elif words and not words[0].startswith('-'):
        command = words.pop(0)
    if command not in COMMANDS:
        _Parser(prog='main.py').error(
            f'there is no command {command!r}{_did_you_mean(command, COMMANDS)}; the commands are '
            f'{", ".join(COMMANDS)}')
    parser = _make_parser(command)
    if command == 'train':
        return command, _parse_training(parser, words)
    if '--' in words:  # what follows are paths; parse_intermixed_args would forget it
        at = words.index('--')
        words[at:] = [os.path.join('.', word) for word in words[at + 1:]]
    args = parser.parse_intermixed_args(words)  # options may stand between RUN and INPUT
    if command == 'predict' and not args.inputs:
        parser.error(f'{args.run}: nothing to paint; give a run and then images, folders or '
                     'videos, as in main.py predict runs/NAME holiday.jpg')
    if command == 'export' and args.int8 and args.format != 'onnx':
        parser.error('--int8 needs --format onnx; TFLite files always have 8-bit weights')
    if getattr(args, 'output', '') is None:
        folder = 'predictions' if command == 'predict' else EXPORTS[args.format]
        args.output = os.path.join(args.run, folder)
    return command, args


class _Parser(argparse.ArgumentParser):
    """Mistakes are one line, without the usage."""

    def error(self, message):
        unknown = re.fullmatch(r'unrecognized arguments: (--[^ =]+).*', message, re.DOTALL)
        if unknown:
            message += _did_you_mean(unknown[1], self._option_string_actions)
        print(f'Error: {message}; {self.prog} --help lists the options', file=sys.stderr)
        sys.exit(2)


def _did_you_mean(word, known):
    near = difflib.get_close_matches(word, known, 1)
    return f'; did you mean {near[0]}?' if near else ''


def parse_training(argv):
    """The settings of `main.py [--option ...]`; with --resume only those that `argv` names."""
    return parse(['train', *argv])[1]


def _make_parser(command):
    summary = COMMANDS[command]
    parser = _Parser(prog=f'main.py {command}'.removesuffix(' train'), allow_abbrev=False,
                     description=summary[0].upper() + summary[1:] + '.',
                     formatter_class=partial(_Formatter, max_help_position=32, width=100),
                     add_help=command != 'train')
    if command == 'train':
        _add_training(parser)
    else:
        _add_other(parser, command)
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    parser.add_argument('--version', action='version', version=f'road-segmentation {VERSION}',
                        help='show the version')
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action):  # a default of None, False or no text says nothing
        silent = action.default is None or action.default is False or action.default == ''
        return action.help if silent else super()._get_help_string(action)


def _add_training(parser):
    commands = '\n'.join(f'  {name:10s}{summary}' for name, summary in COMMANDS.items())
    text = Path(__file__).with_name('help.txt').read_text('utf-8').format(commands=commands)
    parser.add_argument('-h', '--help', action='version', version=text,
                        help='show commands, common options, presets and examples')
    parser.add_argument('--help-all', action='help', help='show all options')
    parser.add_argument('--preset', choices=tuple(PRESETS),
                        help='other defaults, for a longer training with higher scores: see --help')
    add = parser.add_argument_group('data').add_argument
    add('--sample', action='store_true',
        help='train on drawn scenes with a small encoder, both written to <data-dir>/sample; '
        f'no download; other defaults: {_option_line(SAMPLE_DEFAULTS)}')
    add('--data-dir', type=folder, default='data', metavar='DIR',
        help='folder of the inputs and the cache')
    _add_dataset(add, argparse.SUPPRESS)
    add('--download-kitti', action='store_true',
        help='download KITTI Road if it is missing (0.5 GB; CC BY-NC-SA 3.0, no commercial use)')
    add('--vgg-dir', type=folder, metavar='DIR', default=argparse.SUPPRESS,
        help='the VGG16 graph, made if it is missing (default: <data-dir>/vgg)')
    add('--vgg-weights', metavar='FILE',
        help="make the VGG16 graph from these weights, without a download: Keras' VGG16 (.h5), the "
        '13 convolutions (.npz), or the folder of a SavedModel')
    add('--val-frames', type=number(int, 1, 1000), metavar='N',
        help='validate on the last N frames, of each category in KITTI Road (default: 16 there, '
        '15 %% of other data sets without validation images)')
    add('--image-size', type=image_size, default='192x672', metavar='HxW',
        help='resize images to this height and width, pixels, rounded up to multiples of 32; the '
        'default is fitted to the proportions of the data set')
    add('--train-scale', type=number(float, 0.25, 1), default=1.0, metavar='X',
        help='height and width of the training images as a share of --image-size, rounded up to '
        'multiples of 32; all other images keep --image-size')
    add = parser.add_argument_group('training').add_argument
    add('--epochs', type=number(int, 1, 100000), default=20, metavar='N',
        help='number of epochs; the default is raised for a small data set')
    add('--batch-size', type=number(int, 1, 1024), default=4, metavar='N', help='images per step')
    add('--learning-rate', type=number(float, 1e-9, 1), default=1e-2, metavar='X',
        help='Adam learning rate of the decoder')
    add('--schedule', choices=('constant', 'cosine'), default='cosine',
        help='learning rate schedule; cosine: up in the first 5 %% of the training, then down to 0')
    add('--keep-prob', type=number(float, 0.01, 1), default=0.5, metavar='X',
        help='dropout keep probability')
    add('--l2', type=number(float, 0, 10), default=1e-4, metavar='X',
        help="weight of the L2 terms of the decoder's kernels")
    add('--augment', type=augmentations, default='none', metavar='LIST',
        help=f'change the training images: all, none, or some of {",".join(AUGMENTATIONS)}')
    add('--copies', type=number(int, 0, 1000), metavar='N', default=argparse.SUPPRESS,
        help='cached copies per image, the first unchanged, of which each epoch uses one; 0 '
        f'augments anew in every epoch, which takes longer (default: {COPIES} with --augment)')
    add('--train-encoder', choices=TRAIN_ENCODER, default='none',
        help='train this block of the encoder and all blocks above it')
    add('--encoder-learning-rate', type=number(float, 1e-9, 1), default=5e-5, metavar='X',
        help='Adam learning rate of the trained encoder blocks')
    add('--clip-norm', type=number(float, 0, 1e6), default=0.0, metavar='X',
        help='clip gradients to this global norm; 0 does not clip')
    add('--seed', type=number(int, 0, 2**31 - 1), default=0, metavar='N',
        help='seed of initial weights, order, augmentation and dropout')
    add('--class-weights', choices=('none', 'balanced'), default='none',
        help='weights of the classes in the loss; balanced: larger for rare classes')
    add('--init', type=folder, metavar='RUN',
        help='start from a trained run: its encoder, and its decoder if the classes are the same')
    add = parser.add_argument_group('speed').add_argument
    add('--precision', choices=PRECISIONS, default='auto',
        help='precision of the encoder; auto: bfloat16 if the processor has it, else float32; '
        'float16 is for GPUs, bfloat16 for CPUs')
    add('--deterministic', action='store_true',
        help='compute on a GPU so that the same seed gives the same losses; slower')
    add('--cache', action=argparse.BooleanOptionalAction, default=True,
        help='run the frozen encoder once per image and cache its outputs in <data-dir>/cache')
    add('--cache-limit', type=number(float, 0, 1e6), default=20.0, metavar='GIB',
        help='do not cache if it would take more than this')
    add = parser.add_argument_group('output').add_argument
    add('--runs-dir', type=folder, default='runs', metavar='DIR', help='folder of the runs')
    add('--name', type=run_name, metavar='NAME',
        help='name of the run (default: fcn8s-YYYYMMDD-HHMMSS)')
    add('--resume', type=folder, metavar='RUN',
        help='resume a stopped run with its own settings; paths, cache and --clip-norm may differ, '
        '--epochs may be larger, learning rates and --batch-size smaller')


def _add_dataset(add, default):
    add('--dataset-dir', metavar='DIR', default=default,
        help='folder of the data set (default: <data-dir>/data_road, KITTI Road)')
    add('--dataset', choices=DATASETS, default=default,
        help='format of the data set (default: detected); folder: images/, masks/ and perhaps '
        'classes.txt')
    add('--target', type=names, default='', metavar='NAME[,NAME]',
        help='find these classes against all others')


def _parse_training(parser, argv):
    defaults = vars(parser.parse_args([]))
    # argparse sets a default only where there is no value; None is one
    parsed = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(defaults)))
    given = {name: value for name, value in vars(parsed).items() if value is not None}
    for name in {'resume', 'init'} & given.keys():
        given[name] = find_run(find_run(given[name], given.get('runs_dir', 'runs')))
    if 'resume' in given:
        return argparse.Namespace(**{'debug': False, **given})
    chosen = SAMPLE_DEFAULTS if 'sample' in given else PRESETS.get(given.get('preset'), {})
    args = argparse.Namespace(**{**defaults, **chosen, **given})
    if 'image_size' not in given:
        args.image_size = DefaultSize(args.image_size)
    if 'epochs' not in given and not args.sample:
        args.epochs = DefaultEpochs(args.epochs)
    _refuse_unused(parser, args, given)
    inputs = os.path.join(args.data_dir, 'sample' if args.sample else '')
    derived = {'dataset_dir': os.path.join(inputs, 'data_road'),
               'dataset': None if 'dataset_dir' in given else 'kitti',
               'vgg_dir': os.path.join(inputs, 'vgg'), 'copies': COPIES}
    args = argparse.Namespace(**derived | vars(args))
    if not args.augment:
        args.copies = 1
    return args


def _refuse_unused(parser, args, given):
    """Exit with 2 if a given option would do nothing beside the others."""
    copies, dataset = given.get('copies', 1), given.get('dataset', 'kitti')
    for unused, fault in (
            (args.sample and args.preset,
             f'--sample has its own settings; leave out --preset {args.preset}'),
            (not args.augment and copies != 1,
             f'--copies {copies} needs --augment: without it all copies are the same'),
            (args.augment and given.get('copies') == 1,
             '--copies 1 with --augment: the first copy of an image is the image itself, so '
             'nothing would change; give 0, 2 or more copies, or --augment none'),
            ('encoder_learning_rate' in given and args.train_encoder == 'none',
             '--encoder-learning-rate needs --train-encoder: a frozen encoder learns nothing'),
            ('cache_limit' in given and not args.cache,
             '--cache-limit does nothing with --no-cache; leave one of them out'),
            (args.download_kitti and dataset != 'kitti',
             f'--download-kitti downloads KITTI Road, not {dataset}; leave one of them out')):
        if unused:
            parser.error(fault)
    for name in ('dataset_dir', 'dataset', 'target', 'download_kitti', 'vgg_dir', 'vgg_weights'):
        if args.sample and name in given:
            parser.error(f'--sample makes its own data; leave out {option_text(name, "")[0]}')


def changed(values, omitted=()):
    """Settings that differ from the defaults, or from those of the preset, as they are typed."""
    preset = ['--preset', values['preset']] if values['preset'] in PRESETS else []
    defaults = vars(parse_training(['--sample'] if values['sample'] else preset))
    defaults.update(preset=None, sample=False)
    return _option_line({name: value for name, value in values.items()
                         if value != defaults.get(name) and name not in (*INDIFFERENT, *omitted)})


def show(args):
    """Print the settings in force that differ from the defaults."""
    print(f'Settings of {args.name}:', changed(vars(args)) or 'the defaults')
    if args.train_encoder == 'none' and not (args.sample or args.resume):
        print(f'Note: the encoder stays frozen; --preset quick {MORE}')


def _add_other(parser, name):
    add = parser.add_argument
    if name == 'runs':
        add('--runs-dir', default='runs', metavar='DIR', help='folder of the runs')
    elif name == 'check':
        add('--data-dir', default='data', metavar='DIR', help='folder that holds data_road and vgg')
        _add_dataset(add, None)
        add('--vgg-dir', type=folder, metavar='DIR',
            help='VGG16 graph (default: <data-dir>/vgg, if it exists)')
    else:
        add('run', type=find_run, metavar='RUN', help='a trained run, a folder under runs/')
        add('--vgg-dir', type=folder, metavar='DIR',
            help='the VGG16 graph, if it has moved since the training')
    if name in ('evaluate', 'submit', 'export'):
        add('--dataset-dir', metavar='DIR', help='the data set, if it has moved since the training')
    if name == 'evaluate':
        add('--split', choices=('validation', 'train', 'test'), default='validation',
            help='which frames; test: for data sets whose test images have labels')
        add('--open', action='store_true', help='open the page of the frames in a browser')
    if name == 'predict':
        add('inputs', metavar='INPUT', nargs='*',
            help='an image, a video, or a folder of them, with the folders in it')
        add('--output', metavar='DIR',
            help='folder of the results; only earlier results of the same inputs are overwritten '
            '(default: RUN/predictions)')
        add('--overlay', choices=OVERLAYS, default='both',
            help='show the road by a tint as strong as the confidence, by an outline, by both, '
            'or as a black and white mask; more than two classes in their colours')
        add('--confidence', action='store_true',
            help='also write a map per image or frame to DIR/confidence, where README.txt explains '
            'them: 16-bit probabilities, or the values of more than two classes')
        add('--threshold', type=number(float, 0, 1), metavar='P',
            help='road begins at this probability, of two classes (default: that of MaxF in '
            'validation)')
        add('--full-size', action='store_true', help='run on images at their own size; slow')
        add('--skip-done', action='store_true',
            help='skip inputs that are painted already by the same run and options')
        add('--share', type=share, metavar='I/N',
            help='paint every N-th file, from the I-th on, to divide the work among N processes')
        add('--no-sound', action='store_true', help='leave the sound out of videos')
    if name == 'export':
        add('--format', choices=EXPORTS, default='savedmodel',
            help='savedmodel and onnx: any image size; tflite: 8-bit weights, one size, for phones')
        add('--int8', action='store_true',
            help='with --format onnx: faster 8-bit convolutions, calibrated on validation images')
        add('--output', type=folder, metavar='DIR', help='folder to make (default: one in RUN)')


def retype(values):
    """Recorded settings, {name: value}, with the types that their options give them.

    Raises argparse.ArgumentTypeError if one of them could not have been typed.
    """
    def refuse(message):
        raise ArgumentTypeError(message)

    parser, words = _make_parser('train'), []
    parser.error = refuse
    for name in values.keys() & vars(parse_training([])).keys() - {'name'}:  # may be renamed
        option, text = option_text(name, values[name])
        if text and values[name] is not None:
            words.append(f'{option}={text}')
        elif values[name] is True or option == '--no-cache':
            words.append(option)
    return {**values, **vars(parser.parse_args(words)), 'name': values['name']}


def option_text(name, value):
    """A setting as it is typed: ('image_size', (96, 320)) => ('--image-size', '96x320')."""
    option = name.replace('_', '-')
    if value is False:  # --no-cache; other options without a value are True or not given
        return f'--no-{option}', ''
    text = '' if value is True else str(value)
    if name == 'image_size':
        text = '{}x{}'.format(*value)
    elif name in ('target', 'augment'):
        text = 'all' if value == AUGMENTATIONS else ','.join(value)
    return f'--{option}', text or ('none' if name == 'augment' else '')


def _option_line(values):
    return ' '.join(' '.join(option_text(*item)).strip() for item in values.items())


def number(kind, low, high):
    """An argparse type: an int or float (`kind`) from low to high."""
    def parse_number(text):
        with suppress(ValueError):
            if low <= kind(text) <= high:
                return kind(text)
        name = 'a whole number' if kind is int else 'a number'
        raise ArgumentTypeError(f'{text!r} is not {name} from {low} to {high}')
    return parse_number


def folder(text):
    """An argparse type: a folder that TensorFlow reads or writes, which takes UTF-8 alone."""
    path = os.path.abspath(text)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f'{path!r} is no UTF-8, which TensorFlow needs; rename the folder, '
                                'or name another one') from None
    return str(Path(text))  # without a separator at the end, as the shell completes names


def find_run(text, runs_dir='runs'):
    """An argparse type: a run's folder, which may be given by its name alone."""
    text = folder(text)
    path = os.path.join(runs_dir, text)
    return path if os.path.isdir(path) and not os.path.exists(text) else text


def image_size(text):
    """An argparse type: HxW, as in 160x576 => (160, 576)."""
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    size = match and tuple(map(int, match.groups()))
    if not size or not all(32 <= side <= MAX_SIDE for side in size):
        raise ArgumentTypeError(f'{text!r} is not HxW with sides from 32 to {MAX_SIDE}, as '
                                'in 160x576')
    return size


def share(text):
    """An argparse type: I/N, as in 2/4 => (2, 4)."""
    match = re.fullmatch(r'(\d{1,4})/(\d{1,4})', text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ArgumentTypeError(f'{text!r} is not I/N with I from 1 to N, as in 2/4')
    return int(match[1]), int(match[2])


def augmentations(text):
    """An argparse type: all, none, or names separated by commas, as in mirror,crop => a tuple."""
    names = {'all': AUGMENTATIONS, 'none': ()}.get(text, tuple(text.split(',')))
    for name in names:
        if name not in AUGMENTATIONS:
            raise ArgumentTypeError(f'{name!r} is none of {", ".join(AUGMENTATIONS)}, all and none')
    return tuple(name for name in AUGMENTATIONS if name in names)


def names(text):
    """An argparse type: names separated by commas => a tuple."""
    return tuple(filter(None, map(str.strip, text.split(','))))


def run_name(text):
    """An argparse type: a name for a folder."""
    if not re.fullmatch(r'[\w.+-]+', text) or text in ('.', '..'):
        raise ArgumentTypeError(f'{text!r} is not a name of letters, digits and . _ + -')
    return text
