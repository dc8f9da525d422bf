"""Run folders, runs/<name>/: made before training starts, never written over, read again by what uses a trained run.

    command.txt     the command line
    config.json     every setting, the encoder's fingerprint, the frames of each split
    checkpoints/    best: the decoder of the epoch with the highest validation MaxF (tf.train.Saver)
    images/         every test image with its road painted
"""

import json
import os
import shlex
import sys
from typing import NamedTuple

from road.errors import InputError
from road.machine import PRECISIONS
from road.tf1 import tf


class Run(NamedTuple):
    """What a run folder records."""
    folder: str
    settings: dict  # by option name, as in image_size
    encoder: str  # fingerprint, road.vgg16.fingerprint
    training: list  # frame names
    validation: list

    @property
    def decoder(self):
        """Path prefix of the best epoch's decoder, for tf.train.Saver."""
        return os.path.join(self.folder, 'checkpoints', 'best', 'decoder')


def refuse_existing(runs_dir, name):
    """Raise InputError where there is a run of that name: it is not written over."""
    folder = os.path.join(runs_dir, name)
    if os.path.lexists(folder):
        raise InputError(f'{folder}: there is a run of that name already; give another --name, or move it away')


def create(runs_dir, name, settings, encoder, training, validation):
    """Make runs_dir/name and record there the command, the settings and the frames of each split.

    Raises:
        InputError: there is a run of that name already, or the folder cannot be written.
    """
    refuse_existing(runs_dir, name)
    run = Run(os.path.join(runs_dir, name), settings, encoder, [f.name for f in training], [f.name for f in validation])
    try:
        os.makedirs(runs_dir, exist_ok=True)
        os.mkdir(run.folder)
        os.makedirs(os.path.dirname(run.decoder))
        with open(os.path.join(run.folder, 'command.txt'), 'w') as file:
            file.write(shlex.join(['python', *sys.argv]) + '\n')
        with open(os.path.join(run.folder, 'config.json'), 'w') as file:
            json.dump({key: value for key, value in run._asdict().items() if key != 'folder'}, file, indent=1)
    except OSError as error:
        raise InputError(f'{run.folder}: cannot be written ({error.strerror}); give another --runs-dir') from error
    return run


def load(folder):
    """Read a run folder back. Raises InputError where it is not one, is damaged, or is not finished."""
    path = os.path.join(folder, 'config.json')
    try:
        with open(path, encoding='utf-8') as file:
            config = json.load(file)
        run = Run(folder, **config)
        settings, shape = run.settings, run.settings['image_size']
        # what those who use a run rely on
        if not (isinstance(run.encoder, str) and len(shape) == 2 and all(type(s) is int and 32 <= s <= 8192 for s in shape) and
                all(isinstance(name, str) for name in run.training + run.validation) and run.training and run.validation and
                settings['precision'] in PRECISIONS and isinstance(settings['xla'], bool)):
            raise ValueError
        for key in ('vgg_dir', 'kitti_dir'):
            if b'\0' in os.fsencode(settings[key]):
                raise ValueError
    except OSError as error:
        raise InputError(f'{folder}: not a run; expected a folder under runs/ with config.json ({error.strerror})') from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f'{path}: damaged; expected what training wrote there. Train again') from error
    if not os.path.isfile(run.decoder + '.index'):
        raise InputError(f'{run.decoder}.index: no such file; the run ended before its first epoch did. Train again')
    return run


def restore(run, saver, sess):
    """Give the session the decoder of a run. Raises InputError where its checkpoint is damaged or of another network."""
    try:
        with sess.graph.as_default():
            saver.restore(sess, run.decoder)
    except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f'{run.decoder}: damaged, or not the decoder of this network ({str(error).split(chr(10))[0][:200]}). '
                         'Train again') from error
