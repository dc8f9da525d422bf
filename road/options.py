"""The command line: `main.py [--option ...]` trains, `main.py COMMAND ...` does something else.

Every option is described once, here, with its range; `main.py --help` and `main.py COMMAND --help` print them.
"""

import argparse
import os
import re
import time

from helper import OVERLAYS
from road import sample
from road.machine import PRECISIONS
from road.variants import AUGMENTATIONS
from road.vgg16 import FIRST_TRAINED

COMMANDS = {'evaluate': "KITTI's scores of a run's validation (or training) frames",
            'submit': "the zip of a run's confidence maps for the benchmark's server",
            'predict': 'paint the road into images, folders of images and videos',
            'export': 'write a run as a SavedModel that needs nothing of this project',
            'check': 'read every file of the data and of the VGG16 graph and list what is wrong with them',
            'runs': 'all runs as a table, the highest validation MaxF first',
            'experiments': 'train every setting of a list with several seeds, and write one table of what they reached',
            'benchmark': 'how fast training and inference are here, beside the plain loop'}


# What --sample takes where the command line says nothing: 20 frames a category, small images, and an encoder that has
# few channels, none of them to spare.
SAMPLE_DEFAULTS = {'val_frames': 5, 'image_size': sample.SHAPE, 'epochs': 30, 'learning_rate': 3e-2, 'schedule': 'constant',
                   'keep_prob': 0.9, 'l2': 1e-5, 'temperature': 1.0}
# Roads on which one drives on the right are no mirror images of themselves: mirrored ones cost more than they teach.
UNMIRRORED = tuple(name for name in AUGMENTATIONS if name != 'mirror')
# What --preset takes where the command line says nothing. A trained encoder is surer of itself: the higher temperature.
PRESETS = {
    'laptop': {'train_encoder': 'conv4', 'encoder_learning_rate': 1e-4, 'clip_norm': 1.0, 'epochs': 12,
               'augment': UNMIRRORED, 'variants': 6, 'image_size': (320, 1056), 'temperature': 8.0},
    'full': {'train_encoder': 'all', 'encoder_learning_rate': 5e-5, 'clip_norm': 1.0, 'epochs': 100,
             'augment': UNMIRRORED, 'variants': 0, 'image_size': (384, 1248), 'temperature': 8.0}}


def parse(argv):
    """(command, arguments): the command is one of COMMANDS, or 'train'. Exits with 2 where the words make no sense."""
    if argv and argv[0] in COMMANDS:
        return argv[0], parse_command(argv)
    return 'train', parse_training(argv)


