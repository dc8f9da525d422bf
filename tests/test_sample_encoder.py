"""The sample's encoder: the shipped weights, the graph made of them, and their training."""

import os

import numpy as np
import pytest

import main
from road.data.images import resize_image
from road.errors import InputError
from road.files import read_json
from road.network import vgg16, vgg_folder
from road.network.tf1 import tf
from road.network.vgg_weights import read_weights
from road.sample import prepare, scenes
from tools import train_sample_encoder as training


@pytest.mark.parametrize('trained_now', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_weights_are_complete_small_and_suit_the_decoder(tmp_path, monkeypatch, trained_now):
    """As they are shipped, and as the training command writes them."""
    if trained_now:
        monkeypatch.setattr(prepare, 'WEIGHTS', str(tmp_path / 'encoder.npz'))
        training.main(['--output', prepare.WEIGHTS, '--scenes', '36', '--steps', '150'])
    weights = read_weights(prepare.WEIGHTS)
    assert all(np.abs(value).max() < 10_000 for value in weights.values())  # NaN is not less
    assert os.path.getsize(prepare.WEIGHTS) <= 150_000
    images, _ = training.draw(4)
    own, *_ = scenes.draw_scene(np.random.default_rng([0] * 4), 'um')  # of the sample
    assert (images[0] != resize_image(own, training.SHAPE)).any()
    with tf.Graph().as_default(), tf.Session() as sess:
        vgg16.build_graph(sess, weights)
        pools = sess.run(['layer3_out:0', 'layer4_out:0', 'layer7_out:0'],
                         {'image_input:0': images, 'keep_prob:0': 1.0})
    sizes = [np.sqrt(np.mean(pool ** 2)) for pool in pools]
    np.testing.assert_allclose(sizes, training.POOL_SIZES, rtol=0.2)  # as the decoder expects
    assert max(pool.max() for pool in pools) < 65_504 / 2  # features are cached in float16


def test_encoder_is_kept_replaced_or_refused(tmp_path):
    folder, record = str(tmp_path / 'vgg'), tmp_path / 'vgg' / 'source.json'
    vgg_folder.save(training.random_weights(), folder, 'road/sample/encoder.npz')
    prepare.make_encoder(folder)  # replaces what an older version made
    made = vgg_folder.find_vgg(folder).fingerprint
    assert made == vgg_folder.fingerprint(read_weights(prepare.WEIGHTS))
    written = record.stat().st_mtime_ns
    prepare.make_encoder(folder)
    assert record.stat().st_mtime_ns == written
    record.unlink()
    with pytest.raises(InputError, match='vgg: holds something other .*; move it away'):
        prepare.make_encoder(folder)


@pytest.mark.slow
def test_sample_reaches_its_score_with_the_shipped_encoder(tmp_path):
    assert main.main(['--sample', '--data-dir', str(tmp_path / 'data'),
                      '--runs-dir', str(tmp_path), '--name', 'run']) == 0
    assert read_json(f'{tmp_path}/run/metrics.json')['best']['val_MaxF'] >= 98.5
