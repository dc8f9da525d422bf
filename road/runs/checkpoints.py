"""Checkpoints that are complete or not there: TensorFlow's files epoch-N.*, and state.json.

The epoch N in state.json names the files in use. It is replaced after new files are written and
before old ones are removed: a process killed meanwhile leaves the old checkpoint or the new one.
"""

import os
from contextlib import suppress

from road import files
from road.errors import InputError, writing
from road.network.tf1 import tf


def save(folder, saver, sess, state):
    """Save the session's variables and `state`, a dict for JSON with a new int `epoch`.

    Raises OSError if they cannot be written; the old checkpoint is kept.
    """
    with writing(folder):
        os.makedirs(folder, exist_ok=True)
        prefix = os.path.join(folder, f'epoch-{state["epoch"]}')
        saver.save(sess, prefix, write_meta_graph=False, write_state=False)
        files.write_json(os.path.join(folder, 'state.json'), state)
    tidy(folder)


def tidy(folder):
    """Remove what `save` wrote and state.json does not name: an old or unfinished checkpoint."""
    epoch = files.read_json(f'{folder}/state.json').get('epoch')
    # not all of epoch-N.*: a killed Saver leaves epoch-N.data-00000-of-00001.tempstate123
    in_use = [f'epoch-{epoch}.index', f'epoch-{epoch}.data-00000-of-00001']
    for name in os.listdir(folder):
        if name.startswith('epoch-') and name not in in_use:
            with suppress(OSError):  # open on Windows, or not a file: it does no harm
                os.remove(os.path.join(folder, name))
    files.remove_leftovers(folder)


def exists(folder):
    return os.path.exists(os.path.join(folder, 'state.json'))


def latest(run_folder):
    """The checkpoint that training goes on from: 'last', else 'best'; None in the first epoch."""
    return next((name for name in ('last', 'best')
                 if exists(os.path.join(run_folder, 'checkpoints', name))), None)


def read(folder, verify=True):
    """Read a checkpoint: (prefix for Saver.restore, state). InputError: it is missing or damaged.

    verify: compare all variables with their checksums.
    """
    cure = 'Copy the run again, or train a new run'
    if os.path.basename(folder) == 'last':  # training can go on from the best
        cure = f'Copy the run again, or move {folder} away and --resume the run'
    state = files.read_json(f'{folder}/state.json')
    if not isinstance(state.get('epoch'), int):
        raise InputError(f'{folder}/state.json: missing or damaged. {cure}')
    prefix = os.path.join(folder, f'epoch-{state["epoch"]}')
    if verify:
        try:
            reader = tf.train.load_checkpoint(prefix)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # is compared with its checksum
        # a LookupError, IndexError, is what TensorFlow raises if a file ends too early
        except (tf.errors.OpError, LookupError, ValueError) as error:
            raise InputError(f'{prefix}: missing, cut short or changed since it was written. '
                             f'{cure}') from error
    return prefix, state


def restore(saver, sess, prefix):
    """Load a checkpoint into the session. Raises InputError if it is of another graph."""
    try:
        with sess.graph.as_default():  # Saver looks there for the reason when it fails
            saver.restore(sess, prefix)
    except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f'{prefix}: is not a checkpoint of this network; it belongs to another '
                         "run or encoder. Put the run's own checkpoint back") from error