def parse_training(argv):
    """The settings of `main.py [--option ...]`, which trains.

    With --resume only what the command line says: the other settings are the run's (road.runs.settings_to_resume).
    """
    parser = argparse.ArgumentParser(
        prog='main.py', description='Train FCN-8s on a frozen VGG16 to label the road in KITTI images.',
        epilog='Other commands: ' + ', '.join(f'main.py {name}' for name in COMMANDS) + '; each has its --help.',
        formatter_class=lambda prog: argparse.ArgumentDefaultsHelpFormatter(prog, max_help_position=30, width=110))
    parser.add_argument('--preset', choices=tuple(PRESETS), help='defaults for a longer training that scores higher; ' + '; '.join(
        f'{name}: ' + ' '.join(' '.join(words(*item)) for item in settings.items()) for name, settings in PRESETS.items()))
    data = parser.add_argument_group('data')
    data.add_argument('--sample', action='store_true',
                      help='train on drawn scenes with a narrow encoder, both made in <data-dir>/sample; no download; the '
                      'defaults are then ' + ', '.join(' '.join(words(*item)) for item in SAMPLE_DEFAULTS.items()))
    data.add_argument('--data-dir', default='data', metavar='DIR', help='where inputs are')
    data.add_argument('--kitti-dir', metavar='DIR', default=argparse.SUPPRESS,
                      help='KITTI Road: holds training/ and testing/ (default: <data-dir>/data_road)')
    data.add_argument('--download-kitti', action='store_true',
                      help='get KITTI Road where it is missing (0.5 GB; licence CC BY-NC-SA 3.0, not for commercial use)')
    data.add_argument('--vgg-dir', metavar='DIR', default=argparse.SUPPRESS,
                      help='the VGG16 graph; made where it is missing (default: <data-dir>/vgg)')
    data.add_argument('--vgg-weights', metavar='FILE',
                      help="build the VGG16 graph from this .h5 (Keras' VGG16) or .npz (13 convolutions), no download")
    data.add_argument('--val-frames', type=number(int, 1, 1000), default=16, metavar='N',
                      help='validate on the last N frames of each category')
    data.add_argument('--image-size', type=image_size, default='192x672', metavar='HxW',
                      help='what images are resized to, pixels')
    train = parser.add_argument_group('training')
    train.add_argument('--epochs', type=number(int, 1, 100000), default=20, metavar='N', help='passes over the frames')
    train.add_argument('--batch-size', type=number(int, 1, 1024), default=4, metavar='N', help='images a step')
    train.add_argument('--learning-rate', type=number(float, 1e-9, 1), default=1e-2, metavar='X', help='of Adam')
    train.add_argument('--schedule', choices=('constant', 'cosine'), default='cosine',
                       help='of the learning rates; cosine: up for a twentieth of the training, then down to 0')
    train.add_argument('--keep-prob', type=number(float, 0.01, 1), default=0.5, metavar='X',
                       help='share of the features that dropout keeps')
    train.add_argument('--l2', type=number(float, 0, 10), default=1e-4, metavar='X',
                       help="weight of the decoder kernels' L2 terms")
    train.add_argument('--augment', type=augmentations, default='none', metavar='LIST',
                       help='changes that variants of an image show: all, none, or some of ' + ','.join(AUGMENTATIONS))
    train.add_argument('--variants', type=number(int, 0, 1000), default=1, metavar='N',
                       help='variants an image to draw from, cached; 1 is the image alone, 0 draws a new one every time, '
                       'which the frozen part of the encoder then has to see')
    train.add_argument('--train-encoder', choices=tuple(FIRST_TRAINED), default='none',
                       help='the block of the encoder that is trained, with all above it')
    train.add_argument('--encoder-learning-rate', type=number(float, 1e-9, 1), default=5e-5, metavar='X',
                       help="of the encoder's trained blocks")
    train.add_argument('--encoder-l2', type=number(float, 0, 10), default=0.0, metavar='X',
                       help="weight of the encoder's trained kernels' L2 terms")
    train.add_argument('--clip-norm', type=number(float, 0, 1e6), default=0.0, metavar='X',
                       help='gradients larger than this together are shrunk to it; 0 leaves them')
    train.add_argument('--temperature', type=number(float, 0.01, 1000), default=4.0, metavar='X',
                       help='confidences are the softmax of logits divided by it: above 1 they are less often 0 or 1')
    train.add_argument('--labels', choices=('kitti', 'classic'), default='kitti',
                       help='how training labels are read; classic: as most published programs do, wrongly, to show what it costs')
    train.add_argument('--seed', type=number(int, 0, 2**31 - 1), default=0, metavar='N',
                       help='decides initial weights, order and dropout')
    speed = parser.add_argument_group('speed')
    speed.add_argument('--precision', choices=PRECISIONS, default='auto',
                       help='of the frozen encoder; auto: bfloat16 where the processor has it')
    speed.add_argument('--xla', action='store_true', help='compile with XLA; measure it, it is not always faster')
    speed.add_argument('--cache', action=argparse.BooleanOptionalAction, default=True,
                       help="run the encoder once an image and keep its outputs in <data-dir>/cache")
    speed.add_argument('--cache-dtype', choices=('float16', 'float32'), default='float16', help='of the kept outputs')
    speed.add_argument('--cache-limit', type=number(float, 0, 1e6), default=20.0, metavar='GIB',
                       help='compute instead of keeping what would take more')
    output = parser.add_argument_group('output')
    output.add_argument('--runs-dir', default='runs', metavar='DIR', help='where runs are written')
    output.add_argument('--name', type=run_name, default=argparse.SUPPRESS, help='of the run (default: '
                        'fcn8s-YYYYMMDD-HHMMSS)')
    output.add_argument('--resume', metavar='RUN', help='go on with a run that was stopped, with its settings; of these only '
                        '--epochs may be given anew, and be more')
    output.add_argument('--debug', action='store_true', help='show the traceback of an error')
    args = parser.parse_args(argv)
    if args.resume:
        unsaid = object()  # argparse puts a default only where there is nothing
        said = vars(parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(vars(args), unsaid))))
        return argparse.Namespace(**{key: value for key, value in said.items() if value is not unsaid} | {'debug': args.debug})
    if args.sample and args.preset:
        parser.error(f'--sample has settings of its own: leave out --preset {args.preset}')
    if args.sample or args.preset:
        parser.set_defaults(**(SAMPLE_DEFAULTS if args.sample else PRESETS[args.preset]))
        args = parser.parse_args(argv)
    if args.train_encoder != 'none' and args.precision == 'float16':
        parser.error('--precision float16 is for a frozen encoder: its gradients are too small for float16; leave out '
                     '--train-encoder, or give --precision bfloat16')
    if args.sample:
        for option in ('kitti_dir', 'download_kitti', 'vgg_dir', 'vgg_weights'):
            if getattr(args, option, None):
                parser.error(f'--sample makes its own data: leave out --{option.replace("_", "-")}')
    inputs = os.path.join(args.data_dir, 'sample') if args.sample else args.data_dir
    args.kitti_dir = getattr(args, 'kitti_dir', os.path.join(inputs, 'data_road'))
    args.vgg_dir = getattr(args, 'vgg_dir', os.path.join(inputs, 'vgg'))
    args.name = getattr(args, 'name', time.strftime('fcn8s-%Y%m%d-%H%M%S'))
    return args


