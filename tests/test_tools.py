"""Small parts of soak, fuzz, benchmark and figures; their docstrings have the whole commands."""

import os
import runpy
import subprocess
import sys

import pytest

from tools import benchmark, figures, fuzz

no_windows = pytest.mark.skipif(os.name == 'nt', reason='forks, links and odd names')


@no_windows
@pytest.mark.slow
@pytest.mark.parametrize('tool, words', [('soak', ['--kills', '4']), ('fuzz', ['--count', '1'])])
def test_killed_runs_and_garbled_files_end_well(tool, words):
    path = os.path.join(os.path.dirname(fuzz.__file__), f'{tool}.py')
    result = subprocess.run([sys.executable, path, *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '0 faults' in result.stdout


@no_windows
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
