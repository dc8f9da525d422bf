"""A VGG16 folder is saved complete or not at all; a damaged one is named as such and left alone."""

import shutil

import pytest

from road.errors import InputError
from road.network import vgg16, vgg_folder

GRAPH, INDEX, VALUES = ('saved_model.pb', 'variables/variables.index',
                        'variables/variables.data-00000-of-00001')


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('name, change, complaint', [
    (VALUES, None, 'cannot be read as VGG16 weights'),
    (INDEX, None, 'cannot be read as VGG16 weights'),
    (INDEX, lambda data: data[:len(data) // 2], 'cannot be read as VGG16 weights'),
    (VALUES, lambda data: data[:5000] + b'x' + data[5001:], 'cannot be read as VGG16 weights'),
    ('source.json', lambda data: data.replace(b'"fingerprint": "', b'"fingerprint": "0'),
     'the weights were changed since')])
def test_fault_is_named_and_nothing_touched(vgg_dir, tmp_path, name, change, complaint):
    folder = shutil.copytree(vgg_dir, tmp_path / 'vgg')
    path = folder / name
    path.write_bytes(change(path.read_bytes())) if change else path.unlink()
    before = contents(folder)
    with pytest.raises(InputError, match=complaint) as raised:
        vgg_folder.check(str(folder))
    message = str(raised.value)
    assert '\n' not in message and message.startswith(str(folder)) and '--vgg-dir' in message
    assert contents(folder) == before


@pytest.mark.parametrize('fc_width, kind', [(None, '13 convolutions'), (16, 'with fc6 and fc7')])
def test_saved_graph_is_complete(tmp_path, fc_width, kind):
    folder, weights = str(tmp_path / 'vgg'), vgg16.random_weights(fc_width=fc_width)
    vgg_folder.save(weights, folder, 'drawn', 'd0')
    graph = vgg_folder.check(folder)
    assert (graph.source, graph.md5) == ('drawn', 'd0')
    assert kind in graph.summary
    assert graph.fingerprint == vgg_folder.fingerprint(weights)
    assert vgg_folder.is_own(folder)


def test_fingerprint_is_of_the_weights_alone(tmp_path):
    """Not of the graph, whose file holds TensorFlow's version; nor of another weight."""
    weights = vgg16.random_weights()
    before = vgg_folder.fingerprint(weights)
    vgg_folder.save(weights, str(tmp_path / 'vgg'))
    path = tmp_path / 'vgg' / GRAPH
    path.write_bytes(path.read_bytes().replace(b'processing', b'PROCESSING'))
    assert vgg_folder.check(str(tmp_path / 'vgg')).fingerprint == before
    assert not vgg_folder.is_own(str(tmp_path / 'vgg'))
    weights['conv5_3/biases'][0] += 1
    assert vgg_folder.fingerprint(weights) != before
