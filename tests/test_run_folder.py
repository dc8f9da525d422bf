"""What a run folder records, and which are refused; the table of all runs."""

import os
import re
import shlex
import shutil
from types import SimpleNamespace

import pytest

import main
from road import settings
from road.data import kitti
from road.errors import InputError
from road.files import read_json, write_json
from road.runs import run_folder
from road.runs.log import Log
from tests.test_folder import grey, write_folder

IN_FIRST_EPOCH = shutil.ignore_patterns('checkpoints', 'metrics.csv')


def edit(path, **changes):
    """Change values in a JSON file."""
    write_json(path, {**read_json(path), **changes})


def resumed(run, *options):
    return run_folder.resumed_settings(
        settings.parse_training(['--resume', str(run), *map(str, options)]))


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """begin(*options) makes a run folder of no frames, all in the same second."""
    data = SimpleNamespace(training=[], validation=[], digests={}, classes=(), label_values={},
                           bits=16)
    monkeypatch.setattr(run_folder, 'environment', lambda device: {})
    monkeypatch.setattr(run_folder, 'low_light', lambda frames: 0.2)
    monkeypatch.setattr(run_folder.time, 'strftime', lambda pattern: 'now')
    return lambda *options: run_folder.begin(
        settings.parse_training(['--runs-dir', str(tmp_path), *options]), data,
        SimpleNamespace(fingerprint='x'), None)


def test_automatic_names_get_numbers_and_a_chosen_one_that_is_taken_is_refused(begin, tmp_path):
    """Before the data set is read, and where it was taken meanwhile."""
    assert [os.path.basename(begin().folder) for _ in range(3)] == ['now', 'now-2', 'now-3']
    for name in os.listdir(tmp_path):
        assert read_json(tmp_path / name / 'config.json')['settings']['name'] == name
    folder = begin('--name', 'mine').folder
    words = ['--name', 'mine', '--epochs', '7']
    before = read_json(f'{folder}/config.json')
    args = settings.parse_training(['--runs-dir', str(tmp_path), *words])
    for start in (lambda: run_folder.resumed_settings(args), lambda: begin(*words)):
        with pytest.raises(InputError, match='a run of that name already; .*--resume .* --name'):
            start()
    assert read_json(f'{folder}/config.json') == before
    assert len(os.listdir(tmp_path)) == 4


def test_run_in_use_is_refused(tmp_path):
    with Log() as first, Log() as second:
        first.attach(str(tmp_path))
        with pytest.raises(InputError, match='another process is using this folder'):
            second.attach(str(tmp_path))


@pytest.mark.parametrize('options, complaint', [
    (['--image-size', '32x64'], '--image-size 32x64: .* has --image-size 64x192; leave the option'),
    (['--epochs', 1], '--epochs 1: .* has --epochs 3; it can only be increased'),
    (['--batch-size', 3], '--batch-size 3: .* has --batch-size 2; it can only be lowered'),
    (['--preset', 'quick'], '--preset quick: .* has no --preset; leave the option'),
    (['--deterministic'], '--deterministic: .* has no --deterministic; leave the option')])
def test_changed_settings_are_refused_with_both_values(trained_run, options, complaint):
    with pytest.raises(InputError, match=complaint):
        resumed(trained_run, *options)


def test_settings_come_from_the_run(trained_run):
    args = resumed(f'{trained_run}/', '--epochs', 7, '--l2', 1e-4, '--batch-size', 1, '--debug')
    assert (args.epochs, args.copies, args.image_size, args.batch_size) == (7, 2, (64, 192), 1)
    assert os.path.join(args.runs_dir, args.name) == trained_run
    assert resumed(trained_run, '--epochs', 3, '--batch-size', 2).epochs == 3  # typed again
    args.init = 'gone'  # what it began with is needed no more
    assert run_folder.initial_weights(args, None, None) == {}


