"""The sample's encoder: the shipped weights, the graph made of them, and their training."""

import csv
import os

import numpy as np
import pytest

import main
from road.errors import InputError
from road.network import vgg16, vgg_folder
from road.network.tf1 import tf
from road.sample import encoder
from tools import train_sample_encoder as training


def pools_of(weights, images):
    """pool3, pool4 and pool5 of the graph with these weights, a list of float32 arrays."""
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, variable in vgg16.build_graph(weights).items():
            variable.load(weights[name], sess)
        return sess.run(['layer3_out:0', 'layer4_out:0', 'layer7_out:0'],
                        {'image_input:0': images, 'keep_prob:0': 1.0})


def check_weights():
    """encoder.npz is complete and small, and far from float16's end; so are the pools."""
    with np.load(encoder.WEIGHTS) as file:
        stored = dict(file)
    assert {name: value.shape for name, value in stored.items()} == vgg16.shapes(
        False, vgg16.NARROW_WIDTHS)
    for value in stored.values():
        assert value.dtype == np.float16
        assert np.abs(value).max() < 10_000  # NaN is not less
    assert os.path.getsize(encoder.WEIGHTS) <= 150_000
    images, _ = training.draw(4, seed=1)
    pools = pools_of(encoder.read_weights(), images)
    sizes = [np.sqrt(np.mean(pool ** 2)) for pool in pools]
    np.testing.assert_allclose(sizes, training.POOL_SIZES, rtol=0.2)  # as the decoder expects
    assert max(pool.max() for pool in pools) < 65_504 / 2  # features are cached in float16


def test_shipped_weights():
    check_weights()


def test_encoder_is_kept_replaced_or_refused(tmp_path, monkeypatch, load_vgg):
    folder, record = str(tmp_path / 'vgg'), tmp_path / 'vgg' / 'source.json'
    vgg_folder.save(vgg16.random_weights(), folder, 'road/sample/encoder.npz')
    encoder.make_encoder(folder)  # replaces what an older version made
    images = np.random.default_rng(0).integers(256, size=[1, 64, 96, 3])
    with tf.Graph().as_default(), tf.Session() as sess:
        image_input, keep_prob, *outputs = load_vgg(sess, folder)
        pools = sess.run(outputs, {image_input: images, keep_prob: 1.0})
    for pool, expected in zip(pools, pools_of(encoder.read_weights(), images), strict=True):
        np.testing.assert_allclose(pool, expected, rtol=1e-4, atol=1e-5 * expected.max())
    written = record.stat()
    encoder.make_encoder(folder)
    assert record.stat() == written
    record.unlink()
    with pytest.raises(InputError, match='vgg: holds something other .*; move it away'):
        encoder.make_encoder(folder)


@pytest.mark.slow
def test_folded_graph_computes_what_the_normalised_one_computes():
    """With odd sizes (batch 3, 37x70), and all scales, shifts and moments different."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, [3, 37, 70, 3]).astype(np.float32)
    start = vgg16.random_weights((3, 5, 7, 6, 4))
    values, moments = dict(start), {}
    for name in vgg16.CONVS:
        size = start[f'{name}/biases'].shape
        values[f'{name}/scale'] = rng.uniform(0.5, 2, size).astype(np.float32)
        values[f'{name}/shift'] = rng.normal(0.3, 0.2, size).astype(np.float32)
        variance = rng.uniform(0.5, 2, size) * (5000 if name == 'conv1_1' else 1)
        moments[name] = np.float32([rng.normal(0, 0.2, size), variance])
    with tf.Graph().as_default(), tf.Session() as sess:
        pools, variables, _ = training.normalised_graph(tf.constant(images), start, moments)
        for name, variable in variables.items():
            sess.run(tf.assign(variable, values[name]))
        expected = sess.run(pools)
    sizes = np.array([0.3, 7.0, 11.0])
    folded = pools_of(training.fold(values, moments, sizes), images)
    for got, pool, size, wanted in zip(folded, expected, sizes, training.POOL_SIZES):
        pool = pool * (wanted / size)
        assert pool.max() > 0
        np.testing.assert_allclose(got, pool, rtol=1e-3, atol=1e-5 * pool.max())


@pytest.mark.slow
def test_training_command_writes_weights_that_load(tmp_path, monkeypatch):
    path = str(tmp_path / 'encoder.npz')
    training.main(['--output', path, '--scenes', '36', '--steps', '200', '--batch-size', '4'])
    monkeypatch.setattr(encoder, 'WEIGHTS', path)
    check_weights()
    weights, start = encoder.read_weights(), vgg16.random_weights()
    assert np.abs(weights['conv1_1/filter'] - start['conv1_1/filter']).max() > 1e-3


@pytest.mark.slow
def test_sample_reaches_its_score_with_the_shipped_encoder(tmp_path):
    assert main.main(['--sample', '--data-dir', str(tmp_path / 'data'),
                      '--runs-dir', str(tmp_path), '--name', 'run']) == 0
    with open(tmp_path / 'run/metrics.csv', newline='') as file:
        best = max(csv.DictReader(file), key=lambda row: float(row['val_MaxF']))
    assert float(best['val_MaxF']) >= 98.5
    assert float(best['val_IoU']) >= 97
