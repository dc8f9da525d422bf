"""A checkpoint is complete or not there, whatever stops the process."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from road.errors import InputError, describe
from road.network.tf1 import tf
from road.runs import checkpoints


@pytest.fixture
def saved(tmp_path):
    """(folder of a checkpoint with x = 1 and epoch 1, saver, sess); the session has x = 2."""
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.get_variable('x', [1000], initializer=tf.ones_initializer())
        saver = tf.train.Saver([x], max_to_keep=None)
        sess.run(x.initializer)
        checkpoints.save(str(tmp_path / 'last'), saver, sess, {'epoch': 1})
        sess.run(tf.assign(x, 2 * x))
        yield str(tmp_path / 'last'), saver, sess


def contents(folder):
    """(epoch, x) of the checkpoint."""
    prefix, state = checkpoints.read(folder)
    return state['epoch'], tf.train.load_checkpoint(prefix).get_tensor('x')[0]


@pytest.mark.parametrize('call, kept', [('replace', (1, 1)), ('remove', (2, 3))])
def test_killed_save_leaves_a_complete_checkpoint(saved, monkeypatch, call, kept):
    folder, saver, sess = saved
    for epoch, expected in zip((2, 3), kept):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkpoints.os, call, Mock(side_effect=KeyboardInterrupt))
            checkpoints.save(folder, saver, sess, {'epoch': epoch})
        assert contents(folder) == (expected, min(expected, 2))
    checkpoints.save(folder, saver, sess, {'epoch': 4})
    assert contents(folder) == (4, 2)
    assert len(os.listdir(folder)) == 3


def test_files_of_others_and_what_cannot_be_removed_stay(saved):
    folder, saver, sess = saved
    for name in ('notes', 'epoch-0.index'):
        os.mkdir(os.path.join(folder, name))
    checkpoints.save(folder, saver, sess, {'epoch': 2})
    assert sorted(os.listdir(folder)) == [
        'epoch-0.index', 'epoch-2.data-00000-of-00001', 'epoch-2.index', 'notes', 'state.json']


def test_full_disk_names_the_folder_and_keeps_the_old_checkpoint(saved, monkeypatch):
    folder, saver, sess = saved
    text = 'SaveV2 failed:\n  /a/.road-1/x.index; No space left on device\n  more'
    full = tf.errors.ResourceExhaustedError(None, None, text)
    monkeypatch.setattr(saver, 'save', Mock(side_effect=full))
    with pytest.raises(OSError) as raised:
        checkpoints.save(folder, saver, sess, {'epoch': 2})
    assert describe(raised.value, {}).startswith(f'{folder}: No space left on device; make room')
    assert contents(folder) == (1, 1)


@pytest.mark.parametrize('ending', ['data-00000-of-00001', 'index'])
@pytest.mark.parametrize('damage', [lambda path: os.truncate(path, 40), os.remove,
                                    lambda path: path.write_bytes(b'????' * 1000)])
def test_damaged_file_is_one_line_with_the_cure(saved, ending, damage):
    damage(Path(f'{saved[0]}/epoch-1.{ending}'))
    with pytest.raises(InputError, match='epoch-1: missing, cut short or changed .*Copy the run'):
        checkpoints.read(saved[0])
    assert checkpoints.read(saved[0], verify=False)[1] == {'epoch': 1}


def test_checkpoint_of_another_network_is_refused(saved):
    prefix, _ = checkpoints.read(saved[0])
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.get_variable('y', [1000])
        with pytest.raises(InputError, match='not a checkpoint of this network'):
            checkpoints.restore(tf.train.Saver(), sess, prefix)