def test_moved_data_and_encoder_are_found(copied_run, vgg_dir, tmp_path, monkeypatch):
    """Relative paths lead from the working directory, else from the one where the run began."""
    config = read_json(copied_run / 'config.json')
    paths = {'data_dir': 'data', 'dataset_dir': 'data/road', 'vgg_dir': 'data/vgg'}
    edit(copied_run / 'config.json', settings={**config['settings'], **paths},
         working_directory=str(tmp_path / 'there'))
    for place in ('here/data', 'there/data/road', 'moved/data/road', 'there/other'):
        os.makedirs(tmp_path / place)
    monkeypatch.chdir(tmp_path / 'here')
    run = run_folder.load(str(copied_run))
    assert run.settings['data_dir'] == 'data' and run.settings['vgg_dir'] == 'data/vgg'
    assert run.settings['dataset_dir'] == str(tmp_path / 'there/data/road')
    with pytest.raises(InputError, match='gone: no such folder; give .* as --dataset-dir'):
        run_folder.find_dataset(run, 'gone')
    assert run_folder.find_encoder(run, vgg_dir).folder == vgg_dir
    with pytest.raises(InputError, match=f'{vgg_dir}: is not the encoder of'):
        run_folder.find_encoder(run._replace(encoder='x'), vgg_dir)
    monkeypatch.chdir(tmp_path / 'there')
    args = resumed(copied_run, '--data-dir', '../moved/data', '--vgg-dir', 'other')
    assert args.dataset_dir == '../moved/data/road' and args.vgg_dir == 'other'
    os.makedirs(tmp_path / 'moved/other')
    edit(copied_run / 'config.json', settings={**config['settings'], **paths, 'vgg_dir': 'other'})
    args = resumed(copied_run, '--data-dir', '../moved/data')
    assert args.vgg_dir == 'other'  # not ../moved/data/../other: it was not in the data folder
    with pytest.raises(InputError, match='gone: no such folder; give .* as --vgg-dir'):
        resumed(copied_run, '--vgg-dir', 'gone')  # another one is not downloaded
    edit(copied_run / 'config.json', settings={**config['settings'], 'sample': True})
    assert resumed(copied_run, '--vgg-dir', 'gone').vgg_dir == 'gone'  # it is made again


def test_data_folder_of_another_machine_is_not_made(trained_run, tmp_path):
    write_folder(tmp_path, grey(0, 2), classes='0 sky\n1 car\n2 road\n')
    run = run_folder.load(trained_run)
    run.settings.update(dataset='folder', data_dir=str(tmp_path / 'alice' / 'data'),
                        target=['road'])
    data = run_folder.find_dataset(run, str(tmp_path))
    assert [each.name for each in data.classes] == ['not road', 'road']
    assert not (tmp_path / 'alice').exists()


LONGER = 'a longer training with higher scores'


@pytest.mark.parametrize('words, third, promise', [
    (['--dataset-dir', 'my data', '--target', 'car'],
     ['--dataset-dir', 'my data', '--target', 'car', '--preset', 'quick'],
     'takes two minutes more on KITTI Road and scores three points more'),
    (['--preset', 'quick', '--init', 'a', '--val-frames', '5'],
     ['--val-frames', '5', '--init', 'a', '--preset', 'laptop'], LONGER),
    (['--preset', 'laptop'], ['--preset', 'best'], LONGER), (['--preset', 'best'], None, 'videos'),
    (['--dataset', 'camvid'], ['--dataset', 'camvid', '--preset', 'quick'], 'points more'),
    (['--sample'], ['--download-kitti', '--preset', 'quick'], 'real images')])
def test_next_commands_can_be_run_as_they_stand(words, third, promise):
    values = vars(settings.parse_training(words))
    run = run_folder.Run('runs/a run', values, 'x', ['a'], ['b'], kitti.CLASSES, {}, 0.2)
    text = run_folder.next_commands(run)
    commands = [shlex.split(line, comments=True)[2:] for line in text.split('\n')[1:]]
    expected = [['evaluate', 'runs/a run'], ['predict', 'runs/a run', 'PICTURES']]
    assert commands == expected + ([third] if third else [])
    assert text.endswith(promise)
    for command in commands:
        settings.parse(command)


@pytest.mark.parametrize('file, changes, complaint', [
    ('config.json', None, 'config.json: damaged'),
    ('config.json', {'encoder': 'x'}, 'belongs to another run'),
    ('config.json', {'settings': {'image_size': [160]}}, 'config.json: another version'),
    ('environment.json', None, 'environment.json: missing or damaged; copy the run again'),
    ('checkpoints/last/state.json', None, 'state.json: .*damaged.*move .*last away'),
    ('checkpoints/last/state.json', {'image_size': [1, 2]}, r'is \[1, 2\] and not \[64, 192\]'),
    ('checkpoints/last/state.json', {'rows': [{'epoch': 1}]}, 'state.json: another version of'),
    ('config.json', {'kitti_dir': 'x'}, 'config.json: another version of this program wrote it')])
