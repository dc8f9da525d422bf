"""A VGG16 folder is saved complete or not at all; a damaged one is named as such and left alone."""

import hashlib
import shutil

import numpy as np
import pytest

from road.errors import InputError
from road.network import vgg16, vgg_folder

GRAPH, INDEX, VALUES = ('saved_model.pb', 'variables/variables.index',
                        'variables/variables.data-00000-of-00001')


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('name, change, complaint', [
    (VALUES, None, r'variables/variables.data-\* is missing'),
    (GRAPH, lambda data: data[:len(data) // 2], 'saved_model.pb is damaged or truncated'),
    (GRAPH, lambda data: data.replace(b'vgg16', b'serve'), r"the tags \[\['serve'\]\], expected"),
    (GRAPH, lambda data: data.replace(b'layer7_out', b'layer8_out'), 'layer7_out:0 is missing'),
    (GRAPH, lambda data: data.replace(b'1_1/Relu', b'1_1/Gone', 1), 'TensorFlow cannot run it'),
    (GRAPH, lambda data: data.replace(b'1_1/Relu', b'1_1/RELU'), 'was changed since it was made'),
    (INDEX, lambda data: data[:len(data) // 2], 'variables.index in variables/ is damaged'),
    (VALUES, lambda data: data[:5000] + b'x' + data[5001:], 'variable conv.* is damaged')])
def test_fault_is_named_and_nothing_touched(vgg_dir, tmp_path, name, change, complaint):
    folder = shutil.copytree(vgg_dir, tmp_path / 'vgg')
    if 'was changed' not in complaint:
        (folder / 'source.json').unlink()
    path = folder / name
    path.write_bytes(change(path.read_bytes())) if change else path.unlink()
    before = contents(folder)
    with pytest.raises(InputError, match=complaint) as raised:
        vgg_folder.check(str(folder))
    message = str(raised.value)
    assert '\n' not in message and message.startswith(str(folder)) and '--vgg-dir' in message
    assert contents(folder) == before


@pytest.mark.slow
def test_other_models_are_named(tmp_path, monkeypatch):
    folder, wider, weights = tmp_path / 'vgg', tmp_path / 'wider', vgg16.random_weights()
    vgg_folder.save(weights, str(folder))
    vgg_folder.save(vgg16.random_weights((8, 16, 24, 32, 33)), str(wider))
    shutil.copytree(wider / 'variables', folder / 'variables', dirs_exist_ok=True)
    (folder / 'source.json').unlink()
    with pytest.raises(InputError, match=r'has shape \(1, 2, 3, 33\) .* \(1, 2, 3, 32\) is exp'):
        vgg_folder.check(str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(vgg16, 'BLOCKS', (2, 2, 3, 3, 2))
        vgg_folder.save(weights, str(folder))
    with pytest.raises(InputError, match='variable conv5_3/biases is missing'):
        vgg_folder.check(str(folder))
    weights['conv4_1/filter'][0, 0, 0, 0] = np.nan
    vgg_folder.save(weights, str(folder))
    with pytest.raises(InputError, match='variable conv4_1/filter .* not finite'):
        vgg_folder.check(str(folder))


@pytest.mark.parametrize('fc_width, kind', [(None, '13 convolutions'), (16, 'with fc6 and fc7')])
def test_saved_graph_is_complete(tmp_path, fc_width, kind):
    folder = str(tmp_path / 'vgg')
    vgg_folder.save(vgg16.random_weights(fc_width=fc_width), folder, 'drawn')
    graph = vgg_folder.check(folder)
    assert graph.source == vgg_folder.read_source(folder) == 'drawn' and kind in graph.summary
    content = b''.join((tmp_path / 'vgg' / name).read_bytes() for name in (GRAPH, VALUES, INDEX))
    assert graph.fingerprint == hashlib.md5(content).hexdigest()
