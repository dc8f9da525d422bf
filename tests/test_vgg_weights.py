"""VGG16 weights from files of Keras and NumPy: every layout is read, and faults are named."""

from contextlib import nullcontext
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from road.errors import InputError
from road.network import vgg16
from road.network.tf1 import tf
from road.network.vgg_weights import BLUE_MINUS_RED, is_rgb, read_weights


@pytest.fixture
def keras(monkeypatch):
    """Keras, whose VGG16 has a 32nd of its channels, and random biases."""
    _ = tf.version  # imports TensorFlow quietly
    import keras
    from keras.src.applications import vgg16 as source

    def narrow(layer):
        return lambda width, *args, **options: layer(
            width // 32, *args, **options, bias_initializer='normal')

    layers = {**vars(keras.layers), 'Conv2D': narrow(keras.layers.Conv2D),
              'Dense': narrow(keras.layers.Dense)}
    monkeypatch.setattr(source, 'layers', SimpleNamespace(**layers))
    monkeypatch.setattr(vgg16, 'WIDTHS', tuple(width // 32 for width in vgg16.WIDTHS))
    monkeypatch.setattr(vgg16, 'FC_WIDTH', vgg16.FC_WIDTH // 32)
    keras.utils.set_random_seed(1)  # the same weights in every run
    return keras


def test_conversion_gives_what_keras_gives(keras, tmp_path):
    """Equal pool4, and fc7's centre is fc2."""
    model = keras.applications.VGG16(weights=None)
    model.save_weights(tmp_path / 'vgg.weights.h5')
    image = np.random.default_rng(0).uniform(0, 255, [1, 224, 224, 3]).astype('float32')
    outputs = [model.get_layer(name).output for name in ('block4_pool', 'fc2')]
    inputs = keras.applications.vgg16.preprocess_input(image.copy())
    expected = keras.Model(model.input, outputs)(inputs)
    weights = read_weights(str(tmp_path / 'vgg.weights.h5'))
    with tf.Graph().as_default(), tf.Session() as sess:
        vgg16.build_graph(sess, weights)
        fed = {'image_input:0': image, 'keep_prob:0': 1.0}
        pool4, fc7 = sess.run(['layer4_out:0', 'layer7_out:0'], fed)
    assert fc7.shape == (1, 7, 7, vgg16.FC_WIDTH)
    for found, wanted in zip((pool4, fc7[:, 3, 3]), expected):
        wanted = wanted.numpy()
        assert wanted.max() > 0
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * wanted.max())


def save(model, path, layout):
    """Write one of the layouts that Keras has had."""
    whole = path.with_suffix('.whole.h5') if layout == 'download' else path
    getattr(model, layout.replace('download', 'save'))(whole)
    if whole != path:
        with h5py.File(whole) as source, h5py.File(path, 'w') as file:
            for group in source['model_weights'].values():
                source.copy(group, file)
    return str(path)


@pytest.mark.parametrize('kind', ['with top', 'nested'])
def test_every_layout_keras_writes(keras, tmp_path, kind):
    """Nested and partly frozen, Keras' own loading mixes up conv5_2 and conv5_3."""
    model = vgg = keras.applications.VGG16(
        weights=None, include_top=kind == 'with top', input_shape=(224, 224, 3))
    vgg.get_layer('block5_conv2').trainable = False
    if kind == 'nested':  # in a classifier with layers of the same classes
        x = keras.layers.Flatten()(vgg(vgg.input))
        x = keras.layers.Dense(vgg16.FC_WIDTH)(x)
        model = keras.Model(vgg.input, keras.layers.Dense(5)(x))
        model.compile('adam', 'mse')
        model.optimizer.build(model.trainable_variables)  # whose moments are saved too
    expected = {}
    for name, shape in vgg16.shapes(kind == 'with top').items():
        layer = {'fc6/': 'fc1', 'fc7/': 'fc2'}.get(name[:4], f'block{name[4]}_conv{name[6]}')
        kernel, bias = vgg.get_layer(layer).get_weights()
        expected[name] = bias if name.endswith('biases') else kernel.reshape(shape)
    for layout, name in (
            ('download', 'a.H5'), ('save', 'b.h5'), ('save_weights', 'c.weights.h5')):
        weights = read_weights(save(model, tmp_path / name, layout))
        np.testing.assert_equal(weights, expected)


@pytest.mark.parametrize('count, complaint', [
    (16, 'it holds 16 convolutions, expected 13'),  # VGG19
    (13, None)])  # a second model in Keras: conv2d_9 comes before conv2d_10
def test_convolutions_are_taken_in_the_order_of_their_numbers(tmp_path, count, complaint):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        for i in range(count):
            file[f'conv2d_{i + 5}/kernel'] = np.full((3, 3, 3, 3), i)
            file[f'conv2d_{i + 5}/bias'] = np.zeros(3)
    with pytest.raises(InputError, match=complaint) if complaint else nullcontext():
        weights = read_weights(str(tmp_path / 'a.h5'))
        assert [weights[f'{conv}/filter'][0, 0, 0, 0] for conv in vgg16.CONVS] == list(range(13))


def write_npz(path, **changes):
    arrays = {name.replace('/filter', '_W').replace('/biases', '_b'): np.zeros(shape, np.float16)
              for name, shape in vgg16.shapes(False).items()}
    np.savez(path, **arrays | changes)


@pytest.mark.parametrize('name, value, complaint', [
    ('conv5_1_W', np.zeros(8), 'conv5_1/filter has shape'),
    ('conv1_1_b', np.full(64, np.nan), 'conv1_1/biases holds values that are not finite'),
    ('conv3_4_W', np.zeros(8), 'holds conv3_4_W, which VGG16 does not have')])
def test_faults_of_arrays_are_named(tmp_path, name, value, complaint):
    write_npz(tmp_path / 'weights.npz', **{name: value})
    with pytest.raises(InputError, match=complaint):
        read_weights(str(tmp_path / 'weights.npz'))


@pytest.mark.parametrize('name', ['a.npz', 'b.h5', 'c.txt'])
def test_damaged_and_other_files_are_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b'PK\x03\x04 cut short')
    with pytest.raises(InputError, match=f'{name}: [^\n]*$'):
        read_weights(str(tmp_path / name))


def test_rgb_order_is_recognised(tmp_path, capsys):
    """A kernel with the published colours, under noise as strong as fine-tuning's; random ones."""
    rng = np.random.default_rng(0)
    bgr = rng.normal(0, 0.02, (3, 3, 3, 64)).astype(np.float32)
    for number, difference in BLUE_MINUS_RED.items():
        bgr[:, :, ::2, number] += np.array([1, -1]) * difference / 18
    assert not any(is_rgb(rng.normal(size=(3, 3, 3, 64))) for _ in range(1000))
    for kernel, printed in ((bgr, False), (bgr[:, :, ::-1], True)):
        write_npz(tmp_path / 'a.npz', conv1_1_W=kernel)
        weights = read_weights(str(tmp_path / 'a.npz'))
        np.testing.assert_array_equal(weights['conv1_1/filter'], bgr)
        assert ('weights are for RGB input' in capsys.readouterr().out) == printed
