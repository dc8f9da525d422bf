"""tools/benchmark.py: all of it runs and is reported, on a small graph."""

import os

import pytest

import main
from road.data import kitti
from tools import benchmark


def test_report_shows_ratios_and_runs():
    results = {'decoder trained, images/s': {'baseline': [2.0, 4.0, 3.0], 'ours': [6.0]}}
    _, first, *_, last = benchmark.report(results, (5, 2.0, 0.5)).split('\n')
    assert first.split()[-4:] == ['3.00', '2.00', '4.00', '2.00']
    assert last == '30 epochs of 5 images: 17.0 s (encoder pass 2.0 s, epoch 0.5 s)'


@pytest.mark.slow
def test_command(scenes_dir, vgg_dir, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, 'SHAPE', (64, 192))
    benchmark.run(['--quick', '--dataset-dir', scenes_dir, '--vgg-dir', vgg_dir])
    assert '30 epochs of ' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('train_encoder', ['none', 'all'])
def test_a_step_trains_what_it_says(scenes_dir, vgg_dir, monkeypatch, train_encoder):
    monkeypatch.setattr(benchmark, 'SHAPE', (32, 64))
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    with main.open_model(vgg_dir, train_encoder=train_encoder) as (sess, model):
        variables = sess.graph.get_collection('variables')
        before = sess.run(variables)
        benchmark.train_step((sess, model), frames)
        after = sess.run(variables)
    changed = {v.op.name[:8] for v, old, new in zip(variables, before, after) if (old != new).any()}
    assert ('conv1_1/' in changed) == (train_encoder == 'all')
    assert 'decoder/' in changed
