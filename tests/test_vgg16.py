"""The VGG16 graph: conversion from Keras, the table of shapes, the frontier, and refusal of broken files."""

import os
import subprocess
import sys

import numpy as np
import pytest

from road import vgg16
from road.errors import InputError
from road.tf1 import tf

KERAS_SCRIPT = """
import sys, numpy as np, keras
folder = sys.argv[1]
keras.utils.set_random_seed(1)
model = keras.applications.VGG16(weights=None)
for layer in model.layers:  # zero biases would not show a bias that is lost
    if layer.get_weights():
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, np.random.default_rng(0).normal(0, 0.1, bias.shape)])
model.save_weights(folder + '/vgg.weights.h5')
image = np.random.default_rng(1).uniform(0, 255, [1, 224, 224, 3]).astype('float32')
fc2 = keras.Model(model.input, model.get_layer('fc2').output)
pool4 = keras.Model(model.input, model.get_layer('block4_pool').output)
inputs = keras.applications.vgg16.preprocess_input(image.copy())
np.savez(folder + '/expected.npz', image=image, fc2=fc2(inputs), pool4=pool4(inputs))
"""


def load(folder, sess):
    tf.saved_model.loader.load(sess, [vgg16.TAG], str(folder))
    return [sess.graph.get_tensor_by_name(name) for name in vgg16.TENSORS]


def test_conversion_gives_what_keras_gives(tmp_path):
    """Random weights, saved by Keras in another process: equal at pool4, and at fc7's centre to Keras' fc2."""
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3')
    subprocess.run([sys.executable, '-c', KERAS_SCRIPT, str(tmp_path)], check=True, env=environment,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    weights = vgg16.read_weights(str(tmp_path / 'vgg.weights.h5'))
    assert len(weights) == 30 and sum(w.size for w in weights.values()) == 134_260_544
    expected = np.load(tmp_path / 'expected.npz')
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, variable in vgg16.build_graph(weights).items():
            value = tf.placeholder(tf.float32, variable.shape)
            sess.run(tf.assign(variable, value), {value: weights[name]})
        layer4, layer7 = sess.run(['layer4_out:0', 'layer7_out:0'],
                                  {'image_input:0': expected['image'], 'keep_prob:0': 1.0})
    assert layer7.shape == (1, 7, 7, 4096)
    np.testing.assert_allclose(layer4, expected['pool4'], rtol=1e-3, atol=1e-4 * expected['pool4'].max())
    np.testing.assert_allclose(layer7[0, 3, 3], expected['fc2'][0], rtol=1e-3, atol=1e-4 * expected['fc2'].max())
    assert expected['fc2'].max() > 0


@pytest.fixture
def keras_file(tmp_path):
    """Writes the layouts of Keras' .h5 files, thirteen convolutions, and returns (path, weights written)."""
    import h5py
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in vgg16.shapes(False).items()}

    def write(layout):
        path = str(tmp_path / f'{layout}.h5')
        with h5py.File(path, 'w') as file:
            for i, name in enumerate(vgg16.CONVS):
                block = f'block{name[4]}_conv{name[6]}'
                kernel, bias = {
                    'download': (f'{block}/{block}_W_1:0', f'{block}/{block}_b_1:0'),
                    'save': (f'model_weights/{block}/{block}/kernel', f'model_weights/{block}/{block}/bias'),
                    'save_weights': (f'layers/conv2d{f"_{i}" if i else ""}/vars/0',
                                     f'layers/conv2d{f"_{i}" if i else ""}/vars/1')}[layout]
                file[kernel], file[bias] = weights[f'{name}/filter'], weights[f'{name}/biases']
        return path, weights
    return write


@pytest.mark.parametrize('layout', ['download', 'save', 'save_weights'])
def test_every_layout_keras_writes(keras_file, layout):
    path, written = keras_file(layout)
    read = vgg16.read_weights(path)
    assert read.keys() == written.keys()
    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array)


def write_npz(path, **changes):
    arrays = {}
    for name, shape in vgg16.shapes(False).items():
        arrays[name.replace('/filter', '_W').replace('/biases', '_b')] = np.zeros(shape, np.float16)
    arrays.update(changes)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize('changes, complaint', [
    ({}, None), ({'conv3_2_W': None}, 'conv3_2_W'), ({'conv5_1_W': np.zeros((3, 3, 8, 8))}, 'conv5_1'),
    ({'conv1_1_b': np.full(64, np.nan, np.float16)}, 'finite'), ({'conv2_1_b': np.array([None, 'x'])}, 'weights')])
