"""Small parts of the tools; their docstrings have the whole commands."""

import csv
import os
import runpy
import statistics
import subprocess
import sys

import pytest

from road.errors import InputError
from road.files import write_json
from tools import benchmark, experiments, figures, fuzz


@pytest.mark.slow
@pytest.mark.parametrize('tool, words', [('soak', ['--kills', '4']), ('fuzz', ['--count', '1'])])
def test_killed_runs_and_garbled_files_end_well(tool, words):
    path = os.path.join(os.path.dirname(fuzz.__file__), f'{tool}.py')
    result = subprocess.run([sys.executable, path, *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '0 faults' in result.stdout


def test_data_sets_with_mistakes_are_refused_or_read_as_they_were_drawn(capsys):
    assert fuzz.plausible(range(0, 400, 13)) == []
    printed = capsys.readouterr().out
    assert 'refused' in printed and 'read' in printed


def test_report_of_the_benchmark_shows_ratios_and_runs():
    results = {'decoder trained, images/s': {'baseline': [2.0, 4.0, 3.0], 'ours': [6.0]}}
    _, first, *_, last = benchmark.report(results, (5, 2.0, 0.5)).split('\n')
    assert first.split()[-4:] == ['3.00', '2.00', '4.00', '2.00']
    assert last == '30 epochs of 5 images: 17.0 s (encoder pass 2.0 s, epoch 0.5 s)'


@pytest.mark.slow
def test_benchmark(scenes_dir, vgg_dir, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, 'SHAPE', (64, 192))
    benchmark.run(['--quick', '--dataset-dir', scenes_dir, '--vgg-dir', vgg_dir])
    assert '30 epochs of ' in capsys.readouterr().out


@pytest.mark.slow
def test_figures_of_a_run_are_drawn(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [figures.__file__, trained_run])
    monkeypatch.chdir(tmp_path)
    os.mkdir('imgs')
    runpy.run_path(figures.__file__, run_name='__main__')
    repository = os.path.dirname(os.path.dirname(figures.__file__))
    assert sorted(os.listdir('imgs')) == sorted(os.listdir(f'{repository}/imgs'))


@pytest.mark.parametrize('content, complaint', [
    ('a --epochs 3', "line 'a --epochs 3': .* is not a name"),
    ('# list\na:\n \n  # b\na: --epochs 3', 'a is there twice'),
    ('a: --seed=5', '--seed=5 is set for each run')])
def test_list_that_makes_no_sense_is_refused(tmp_path, content, complaint):
    path = tmp_path / 'list.txt'
    path.write_text(content)
    with pytest.raises(InputError, match=complaint):
        experiments.read_list(str(path))


def test_list_in_the_repository_parses():
    assert 'mirror' in experiments.read_list('tools/experiments.txt', ['--val-frames', '10'])


def test_scores_of_a_setting_are_of_the_last_epoch(tmp_path):
    write_json(tmp_path / 'metrics.json',
               {'best': {'val_MaxF': 90}, 'last': {'val_MaxF': 80}, 'seconds': 3})
    assert experiments.results(tmp_path)[:2] == ('80.0000', 'nan')


@pytest.mark.slow
def test_every_setting_with_every_seed(scenes_dir, vgg_dir, tmp_path, capsys):
    """Stopped, and started again with more seeds: each run is trained once, the table has all."""
    path, runs_dir = tmp_path / 'list.txt', tmp_path / 'runs'
    path.write_text('# two\nplain:\nmirrored: --augment mirror --copies 2\n')
    command = [str(path), '--runs-dir', str(runs_dir), '--dataset-dir', scenes_dir, '--vgg-dir',
               vgg_dir, '--data-dir', str(tmp_path / 'data'), '--image-size', '64x192',
               '--val-frames', '1', '--epochs', '1', '--seeds']
    assert experiments.run([*command, '1']) == 0
    metrics = runs_dir / 'plain-seed0' / 'metrics.json'
    finished = os.stat(metrics).st_mtime_ns

    for name in ('metrics', 'minutes'):  # as after a kill
        os.remove(runs_dir / 'mirrored-seed0' / f'{name}.json')
    assert experiments.run([*command, '2']) == 0
    printed = capsys.readouterr().out
    with open(runs_dir / 'experiments.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['name'], row['seed']) for row in rows] == [
        ('plain', '0'), ('mirrored', '0'), ('plain', '1'), ('mirrored', '1')]
    assert os.stat(metrics).st_mtime_ns == finished
    assert '--resume' in (runs_dir / 'mirrored-seed0' / 'command.txt').read_text()
    values = [float(row['MaxF']) for row in rows if row['name'] == 'plain']
    assert f'{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}' in printed
    assert [float(row['minutes']) > 0 for row in rows] == [True, False, True, True]  # resumed: nan

    for line, complaint in (
            ('plain: --l2 0.1', 'plain-seed0: was trained with other options (--dataset-dir'),
            ('bad: --vgg-weights x.npz', 'bad-seed0: the training ended with exit code 2')):
        path.write_text(line)
        assert experiments.run([*command, '1']) == 2
        assert complaint in capsys.readouterr().err
