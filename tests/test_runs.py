"""Run folders: what is recorded, that a stopped run ends as one left alone, and that bad ones are refused in one line."""

import csv
import glob
import json
import os
import re
import resource
import shutil
import signal
import sys

import imageio.v3 as iio
import numpy as np
import pytest

import main
from road import checkpoints, logs, options, records, runs
from road.errors import InputError
from road.tf1 import tf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import soak  # noqa: E402


@pytest.fixture(scope='module')
def place(scenes_dir, vgg_dir, tmp_path_factory):
    """A function that trains a run with main.main: (exit code, its folder). All share one cache."""
    folder = tmp_path_factory.mktemp('place')

    def train(name, *words):
        code = main.main(['--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(folder), '--runs-dir',
                          str(folder / 'runs'), '--name', name, '--image-size', '64x192', '--val-frames', '1',
                          '--batch-size', '2', '--augment', 'mirror', '--variants', '2', '--schedule', 'constant',
                          *words])
        return code, str(folder / 'runs' / name)
    return train


@pytest.fixture(scope='module')
def trained(place):
    """A finished run of three epochs: read only."""
    code, folder = place('trained', '--epochs', '3')
    assert code == 0
    return folder


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of it to break."""
    return shutil.copytree(trained, tmp_path / 'copy')


def read_json(*path):
    with open(os.path.join(*path)) as file:
        return json.load(file)


# ---------------------------------------------------------------------------------------------------- records


def test_a_run_records_what_it_needs(trained):
    assert {'command.txt', 'config.json', 'environment.json', 'log.txt', 'metrics.csv', 'metrics.json', 'checkpoints', 'events',
            'curves.png', 'contact_sheet.png', 'road.gif', 'images'} == set(os.listdir(trained))
    settings = read_json(trained, 'config.json')['settings']
    assert settings.keys() == vars(options.parse([])[1]).keys() - {'resume', 'debug'}
    environment = read_json(trained, 'environment.json')
    assert environment['tensorflow'] == tf.version.VERSION and len(environment['labels']) == 32
    assert {'commit', 'dirty', 'python', 'cuda', 'numpy', 'device', 'processor', 'encoder'} <= environment.keys()
    for name in ('curves.png', 'contact_sheet.png'):
        assert iio.imread(os.path.join(trained, name)).std() > 10
    assert len(iio.imread(os.path.join(trained, 'road.gif'))) == 3
    for name in ('last', 'best'):
        folder = os.path.join(trained, 'checkpoints', name)
        assert sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder)) < 1e6
        assert len(os.listdir(folder)) == 3
        variables = [name for name, _ in tf.train.list_variables(checkpoints.read(folder)[0])]
        assert ('decoder/score_fr/kernel/Adam' in variables) == ('beta1_power' in variables) == (name == 'last')
        assert 'decoder/score_fr/kernel' in variables and not any(name.startswith(('conv', 'fc')) for name in variables)


def test_screen_log_and_metrics_show_the_same_figures(trained):
    with open(os.path.join(trained, 'metrics.csv'), newline='') as file:
        rows = list(csv.DictReader(file))
    log = open(os.path.join(trained, 'log.txt')).read().split('\n')
    start = log.index(records.HEADER)
    assert [line.split() for line in log[start:start + 4]] == [list(records.FORMATS)] + [list(row.values()) for row in rows]
    assert log[0].startswith('TensorFlow') and log[-2].startswith('Best on validation: epoch')
    figures = read_json(trained, 'metrics.json')
    best = max(rows, key=lambda row: float(row['val_MaxF']))
    assert figures['epochs'] == len(rows) == 3 and f'{figures["best"]["val_MaxF"]:.2f}' == best['val_MaxF']


def test_events_hold_figures_and_pictures_and_no_graph(trained):
    path, = glob.glob(os.path.join(trained, 'events', '*'))
    events = list(tf.train.summary_iterator(path))
    assert not any(event.HasField('graph_def') or event.HasField('meta_graph_def') for event in events)
    values = {(event.step, value.tag): value for event in events for value in event.summary.value}
    figures = read_json(trained, 'metrics.json')
    np.testing.assert_allclose(values[3, 'loss/cross_entropy'].simple_value, figures['last']['cross_entropy'], rtol=1e-6)
    shown = [tag for _, tag in values if tag.startswith('validation/u')]
    assert shown == ['validation/um_000002', 'validation/umm_000002', 'validation/uu_000002']
    assert values[1, shown[0]].image.height == 3 * 47


def test_a_run_is_not_written_over(place, trained, capsys):
    before = {path: os.stat(path).st_mtime_ns for path in glob.glob(os.path.join(trained, '**'), recursive=True)}
    assert place('trained')[0] == 2
    error = capsys.readouterr().err
    assert f'--resume {trained}' in error and 'another --name' in error
    assert before == {path: os.stat(path).st_mtime_ns for path in glob.glob(os.path.join(trained, '**'), recursive=True)}


def test_runs_are_shown_best_first(trained, tmp_path, capsys):
    for name, score in (('low', 10.0), ('high', 90.0)):
        folder = shutil.copytree(trained, tmp_path / name)
        prefix, state = checkpoints.read(str(folder / 'checkpoints' / 'last'))
        for row in state['rows']:
            row['val_MaxF'] = score
        path = folder / 'checkpoints' / 'last' / 'state.json'
        path.write_text(json.dumps({**read_json(path), 'rows': state['rows']}))
    config = read_json(tmp_path, 'low', 'config.json')
    config['settings']['l2'] = 0.5
    (tmp_path / 'low' / 'config.json').write_text(json.dumps(config))
    (tmp_path / 'broken').mkdir()
    assert main.main(['runs', '--runs-dir', str(tmp_path)]) == 0
    lines = capsys.readouterr().out.split('\n')
    assert [line.split()[0] for line in lines[:3]] == ['run', 'high', 'low'] and ' 90.00 ' in lines[1]
    assert lines[2].endswith('--l2 0.5') and lines[1].endswith('--l2 0.0001')
    assert lines[3].startswith('Warning:') and 'broken' in lines[3]


# ----------------------------------------------------------------------------------------------------- resume


@pytest.fixture
def stop(monkeypatch):
    """A function that has the signal `number` come with the given call of main.validate, of which there are two an epoch."""
    after = main.validate
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore Ctrl-C

    def stop(number, call):
        calls = []

        def validate(outputs):
            calls.append(outputs)
            if len(calls) == call:
                os.kill(os.getpid(), number)
            return after(outputs)
        monkeypatch.setattr(main, 'validate', validate)
    yield stop
    signal.signal(signal.SIGINT, before)


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(place, trained, stop, monkeypatch, capsys):
    """Ctrl-C in the second epoch, SIGTERM after going on, then to more epochs than planned: it equals a run in one go."""
    stop(signal.SIGINT, 3)
    code, folder = place('stopped', '--epochs', '2')
    assert code == 130
    stop(signal.SIGTERM, 2)
    assert main.main(['--resume', folder]) == 143
    assert capsys.readouterr().out.count(f'python main.py --resume {folder}') == 2
    assert checkpoints.read(f'{folder}/checkpoints/last')[1]['epoch'] == 1
    assert 'Its last finished epoch is kept' in open(f'{folder}/log.txt').read()
    monkeypatch.undo()
    assert main.main(['--resume', folder, '--epochs', '3']) == 0
    assert soak.final(folder) == soak.final(trained)
    assert len(open(f'{folder}/command.txt').readlines()) == 3 and read_json(folder, 'config.json')['settings']['epochs'] == 3


def test_so_does_one_that_trains_the_encoder(place, stop, monkeypatch):
    """With a rate that falls over the epochs, and variants drawn afresh."""
    words = ['--epochs', '3', '--train-encoder', 'conv5', '--encoder-learning-rate', '1e-3', '--schedule', 'cosine', '--augment',
             'all', '--variants', '0']
    assert place('encoder', *words)[0] == 0
    stop(signal.SIGINT, 4)
    code, folder = place('encoder-stopped', *words)
    assert code == 130
    monkeypatch.undo()
    assert main.main(['--resume', folder]) == 0
    assert soak.final(folder) == soak.final(os.path.join(os.path.dirname(folder), 'encoder'))


@pytest.mark.parametrize('words, complaint', [
    (['--l2', '0.5'], r'--l2 0.5: .* has --l2 0.0001; leave it out'),
    (['--image-size', '32x64'], '--image-size 32x64: .* has --image-size 64x192'),
    (['--no-cache'], '--cache False: .* has --cache True'),
    (['--epochs', '1'], '--epochs 1: .* has --epochs 3; more can be given, fewer not')])
def test_changed_settings_are_refused_with_both_values(trained, words, complaint):
    with pytest.raises(InputError, match=complaint):
        runs.settings_to_resume(options.parse_training(['--resume', trained, *words]))


def test_settings_come_from_the_run(trained):
    settings = runs.settings_to_resume(options.parse_training(['--resume', trained + '/', '--epochs', '7', '--l2', '1e-4']))
    assert (settings.epochs, settings.variants, settings.image_size, settings.name) == (7, 2, (64, 192), 'trained')


def edit(path, **changes):
    state = read_json(path)
    with open(path, 'w') as file:
        json.dump({**state, **changes}, file)


@pytest.mark.parametrize('break_it, complaint', [
    (lambda run: shutil.rmtree(run), 'not a run'),
    (lambda run: os.truncate(run / 'config.json', 90), 'config.json: damaged'),
    (lambda run: os.truncate(run / 'checkpoints/last/state.json', 90), 'state.json: damaged.*move .*checkpoints away'),
    (lambda run: os.truncate(glob.glob(str(run / 'checkpoints/last/*data*'))[0], 90), 'cut short or changed, 90 bytes where'),
    (lambda run: os.remove(glob.glob(str(run / 'checkpoints/last/*.index'))[0]), 'index: is missing'),
    (lambda run: edit(run / 'checkpoints/last/state.json', encoder='x'), 'belongs to another run, its encoder is x'),
    (lambda run: edit(run / 'checkpoints/last/state.json', image_size=[1, 2]), r'its image_size is \[1, 2\] and not \[64, 192\]'),
    (lambda run: edit(run / 'checkpoints/last/state.json', rows=[{'epoch': 1}]), 'state.json: damaged'),
    (lambda run: edit(run / 'environment.json', labels='x'), 'frames or labels are not those'),
    (lambda run: edit(run / 'config.json', encoder='x'), 'belongs to another run|not the encoder')])
def test_broken_runs_are_refused_in_one_line(copy, capsys, break_it, complaint):
    break_it(copy)
    assert main.main(['--resume', str(copy)]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.split('\n') if line.startswith('Error:')]
    assert len(lines) == 1 and re.search(complaint, lines[0]) and 'Traceback' not in error


def test_a_run_that_is_going_on_is_not_resumed(copy, capsys):
    with logs.Log() as log:
        log.keep_in(str(copy))
        assert main.main(['--resume', str(copy)]) == 2
    assert 'another process' in capsys.readouterr().err


def test_evaluate_refuses_a_checkpoint_that_is_cut_short(copy, capsys):
    os.truncate(glob.glob(str(copy / 'checkpoints/best/*data*'))[0], 90)
    assert main.main(['evaluate', str(copy)]) == 2
    assert 'cut short or changed' in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ checkpoints


@pytest.fixture
def saved(tmp_path):
    """(folder of a checkpoint in which x is 1, saver, sess, function that sets x)."""
    with tf.Graph().as_default(), tf.Session() as sess:
        x, value = tf.get_variable('x', [1000]), tf.placeholder(tf.float32, [])
        put = tf.assign(x, tf.fill([1000], value))
        saver = tf.train.Saver([x], max_to_keep=None)
        sess.run(put, {value: 1})
        folder = str(tmp_path / 'last')
        checkpoints.save(folder, saver, sess, {'epoch': 1})
        yield folder, saver, sess, lambda number: sess.run(put, {value: number})


def value_of(folder, saver, sess):
    prefix, state = checkpoints.read(folder)
    checkpoints.restore(saver, sess, prefix)
    return state['epoch'], sess.run(sess.graph.get_collection('variables')[0])[0]


@pytest.mark.parametrize('call', ['replace', 'remove'])
def test_a_checkpoint_killed_while_written_leaves_a_whole_one(saved, monkeypatch, call):
    folder, saver, sess, put = saved
    put(2)

    def dies(*_):
        raise KeyboardInterrupt

    for _ in range(2):  # also over what the first one left
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkpoints.os, call, dies)
            checkpoints.save(folder, saver, sess, {'epoch': 2})
        assert value_of(folder, saver, sess) == ((1, 1) if call == 'replace' else (2, 2))
    checkpoints.tidy(folder)
    assert value_of(folder, saver, sess)[0] == (1 if call == 'replace' else 2) and len(os.listdir(folder)) == 3
    checkpoints.save(folder, saver, sess, {'epoch': 3})
    assert value_of(folder, saver, sess)[0] == 3 and len(os.listdir(folder)) == 3


@pytest.mark.parametrize('limit', [100, 1000])
def test_a_full_disk_is_one_clear_line_and_keeps_the_former_checkpoint(saved, limit):
    """A real failure to write: files may not grow beyond a limit, which either the data or already the index meets."""
    folder, saver, sess, put = saved
    put(2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with pytest.raises(InputError, match=r'last.*: cannot be written \(File too large\); earlier epochs are kept') as raised:
            checkpoints.save(folder, saver, sess, {'epoch': 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert '\n' not in str(raised.value)
    assert value_of(folder, saver, sess) == (1, 1)


def test_a_checkpoint_of_another_network_is_refused(saved):
    folder, _, _, _ = saved
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.get_variable('y', [1000])
        with pytest.raises(InputError, match='not a checkpoint of this network'):
            checkpoints.restore(tf.train.Saver(), sess, checkpoints.read(folder)[0])


# -------------------------------------------------------------------------------------------------------- soak


def test_killed_runs_end_as_one_left_alone(tmp_path):
    """tests/soak.py with three kills, in real processes."""
    phases = [phase for phase in dict(soak.PHASES).items() if phase[0] in ('cache', 'checkpoint', 'images')]
    counts, compared, differing = soak.soak(str(tmp_path), 3, phases=phases, report=lambda *_, **__: None)
    assert sum(counts.values()) == 3 and compared == 1 and not differing
