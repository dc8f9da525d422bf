"""The command line: bad input ends with one clear line and exit code 2, and the README says nothing untrue."""

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

import main
from road import options

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def outcome(capsys, *argv):
    """(exit code, standard error) of main.main."""
    try:
        code = main.main([str(word) for word in argv])
    except SystemExit as stop:  # argparse
        code = stop.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize('argv, complaint', [
    (['--image-size', '160'], "'160' is not HxW"), (['--image-size', '160x0'], "'160x0' is not HxW"),
    (['--epochs', '0'], "'0' is not a whole number from 1"), (['--epochs', 'many'], "'many' is not a whole number"),
    (['--keep-prob', '0'], "'0' is not a number from 0.01 to 1"), (['--learning-rate', 'nan'], "'nan' is not a number"),
    (['--name', '../x'], "'../x' is not a name"), (['--sample', '--vgg-dir', 'x'], 'leave out --vgg-dir'),
    (['--sample', '--download-kitti'], 'leave out --download-kitti'), (['--sample', '--preset', 'laptop'], 'leave out --preset'),
    (['--augment', 'mirror,blur'], "'blur' is none of mirror, brightness"), (['--augment', ''], "'' is none of"),
    (['--train-encoder', 'conv6'], "invalid choice: 'conv6'"), (['--preset', 'phone'], "invalid choice: 'phone'"),
    (['--train-encoder', 'all', '--precision', 'float16'], 'its gradients are too small for float16'),
    (['--precision', 'half'], "invalid choice: 'half'"), (['evaluate'], 'RUN')])
def test_bad_settings_are_named(capsys, argv, complaint):
    code, error = outcome(capsys, *argv)
    assert code == 2 and complaint in error and 'Traceback' not in error


@pytest.mark.parametrize('break_it, complaint', [
    (lambda d: shutil.rmtree(d), 'KITTI Road is not there.*https://www.cvlibs.*data_road.zip.*--sample'),
    (lambda d: os.remove(f'{d}/training/image_2/um_000000.png'), 'um_road_000000.png: is the label of an image that is missing'),
    (lambda d: os.truncate(f'{d}/training/gt_image_2/uu_road_000001.png', 60), 'uu_road_000001.png: not a readable image'),
    (lambda d: os.truncate(f'{d}/training/image_2/uu_000001.png', 3000), 'uu_000001.png: not a readable image'),
    (lambda d: shutil.rmtree(f'{d}/testing'), 'testing/image_2: no such folder')])
def test_bad_data_is_named(capsys, scenes_dir, vgg_dir, tmp_path, break_it, complaint):
    folder = str(tmp_path / 'data_road')
    shutil.copytree(scenes_dir, folder)
    break_it(folder)
    code, error = outcome(capsys, '--kitti-dir', folder, '--vgg-dir', vgg_dir, '--data-dir', tmp_path, '--runs-dir',
                          tmp_path / 'runs', '--val-frames', '1', '--image-size', '64x192', '--epochs', '1')
    message = [line for line in error.split('\n') if line.startswith('Error:')]
    assert code == 2 and len(message) == 1 and re.search(complaint, message[0]) and 'Traceback' not in error


def test_bad_weights_graphs_and_runs_are_named(capsys, scenes_dir, vgg_dir, tmp_path):
    data = ['--kitti-dir', scenes_dir, '--val-frames', '1', '--runs-dir', tmp_path / 'runs', '--data-dir', tmp_path]
    broken = tmp_path / 'broken.h5'
    broken.write_bytes(b'nothing')
    for argv, complaint in (
            ([*data, '--vgg-weights', broken], 'broken.h5: not readable as VGG16 weights'),
            ([*data, '--vgg-weights', tmp_path / 'none.npz'], 'none.npz: no such file'),
            (['evaluate', tmp_path / 'runs' / 'none'], 'none: not a run'),
            (['--resume', tmp_path / 'runs' / 'none'], 'none: not a run'),
            (['runs', '--runs-dir', tmp_path / 'none'], 'none: no such folder')):
        code, error = outcome(capsys, *argv)
        assert code == 2 and complaint in error and 'Traceback' not in error
    (tmp_path / 'runs' / 'first').mkdir(parents=True)
    code, error = outcome(capsys, *data, '--vgg-dir', vgg_dir, '--name', 'first')
    assert code == 2 and 'first: there is a run of that name already' in error


