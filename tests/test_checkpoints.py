"""A checkpoint is complete or not there, whatever stops the process."""

import os
from unittest.mock import Mock

import pytest

from road.errors import InputError
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


@pytest.mark.parametrize('call, kept', [('replace', 1), ('listdir', 1), ('remove', 2)])
def test_killed_save_leaves_a_complete_checkpoint(saved, monkeypatch, call, kept):
    folder, saver, sess = saved
    for _ in range(2):  # also over the files that the first kill left
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkpoints.os, call, Mock(side_effect=KeyboardInterrupt))
            checkpoints.save(folder, saver, sess, {'epoch': 2})
        assert contents(folder) == (kept, kept)
    checkpoints.tidy(folder)
    assert contents(folder) == (kept, kept) and len(os.listdir(folder)) == 3
    checkpoints.save(folder, saver, sess, {'epoch': 3})
    assert contents(folder) == (3, 2) and len(os.listdir(folder)) == 3


def test_full_disk_is_one_line_and_keeps_the_old_checkpoint(saved, monkeypatch):
    folder, saver, sess = saved
    reason = 'SaveV2 failed:\n  /a/last/model-b.index; No space left on device\n  more'
    monkeypatch.setattr(saver, 'save', Mock(
        side_effect=tf.errors.ResourceExhaustedError(None, None, reason)))
    with pytest.raises(InputError, match=r'^[^\n]*last: cannot be written \(No space left on '
                                         r'device\); earlier epochs are kept[^\n]*$'):
        checkpoints.save(folder, saver, sess, {'epoch': 2})
    assert contents(folder) == (1, 1)


def test_checkpoint_that_is_changed_or_of_another_network_is_refused(saved):
    prefix, _ = checkpoints.read(saved[0])
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.get_variable('y', [1000])
        with pytest.raises(InputError, match='not a checkpoint of this network'):
            checkpoints.restore(tf.train.Saver(), sess, prefix)
    with open(f'{prefix}.data-00000-of-00001', 'r+b') as file:
        file.write(b'?')
    with pytest.raises(InputError, match='changed since it was written'):
        checkpoints.read(saved[0])
    assert checkpoints.read(saved[0], verify=False)[1] == {'epoch': 1}
