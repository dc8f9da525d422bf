"""The VGG16 graph is found, built from a file or SavedModel, or downloaded (here, locally)."""

import hashlib
import os
import shutil
import zipfile

import numpy as np
import pytest

from road.data import download
from road.errors import InputError
from road.network import vgg16, vgg_folder, vgg_source
from road.network.tf1 import tf


@pytest.fixture(autouse=True)
def sources(server, vgg_dir, tmp_path, monkeypatch):
    """Both downloads in small: Keras' file has the weights of seed 1, the zip those of vgg_dir."""
    served = tmp_path / 'served'
    shutil.make_archive(served / 'vgg', 'zip', os.path.dirname(vgg_dir), 'vgg')
    monkeypatch.setattr(vgg16, 'WIDTHS', vgg16.NARROW_WIDTHS)
    write_weights(served / 'weights.npz', seed=1)
    with zipfile.ZipFile(served / 'bad.zip', 'w') as file:
        file.writestr('vgg/readme', 'no graph')
    monkeypatch.setattr(vgg_source, 'VGG_URL', f'{server}/vgg.zip')
    monkeypatch.setattr(vgg_source, 'KERAS_URL', f'{server}/weights.npz')
    monkeypatch.setattr(vgg_source, 'KERAS_MD5',
                        hashlib.md5((served / 'weights.npz').read_bytes()).hexdigest())
    monkeypatch.setattr(download, 'RETRIES', 0)


def write_weights(path, seed):
    """An .npz of narrow random weights; returns their fingerprint."""
    weights = vgg16.random_weights(seed=seed)
    np.savez(path, **{name.replace('/filter', '_W').replace('/biases', '_b'): value
                      for name, value in weights.items()})
    return vgg_folder.fingerprint(weights)


def test_first_download_is_kept_as_a_graph(server, tmp_path, capsys):
    folder = str(tmp_path / 'data' / 'vgg')
    graph = vgg_source.find_vgg(folder)
    assert graph.fingerprint == vgg_folder.fingerprint(vgg16.random_weights(seed=1))
    assert graph.source == f'{server}/weights.npz'
    assert f'Encoder in {folder}: VGG16, 13 convolutions, fing' in capsys.readouterr().out
    assert os.listdir(tmp_path / 'data') == ['vgg']
    shutil.rmtree(tmp_path / 'served')
    assert vgg_source.find_vgg(folder) == graph  # it is there, so nothing is requested


@pytest.mark.parametrize('classic', ['vgg.zip', 'cutplain/vgg.zip', 'bad.zip'])
def test_second_source_if_the_first_fails(server, vgg_dir, tmp_path, monkeypatch, capsys, classic):
    folder = str(tmp_path / 'data' / 'vgg')
    monkeypatch.setattr(vgg_source, 'KERAS_MD5', 'd39a3f5a')
    monkeypatch.setattr(vgg_source, 'VGG_URL', f'{server}/{classic}')
    if classic == 'vgg.zip':
        graph = vgg_source.find_vgg(folder)
        assert graph.fingerprint == vgg_folder.check(vgg_dir).fingerprint
        assert graph.source.endswith('vgg.zip')
        assert os.listdir(tmp_path / 'data') == ['vgg']
    else:
        with pytest.raises(InputError, match='from either source. By hand: download'):
            vgg_source.find_vgg(folder)
        assert not os.path.exists(folder)
    assert 'whose MD5 is d39a3f5a' in capsys.readouterr().out


def test_weights_are_compared_by_their_bytes_and_not_by_the_name_of_their_file(tmp_path):
    folder = str(tmp_path / 'data' / 'vgg')
    path, renamed, other = (tmp_path / name for name in ('a.npz', 'renamed.npz', 'other.npz'))
    found = write_weights(path, seed=0)
    graph = vgg_source.find_vgg(folder, str(path))
    assert (graph.source, graph.fingerprint) == ('a.npz', found)
    path.rename(renamed)
    for weights in (None, renamed, path):  # the last of them is gone
        assert vgg_source.find_vgg(folder, weights and str(weights)) == graph
    write_weights(other, seed=2)
    with pytest.raises(InputError, match='was not built from .*other.npz'):
        vgg_source.find_vgg(folder, str(other))
    assert vgg_source.find_vgg(folder, str(other), compare=False) == graph
    with pytest.raises(InputError, match='mistyped.npz: no such file'):
        vgg_source.find_vgg(folder, str(tmp_path / 'mistyped.npz'))
    other.rename(tmp_path / 'weights.npz')
    with pytest.raises(InputError, match="has MD5 .*, Keras' file"):
        vgg_source.find_vgg(str(tmp_path / 'new'), str(tmp_path / 'weights.npz'))


def write_classic(folder, weights):
    """A SavedModel with the names of the classic download, whose graph would give zeros."""
    with tf.Graph().as_default(), tf.Session() as sess:
        for name in ('image_input', 'keep_prob'):
            tf.placeholder(tf.float32, name=name)
        for name, value in weights.items():
            tf.get_variable(name, initializer=value)
        for name in ('layer3_out', 'layer4_out', 'layer7_out'):
            tf.zeros([1, 1, 1, 1], name=name)
        sess.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(sess, ['vgg16'])
        builder.save()


def test_classic_graph_is_converted_and_never_run(tmp_path, load_vgg, monkeypatch):
    folder, weights = tmp_path / 'vgg', vgg16.random_weights(fc_width=16, seed=3)
    write_classic(folder, weights)
    foreign = (folder / 'saved_model.pb').read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model.loader, 'load', None)
        graph = vgg_source.find_vgg(str(folder))
    assert graph.fingerprint == vgg_folder.fingerprint(weights)
    assert (tmp_path / 'vgg.original' / 'saved_model.pb').read_bytes() == foreign
    assert vgg_source.find_vgg(str(folder)) == graph
    with tf.Graph().as_default(), tf.Session() as sess:
        image_input, keep_prob, *_, layer7_out = load_vgg(sess, str(folder))
        found = sess.run(layer7_out, {image_input: np.ones((1, 32, 64, 3)), keep_prob: 1})
    assert found.shape == (1, 1, 2, 16) and found.any()


def test_second_classic_graph_is_not_converted_over_the_first_original(tmp_path):
    write_classic(tmp_path / 'vgg', vgg16.random_weights())
    (tmp_path / 'vgg.original').mkdir()
    with pytest.raises(InputError, match='vgg.original is there already; move one'):
        vgg_source.find_vgg(str(tmp_path / 'vgg'))
    assert sorted(os.listdir(tmp_path / 'vgg')) == ['saved_model.pb', 'variables']


@pytest.mark.parametrize('name, value, complaint', [
    ('conv5_3/biases', None, 'conv5_3/biases'),
    ('conv4_1/filter', np.zeros((3, 3, 24, 31), np.float32), 'conv4_1/filter has shape'),
    ('fc7/weights', np.zeros((1, 1, 16, 17), np.float32), 'fc7/weights has shape'),
    ('conv4_1/biases', np.full(32, np.nan, np.float32), 'conv4_1/biases holds values that')])
def test_weights_of_other_models_are_named(tmp_path, name, value, complaint):
    weights = {**vgg16.random_weights(fc_width=16), name: value}
    write_classic(tmp_path / 'vgg', {k: v for k, v in weights.items() if v is not None})
    with pytest.raises(InputError, match=f'VGG16 weights .*{complaint}.*move the folder away'):
        vgg_source.find_vgg(str(tmp_path / 'vgg'))
    assert not os.path.exists(tmp_path / 'vgg.original')