@pytest.mark.parametrize('error', [MemoryError(), main.tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating')])
def test_out_of_memory_names_what_to_lower(capsys, monkeypatch, error):
    def train(args):
        raise error
    monkeypatch.setitem(main.COMMANDS, 'train', train)
    code, printed = outcome(capsys, '--image-size', '320x1152', '--batch-size', '8')
    assert code == 2 and printed == ('Error: out of memory at image size 320x1152 and batch size 8; lower --batch-size, then '
                                     '--image-size (half the height and width takes a quarter)\n')


def test_damaged_runs_are_named(capsys, scenes_dir, vgg_dir, tmp_path):
    """config.json of a run, cut or of another kind: one line, whatever it is. (tests/test_runs.py has the checkpoints.)"""
    from road import runs, vgg16
    settings = {**vars(options.parse_training(['--image-size', '64x192', '--precision', 'float32'])), 'vgg_dir': vgg_dir,
                'kitti_dir': scenes_dir}
    frames = main.kitti.training_frames(os.path.join(scenes_dir, 'training'))
    run = runs.create(str(tmp_path), 'run', settings, vgg16.fingerprint(vgg_dir), frames[:2], frames[2:3], 'CPU', 'float32')
    code, error = outcome(capsys, 'evaluate', run.folder)
    assert code == 2 and 'no checkpoint; the run ended before its first epoch did' in error
    path = os.path.join(run.folder, 'config.json')
    whole = open(path).read()
    for content in ('', '[]', '{}', whole[:-50], whole.replace('64', '"64"'), whole.replace('64', '1e9'), 'null', '[' * 100000,
                    whole.replace('"precision"', '"decision"'), whole.replace('float32', 'float31'),
                    whole.replace('"um_000000"', '7'), whole.replace('"vgg_dir": "', '"vgg_dir": "\\u0000')):
        with open(path, 'w') as file:
            file.write(content)
        code, error = outcome(capsys, 'evaluate', run.folder)
        assert code == 2 and f'{path}: damaged; expected what training wrote there' in error and 'Traceback' not in error


def test_a_preset_is_defaults_that_what_is_given_overrides():
    for name, defaults in options.PRESETS.items():
        settings = vars(options.parse_training(['--preset', name, '--epochs', '7']))
        assert settings['epochs'] == 7 and settings['keep_prob'] == 0.5
        assert {key: settings[key] for key in defaults} == {**defaults, 'epochs': 7}
        assert settings.keys() == vars(options.parse_training([])).keys()


@pytest.mark.parametrize('text, names, shown', [('all', options.AUGMENTATIONS, 'all'), ('none', (), 'none'),
                                                ('crop,mirror', ('mirror', 'crop'), 'mirror,crop')])
def test_augment_is_shown_as_it_is_typed(text, names, shown):
    assert options.parse_training(['--augment', text]).augment == names
    assert options.words('augment', names) == ('--augment', shown) == options.words('augment', list(names))


def test_import_does_nothing_and_start_is_quiet(tmp_path):
    """Importing main neither parses arguments nor prints, and --help works from another process without noise."""
    environment = {key: value for key, value in os.environ.items() if key != 'TF_CPP_MIN_LOG_LEVEL'}
    result = subprocess.run([sys.executable, '-c', 'import main; s = main.tf.Session(); print("fine")', '--no-such-option'],
                            cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, 'fine\n', '')


def test_every_option_is_used():
    """A setting that is parsed and then read nowhere does nothing."""
    source = open(os.path.join(ROOT, 'main.py')).read()
    for command in ([], ['evaluate', 'x'], ['submit', 'x'], ['predict', 'x', 'y'], ['export', 'x'], ['check'], ['runs'], ['experiments', 'x'],
                    ['benchmark']):
        for name in vars(options.parse(command)[1]):
            assert f'args.{name}' in source, name


def test_readme_names_only_what_there_is():
    """Every option and file the README names exists, and its commands parse."""
    readme = open(os.path.join(ROOT, 'README.md')).read()
    known = set()
    for command in ([], ['evaluate'], ['submit'], ['predict'], ['export'], ['check'], ['runs'], ['experiments'],
                    ['benchmark']):
        with pytest.raises(SystemExit), redirect_stdout(io.StringIO()) as shown:
            options.parse([*command, '--help'])
        known |= set(re.findall(r'--[a-z0-9-]+', shown.getvalue()))
    own = re.sub(r'(?m)^.*(conda|pip install).*$', '', readme)
    assert set(re.findall(r'(?<![\w-])--[a-z][a-z0-9-]+', own)) <= known
    assert {f'--{name.replace("_", "-")}' for name in vars(options.parse([])[1])} <= set(re.findall(r'--[a-z0-9-]+', readme))
    for path in re.findall(r'\]\((imgs/[^)]+)\)', readme):
        assert os.path.exists(os.path.join(ROOT, path)), path
    for line in re.findall(r'(?m)^ +.*\.venv/bin/python main\.py ?([^#\n]*)', readme):
        options.parse(line.split())