def parse_command(argv):
    """The arguments of `main.py COMMAND ...`."""
    parser = argparse.ArgumentParser(prog='main.py')
    commands = parser.add_subparsers(required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + '.', allow_abbrev=False,
                                      formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        add = command.add_argument
        if name == 'check':
            add('--data-dir', default='data', metavar='DIR', help='where data_road and vgg are')
            add('--kitti-dir', metavar='DIR', help='KITTI Road (default: <data-dir>/data_road)')
            add('--vgg-dir', metavar='DIR', help='the VGG16 graph (default: <data-dir>/vgg, if it is there)')
        elif name == 'benchmark':
            add('--kitti-dir', metavar='DIR', help='KITTI Road; drawn scenes where it is not given')
            add('--vgg-dir', metavar='DIR', help='the VGG16 graph; random weights of the real widths where it is not given')
            add('--data-dir', default='data', metavar='DIR', help='for the cache while it runs')
            add('--precision', choices=PRECISIONS, default='auto', help='of the encoder')
            add('--xla', action='store_true', help='compile with XLA')
            add('--quick', action='store_true', help='about a minute: fewer repeats, one size')
            add('--output', default='runs/benchmark.json', metavar='FILE', help='where figures go')
        elif name == 'experiments':
            command.epilog = 'All other options are those of training, and are given to every setting.'
            add('list', metavar='LIST', help='a text file with a line a setting, NAME: OPTIONS')
            add('--seeds', type=number(int, 1, 100), default=3, metavar='N', help='train each with the seeds 0 to N-1')
            add('--runs-dir', default='runs/experiments', metavar='DIR', help='where runs and experiments.csv go')
        elif name == 'runs':
            add('--runs-dir', default='runs', metavar='DIR', help='where runs are')
        else:
            add('run', metavar='RUN', help='a trained run, a folder under runs/')
            add('--vgg-dir', metavar='DIR', help="the VGG16 graph, where it is not the run's any more")
        if name in ('evaluate', 'submit'):
            add('--kitti-dir', metavar='DIR', help="KITTI Road, where it is not the run's any more")
        if name == 'predict':
            add('inputs', metavar='INPUT', nargs='+', help='an image, a video, or a folder of them')
            add('--output', metavar='DIR', help='where results are written, over those of that name '
                '(default: RUN/predictions)', default=argparse.SUPPRESS)
            add('--overlay', choices=OVERLAYS, default='both', help='how the road is shown: tint as strong as the '
                'confidence, outline where that is 0.5, or a black and white mask')
            add('--confidence', action='store_true', help="write images' 8-bit confidence maps too, to DIR/confidence")
            add('--full-size', action='store_true', help='run the network on images as large as they are, not at the '
                'size it was trained at; slow')
        if name == 'export':
            add('--output', metavar='DIR', help='the folder to make (default: RUN/export)', default=argparse.SUPPRESS)
        if name == 'evaluate':
            add('--split', choices=('validation', 'train'), default='validation', help='which frames')
        add('--debug', action='store_true', help='show the traceback of an error')
    if argv[0] == 'experiments':
        args, args.common = parser.parse_known_args(argv)
        return args
    args = parser.parse_args(argv)
    if argv[0] in ('predict', 'export'):
        args.output = getattr(args, 'output', os.path.join(args.run, {'predict': 'predictions', 'export': 'export'}[argv[0]]))
    return args


def words(name, value):
    """A setting as one would type it: ('image_size', (96, 320)) => ('--image-size', '96x320')."""
    if name == 'augment':
        text = 'all' if tuple(value) == AUGMENTATIONS else ','.join(value) or 'none'
    else:
        text = 'x'.join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f'--{name.replace("_", "-")}', text


def memory_advice(args):
    """What was in force when the memory did not suffice, and what to lower; goes on after 'out of memory'."""
    size = ' at image size {}x{}'.format(*args.image_size) if 'image_size' in args else ''
    if 'batch_size' in args:
        return (f'{size} and batch size {args.batch_size}; lower --batch-size, then --image-size (half the height and width '
                'takes a quarter)')
    return f'{size}; close other programs, or use a run trained at a smaller --image-size'


def number(kind, low, high):
    """An argparse type: a number of `kind` in [low, high], which is named where the value is not."""
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            name = 'a whole number' if kind is int else 'a number'
            raise argparse.ArgumentTypeError(f'{text!r} is not {name} from {low} to {high}')
        return value
    return parse


def image_size(text):
    """An argparse type: HxW, as in 160x576 => (160, 576)."""
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    size = match and tuple(map(int, match.groups()))
    if not size or not all(32 <= side <= 8192 for side in size):
        raise argparse.ArgumentTypeError(f'{text!r} is not HxW with sides from 32 to 8192, as in 160x576')
    return size


def augmentations(text):
    """An argparse type: all, none, or names with commas between, as in mirror,crop => a tuple of names."""
    names = {'all': AUGMENTATIONS, 'none': ()}.get(text, tuple(text.split(',')))
    for name in names:
        if name not in AUGMENTATIONS:
            raise argparse.ArgumentTypeError(f'{name!r} is none of {", ".join(AUGMENTATIONS)}; or say all, or none')
    return tuple(name for name in AUGMENTATIONS if name in names)


def run_name(text):
    """An argparse type: a folder's name."""
    if not re.fullmatch(r'[\w.+-]+', text) or text in ('.', '..'):
        raise argparse.ArgumentTypeError(f'{text!r} is not a name of letters, digits and . _ + -')
    return text
