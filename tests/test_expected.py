"""Values that documentation, papers and servers state. The presets stand in docs/training.md, with
which tests/test_readme.py compares them.
"""

import importlib
import inspect
import os
import re
from types import SimpleNamespace

import pytest

import main
from road import settings
from road.data import dataset, formats
from road.data.images import fit_shape
from road.network.vgg_folder import KERAS_MD5, KERAS_URL

CHANGES = ('mirror', 'brightness', 'contrast', 'gamma', 'colour', 'crop', 'rotation')
DEFAULTS = {
    'preset': None, 'sample': False, 'data_dir': 'data', 'dataset_dir': 'data/data_road',
    'dataset': 'kitti', 'target': (), 'download_kitti': False, 'vgg_dir': 'data/vgg',
    'vgg_weights': None, 'val_frames': None, 'image_size': (192, 672), 'train_scale': 1,
    'epochs': 20, 'batch_size': 4, 'learning_rate': 0.01, 'schedule': 'cosine', 'keep_prob': 0.5,
    'l2': 1e-4, 'augment': (), 'copies': 1, 'train_encoder': 'none', 'encoder_learning_rate': 5e-5,
    'clip_norm': 0, 'seed': 0, 'class_weights': 'none', 'init': None,
    'precision': 'auto', 'deterministic': False, 'cache': True, 'cache_limit': 20,
    'runs_dir': 'runs', 'name': None, 'resume': None, 'debug': False}
SAMPLE = {'sample': True, 'dataset_dir': 'data/sample/data_road', 'vgg_dir': 'data/sample/vgg',
          'val_frames': 5, 'image_size': (96, 320), 'epochs': 10, 'batch_size': 1,
          'learning_rate': 0.1, 'keep_prob': 0.9, 'l2': 1e-5}


@pytest.mark.parametrize('words, changes', [
    ([], {}), (['--augment', 'all'], {'augment': CHANGES, 'copies': 8}), (['--sample'], SAMPLE)])
def test_defaults(words, changes):
    assert vars(settings.parse_training(words)) == {**DEFAULTS, **changes}
    assert settings.parse(['predict', 'run', 'a.png'])[1].overlay == 'both'


@pytest.mark.parametrize('words, images, epochs', [
    ([], 241, 20), ([], 120, 20), ([], 40, 61), ([], 12, 203), ([], 5, 305), ([], 1, 610),
    (['--preset', 'quick'], 12, 40), (['--preset', 'laptop'], 60, 12), (['--sample'], 12, 10),
    (['--epochs', '20'], 12, 20), (['--batch-size', '2'], 12, 202)])
def test_small_sets_get_half_the_steps_of_kitti(words, images, epochs, capsys):
    args = settings.parse_training(words)
    before = args.epochs
    formats.fit_settings(args, SimpleNamespace(
        format='kitti', training=range(images)))
    assert args.epochs == epochs
    line = f'--epochs is raised from {before} to {epochs}, because images are few\n'
    assert capsys.readouterr().out == line * (before != epochs)


@pytest.mark.parametrize('option, accepted, refused', [
    ('--val-frames', '1 1000', '0 1001'), ('--train-scale', '0.25 1', '0.24 1.01'),
    ('--epochs', '1 100000', '0 100001'), ('--batch-size', '1 1024', '0 1025 1.5'),
    ('--learning-rate', '1e-9 1', '0 1.1'), ('--keep-prob', '0.01 1', '0 1.1'),
    ('--l2', '0 10', '-0.1 10.1'), ('--clip-norm', '0 1e6', '-1 1000001'),
    ('--seed', '0 2147483647', '-1 2147483648'), ('--cache-limit', '0 1e6', '-1 1000001'),
    ('--augment all --copies', '0 1000', '-1 1001'),
    ('--train-encoder conv5 --encoder-learning-rate', '1e-9 1', '0 1.1'),
    ('--image-size', '32x32 8192x8192', '31x32 32x8193')])
def test_ranges(option, accepted, refused, capsys):
    for value in accepted.split():
        settings.parse_training([*option.split(), value])
    for value in refused.split():
        with pytest.raises(SystemExit):
            settings.parse_training([*option.split(), value])


def test_default_arguments():
    of_train_nn = inspect.signature(main.train_nn).parameters
    assert inspect.signature(main.layers).parameters['l2'].default == 1e-3
    assert of_train_nn['keep_prob_value'].default == 0.5
    assert of_train_nn['learning_rate_at'].default(0.3) == 1e-3


def test_images_of_about_the_usual_proportions_get_the_usual_size():
    usual = [fit_shape((100, width), (192, 672)) == (192, 672) for width in (279, 281, 437, 438)]
    assert usual == [False, True, True, False]  # 0.8 to 1.25 times as wide


def test_splits():
    """Of KITTI 16 frames of each category validate, else 15 %; 12 others are scored."""
    data = dataset.Dataset(*[None] * 5, training=list(range(40)), validation=[50], testing=[])
    for count, validation, category in (
            (2, 1, ''), (10, 2, ''), (40, 6, ''), (100, 15, ''), (40, 16, 'um')):
        frames = [dataset.Frame(str(i), 'image', category=category) for i in range(count)]
        split = dataset.with_validation(data._replace(training=frames, validation=[]))
        assert [frame.name for frame in split.validation] == [
            str(i) for i in range(count - validation, count)]
    assert data.scored_training == [0, 4, 7, 11, 14, 18, 21, 25, 28, 32, 35, 39]


@pytest.mark.parametrize('module, expected', [
    ('data.download', {'RETRIES': 5, 'WAIT': 1, 'TIMEOUT': (15, 30), 'SPARE': 2**26,
                       'PASSING': (408, 416, 425, 429, 500, 502, 503, 504)}),
    ('data.kitti', {'LICENCE': 'CC BY-NC-SA 3.0',
                    'PAGE': 'https://www.cvlibs.net/datasets/kitti/eval_road.php',
                    'LINK': 'https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip'}),
    ('network.feature_cache', {'RESERVE': 2**30, 'ENCODER_BATCH': 8}),
    ('prefetch', {'MEMORY': 128e6, 'STOP_SECONDS': 10}),
    ('network.vgg_folder', {
        'VGG_URL': 'https://s3-us-west-1.amazonaws.com/udacity-selfdrivingcar/vgg.zip'}),
    ('runs.painting', {'OUTLINE_COLOUR': (255, 255, 0), 'MISSED': (255, 50, 40),  # red
                       'FALSE': (40, 110, 255)}),
    ('runs.figures', {'SHEET_IMAGES': 24})])
def test_constants(module, expected):
    found = vars(importlib.import_module(f'road.{module}'))
    assert {name: found[name] for name in expected} == expected


def test_keras_weights_are_those_that_keras_names():
    folder = os.path.dirname(importlib.util.find_spec('keras').origin)  # not imported: it is slow
    with open(os.path.join(folder, 'src/applications/vgg16.py'), encoding='utf-8') as file:
        source = re.sub(r'"\s+"', '', file.read())
    assert re.search(r'WEIGHTS_PATH = \(\s*"(.*)"', source)[1] == KERAS_URL
    assert re.search(r'(?s)WEIGHTS_PATH,.*?file_hash="(\w+)"', source)[1] == KERAS_MD5
