"""What a run is computed with."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from road.files import read_json
from road.network import device
from road.network.tf1 import tf


@pytest.mark.parametrize('asked, gpu, has_bfloat16, expected', [
    ('auto', False, True, 'bfloat16'), ('auto', False, False, 'float32'),
    ('auto', True, True, 'float32'), ('bfloat16', True, True, 'float32'),
    ('float16', True, False, 'float16'), ('float16', False, True, 'float32')])
def test_session_has_the_precision(monkeypatch, capsys, asked, gpu, has_bfloat16, expected):
    gpus = [SimpleNamespace(name=f'NVIDIA {name}') for name in 'XY' * gpu]
    experimental = SimpleNamespace(get_device_details=lambda gpu: {'device_name': gpu.name})
    monkeypatch.setattr(tf, 'config', SimpleNamespace(
        list_physical_devices=lambda kind: gpus, experimental=experimental))
    monkeypatch.setattr(device, 'cpu_has_bfloat16', lambda: has_bfloat16)
    found = device.find_device(asked, 'conv5')
    printed = capsys.readouterr().out
    assert found.precision == expected
    where = 'GPU, NVIDIA X' if gpu else f'CPU, {os.cpu_count()} cores'
    assert printed.endswith(f'Computing on the {where}, {expected}\n')
    assert (f'--precision {asked} is for ' in printed) == (asked not in ('auto', expected))
    for config in (found.config, found.encoder_config):
        assert config.gpu_options.allow_growth
        assert half_precisions(config) == (expected == 'bfloat16', expected == 'float16')
    assert found.config.graph_options.rewrite_options.constant_folding == 2  # OFF
    assert half_precisions(device.find_device(asked).config) == (False, False)


def half_precisions(config):
    rewrite = config.graph_options.rewrite_options
    return (rewrite.auto_mixed_precision_onednn_bfloat16 == rewrite.ON,
            rewrite.auto_mixed_precision == rewrite.ON)


@pytest.mark.parametrize('driver, visible, warned', [
    ('', '0', True), ('none', '0', False), ('', '-1', False), ('', '', False)])
def test_only_a_gpu_with_a_driver_is_missed(monkeypatch, tmp_path, capsys, driver, visible, warned):
    """Not one that is hidden on purpose."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    monkeypatch.setattr(device, 'NVIDIA', str(tmp_path / driver))
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: [])
    device.find_device('float32')
    line, *warnings = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r'Computing on the CPU, \d+ cores, float32', line)
    assert ('TF_CPP_MIN_LOG_LEVEL=0' in ''.join(warnings)) == warned


@pytest.mark.slow
def test_deterministic_training(scenes_dir, vgg_dir, tmp_path):
    """In a process of its own, which stays deterministic: random operations need a seed there."""
    words = ['--dataset-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path),
             '--runs-dir', str(tmp_path), '--val-frames', '1', '--image-size', '64x96', '--epochs',
             '1', '--train-encoder', 'conv5', '--deterministic', '--name', 'run']
    subprocess.run([sys.executable, 'main.py', *words], check=True)
    assert read_json(f'{tmp_path}/run/metrics.json')


@pytest.mark.parametrize('line, found', [
    ('flags: avx512f avx512_bf16', True), ('Features: i8mm bf16', True), ('flags: avx512f', False)])
def test_bfloat16_of_other_processors(monkeypatch, line, found):
    monkeypatch.setattr(device, '_cpuinfo', lambda: line)
    assert device.cpu_has_bfloat16() == found


def test_environment_is_recorded_also_where_the_processor_is_unknown(monkeypatch):
    monkeypatch.setattr('builtins.open', Mock(side_effect=OSError))
    assert not device.cpu_has_bfloat16()
    found = device.environment(device.Device(None, None, 'GPU, X', 'bfloat16'))
    assert found.items() >= {'device': 'GPU, X', 'precision': 'bfloat16',
                             'tensorflow': tf.version.VERSION}.items()
    assert found.keys() > {'commit', 'dirty', 'python', 'cuda', 'numpy', 'processor', 'system'}


def test_commit_is_of_the_program_and_not_of_a_repository_around_it(tmp_path, monkeypatch):
    subprocess.run(['git', 'init', '-q', tmp_path], check=True)
    monkeypatch.setattr(device, '__file__', str(tmp_path / 'device.py'))
    (tmp_path / 'device.py').touch()
    assert device.git_state() == {'commit': None, 'dirty': None}
    for words in (['add', 'device.py'], ['commit', '-qm', 'first']):
        subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *words], cwd=tmp_path,
                       check=True)
    (tmp_path / 'holiday.jpg').touch()  # is no part of the program
    assert re.fullmatch('[0-9a-f]{40}', device.git_state()['commit'])
    assert device.git_state()['dirty'] is False
    (tmp_path / 'device.py').write_text('changed')
    assert device.git_state()['dirty'] is True
