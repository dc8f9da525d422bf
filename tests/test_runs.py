"""`main.py runs`: the table of all runs."""

import os
import shutil
import subprocess
import sys

import main
from road.files import read_json, write_json


def test_runs_are_listed_best_first(trained_run, tmp_path, capsys):
    for name, score in (('low', 10.0), ('none', float('nan')), ('high', 90.0)):
        folder = shutil.copytree(trained_run, tmp_path / name)
        state = read_json(folder / 'checkpoints/last/state.json')
        for row in state['rows']:
            row['val_MaxF'] = score
        write_json(folder / 'checkpoints/last/state.json', state)
    config = read_json(tmp_path / 'low/config.json')
    config['settings']['l2'] = 0.5
    write_json(tmp_path / 'low/config.json', config)
    shutil.copytree(trained_run, tmp_path / 'begun', ignore=lambda *_: ['checkpoints'])
    (tmp_path / 'broken').mkdir()
    (tmp_path / '.hidden').mkdir()
    assert main.main(['runs', '--runs-dir', str(tmp_path)]) == 0
    lines = capsys.readouterr().out.rstrip('\n').split('\n')
    assert [line.split()[0] for line in lines[:5]] == ['run', 'high', 'low', 'none', 'begun']
    assert 'mean IoU' not in lines[0]
    assert ' 90.00 ' in lines[1] and ' 3/3 ' in lines[1] and ' 0/3 ' in lines[4]
    assert lines[2].endswith('--l2 0.5') and lines[1].endswith('--l2 0.0001')
    assert len(lines) == 6 and lines[5].startswith(f'Warning: {tmp_path / "broken"}: is not a run')


def test_runs_of_classes_are_listed_after_runs_of_road(trained_run, classes_run, tmp_path, capsys):
    for source, name, score in ((classes_run, 'a', 30.0), (trained_run, 'b', 20.0),
                                (classes_run, 'c', 40.0), (classes_run, 'd', float('nan'))):
        folder = shutil.copytree(source, tmp_path / name)
        state = read_json(folder / 'checkpoints/last/state.json')
        for row in state['rows']:
            row['val_mean_IoU' if 'val_mean_IoU' in row else 'val_MaxF'] = score
        write_json(folder / 'checkpoints/last/state.json', state)
    assert main.main(['runs', '--runs-dir', str(tmp_path)]) == 0
    head, *lines = capsys.readouterr().out.rstrip('\n').split('\n')
    assert head.split()[4:9] == ['MaxF', 'AP', 'IoU', 'mean', 'IoU']
    assert [line.split()[0] for line in lines] == ['b', 'c', 'a', 'd']
    assert lines[0].split()[4] == '20.00' and lines[0].split()[7] == '-'
    assert lines[1].split()[4:8] == ['-', '-', '-', '40.00']


def test_runs_are_listed_without_tensorflow(trained_run):
    code = ('import sys, main; main.main(["runs", "--runs-dir", sys.argv[1]]); '
            'sys.exit("tensorflow" in sys.modules)')
    home, runs_dir = os.path.dirname(main.__file__), os.path.dirname(trained_run)
    subprocess.run([sys.executable, '-c', code, runs_dir], check=True, cwd=home)
