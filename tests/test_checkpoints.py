"""Checkpoints are complete or not there; metrics agree with them, on the screen and on disk."""

import os
import shutil
from math import nan
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import DEFAULT, Mock

import pytest

from road.data import camvid, kitti
from road.errors import InputError, describe
from road.files import read_json
from road.network.tf1 import tf
from road.runs import checkpoints, metrics
from road.runs.run_folder import Run


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
    for name in ('notes', 'epoch-4.data-00000-of-00001.tempstate64', 'epoch-4.index.tempstate64'):
        Path(folder, name).touch()
    checkpoints.save(folder, saver, sess, {'epoch': 4})
    assert contents(folder) == (4, 2)
    assert sorted(os.listdir(folder)) == [
        'epoch-4.data-00000-of-00001', 'epoch-4.index', 'notes', 'state.json']


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


class Training:
    """A process that trains a run of two variables: x, the weight, and the optimizer's slot."""

    def __init__(self, folder, classes=kitti.CLASSES):
        self.run = Run(str(folder), {'image_size': (32, 64), 'epochs': 4}, 'encoder', ['a'], ['b'],
                       classes, {}, 0.2)
        validation = SimpleNamespace(scores=lambda: self.scores)
        with tf.Graph().as_default() as graph:
            self.x, self.slot = tf.get_variable('x', []), tf.get_variable('slot', [])
            model = SimpleNamespace(saver=tf.train.Saver([self.x, self.slot], max_to_keep=None),
                                    weights_saver=tf.train.Saver([self.x], max_to_keep=None))
            self.sess = tf.Session(graph=graph)
            self.metrics = metrics.Metrics(self.run, self.sess, model, validation)

    def epoch(self, weight, score):
        self.scores = {name: -score if name.startswith('train') else score
                       for name in metrics.TWO_CLASSES + metrics.MULTICLASS}
        with self.sess.graph.as_default():
            self.x.load(weight, self.sess)
            self.slot.load(-weight, self.sess)
            self.metrics.add_epoch(self.metrics.epoch + 1, (0.5, 0.1), 7.0, 0.01)

    def best(self):
        """(epoch of the best metrics, epoch of checkpoint `best`, x in it)."""
        self.metrics.restore_best()
        _, state = checkpoints.read(self.run.checkpoint('best'))
        assert str(state['rows'][-1]) == str(self.metrics.best)  # NaN is not equal to NaN
        return self.metrics.best['epoch'], state['epoch'], self.sess.run(self.x)


@pytest.mark.parametrize('former, files_written, again, expected', [
    ([], 0, 40, (1, 1, 21)), ([], 1, None, (1, 1, 20)), ([], 2, None, (1, 1, 20)),
    ([50], 0, 40, (1, 1, 10)), ([50], 1, None, (2, 2, 20)), ([50], 2, None, (2, 2, 20))])
def test_best_checkpoint_after_a_kill(tmp_path, monkeypatch, former, files_written, again,
                                      expected):
    """Killed before `last`, `best` or the csv; trained `again`, an epoch differs, as on a GPU."""
    training, last = Training(tmp_path), len(former) + 2
    for score in former:
        training.epoch(10, score)
    killed = Mock(side_effect=[*[DEFAULT] * files_written, KeyboardInterrupt], wraps=os.replace)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, 'replace', killed)
        training.epoch(20, 60)
    resumed = Training(tmp_path)
    assert resumed.metrics.epoch == len(former) + (files_written > 0)
    lines = (tmp_path / 'metrics.csv').read_text().split('\n')
    assert len(lines) == resumed.metrics.epoch + 2
    if again:
        resumed.epoch(21, again)
    assert resumed.best() == expected
    resumed.epoch(30, 70)
    assert resumed.best() == (last, last, 30)
    assert resumed.sess.run(resumed.slot) == -30  # the best checkpoint holds weights alone
    lines = (tmp_path / 'metrics.csv').read_text().split('\n')
    assert len(lines) == last + 2 and ',70.00,' in lines[-2]


def test_best_checkpoint_of_another_epoch_is_refused(tmp_path):
    training = Training(tmp_path)
    for score in (70, 70, 50):
        training.epoch(score, score)
    assert training.best()[:2] == (1, 1)  # the first of equals
    best = training.run.checkpoint('best')
    shutil.rmtree(best)
    shutil.copytree(training.run.checkpoint('last'), best)
    with pytest.raises(InputError, match='best: is of epoch 3, but the best epoch in .* is 1'):
        Training(tmp_path)


def test_without_the_last_checkpoint_training_continues_after_the_best(tmp_path, capsys):
    training = Training(tmp_path)
    for weight, score in ((10, 50), (20, 70), (30, 60)):
        training.epoch(weight, score)
    shutil.rmtree(training.run.checkpoint('last'))
    resumed = Training(tmp_path)
    assert 'last is missing; training continues after epoch 2, the best, with a new optimizer' in (
        capsys.readouterr().out)
    assert resumed.metrics.rows == training.metrics.rows[:2]
    assert resumed.sess.run(resumed.x) == 20
    resumed.epoch(40, 60)
    assert resumed.best() == (2, 2, 20)
    assert Training(tmp_path).metrics.epoch == 3


@pytest.mark.parametrize('classes, name, missing, best', [
    (kitti.CLASSES, 'MaxF', 'road', 'MaxF 61.23 % and IoU 44.13 % at threshold 61.23 '),
    (camvid.CLASSES, 'mean_IoU', 'of any class', 'mean IoU 61.23 %, accuracy 61.23 %\n')])
def test_epochs_without_a_score(tmp_path, capsys, classes, name, missing, best):
    training = Training(tmp_path, classes)
    for epoch in (1, 2):
        training.epoch(epoch, nan)
    assert training.best() == (2, 2, 2)
    training.metrics.finish()
    assert read_json(tmp_path / 'metrics.json')['best'][f'val_{name}'] is None
    assert f'because no pixel is {missing} in the validation labels' in capsys.readouterr().out
    resumed = Training(tmp_path, classes)
    assert not (tmp_path / 'metrics.json').exists()
    for epoch, score in ((3, 61.234), (4, nan)):
        resumed.epoch(epoch, score)
    assert resumed.best() == (3, 3, 3)
    resumed.metrics.finish()
    seconds = sum(row['seconds'] for row in resumed.metrics.rows)
    found = read_json(tmp_path / 'metrics.json')
    assert (found['epochs'], found['last']['epoch'], found['seconds']) == (4, 4, seconds)
    assert f'Best on validation: epoch 3, {best}' in capsys.readouterr().out