def test_broken_run_is_refused_in_one_line(copied_run, capsys, file, changes, complaint):
    edit(copied_run / file, **changes) if changes else os.truncate(copied_run / file, 90)
    assert main.main(['--resume', str(copied_run), '--epochs', '4']) == 2
    assert re.search(f'(?m)^Error: .*{complaint}.*\n\\Z', capsys.readouterr().err)


@pytest.mark.parametrize('name, value', [
    ('learning_rate', 0), ('train_encoder', 'conv9'), ('keep_prob', 5), ('augment', ['blur'])])
def test_a_setting_that_could_not_be_typed_is_refused(copied_run, name, value):
    config = read_json(copied_run / 'config.json')
    edit(copied_run / 'config.json',
         settings={**config['settings'], 'epochs': '3', 'name': 'renamed by hand'})
    assert run_folder.load(str(copied_run)).settings['epochs'] == 3
    edit(copied_run / 'config.json', settings={**config['settings'], name: value})
    option, _ = settings.option_text(name, value)
    with pytest.raises(InputError, match=f'config.json: argument {option}: .*; put it right'):
        run_folder.load(str(copied_run))


@pytest.mark.parametrize('begun', [True, False])
def test_a_run_that_lost_its_checkpoints_does_not_begin_anew(copied_run, begun):
    os.truncate(copied_run / 'checkpoints/last/epoch-3.index', 40)
    with pytest.raises(InputError, match='epoch-3: missing, cut short or changed since'):
        resumed(copied_run)
    shutil.rmtree(copied_run / 'checkpoints')
    os.truncate(copied_run / 'metrics.csv', 160)  # the first epoch
    with pytest.raises(InputError, match='best: missing; copy the run again, or train a new run'):
        run_folder.load(str(copied_run)) if begun else resumed(copied_run)
    args = settings.parse_training(['--resume', str(copied_run)])
    assert run_folder.resumed_settings(args, is_chief=False).epochs == 3  # has none


@pytest.fixture
def listed(tmp_path, capsys):
    """listed((run, name, score), ...): copy runs, with this score; the lines that are printed."""
    def listed(*runs):
        for source, name, score in runs:
            folder = shutil.copytree(source, tmp_path / name)
            state = read_json(folder / 'checkpoints/last/state.json')
            for row in state['rows']:
                row['val_mean_IoU' if 'val_mean_IoU' in row else 'val_MaxF'] = score
                row['seconds'] = 100
            write_json(folder / 'checkpoints/last/state.json', state)
        assert main.main(['runs', '--runs-dir', str(tmp_path)]) == 0
        return capsys.readouterr().out.rstrip('\n').split('\n')
    return listed


def test_runs_are_listed_best_first(trained_run, tmp_path, listed):
    shutil.copytree(trained_run, tmp_path / 'begun', ignore=IN_FIRST_EPOCH)
    settings = read_json(tmp_path / 'begun/config.json')['settings']
    edit(tmp_path / 'begun/config.json', settings={**settings, 'l2': 0.5})
    shutil.copytree(trained_run, tmp_path / 'small', ignore=lambda *_: ['last'])
    edit(tmp_path / 'begun/environment.json', commit='0123456789', dirty=True)
    edit(tmp_path / 'small/environment.json', commit='9876543210', dirty=False)
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
    for line, words in ((rows[0], (' 90.00 ', ' 3/3 ', ' 300.0 ', typed)),
                        (rows[1], (' 3/3 ', ' 3 ', typed)), (rows[1], (' 9876543  ',)),
                        (rows[4], (' 0/3 ', ' 0123456+ ', '--l2 0.5'))):
        for word in words:
            assert word in line
    assert '--l2' not in rows[0] and '--dataset-dir' not in text
    assert warning.startswith(f'Warning: {tmp_path / "broken"}: is no run, it has no config.json')


def test_each_data_set_and_target_has_a_table(trained_run, classes_run, tmp_path, listed):
    shutil.copytree(trained_run, tmp_path / 'other', ignore=IN_FIRST_EPOCH)
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
