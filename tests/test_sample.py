"""The sample's encoder: folding changes nothing but sizes, the graph is like any VGG16, and no half of it is left."""

import numpy as np
import pytest

import main
from road import options, sample, vgg16
from road.errors import InputError
from road.tf1 import tf

TINY = dict(count=3, steps=2, batch_size=2)
SHAPE = (32, 64)


@pytest.fixture
def tiny(monkeypatch):
    """Scenes drawn for the encoder are as small as they can be."""
    monkeypatch.setattr(sample, 'SHAPE', SHAPE)


def run_folded(weights, images):
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, variable in vgg16.build_graph(weights).items():
            variable.load(weights[name], sess)
        return sess.run(['layer3_out:0', 'layer4_out:0', 'layer7_out:0'], {'image_input:0': images, 'keep_prob:0': 1.0})


def test_folded_graph_gives_what_the_normalised_one_gives():
    """On odd numbers: batch 3, 37x70, scales, shifts and moments all different."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, [3, 37, 70, 3]).astype(np.float32)
    start = vgg16.random_weights((3, 5, 7, 6, 4))
    values, moments = dict(start), {}
    for name in vgg16.CONVS:
        shift = start[f'{name}/biases']
        values[f'{name}/scale'] = rng.uniform(0.5, 2, shift.shape).astype(np.float32)
        values[f'{name}/shift'] = rng.normal(0.3, 0.2, shift.shape).astype(np.float32)
        spread = 5000 if name == 'conv1_1' else 1
        moments[name] = np.float32([rng.normal(0, 0.2, shift.shape), spread * rng.uniform(0.5, 2, shift.shape)])
    with tf.Graph().as_default(), tf.Session() as sess:
        pools, variables, _ = sample.normalised_graph(tf.constant(images), start, moments)
        for name, variable in variables.items():
            sess.run(tf.assign(variable, values[name]))
        expected = sess.run(pools)
    sizes = np.array([0.3, 7.0, 11.0])
    folded = run_folded(sample.fold(values, moments, sizes), images)
    for got, pool, size, wanted in zip(folded, expected, sizes, sample.SIZES):
        pool = pool * (wanted / size)
        assert pool.max() > 0
        np.testing.assert_allclose(got, pool, rtol=1e-3, atol=1e-5 * pool.max())


def test_training_keeps_moments_and_sizes_of_what_it_returns():
    """After training, the folded graph's pools have the sizes the decoder expects, on the images trained on."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, [4, 64, 128, 3], dtype=np.uint8)
    labels = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, [4, 64, 128])]
    weights = sample.fold(*sample.train(images, labels, steps=3, batch_size=3, seed=0))
    assert {name: w.shape for name, w in weights.items()} == {n: w.shape for n, w in vgg16.random_weights().items()}
    assert np.abs(weights['conv1_1/filter'] - vgg16.random_weights()['conv1_1/filter']).max() > 1e-3
    sizes = [np.sqrt(np.mean(pool ** 2)) for pool in run_folded(weights, images.astype(np.float32))]
    np.testing.assert_allclose(sizes, sample.SIZES, rtol=0.05)


def test_graph_loads_like_any_and_is_made_once(tiny, tmp_path, monkeypatch):
    folder = str(tmp_path / 'vgg')
    sample.make_encoder(folder, **TINY)
    with tf.Graph().as_default(), tf.Session() as sess:
        image_input, keep_prob, *outputs = main.load_vgg(sess, folder)
        values = sess.run(outputs, {image_input: np.zeros([1, 64, 96, 3]), keep_prob: 1.0})
    assert [value.shape for value in values] == [(1, 8, 12, 24), (1, 4, 6, 32), (1, 2, 3, 32)]
    assert vgg16.missing_file(folder) is None

    before = vgg16.fingerprint(folder)
    with monkeypatch.context() as patch:
        patch.setattr(sample, 'draw', None)
        sample.make_encoder(folder, **TINY)  # nothing is drawn: it is there
    sample.make_encoder(folder, **{**TINY, 'seed': 1})
    assert vgg16.fingerprint(folder) != before


def test_same_seed_same_scenes_and_none_of_the_sample(tiny):
    images, labels = sample.draw(3, 0)
    assert images.shape == (3, *SHAPE, 3) and labels.shape == (3, *SHAPE, 2)
    assert images.dtype == labels.dtype == np.uint8
    assert np.array_equal(images, sample.draw(3, 0)[0]) and not np.array_equal(images, sample.draw(3, 1)[0])


@pytest.mark.parametrize('before', [False, True])
def test_killed_making_leaves_nothing_half_done(tiny, tmp_path, monkeypatch, before):
    folder = str(tmp_path / 'vgg')
    if before:  # an older encoder stays whole
        sample.make_encoder(folder, **{**TINY, 'seed': 9})
    made = before and vgg16.fingerprint(folder)

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, 'fold', dies)
    with pytest.raises(KeyboardInterrupt):
        sample.make_encoder(folder, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ['vgg'] * before
    assert not before or vgg16.fingerprint(folder) == made


def test_a_foreign_graph_is_refused(tmp_path):
    vgg16.save_graph(vgg16.random_weights((2, 2, 2, 2, 2)), str(tmp_path / 'vgg'))
    with pytest.raises(InputError, match='move it away'):
        sample.make_encoder(str(tmp_path / 'vgg'), **TINY)


def test_sample_has_defaults_of_its_own_that_the_command_line_overrides():
    args = options.parse_training(['--sample', '--val-frames', '3'])
    assert args.val_frames == 3 and args.image_size == sample.SHAPE and args.l2 == options.SAMPLE_DEFAULTS['l2']
    assert options.parse_training([]).image_size == (192, 672)
