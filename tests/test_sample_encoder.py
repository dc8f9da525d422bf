"""The sample's encoder: the shipped weights, the graph made of them, and their training."""

import os

import numpy as np
import pytest

import main
from road.errors import InputError
from road.files import read_json
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


def test_encoder_is_kept_replaced_or_refused(tmp_path, load_vgg):
    folder, record = str(tmp_path / 'vgg'), tmp_path / 'vgg' / 'source.json'
    vgg_folder.save(vgg16.random_weights(), folder, 'road/sample/encoder.npz')
    encoder.make_encoder(folder)  # replaces what an older version made
    images = np.random.default_rng(0).integers(256, size=[1, 64, 96, 3])
    with tf.Graph().as_default(), tf.Session() as sess:
        image_input, keep_prob, *outputs = load_vgg(sess, folder)
        pools = sess.run(outputs, {image_input: images, keep_prob: 1.0})
    for pool, expected in zip(pools, pools_of(encoder.read_weights(), images), strict=True):
        np.testing.assert_allclose(pool, expected, rtol=1e-4, atol=1e-5 * expected.max())
    written = record.stat().st_mtime_ns
    encoder.make_encoder(folder)
    assert record.stat().st_mtime_ns == written
    record.unlink()
    with pytest.raises(InputError, match='vgg: holds something other .*; move it away'):
        encoder.make_encoder(folder)


@pytest.mark.slow
def test_training_command_writes_weights_that_load(tmp_path, monkeypatch):
    path = str(tmp_path / 'encoder.npz')
    training.main(['--output', path, '--scenes', '36', '--steps', '200', '--batch-size', '4'])
    monkeypatch.setattr(encoder, 'WEIGHTS', path)
    check_weights()


@pytest.mark.slow
def test_sample_reaches_its_score_with_the_shipped_encoder(tmp_path):
    assert main.main(['--sample', '--data-dir', str(tmp_path / 'data'),
                      '--runs-dir', str(tmp_path), '--name', 'run']) == 0
    assert read_json(f'{tmp_path}/run/metrics.json')['best']['val_MaxF'] >= 98.5
