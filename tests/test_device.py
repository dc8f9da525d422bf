"""What a run is computed with."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from road import errors
from road.files import read_json
from road.network import device
from road.network.tf1 import tf


@pytest.mark.parametrize('asked, gpu, has_bfloat16, expected', [
    ('auto', False, True, 'bfloat16'), ('auto', False, False, 'float32'),
    ('auto', True, True, 'float32'), ('bfloat16', False, True, 'bfloat16'),
    ('bfloat16', True, True, 'float32'), ('float16', True, False, 'float16'),
    ('float16', False, True, 'float32')])
def test_precision_is_what_the_session_does(monkeypatch, capsys, asked, gpu, has_bfloat16,
                                            expected):
    gpus = [SimpleNamespace(name='gpu')] * gpu
    details = {'device_name': 'NVIDIA X'}
    experimental = SimpleNamespace(get_device_details=lambda gpu: details)
    monkeypatch.setattr(tf, 'config', SimpleNamespace(
        list_physical_devices=lambda kind: gpus, experimental=experimental))
    monkeypatch.setattr(device, 'cpu_has_bfloat16', lambda: has_bfloat16)
    found = device.find_device(asked, 'conv5')
    printed = capsys.readouterr().out
    assert found.precision == expected and f'encoder in {expected}' in printed
    assert ('GPU (NVIDIA X)' in found.name) == gpu and ('no GPU' in printed) != gpu
    assert (f'--precision {asked} is for ' in printed) == (asked not in ('auto', expected))
    for config in (found.config, found.encoder_config):
        rewrite = config.graph_options.rewrite_options
        assert config.gpu_options.allow_growth
        assert (rewrite.auto_mixed_precision_onednn_bfloat16 == rewrite.ON) == (
            expected == 'bfloat16')
        assert (rewrite.auto_mixed_precision == rewrite.ON) == (expected == 'float16')
    assert found.config.graph_options.rewrite_options.constant_folding == rewrite.OFF
    config = device.find_device(asked).config.graph_options.rewrite_options
    assert config.auto_mixed_precision_onednn_bfloat16 == config.auto_mixed_precision == 0


def test_a_deterministic_run_trains_validates_and_paints(train_run):
    """The random operations of a VGG16 graph have no seed, so that running one would raise."""
    from tensorflow.python.framework import config
    try:
        code, folder = train_run('deterministic', '--deterministic', '--epochs', '1')
        assert code == 0 and config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()
    assert read_json(f'{folder}/config.json')['settings']['deterministic'] is True


def test_bfloat16_is_not_assumed_where_the_processor_is_unknown(monkeypatch):
    monkeypatch.setattr('builtins.open', Mock(side_effect=OSError))
    assert not device.cpu_has_bfloat16()


@pytest.mark.parametrize('reason, told', [
    ('No space left on device', 'disk is full'), ('Too many open files', 'files are open')])
def test_other_limits_are_not_called_out_of_memory(reason, told):
    error = tf.errors.ResourceExhaustedError(None, None, f'x; {reason}')
    assert told in errors.describe(error, {}) and 'memory' not in errors.describe(error, {})
    assert errors.describe(ValueError('a fault of the program'), {}) is None


def test_environment_records_what_scores_may_depend_on():
    found = device.environment(device.Device(None, None, 'GPU (X)', 'bfloat16'))
    assert found['device'] == 'GPU (X)' and found['precision'] == 'bfloat16'
    assert found['tensorflow'] == tf.version.VERSION and {
        'commit', 'dirty', 'python', 'cuda', 'numpy', 'processor', 'system'} < found.keys()
