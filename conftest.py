"""Fixtures for pytest: main.py's functions for project_tests.py, and small drawn data for tests/."""

import os

import pytest

import main as main_module


@pytest.fixture
def load_vgg():
    return main_module.load_vgg


@pytest.fixture
def tf_module():
    return main_module.tf


@pytest.fixture
def layers():
    return main_module.layers


@pytest.fixture
def optimize():
    return main_module.optimize


@pytest.fixture
def train_nn():
    return main_module.train_nn


@pytest.fixture
def data_dir(scenes_dir):
    """A data folder: scenes in KITTI's layout under data_road."""
    return os.path.dirname(scenes_dir)


@pytest.fixture(scope='session')
def scenes_dir(tmp_path_factory):
    """Drawn scenes in KITTI's layout, three labelled and one test frame a category, shared by all tests: read only."""
    from road import scenes
    folder = str(tmp_path_factory.mktemp('data') / 'data_road')
    scenes.write_dataset(folder, training=3, testing=1, height=94, width=310)
    return folder


@pytest.fixture(scope='session')
def vgg_dir(tmp_path_factory):
    """A narrow VGG16 graph with random weights, fc6 and fc7 included: read only."""
    from road import vgg16
    folder = str(tmp_path_factory.mktemp('graph') / 'vgg')
    vgg16.save_graph(vgg16.random_weights(fc_width=16), folder)
    return folder


@pytest.fixture
def server(tmp_path):
    """A real HTTP server on this machine, which serves tmp_path/served and can misbehave: see tests/bad_server.py."""
    from tests.bad_server import serve
    (tmp_path / 'served').mkdir(exist_ok=True)
    with serve(str(tmp_path / 'served')) as address:
        yield address
