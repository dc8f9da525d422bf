"""The sample's encoder: its training, the folded graph, and how it is kept or made again."""

import numpy as np
import pytest

from road.errors import InputError
from road.network import vgg16, vgg_folder
from road.network.tf1 import tf
from road.sample import encoder

TINY = dict(count=3, steps=2, batch_size=2)


def pools_of(weights, images):
    """pool3, pool4 and pool5 of the graph with these weights, a list of float32 arrays."""
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, variable in vgg16.build_graph(weights).items():
            variable.load(weights[name], sess)
        return sess.run(['layer3_out:0', 'layer4_out:0', 'layer7_out:0'],
                        {'image_input:0': images, 'keep_prob:0': 1.0})


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
        pools, variables, _ = encoder.normalised_graph(tf.constant(images), start, moments)
        for name, variable in variables.items():
            sess.run(tf.assign(variable, values[name]))
        expected = sess.run(pools)
    sizes = np.array([0.3, 7.0, 11.0])
    folded = pools_of(encoder.fold(values, moments, sizes), images)
    for got, pool, size, wanted in zip(folded, expected, sizes, encoder.POOL_SIZES):
        pool = pool * (wanted / size)
        assert pool.max() > 0
        np.testing.assert_allclose(got, pool, rtol=1e-3, atol=1e-5 * pool.max())


def test_training_on_drawn_scenes_keeps_the_sizes_of_the_pools(monkeypatch):
    monkeypatch.setattr(encoder, 'SHAPE', (64, 128))
    images, labels = encoder.draw(4, seed=0)
    assert images.shape == (4, 64, 128, 3) and labels.shape == (4, 64, 128, 2)
    assert images.dtype == labels.dtype == np.uint8
    weights = encoder.fold(*encoder.train(images, labels, steps=3, batch_size=3, seed=0))
    start = vgg16.random_weights()
    assert np.abs(weights['conv1_1/filter'] - start['conv1_1/filter']).max() > 1e-3
    sizes = [np.sqrt(np.mean(pool ** 2)) for pool in pools_of(weights, images.astype(np.float32))]
    np.testing.assert_allclose(sizes, encoder.POOL_SIZES, rtol=0.05)


def test_encoder_is_kept_replaced_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, 'SHAPE', (32, 64))
    folder = str(tmp_path / 'vgg')
    encoder.make_encoder(folder, **TINY)
    made = vgg_folder.check(folder)
    with monkeypatch.context() as patch:
        patch.setattr(encoder, 'train', None)
        encoder.make_encoder(folder, **TINY)  # nothing is trained
    encoder.make_encoder(folder, **TINY, seed=1)
    assert vgg_folder.check(folder).fingerprint != made.fingerprint
    vgg_folder.save(vgg16.random_weights((2, 2, 2, 2, 2)), folder)
    with pytest.raises(InputError, match="vgg: holds something other .*; move it away"):
        encoder.make_encoder(folder, **TINY)
