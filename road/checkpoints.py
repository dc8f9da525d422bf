"""Checkpoints that are whole or not there: what training changes, written by tf.train.Saver, and a state.json that names it.

    save('runs/x/checkpoints/last', saver, sess, {'epoch': 3})
    prefix, state = read('runs/x/checkpoints/last')
    saver.restore(sess, prefix)

    state.json                    which of the two sets of files holds, their sizes and CRC-32, and what the caller adds
    model-a.index, model-a.data-00000-of-00001      (or model-b)

New files are written under the letter that does not hold; then state.json is replaced, which is one step; then the
former files are removed. Killed anywhere in between, the folder holds the former checkpoint or the new one.
"""

import json
import os
import zlib

from road.errors import InputError, cannot_write
from road.tf1 import tf


def write_whole(path, text):
    """Write a text file under another name, then give it its own: a reader finds the former one or this one, whole."""
    part = f'{path}.part'
    try:
        with open(part, 'w', encoding='utf-8') as file:
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        if os.path.exists(part):
            os.remove(part)
        raise cannot_write(path, error) from error


def save(folder, saver, sess, state):
    """Save the session's variables and `state` (a dict for JSON).

    Raises:
        InputError: it cannot be written; the former checkpoint is kept.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        former = _named(folder)
        name = 'model-b' if former == 'model-a' else 'model-a'
        saver.save(sess, os.path.join(folder, name), write_meta_graph=False, write_state=False)
        files = {file: _size_and_crc(os.path.join(folder, file)) for file in sorted(os.listdir(folder))
                 if file.startswith(f'{name}.')}
    except (OSError, tf.errors.OpError, ValueError) as error:  # ValueError: Saver's for a folder that has gone
        raise cannot_write(folder, error) from error
    write_whole(os.path.join(folder, 'state.json'), json.dumps({'checkpoint': name, 'files': files, **state}, indent=1))
    tidy(folder)


def tidy(folder):
    """Remove what state.json does not name: the former checkpoint, and what a killed process left."""
    with open(os.path.join(folder, 'state.json'), encoding='utf-8') as file:
        files = json.load(file)['files']
    for name in os.listdir(folder):
        if name != 'state.json' and name not in files:
            os.remove(os.path.join(folder, name))


def exists(folder):
    return os.path.exists(os.path.join(folder, 'state.json'))


def read(folder):
    """Returns (prefix for Saver.restore, state). Raises InputError where a file is missing, cut short or changed."""
    path = os.path.join(folder, 'state.json')
    try:
        with open(path, encoding='utf-8') as file:
            state = json.load(file)
        files = state.pop('files')
        prefix = os.path.join(folder, state.pop('checkpoint'))
        wanted = {os.path.join(folder, name): (size, crc) for name, (size, crc) in files.items()}
        if prefix + '.index' not in wanted:
            raise ValueError
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f'{path}: damaged; expected what training wrote there. {_cure(folder)}') from error
    for file, (size, crc) in wanted.items():
        if not os.path.isfile(file):
            raise InputError(f'{file}: is missing from the checkpoint. {_cure(folder)}')
        if os.path.getsize(file) != size:
            raise InputError(f'{file}: cut short or changed, {os.path.getsize(file)} bytes where {size} were written. '
                             f'{_cure(folder)}')
        if _size_and_crc(file)[1] != crc:
            raise InputError(f'{file}: changed since it was written (another CRC-32). {_cure(folder)}')
    return prefix, state


def restore(saver, sess, prefix):
    """Load a checkpoint's variables. Raises InputError where they are not those of this graph."""
    try:
        with sess.graph.as_default():  # where Saver, once it fails, looks for the reason
            saver.restore(sess, prefix)
    except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f'{prefix}: is not a checkpoint of this network; it belongs to another run or encoder') from error


def _cure(folder):
    return f'Copy the run again, or move {os.path.dirname(folder)} away and --resume the run: it then starts at its first epoch'


def _named(folder):
    """The name of the files that hold, or None."""
    try:
        with open(os.path.join(folder, 'state.json'), encoding='utf-8') as file:
            return json.load(file)['checkpoint']
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size_and_crc(path):
    with open(path, 'rb') as file:
        data = file.read()
    return len(data), zlib.crc32(data)
