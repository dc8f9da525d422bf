"""`main.py runs`: the table of all runs."""

import shutil

import pytest

import main
from road.files import read_json, write_json
from tests.results import edit


@pytest.fixture
def listed(tmp_path, capsys):
    """listed((run, name, score), ...): copy runs, with this score; the lines that are printed."""
    def listed(*runs):
        for source, name, score in runs:
            folder = shutil.copytree(source, tmp_path / name)
            state = read_json(folder / 'checkpoints/last/state.json')
            for row in state['rows']:
                row['val_mean_IoU' if 'val_mean_IoU' in row else 'val_MaxF'] = score
            write_json(folder / 'checkpoints/last/state.json', state)
        assert main.main(['runs', '--runs-dir', str(tmp_path)]) == 0
        return capsys.readouterr().out.rstrip('\n').split('\n')
    return listed


def test_runs_are_listed_best_first(trained_run, tmp_path, listed):
    shutil.copytree(trained_run, tmp_path / 'begun', ignore=lambda *_: ['checkpoints'])
    settings = read_json(tmp_path / 'begun/config.json')['settings']
    edit(tmp_path / 'begun/config.json', settings={**settings, 'l2': 0.5})
    shutil.copytree(trained_run, tmp_path / 'small', ignore=lambda *_: ['last'])
    (tmp_path / 'broken').mkdir()
    (tmp_path / '.hidden').mkdir()
    long = 'a' * 100
    lines = listed((trained_run, 'low', 10.0), (trained_run, 'none', float('nan')),
                   (trained_run, long, 90.0))
    assert all(len(line) <= 120 for line in lines)
    text = '\n'.join(lines).replace('\n    ', ' ')
    title, head, *rows, empty, warning = text.split('\n')
    assert title == f'Target: road (#ff00ff in the masks), in {settings["dataset_dir"]}'
    names = ['run', long, 'small', 'low', 'none', 'begun']
    assert [line.split()[0] for line in (head, *rows)] == names
    assert 'mean IoU' not in head
    typed = '--val-frames 1 --image-size 64x192 --batch-size 2 --schedule constant --augment mirror'
    for line, words in ((rows[0], (' 90.00 ', ' 3/3 ', typed)), (rows[1], (' 3/3 ', ' 3 ', typed)),
                        (rows[4], (' 0/3 ', '--l2 0.5'))):
        for word in words:
            assert word in line
    assert '--l2' not in rows[0] and '--dataset-dir' not in text
    assert warning.startswith(f'Warning: {tmp_path / "broken"}: is no run, it has no config.json')


def test_each_data_set_and_target_has_a_table(trained_run, classes_run, tmp_path, listed):
    shutil.copytree(trained_run, tmp_path / 'other', ignore=lambda *_: ['checkpoints'])
    edit(tmp_path / 'other/config.json', label_values={'7': 'road', '8': 'road', '9': 'not road'})
    lines = listed((classes_run, 'a', 30.0), (trained_run, 'b', 20.0), (classes_run, 'c', 40.0),
                   (classes_run, 'd', float('nan')))
    assert [line.partition(',')[0] for line in lines if line.startswith('Target')] == [
        'Target: all 11 classes', 'Target: road (#ff00ff in the masks)', 'Target: road (7']
    assert lines[1].split()[3:-2] == ['best', 'mean', 'IoU']
    assert [line.split()[:1] for line in lines[2:6]] == [['c'], ['a'], ['d'], []]
    assert lines[2].split()[4] == '40.00'
    assert lines[7].split()[3:-2] == ['best', 'MaxF', 'AP', 'IoU']
    assert lines[8].split()[4] == '20.00'