def test_npz(tmp_path, changes, complaint):
    path = str(tmp_path / 'weights.npz')
    write_npz(path, **changes)
    if complaint is None:
        assert len(vgg16.read_weights(path)) == 26
    else:
        with pytest.raises(InputError, match=complaint):
            vgg16.read_weights(path)


@pytest.mark.parametrize('name, content', [('a.npz', b'PK\x03\x04 cut short'), ('b.h5', b'\x89HDF\r\n\x1a\n'), ('c.h5', b''),
                                           ('d.txt', b'weights'), ('e.npz', b'')])
def test_broken_weight_files_are_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=name) as raised:
        vgg16.read_weights(str(path))
    assert '\n' not in str(raised.value)


def test_missing_weight_file_is_named(tmp_path):
    with pytest.raises(InputError, match='no such file'):
        vgg16.read_weights(str(tmp_path / 'none.h5'))


@pytest.mark.parametrize('fc_width', [None, 16])
def test_shapes_for_any_image_size(tmp_path, fc_width):
    """layer3 h/8, layer4 h/16, layer7 h/32, each rounded up; thirty variables with fc6 and fc7, else 26."""
    folder = str(tmp_path / 'vgg')
    vgg16.save_graph(vgg16.random_weights((2, 3, 4, 5, 6), fc_width), folder)
    assert vgg16.missing_file(folder) is None
    with tf.Graph().as_default(), tf.Session() as sess:
        image_input, keep_prob, *outputs = load(folder, sess)
        values = sess.run(outputs, {image_input: np.zeros([2, 37, 70, 3]), keep_prob: 0.5})
        assert len(tf.global_variables()) == (30 if fc_width else 26)
    assert [v.shape for v in values] == [(2, 5, 9, 4), (2, 3, 5, 5), (2, 2, 3, fc_width or 6)]


def test_input_is_rgb_and_the_mean_is_subtracted(tmp_path):
    weights = vgg16.random_weights((3, 3, 3, 3, 3))
    weights['conv1_1/filter'][:] = 0
    weights['conv1_1/filter'][1, 1] = np.eye(3)  # passes its three channels on
    with tf.Graph().as_default(), tf.Session() as sess:
        vgg16.build_graph(weights)
        relu = sess.graph.get_tensor_by_name('conv1_1/Relu:0')
        for name, variable in zip(weights, tf.global_variables()):
            sess.run(tf.assign(variable, weights[name]))
        image = np.full([1, 2, 2, 3], [200.0, 150.0, 110.0])  # red, green, blue
        bgr = sess.run(relu, {'image_input:0': image})[0, 0, 0]
    np.testing.assert_allclose(bgr, [110 - 103.939, 150 - 116.779, 200 - 123.68], rtol=1e-5)


def test_frontier_is_before_the_first_dropout(vgg_dir, tmp_path):
    """With fc6: pool3, pool4 and fc6's ReLU; without: pool5. Feeding it and the noise decides layer7_out."""
    plain = str(tmp_path / 'plain')
    vgg16.save_graph(vgg16.random_weights(), plain)
    for folder, deepest, dropouts in ((vgg_dir, 'fc6/Relu', 2), (plain, 'pool5', 1)):
        with tf.Graph().as_default(), tf.Session() as sess:
            tensors = load(folder, sess)
            frontier, noise = vgg16.frontier_and_noise(*tensors)
            assert [t.op.name for t in frontier] == ['pool3', 'pool4', deepest]
            assert len(noise) == dropouts
            values = sess.run(frontier, {tensors[0]: np.random.default_rng(0).uniform(0, 255, [1, 64, 64, 3])})
            drawn = [np.random.default_rng(1).random(values[2].shape, np.float32) for _ in noise]
            fed = {frontier: tuple(values), noise: tuple(drawn), tensors[1]: 0.5}
            first, second = sess.run(tensors[4], fed), sess.run(tensors[4], fed)
            np.testing.assert_array_equal(first, second)
            unfed = sess.run(tensors[4], {frontier: tuple(values), tensors[1]: 0.5})
            assert (first != unfed).any() and (first == 0).any()


def test_saved_graph_appears_only_when_whole(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError('disk full')
    monkeypatch.setattr(vgg16, 'write_source', fail)
    with pytest.raises(OSError):
        vgg16.save_graph(vgg16.random_weights(), str(tmp_path / 'vgg'))
    assert os.listdir(tmp_path) == []
