"""Stopped runs end as one that was left alone. tools/soak.py does the same with kills."""

import os
import signal
from pathlib import Path

import pytest

import main
from road.files import read_json
from road.network.tf1 import tf
from road.runs import checkpoints
from road.scoring.validation import Validation
from tests.test_shown import check_events
from tools.soak import results


def variables(checkpoint):
    """{name: value} of all variables in a checkpoint, the optimizers' included."""
    reader = tf.train.load_checkpoint(checkpoints.read(checkpoint)[0])
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture
def stop(monkeypatch):
    """stop(number): send signal `number` at the second call of Validation.scores from here on."""
    scores, calls = Validation.scores, []

    def stop(number):
        def stopped(self):
            calls.append(self)
            if len(calls) == 2:
                os.kill(os.getpid(), number)
            return scores(self)
        monkeypatch.setattr(Validation, 'scores', stopped)
    return stop


def test_stopped_run_ends_as_if_never_stopped(train_run, trained_run, stop, capsys):
    """Ctrl-C in epoch 2; resumed with more epochs than planned."""
    stop(signal.SIGINT)
    code, folder = train_run('stopped', '--epochs', '2')
    assert code == 130 and f'python main.py --resume {folder}' in capsys.readouterr().out
    assert checkpoints.read(f'{folder}/checkpoints/last')[1]['epoch'] == 1
    assert main.main(['--resume', folder, '--epochs', '3']) == 0
    assert results(folder) == results(trained_run)
    with open(f'{folder}/command.txt', encoding='utf-8') as file:
        assert len(file.readlines()) == 2
    assert read_json(f'{folder}/config.json')['settings']['epochs'] == 3


@pytest.mark.slow
@pytest.mark.parametrize('precision', ['float32', 'float16'])
def test_resume_with_trained_encoder(train_run, encoder_run, stop, precision):
    """SIGTERM, with a cosine schedule and augmented copies that are drawn anew in every epoch.

    A loss scale goes on where it was, and belongs to training alone. On a CPU, --precision float16
    computes in float32: the losses are those without a scale.
    """
    alone, options = encoder_run
    stop(signal.SIGTERM)
    code, folder = train_run(f'stopped-{precision}', *options, '--precision', precision)
    steps = variables(f'{folder}/checkpoints/last').get('loss_scale/good_steps')
    assert code == 143 and main.main(['--resume', folder]) == 0
    if precision == 'float32':
        assert results(folder) == results(alone)
        return
    assert variables(f'{folder}/checkpoints/last')['loss_scale/good_steps'] == 2 * steps > 0
    assert not any('loss_scale' in name for name in variables(f'{folder}/checkpoints/best'))
    losses, expected = ([float(row['cross_entropy']) for row in results(run)['metrics.csv']]
                        for run in (folder, alone))
    assert losses == pytest.approx(expected, rel=1e-3)


def test_resume_with_moved_data_and_smaller_steps(trained_run, copied_run, copied_scenes, capsys,
                                                  monkeypatch):
    """Events then show each epoch once; the third epoch stays the best and is painted."""
    folder, scores, finished = str(copied_run), Validation.scores, []
    monkeypatch.setattr(Validation, 'scores', lambda self: {**scores(self), 'val_MaxF': 0.0})
    monkeypatch.setattr(main.figures, 'draw', lambda run, *_: finished.append(
        os.path.exists(f'{run.folder}/metrics.json')))
    assert main.main(['--resume', folder, '--dataset-dir', copied_scenes, '--epochs', '4',
                      '--batch-size', '1', '--learning-rate', '0.001', '--clip-norm', '1',
                      '--vgg-weights', 'gone.npz']) == 0
    printed, bars = capsys.readouterr()
    assert finished == [False]  # a run stopped here is resumed, and drawn
    assert 'encoder, once' not in bars  # all is cached
    assert 'batch_size was 2 and is 1 from here on; the results are no longer' in printed
    assert 'learning_rate was 0.01 and is 0.001 from here on' in printed
    assert 'clip_norm was 0.0 and is 1.0 from here on' in printed
    assert read_json(f'{folder}/config.json')['settings']['dataset_dir'] == copied_scenes
    assert checkpoints.read(f'{folder}/checkpoints/last')[1]['rows'][3]['learning_rate'] == 0.001
    assert check_events(folder) == [1, 4]
    for path in (copied_run / 'images').iterdir():
        assert path.read_bytes() == Path(trained_run, 'images', path.name).read_bytes()
