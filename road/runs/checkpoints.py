"""Checkpoints that are complete or not there: variables written by tf.train.Saver, and state.json.

state.json holds the caller's state and names the files in use, model-a.* or model-b.*, with sizes
and CRC-32. New files get the letter that is not in use. Then state.json is replaced, in one step,
and the old files are removed. A process killed in between leaves the old checkpoint or the new one.
"""

import os
import zlib
from contextlib import contextmanager

from road import files
from road.errors import InputError, cannot_write
from road.network.tf1 import tf


@contextmanager
def writing(path):
    """Raise InputError with `path` in it when the system or TensorFlow cannot write."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise cannot_write(path, error) from error


def save(folder, saver, sess, state):
    """Save the session's variables and `state`, a dict for JSON.

    Raises InputError if they cannot be written; the old checkpoint is kept.
    """
    name = 'model-b' if _state(folder).get('checkpoint') == 'model-a' else 'model-a'
    with writing(folder):
        os.makedirs(folder, exist_ok=True)
        saver.save(sess, os.path.join(folder, name), write_meta_graph=False, write_state=False)
        written = {file: _size_and_crc(os.path.join(folder, file))
                   for file in sorted(os.listdir(folder)) if file.startswith(f'{name}.')}
        files.write_json(os.path.join(folder, 'state.json'),
                         {'checkpoint': name, 'files': written, **state})
    tidy(folder)


def tidy(folder):
    """Remove the files that state.json does not name: those of an old or unfinished checkpoint."""
    in_use = {'state.json', *_state(folder)['files']}
    for name in os.listdir(folder):
        if name not in in_use:
            os.remove(os.path.join(folder, name))


def exists(folder):
    return os.path.exists(os.path.join(folder, 'state.json'))


def read(folder, verify=True):
    """Read a checkpoint: (prefix for Saver.restore, state); `verify` compares sizes and CRC-32.

    Raises InputError if a file is missing, cut short or changed.
    """
    path = os.path.join(folder, 'state.json')
    cure = (f'Copy the run again, or move {os.path.dirname(folder)} away and --resume the run, '
            'which then starts at its first epoch')
    state = _state(folder)
    try:
        expected = {os.path.join(folder, name): tuple(size_and_crc)
                    for name, size_and_crc in state.pop('files').items()}
        prefix = os.path.join(folder, state.pop('checkpoint'))
        if f'{prefix}.index' not in expected:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f'{path}: missing or damaged. {cure}') from error
    for file, size_and_crc in expected.items() if verify else ():
        if not os.path.isfile(file) or _size_and_crc(file) != size_and_crc:
            raise InputError(f'{file}: missing, cut short or changed since it was written. {cure}')
    return prefix, state


def restore(saver, sess, prefix):
    """Load a checkpoint into the session. Raises InputError if it is of another graph."""
    try:
        with sess.graph.as_default():  # Saver looks there for the reason when it fails
            saver.restore(sess, prefix)
    except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f'{prefix}: is not a checkpoint of this network; it belongs to another '
                         "run or encoder. Put the run's own checkpoint back") from error


def _state(folder):
    return files.read_json(os.path.join(folder, 'state.json'))


def _size_and_crc(path):
    crc = 0
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            crc = zlib.crc32(block, crc)
        return file.tell(), crc
