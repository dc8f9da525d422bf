"""Fixtures for pytest: main.py's functions for project_tests.py, drawn data, a trained run."""

import functools
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

import main as main_module
from road.data import camvid, kitti
from road.network import vgg_folder
from road.runs import figures, run_folder
from road.sample import scenes
from tests.bad_server import serve
from tools.train_sample_encoder import random_weights

# A job in a shell's background ignores Ctrl-C, and so would all processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same examples in every run, so that a failure in CI can be repeated.
settings.register_profile('repeatable', derandomize=True, deadline=None, max_examples=25)
settings.load_profile('repeatable')


# for project_tests.py
load_vgg = pytest.fixture(lambda: main_module.load_vgg)
tf_module = pytest.fixture(lambda: main_module.tf)
layers = pytest.fixture(lambda: main_module.layers)
optimize = pytest.fixture(lambda: main_module.optimize)
train_nn = pytest.fixture(lambda: main_module.train_nn)


@pytest.fixture
def data_dir(scenes_dir):
    """A data folder: scenes in KITTI's layout under data_road."""
    return os.path.dirname(scenes_dir)


@pytest.fixture(scope='session')
def scenes_dir(tmp_path_factory):
    """Drawn scenes in KITTI's layout, three labelled and one test frame per category: read only."""
    folder = str(tmp_path_factory.mktemp('data') / 'data_road')
    scenes.write_dataset(folder, training=3, testing=1, height=94, width=310)
    label = f'{folder}/training/gt_image_2/um_road_000000.png'
    shutil.copy(label, label.replace('um_road', 'um_lane'))  # belongs to another task
    return folder


@pytest.fixture
def frames(scenes_dir):
    """The nine labelled frames of the drawn scenes."""
    return kitti.training_frames(os.path.join(scenes_dir, 'training'))


@pytest.fixture(scope='session')
def vgg_dir(tmp_path_factory):
    """A narrow VGG16 graph with random weights, fc6 and fc7 included: read only."""
    folder = str(tmp_path_factory.mktemp('graph') / 'vgg')
    vgg_folder.save(random_weights(fc_width=16), folder)
    return folder


@pytest.fixture(scope='session')
def train_run(scenes_dir, vgg_dir, tmp_path_factory):
    """Train a run by main.main: train_run(name, *options) => (exit code, its folder).

    All runs are small, in float32, and share one cache.
    """
    folder = tmp_path_factory.mktemp('place')

    def train(name, *options):
        code = main_module.main([
            '--dataset-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(folder),
            '--runs-dir', str(folder / 'runs'), '--name', name, '--image-size', '64x192',
            '--val-frames', '1', '--batch-size', '2', '--precision', 'float32',
            '--schedule', 'constant', '--augment', 'mirror', '--copies', '2', *options])
        return code, str(folder / 'runs' / name)
    return train


@pytest.fixture(scope='session', autouse=True)
def no_figures():
    """Curves and contact sheet take a second per run: trained_run alone has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main_module, 'figures', Mock())
        yield


@pytest.fixture(scope='session')
def trained_run(train_run):
    """The folder of a finished run of three epochs: read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main_module, 'figures', figures)
        code, folder = train_run('trained', '--epochs', '3')
    assert code == 0
    return folder


@pytest.fixture(scope='session')
def camvid_dir(tmp_path_factory):
    """Drawn images of 48x64 in CamVid's layout, all classes in bands: read only.

    4 training, 2 validation, 1 test image, all with labels.
    """
    folder = tmp_path_factory.mktemp('camvid')
    colours = np.uint8([*(each.colour for each in camvid.CLASSES), (0, 0, 0)])
    for split, count, first in (('train', 4, 0), ('val', 2, 4), ('test', 1, 6)):
        for part in (split, f'{split}annot'):
            (folder / part).mkdir()
        for i in range(count):
            label = np.uint8((np.arange(64) // 5 + first + i) % 12)[np.newaxis].repeat(48, axis=0)
            Image.fromarray(colours[label]).save(folder / split / f'{split}_{i}.png')
            Image.fromarray(label).save(folder / f'{split}annot' / f'{split}_{i}.png')
    return str(folder)


@pytest.fixture(scope='session')
def classes_run(camvid_dir, vgg_dir, tmp_path_factory):
    """The folder of a finished run of two epochs on 11 classes: read only."""
    folder = tmp_path_factory.mktemp('classes')
    assert main_module.main([
        '--dataset-dir', camvid_dir, '--vgg-dir', vgg_dir, '--data-dir', str(folder), '--runs-dir',
        str(folder), '--name', 'classes', '--image-size', '96x128', '--epochs', '2',
        '--precision', 'float32']) == 0
    return str(folder / 'classes')


@pytest.fixture(scope='session')
def encoder_run(train_run):
    """(folder, options) of a finished run that trains blocks of VGG16: read only."""
    options = ['--image-size', '50x170', '--epochs', '2', '--train-encoder', 'conv5',
               '--encoder-learning-rate', '1e-3', '--schedule', 'cosine', '--augment', 'all',
               '--copies', '0', '--no-cache']
    code, folder = train_run('encoder', *options)
    assert code == 0
    return folder, options


@pytest.fixture(scope='session')
def _open_once():
    # in a thread of its own, because a default graph that stays open is in the way of other tests
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        open_run = main_module.open_run  # tests replace it
        yield functools.cache(lambda folder: pool.submit(
            stack.enter_context, open_run(folder)).result())
        pool.submit(stack.close).result()


@pytest.fixture
def opened_run(_open_once, trained_run, request, monkeypatch):
    """trained_run as main.OpenRun, opened once; so main.open_run gives copies of it.

    Copies of classes_run are opened once too.
    """
    opened = _open_once(trained_run)

    def open_run(folder, *_):
        run, like = run_folder.load(str(folder)), opened
        if len(run.classes) > 2:
            like = _open_once(request.getfixturevalue('classes_run'))
        return nullcontext(like._replace(run=run))

    monkeypatch.setattr(main_module, 'open_run', open_run)
    return opened


@pytest.fixture
def copied_run(trained_run, tmp_path):
    """A copy of trained_run's folder to change, as a Path."""
    return shutil.copytree(trained_run, tmp_path / 'run')


@pytest.fixture
def copied_scenes(scenes_dir, tmp_path):
    """A copy of the drawn scenes to break."""
    return shutil.copytree(scenes_dir, str(tmp_path / 'data_road'))


@pytest.fixture
def server(tmp_path):
    """An HTTP server on this machine that serves tmp_path/served; see tests/bad_server.py."""
    (tmp_path / 'served').mkdir(exist_ok=True)
    with serve(str(tmp_path / 'served')) as address:
        yield address
