"""The command line: what is accepted and what is refused in one line."""

import os
import re
from pathlib import Path

import pytest

from road import settings


@pytest.mark.parametrize('argv, complaint', [
    (['--image-size', '160x0'], "'160x0' is not HxW"), (['--name', '..'], "'..' is not a name"),
    (['--epochs', 'x'], "'x' is not a whole number from 1"), (['--name', '../x'], 'is not a name'),
    (['--learning-rate', 'nan'], "'nan' is not a number from 1e-09 to 1"),
    *((['--sample', option, 'x'], f'leave out {option}') for option in (
        '--dataset-dir', '--target', '--vgg-dir', '--vgg-weights')),
    (['--augment', 'mirror,blur'], "'blur' is none of mirror, brightness"),
    *((['predict', 'r', 'x', '--share', share], f'{share!r} is not I/N with I from 1 to N')
      for share in ('0/2', '3/2', '1', '1/0')),
    (['--copies', '3'], '--copies 3 needs --augment'), (['evaluate'], 'RUN'),
    *(([*words, '--copies', '1'], 'the first copy of an image is the image itself')
      for words in (['--augment', 'all'], ['--preset', 'quick'])),
    (['--encoder-learning-rate', '1e-4'], 'needs --train-encoder'),
    (['--no-cache', '--cache-limit', '2'], 'does nothing with --no-cache'),
    (['--download-kitti', '--dataset', 'camvid'], 'downloads KITTI Road, not camvid'),
    (['predict', 'holiday.jpg'], 'holiday.jpg: nothing to paint; give a run and then'),
    (['--data-dir', 'caf\udce9'], "caf\\udce9' is no UTF-8"),
    (['export', 'r', '--int8'], '--int8 needs --format onnx'),
    (['--epohcs', '3'], 'did you mean --epochs?'),
    (['predict', 'r', 'x', '--overlya'], 'did you mean --overlay?'),
    (['evaluat', 'x'], "no command 'evaluat'; did you mean evaluate?; the commands are train, ")])
def test_mistakes_are_one_line_that_names_them(capsys, argv, complaint):
    with pytest.raises(SystemExit) as stop:
        settings.parse(argv)
    assert stop.value.code == 2
    assert re.fullmatch(f'Error: .*{re.escape(complaint)}.*\n', capsys.readouterr().err)


@pytest.mark.parametrize('word', ['help', '--help', '--version'])
def test_help_and_version_end_well(capsys, word):
    with pytest.raises(SystemExit) as stop:
        settings.parse([word])
    assert stop.value.code == 0
    version = f'version = "{capsys.readouterr().out.split()[-1]}"'
    assert (version in Path('pyproject.toml').read_text('utf-8')) == (word == '--version')


def test_run_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'runs' / 'mine').mkdir(parents=True)
    assert settings.parse(['evaluate', 'mine'])[1].run == os.path.join('runs', 'mine')
    for option, runs_dir in (('resume', 'runs'), ('init', 'elsewhere')):
        args = settings.parse_training([f'--{option}', 'mine', '--runs-dir', runs_dir])
        assert vars(args)[option] == os.path.join('runs', 'mine')
    (tmp_path / 'mine').mkdir()
    assert settings.parse(['evaluate', 'mine'])[1].run == 'mine'
    assert settings.parse(['evaluate', 'other'])[1].run == 'other'


def test_options_may_stand_anywhere_and_folders_may_end_in_a_slash():
    _, args = settings.parse(['predict', 'a', '--overlay', 'mask', 'b.png', '--confidence', 'c'])
    assert (args.run, args.inputs) == ('a', ['b.png', 'c'])
    _, args = settings.parse(['predict', '--overlay', 'mask', '--', '-a', 'b', '/-c'])
    assert (args.run, args.inputs) == ('-a', ['./b', '/-c'])
    args = settings.parse_training(['--vgg-dir', 'vgg/', '--runs-dir', './mine/'])
    assert (args.vgg_dir, args.runs_dir) == ('vgg', 'mine')


def test_derived_defaults():
    assert all(settings.parse([*word, '--seed', '3'])[0] == 'train' for word in ([], ['train']))
    args = settings.parse_training(['--data-dir', 'd', '--vgg-dir', 'v'])
    assert (args.dataset_dir, args.vgg_dir) == ('d/data_road', 'v')
    assert settings.parse_training(['--preset', 'laptop', '--augment', 'none']).copies == 1
    assert settings.parse_training(['--sample', '--augment', 'all', '--copies', '0']).copies == 0
    assert settings.parse_training(['--augment', 'crop,mirror']).augment == ('mirror', 'crop')
    assert settings.parse(['export', 'r'])[1].output == 'r/export'
    assert settings.parse(['export', 'r', '--format', 'onnx'])[1].output == 'r/export-onnx'
    assert settings.parse(['export', 'r', '--output', 'o'])[1].output == 'o'


@pytest.mark.parametrize('typed', [
    '', '--sample --epochs 1', '--preset quick --seed 3 --no-cache', '--dataset-dir d --seed 1',
    '--preset quick --augment none --copies 1', '--epochs 2 --image-size 64x192',
    '--augment all --copies 3', '--augment mirror,crop --copies 3'])
def test_settings_are_shown_as_they_were_typed(capsys, typed):
    args = settings.parse_training([*typed.split(), '--name', 'a'])
    args.dataset = 'kitti'  # as it is detected
    assert settings.retype(vars(args)) == vars(args)
    settings.show(args)
    first, *notes = capsys.readouterr().out.splitlines()
    assert sorted(first.split()) == sorted(f'Settings of a: {typed or "the defaults"}'.split())
    longer = 'the encoder stays frozen; --preset quick takes two minutes more on KITTI Road and'
    assert (longer in str(notes)) == ('--sample' not in typed and '--preset' not in typed)
    args.resume = 'runs/a'
    settings.show(args)
    assert longer not in capsys.readouterr().out


def test_settings_of_other_versions_are_shown():
    values = vars(settings.parse_training([])) | {'preset': 'former', 'former': 3}
    assert settings.changed(values) == '--preset former --former 3'
    assert settings.changed(vars(settings.parse_training(['--vgg-weights', 'a.h5']))) == ''


def test_short_help_is_true(capsys):
    with pytest.raises(SystemExit):
        settings.parse(['--help'])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 45 and max(map(len, lines)) <= 100
    examples = [line.split()[2:] for line in lines if line.startswith('  python main.py')]
    commands = [settings.parse(words)[0] for words in examples]
    assert commands == ['train', 'train', 'check', 'train', 'predict', 'evaluate']
    options = [line.split()[0] for line in lines if line.startswith('  --')]
    assert len(options) == 8
    start = next(i for i, line in enumerate(lines) if line.startswith('  (default)'))
    names = 'train_encoder', 'image_size', 'train_scale', 'epochs', 'batch_size', 'copies'
    for line, preset in zip(lines[start:], ('(default)', *settings.PRESETS)):
        words = ['--preset', preset] if preset in settings.PRESETS else []
        values = vars(settings.parse_training(words))
        found, *_ = line.split()
        assert found == preset
        for name, cell in zip(names, line.split()[-6:]):
            assert settings.option_text(name, values[name])[1] in (cell, f'{cell}.0')
