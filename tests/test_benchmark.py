"""The benchmark: what it counts, and that all of it runs and is reported, on a small graph."""

import json
import os

import numpy as np
import pytest

import main
from road import benchmark, vgg16
from road.machine import session_config


def test_flops_are_those_of_vgg16():
    """15.35 G multiplications with additions for 224x224 is what is published of the thirteen convolutions."""
    from road.tf1 import tf
    with tf.Graph().as_default() as graph:
        vgg16.build_graph({name: np.broadcast_to(np.float32(0), shape) for name, shape in vgg16.shapes(True).items()})
        convolutions, with_fc6 = benchmark.flops(graph, (224, 224), fc6=False), benchmark.flops(graph, (224, 224), fc6=True)
    assert convolutions == pytest.approx(2 * 15.35e9, rel=1e-3)
    assert with_fc6 - convolutions == 2 * 7 * 7 * (7 * 7 * 512 * 4096)  # 7x7 positions, in place of one


def test_rates_are_units_a_second_taken_in_turns():
    calls = []

    def function(name, units):
        return lambda: calls.append(name) or units

    measured = benchmark.rates({'a': function('a', 1), 'b': function('b', 2)}, 3)
    assert calls == ['a', 'b'] * 4  # the first of each is not counted
    assert [len(values) for values in measured.values()] == [3, 3] and min(measured['a']) > 0


def test_command(scenes_dir, vgg_dir, tmp_path, monkeypatch, capsys):
    """Every figure is there, positive, in the table and in the file; nothing else is left in the data folder."""
    monkeypatch.setattr(benchmark, 'SIZES', ((64, 192),))
    monkeypatch.setattr(benchmark, 'COUNTS', (5,))
    monkeypatch.setattr(benchmark, 'LARGE', ((20, 16),))
    output = tmp_path / 'benchmark.json'
    assert main.main(['benchmark', '--quick', '--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path / 'd'),
                      '--precision', 'float32', '--output', str(output)]) == 0
    printed, figures = capsys.readouterr().out, json.loads(output.read_text())
    assert os.listdir(tmp_path / 'd') == []
    rates = figures['training']['images a second']
    assert set(rates) == {'plain, decoder only', 'plain, everything', 'ours'} and min(map(min, rates.values())) > 0
    ratio = np.median(rates['ours']) / np.median(rates['plain, decoder only'])
    assert f'ours is {ratio:6.1f} times as fast an epoch' in printed
    assert set(figures['inference']['images a second']) == {'plain', 'ours'}
    assert figures['growth'][0]['images'] == 5 and figures['growth'][0]['peak GiB'] > 0.1
    assert figures['encoder']['GFLOP an image'] == pytest.approx(benchmark_flops(vgg_dir), rel=1e-6)


def benchmark_flops(vgg_dir):
    """GFLOP of the narrow encoder at 64x192 with fc6, added up by hand."""
    widths, total, channels = vgg16.NARROW_WIDTHS, 0, 3
    for block, count in enumerate(vgg16.BLOCKS):
        for _ in range(count):
            total += 2 * 9 * channels * widths[block] * 64 * 192 / 4 ** block
            channels = widths[block]
    return (total + 2 * 49 * channels * 16 * 2 * 6) / 1e9


def test_plain_loop_trains_what_it_says(scenes_dir, vgg_dir):
    """The decoder alone, or everything."""
    from road import kitti
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    for frozen in (True, False):
        with main.open_model(vgg_dir, session_config('float32')[0], train_encoder='none' if frozen else 'all') as (sess, model):
            variables = sess.graph.get_collection('variables')
            before = sess.run(variables)
            assert benchmark.plain_step((sess, model), frames, (64, 192))() == benchmark.BATCH
            changed = {v.op.name for v, old, new in zip(variables, before, sess.run(variables)) if (old != new).any()}
        assert any(name.startswith('decoder/') for name in changed)
        assert any(name.startswith('conv1_1') for name in changed) == (not frozen)
