"""--init: what a training takes from a trained run, and which runs it refuses."""

import re

import numpy as np
import pytest

import main
from road.files import read_json
from road.network import vgg_folder
from road.network.tf1 import tf
from tests.test_resume import variables
from tools.train_sample_encoder import random_weights


@pytest.fixture
def start(vgg_dir, camvid_dir, tmp_path, monkeypatch):
    """start(*options) => (exit code, {name: value} of what trains, before the first step)."""
    def train_nn(sess, *_, **__):
        trained.update((v.op.name, sess.run(v)) for v in tf.trainable_variables())
        raise KeyboardInterrupt

    trained = {}
    monkeypatch.setattr(main, 'train_nn', train_nn)
    return lambda *options: (main.main([
        '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path), '--runs-dir', str(tmp_path), '--name',
        'new', '--no-cache', '--dataset-dir', camvid_dir, *options]), trained)


@pytest.mark.parametrize('target, layers, classes', [
    ('road', 'conv5_3, decoder, fc6', 2), ('', 'conv5_3, fc6', 11)])
def test_training_starts_with_the_trained_layers_of_a_run(
        start, encoder_run, tmp_path, capsys, target, layers, classes):
    """Of the encoder alone where the classes differ."""
    run, _ = encoder_run
    code, trained = start('--train-encoder', 'conv4', '--target', target, '--init', run)
    assert code == 130 and read_json(tmp_path / 'new/config.json')['settings']['init'] == run
    assert f'{layers}, fc7: those of {run}' in capsys.readouterr().out
    assert len(trained['decoder/score_fr/bias']) == classes
    for name, value in variables(f'{run}/checkpoints/best').items():
        if classes == 2 or not name.startswith('decoder'):
            np.testing.assert_array_equal(trained[name], value, name)


@pytest.mark.parametrize('frozen, options, complaint', [
    (True, [], 'trained encoder blocks .*; give --train-encoder conv5, or a --preset'),
    (False, [], 'has a decoder alone, of other classes; name another run'),
    (False, ['--vgg-dir', 'other'], 'other: is not the encoder of .*; name it with')])
def test_run_that_does_not_fit_is_refused(start, encoder_run, trained_run, tmp_path, monkeypatch,
                                          capsys, frozen, options, complaint):
    monkeypatch.chdir(tmp_path)
    if options:
        vgg_folder.save(random_weights(fc_width=16, seed=1), 'other')
    run = encoder_run[0] if frozen else trained_run
    assert start('--init', run, *options) == (2, {})
    assert re.search(f'(?m)^Error: .*{complaint}.*\n\\Z', capsys.readouterr().err)
    assert not (tmp_path / 'new').exists()
