"""Names of runs that are made at the same time."""

import os
from types import SimpleNamespace

import pytest

from road import settings
from road.errors import InputError
from road.files import read_json
from road.runs import run_folder


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


def test_automatic_names_get_numbers(begin, tmp_path):
    assert [os.path.basename(begin().folder) for _ in range(3)] == ['now', 'now-2', 'now-3']
    for name in os.listdir(tmp_path):
        assert read_json(tmp_path / name / 'config.json')['settings']['name'] == name


def test_chosen_name_that_is_taken_meanwhile_is_refused(begin, tmp_path):
    folder = begin('--name', 'mine').folder
    before = read_json(f'{folder}/config.json')
    with pytest.raises(InputError, match='a run of that name already; .*--resume .* --name'):
        begin('--name', 'mine', '--epochs', '7')
    assert read_json(f'{folder}/config.json') == before
    assert os.listdir(tmp_path) == ['mine']
