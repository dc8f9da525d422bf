"""What a run is computed with."""

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
    gpus = [SimpleNamespace(name='gpu')] * gpu
    experimental = SimpleNamespace(get_device_details=lambda gpu: {'device_name': 'NVIDIA X'})
    monkeypatch.setattr(tf, 'config', SimpleNamespace(
        list_physical_devices=lambda kind: gpus, experimental=experimental))
    monkeypatch.setattr(device, 'cpu_has_bfloat16', lambda: has_bfloat16)
    found = device.find_device(asked, 'conv5')
    printed = capsys.readouterr().out
    assert found.precision == expected
    assert f'encoder in {expected}' in printed
    assert ('GPU (NVIDIA X)' in found.name) == gpu
    assert ('no GPU' in printed) != gpu
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


SAID = """
2026-11-30 00:35:48.4 : E xla/cuda_dnn.cc:467] Unable to register cuDNN factory
2026-11-30 00:35:48.5 : E xla/cuda_platform.cc:51] failed call to cuInit: UNKNOWN ERROR (303)
2026-11-30 00:35:48.6 : W tensorflow/gpu_device.cc:2343] Cannot dlopen some GPU libraries.
"""


@pytest.mark.parametrize('driver, cuda, visible', [
    ('', True, '0'), ('none', True, '0'), ('', False, '0'), ('', True, ''), ('', True, '-1')])
def test_missing_gpu_is_explained_by_tensorflow(monkeypatch, tmp_path, capsys, driver, cuda,
                                                visible):
    """A stand-in for it; nothing is said without a driver, or if the GPU is hidden on purpose."""
    (tmp_path / 'tensorflow.py').write_text(f'import sys\nsys.stderr.write("""{SAID}""")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    monkeypatch.setattr(device, 'NVIDIA', (str(tmp_path / driver),))
    monkeypatch.setattr(tf.test, 'is_built_with_cuda', lambda: cuda)
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: [])
    device.find_device('float32')
    told = ['    TensorFlow: failed call to cuInit: UNKNOWN ERROR (303)',
            '    TensorFlow: Cannot dlopen some GPU libraries.']
    expected = told if (driver, cuda, visible) == ('', True, '0') else []
    assert capsys.readouterr().out.splitlines()[2:] == expected


def test_deterministic_training(scenes_dir, vgg_dir, tmp_path):
    """In a process of its own, which stays deterministic: random operations need a seed there."""
    words = ['--dataset-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path),
             '--runs-dir', str(tmp_path), '--val-frames', '1', '--image-size', '64x96', '--epochs',
             '1', '--train-encoder', 'conv5', '--deterministic', '--name', 'run']
    subprocess.run([sys.executable, 'main.py', *words], check=True)
    assert read_json(f'{tmp_path}/run/metrics.json')


def test_environment_is_recorded_also_where_the_processor_is_unknown(monkeypatch):
    monkeypatch.setattr('builtins.open', Mock(side_effect=OSError))
    assert not device.cpu_has_bfloat16()
    found = device.environment(device.Device(None, None, 'GPU (X)', 'bfloat16'))
    assert found.items() >= {'device': 'GPU (X)', 'precision': 'bfloat16',
                             'tensorflow': tf.version.VERSION}.items()
    assert found.keys() > {'commit', 'dirty', 'python', 'cuda', 'numpy', 'processor', 'system'}
