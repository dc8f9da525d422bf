"""tools/benchmark.py: what it counts, and that all of it runs and is reported, on a small graph."""

import os

import pytest

import main
from road.data import kitti
from road.network import vgg16
from tools import benchmark


def test_report_shows_ratios_and_runs():
    result = {'rates': {'training, images/s': {
        'plain, decoder only': [2.0, 4.0, 3.0], 'plain, everything': [1.0], 'ours': [6.0]}},
        'seconds': (5, 2.0, 0.5)}
    _, first, *_, last = benchmark.report(result).split('\n')
    assert first.split()[-4:] == ['3.00', '2.00', '4.00', '2.00']
    # an encoder pass and 30 epochs; 150 images at 3 and at 1 image per second
    assert last == ('30 epochs of 5 images: 17.0 s (encoder pass 2.0 s, epoch 0.5 s); plain, '
                    'decoder only 50.0 s; plain, everything 150.0 s')


def test_arithmetic_of_a_training_step():
    """One 3x3 convolution of 8 x 16 pixels at block 2, counted by hand, and all of VGG16."""
    shapes = {'conv2_1/filter': (3, 3, 5, 7), 'conv2_1/biases': (7,), 'decoder/kernel': (1, 1, 2)}
    multiplications = 2 * (8 // 2) * (16 // 2) * 9 * 5 * 7
    assert benchmark.training_gflop(shapes, 2, (8, 16)) == pytest.approx(6e-9 * multiplications)
    # VGG16 at 224x224: 15.3 billion multiplications (He and others, Deep residual learning, 2016)
    whole = benchmark.training_gflop(vgg16.shapes(False), 1, (224, 224))
    assert whole == pytest.approx(6 * 15.3, rel=0.01)


@pytest.mark.slow
def test_command(scenes_dir, vgg_dir, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, 'SHAPE', (64, 192))
    benchmark.run(['--quick', '--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir])
    assert '30 epochs of ' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('train_encoder', ['none', 'all'])
def test_plain_loop_trains_what_it_says(scenes_dir, vgg_dir, monkeypatch, train_encoder):
    monkeypatch.setattr(benchmark, 'SHAPE', (32, 64))
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    with main.open_model(vgg_dir, train_encoder=train_encoder) as (sess, model):
        variables = sess.graph.get_collection('variables')
        before = sess.run(variables)
        assert benchmark.plain_step((sess, model), frames)() == benchmark.BATCH
        after = sess.run(variables)
    changed = {v.op.name[:8] for v, old, new in zip(variables, before, after) if (old != new).any()}
    assert ('conv1_1/' in changed) == (train_encoder == 'all') and 'decoder/' in changed
