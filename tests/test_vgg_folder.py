"""The VGG16 graph is found, built from a file or SavedModel, or downloaded (here, locally)."""

import os
import shutil
from contextlib import nullcontext

import numpy as np
import pytest

from road.data import download
from road.errors import InputError
from road.files import file_digest
from road.network import vgg_folder
from road.network.tf1 import tf
from road.network.vgg_folder import find_vgg, fingerprint
from tools.train_sample_encoder import random_weights

GRAPH, VALUES = 'saved_model.pb', 'variables/variables.data-00000-of-00001'


@pytest.fixture(autouse=True)
def sources(server, vgg_dir, tmp_path, monkeypatch):
    """Both downloads in small: Keras' file has the weights of seed 1, the zip those of vgg_dir."""
    path = tmp_path / 'served/weights.npz'
    write_weights(path, seed=1)
    shutil.make_archive(tmp_path / 'served/vgg', 'zip', os.path.dirname(vgg_dir), 'vgg')
    monkeypatch.setattr(vgg_folder, 'VGG_URL', f'{server}/vgg.zip')
    monkeypatch.setattr(vgg_folder, 'KERAS_URL', f'{server}/weights.npz')
    monkeypatch.setattr(vgg_folder, 'KERAS_MD5', file_digest(path))
    monkeypatch.setattr(download, 'RETRIES', 0)


def write_weights(path, seed):
    """An .npz of narrow random weights; returns their fingerprint."""
    weights = random_weights(seed=seed)
    np.savez(path, **{name.replace('/filter', '_W').replace('/biases', '_b'): value
                      for name, value in weights.items()})
    return fingerprint(weights)


def write_classic(folder, weights):
    """A SavedModel with the variables of the classic download, and no graph that would run."""
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, value in weights.items():
            tf.get_variable(name, initializer=value)
        sess.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(sess, ['vgg16'])
        builder.save()


def test_a_download_is_kept_as_a_graph_and_a_failed_one_leaves_nothing(server, tmp_path, capsys):
    folder = str(tmp_path / 'data' / 'vgg')
    graph = find_vgg(folder)
    assert graph.fingerprint == fingerprint(random_weights(seed=1))
    assert graph.source == f'{server}/weights.npz'
    assert f'Encoder in {folder}: VGG16, 13 convolutions, fing' in capsys.readouterr().out
    assert os.listdir(tmp_path / 'data') == ['vgg']
    shutil.rmtree(tmp_path / 'served')
    assert find_vgg(folder) == graph  # it is there, so nothing is requested
    shutil.rmtree(folder)
    with pytest.raises(InputError, match='from either source. By hand: download'):
        find_vgg(folder)
    assert os.listdir(tmp_path / 'data') == []


def test_second_source_if_the_first_fails(server, vgg_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vgg_folder, 'KERAS_MD5', 'd39a3f5a')
    graph = find_vgg(str(tmp_path / 'data/vgg'))
    assert graph.fingerprint == vgg_folder.check(vgg_dir).fingerprint
    assert graph.source == f'{server}/vgg.zip'
    assert os.listdir(tmp_path / 'data') == ['vgg']
    printed = capsys.readouterr().out
    assert 'whose MD5 is d39a3f5a' in printed and 'with fc6 and fc7' in printed
    shutil.rmtree(tmp_path / 'data/vgg')
    (tmp_path / 'served/weights.npz').unlink()
    (tmp_path / 'data/weights.npz.part').write_bytes(b'PK')  # broke off
    assert find_vgg(str(tmp_path / 'data/vgg')) == graph
    assert os.listdir(tmp_path / 'data') == ['vgg']


def test_weights_are_compared_by_their_bytes_and_not_by_the_name_of_their_file(tmp_path):
    folder = str(tmp_path / 'vgg')
    path, renamed, other = (str(tmp_path / name) for name in ('a.npz', 'renamed.npz', 'other.npz'))
    written = write_weights(path, seed=0)
    with pytest.raises(InputError, match='a.npz: is a file; give it as --vgg-weights'):
        find_vgg(path)
    os.mkdir(folder)  # an empty one is filled
    graph = find_vgg(folder, path)
    assert (graph.source, graph.fingerprint) == ('a.npz', written)
    os.rename(path, renamed)
    for weights in (None, renamed, path):  # the last of them is gone
        assert find_vgg(folder, weights) == graph
    write_weights(other, seed=2)
    assert find_vgg(folder, other, compare=False) == graph
    with pytest.raises(InputError, match='was not built from .*other.npz'):
        find_vgg(folder, other)
    with pytest.raises(InputError, match='mistyped.npz: no such file'):
        find_vgg(folder, str(tmp_path / 'mistyped.npz'))


def test_classic_graph_is_converted_and_never_run(tmp_path, monkeypatch):
    folder, weights = tmp_path / 'vgg', random_weights(fc_width=16, seed=3)
    write_classic(folder, {name: weights[name] for name in weights if name != 'conv5_3/biases'})
    with pytest.raises(InputError, match='VGG16 weights .*conv5_3/biases.*move the folder away'):
        find_vgg(str(folder))
    assert not os.path.exists(f'{folder}.original')
    shutil.rmtree(folder)
    write_classic(folder, weights)
    foreign = (folder / GRAPH).read_bytes()
    monkeypatch.setattr(tf.saved_model.loader, 'load', None)
    graph = find_vgg(str(folder))
    assert graph.fingerprint == fingerprint(weights)
    assert vgg_folder.is_own(str(folder))
    assert find_vgg(str(folder)) == graph
    shutil.rmtree(folder)
    write_classic(folder, weights)
    with pytest.raises(InputError, match='vgg.original is there already; move one'):
        find_vgg(str(folder))
    for kept in ('vgg', 'vgg.original'):
        assert (tmp_path / kept / GRAPH).read_bytes() == foreign


def test_graph_that_another_process_makes_meanwhile_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg_folder, 'lock', lambda folder: nullcontext(
        vgg_folder.save(random_weights(seed=4), folder)))
    assert find_vgg(str(tmp_path / 'vgg')).fingerprint == fingerprint(random_weights(seed=4))
    assert not os.path.exists(tmp_path / 'vgg.original')


@pytest.mark.parametrize('name, change, complaint', [
    (VALUES, lambda data: data[:5000] + b'x' + data[5001:], 'cannot be read as VGG16 weights'),
    ('source.json', lambda data: data.replace(b'"fingerprint": "', b'"fingerprint": "0'),
     'the weights were changed since')])
def test_damaged_folder_is_named_and_left_alone(vgg_dir, tmp_path, name, change, complaint):
    path = shutil.copytree(vgg_dir, tmp_path / 'vgg') / name
    changed = change(path.read_bytes())
    path.write_bytes(changed)
    with pytest.raises(InputError, match=f'^{tmp_path}/vgg: {complaint}.*--vgg-dir$'):
        find_vgg(str(tmp_path / 'vgg'))
    assert path.read_bytes() == changed


def test_fingerprint_is_of_the_weights_alone(vgg_dir, tmp_path):
    """Not of the graph, whose file holds TensorFlow's version."""
    path = shutil.copytree(vgg_dir, tmp_path / 'vgg') / GRAPH
    path.write_bytes(path.read_bytes().replace(b'processing', b'PROCESSING'))
    assert vgg_folder.check(path.parent).fingerprint == vgg_folder.check(vgg_dir).fingerprint
    assert not vgg_folder.is_own(path.parent)
