"""Experiments: the list that is read, what is trained, continued and not done again, and the table."""

import csv
import os
import statistics
import sys
from types import SimpleNamespace

import pytest

import main
from road import experiments
from road.errors import InputError


@pytest.mark.parametrize('content, complaint', [
    ('', 'names no experiment'), ('# nothing\n', 'names no experiment'), ('a --epochs 3', 'line 1: has no colon'),
    ('a:\n\na: --epochs 3', 'line 3: a is there twice'), ('a/b: --epochs 3', r"line 1: 'a/b' is not a name"),
    ('a: --epochs "3', 'line 1: No closing quotation')])
def test_a_list_that_makes_no_sense_is_named(tmp_path, content, complaint):
    path = tmp_path / 'list.txt'
    path.write_text(content)
    with pytest.raises(InputError, match=complaint):
        experiments.read_list(str(path), [])
    with pytest.raises(InputError, match='none.txt: cannot be read'):
        experiments.read_list(str(tmp_path / 'none.txt'), [])


def test_options_that_do_not_parse_end_it_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / 'list.txt').write_text('a: --epochs 1\nb: --epoch-count 3')
    with pytest.raises(SystemExit) as stop:
        main.main(['experiments', str(tmp_path / 'list.txt'), '--runs-dir', str(tmp_path / 'runs')])
    assert stop.value.code == 2 and '--epoch-count' in capsys.readouterr().err and not (tmp_path / 'runs').exists()


def test_trains_every_setting_with_every_seed_and_goes_on(scenes_dir, vgg_dir, tmp_path, capsys, monkeypatch):
    """Killed in between, given again, given with more seeds: each run is trained once, and the table is of all.

    The trainings are called here, which takes a third of the time; the next test has one in a process of its own.
    """
    def called(words):
        assert words[0] == sys.executable and words[1] == os.path.join(os.path.dirname(main.__file__), 'main.py')
        monkeypatch.setattr(sys, 'argv', words[1:])
        return SimpleNamespace(returncode=main.main(words[2:]))

    monkeypatch.setattr(experiments, 'subprocess', SimpleNamespace(run=called))
    path, runs_dir = tmp_path / 'list.txt', tmp_path / 'runs'
    path.write_text('# two\nplain:\nmirrored: --augment mirror --variants 2\n')
    command = ['experiments', str(path), '--runs-dir', str(runs_dir), '--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir,
               '--data-dir', str(tmp_path / 'data'), '--image-size', '64x192', '--val-frames', '1', '--epochs', '1', '--seeds']
    assert main.main([*command, '1']) == 0
    first = capsys.readouterr().out.split('\n')
    assert '1/2: plain, seed 0' in first and [line.split()[:2] for line in first[-3:-1]] == [['plain', '1'], ['mirrored', '1']]
    written = {run: os.stat(runs_dir / run / 'metrics.json').st_mtime_ns for run in os.listdir(runs_dir) if '.' not in run}
    assert written.keys() == {'plain-seed0', 'mirrored-seed0'}

    # what a kill between the end of a run and its row leaves; and one that did not come to its end
    table = runs_dir / 'experiments.csv'
    table.write_text(''.join(table.read_text().splitlines(keepends=True)[:2]))
    os.remove(runs_dir / 'mirrored-seed0' / 'metrics.json')
    assert main.main([*command, '2']) == 0
    printed = capsys.readouterr().out
    with open(table, newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['name'], row['seed']) for row in rows] == [('plain', '0'), ('mirrored', '0'), ('plain', '1'), ('mirrored', '1')]
    assert rows[1]['options'].startswith('--augment mirror --variants 2 --kitti-dir')
    assert os.stat(runs_dir / 'plain-seed0' / 'metrics.json').st_mtime_ns == written['plain-seed0']
    assert '--resume' in open(runs_dir / 'mirrored-seed0' / 'command.txt').read()
    values = [float(row['MaxF']) for row in rows if row['name'] == 'plain']
    assert f'{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}' in printed and values[0] != values[1]

    path.write_text('plain: --l2 0.1')
    assert main.main([*command, '2']) == 2
    assert 'plain has the options --l2 0.1' in capsys.readouterr().err


def test_a_training_that_fails_is_named(scenes_dir, tmp_path, capfd):
    (tmp_path / 'list.txt').write_text('broken: --vgg-weights none.npz')
    assert main.main(['experiments', str(tmp_path / 'list.txt'), '--runs-dir', str(tmp_path / 'runs'), '--kitti-dir', scenes_dir,
                      '--data-dir', str(tmp_path / 'data'), '--val-frames', '1']) == 2
    error = capfd.readouterr().err
    assert 'none.npz: no such file' in error and 'broken-seed0: the training ended with exit code 2' in error


def test_a_table_of_another_kind_is_refused(tmp_path):
    (tmp_path / 'experiments.csv').write_text('a,b\n1,2\n')
    with pytest.raises(InputError, match='not a table of experiments'):
        experiments.read_table(str(tmp_path / 'experiments.csv'))
    assert experiments.read_table(str(tmp_path / 'none.csv')) == {}
