"""tools/experiments.py: reading the list, training, resuming, skipping, and the table."""

import csv
import os
import statistics

import pytest

from road.errors import InputError
from tools import experiments


@pytest.mark.parametrize('content, complaint', [
    ('a --epochs 3', "line 'a --epochs 3': .* is not a name"),
    ('# list\na:\n\na: --epochs 3', 'a is there twice'),
    ('a: --seed=5', '--seed=5 is set for each run')])
def test_list_that_makes_no_sense_is_refused(tmp_path, content, complaint):
    path = tmp_path / 'list.txt'
    path.write_text(content)
    with pytest.raises(InputError, match=complaint):
        experiments.read_list(str(path))


def test_list_in_the_repository_parses():
    assert 'mirror' in experiments.read_list('tools/experiments.txt', ['--val-frames', '10'])


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
