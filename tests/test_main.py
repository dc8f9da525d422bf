"""The graph and its training: what is added, what is trained, what the loss counts, and the whole run."""

import json
import os

import imageio.v3 as iio
import numpy as np
import pytest

import helper
import main
from road import kitti, runs, vgg16
from road.machine import session_config
from road.tf1 import tf

TINY = ['--image-size', '64x192', '--epochs', '2', '--val-frames', '1', '--batch-size', '2']


@pytest.fixture
def model(vgg_dir):
    """The whole graph on the narrow encoder, initialised: (sess, model)."""
    with main.open_model(vgg_dir, None) as opened:
        yield opened


def decoder_of(sess):
    return sess.graph.get_collection('trainable_variables', scope='decoder/')


def feed(model, n=2, height=64, width=96, **changes):
    rng = np.random.default_rng(0)
    label = np.eye(2)[rng.integers(2, size=(n, height, width))]
    return {model.image_input: rng.uniform(0, 255, (n, height, width, 3)), model.correct_label: label,
            model.keep_prob: 1.0, model.learning_rate: 1e-2} | changes


# ------------------------------------------------------------------------------------------------------ layers


def test_decoder_variables_have_the_published_names(model):
    shapes = {v.op.name: v.shape.as_list() for v in decoder_of(model[0])}
    assert shapes == {
        'decoder/score_fr/kernel': [1, 1, 16, 2], 'decoder/score_fr/bias': [2],
        'decoder/score_pool4/kernel': [1, 1, 32, 2], 'decoder/score_pool4/bias': [2],
        'decoder/score_pool3/kernel': [1, 1, 24, 2], 'decoder/score_pool3/bias': [2],
        'decoder/upscore2/kernel': [4, 4, 2, 2], 'decoder/upscore_pool4/kernel': [4, 4, 2, 2],
        'decoder/upscore8/kernel': [16, 16, 2, 2]}


def test_skips_are_scaled_before_their_score():
    """A constant skip input moves the logits by scale * sum(kernel), and score_fr is not scaled."""
    with tf.Graph().as_default(), tf.Session() as sess:
        inputs = [tf.placeholder(tf.float32, [1, 64 // s, 64 // s, 3]) for s in (8, 16, 32)]
        logits = main.layers(*inputs, 2)
        sess.run(tf.global_variables_initializer())
        variables = {v.op.name: v for v in tf.global_variables()}
        kernels = sess.run([variables[f'decoder/{name}/kernel'] for name in ('score_pool3', 'score_pool4', 'score_fr')])
        for i, (kernel, scale) in enumerate(zip(kernels, (0.0001, 0.01, 1))):
            values = [np.full(x.shape, 1e4 if i == j else 0.0) for j, x in enumerate(inputs)]
            middle = sess.run(logits, dict(zip(inputs, values)))[0, 32, 32]
            np.testing.assert_allclose(middle, 1e4 * scale * kernel[0, 0].sum(axis=0), rtol=1e-4)


@pytest.mark.parametrize('stride', [2, 8])
def test_upsampling_starts_as_bilinear_interpolation(stride):
    """Against scipy's linear interpolation between cell centres, away from the border."""
    from scipy.interpolate import RegularGridInterpolator
    small = np.random.default_rng(0).normal(size=(6, 7))
    with tf.Graph().as_default(), tf.Session() as sess:
        x = np.stack([small, -small], -1)[None].astype(np.float32)
        large = sess.run(tf.nn.conv2d_transpose(x, main.bilinear_kernel(2 * stride, 2), [1, 6 * stride, 7 * stride, 2],
                                                strides=stride, padding='SAME'))[0]
    rows, columns = ((np.arange(n * stride) + 0.5) / stride - 0.5 for n in small.shape)
    inner = np.ix_(rows[stride:-stride], columns[stride:-stride])
    points = np.stack(np.meshgrid(rows[stride:-stride], columns[stride:-stride], indexing='ij'), -1)
    expected = RegularGridInterpolator([range(6), range(7)], small)(points)
    np.testing.assert_allclose(large[stride:-stride, stride:-stride, 0], expected, atol=1e-5)
    np.testing.assert_allclose(large[..., 1], -large[..., 0], atol=1e-6)
    assert expected.shape == tuple(len(i.ravel()) for i in inner)


@pytest.mark.parametrize('height, width', [(37, 70), (32, 32), (100, 33)])
def test_sizes_that_32_does_not_divide(model, height, width):
    sess, built = model
    logits = sess.run(built.logits, {built.image_input: np.zeros([3, height, width, 3]), built.keep_prob: 1.0})
    assert logits.shape == (3 * -(-height // 8) * 8 * -(-width // 8) * 8, 2)


# -------------------------------------------------------------------------------------------------------- loss


def test_pixels_that_do_not_count_change_nothing():
    """Their gradient is exactly zero, and the loss is the mean over the others."""
    rng = np.random.default_rng(0)
    values, label = rng.normal(size=(1, 2, 3, 2)).astype(np.float32), np.eye(2, dtype=np.float32)[[[[0, 1, 1], [1, 0, 0]]]]
    label[0, 0, 1] = label[0, 1, 2] = 0
    with tf.Graph().as_default(), tf.Session() as sess:
        logits = tf.constant(values)
        _, _, loss = main.optimize(tf.Variable(logits), tf.constant(label), 0.1, 2)
        sess.run(tf.global_variables_initializer())
        gradient = sess.run(tf.gradients(loss, tf.trainable_variables()[0])[0])
        got = sess.run(loss)
    log_softmax = values - np.log(np.exp(values).sum(-1, keepdims=True))
    counted = label.sum(-1) > 0
    np.testing.assert_allclose(got, -(label * log_softmax).sum(-1)[counted].mean(), rtol=1e-6)
    assert (gradient[~counted] == 0).all() and (gradient[counted] != 0).all()


def test_loss_with_no_pixel_that_counts_is_the_l2_alone(model):
    sess, built = model
    cross_entropy, l2, loss = sess.run([built.cross_entropy, built.l2, built.loss],
                                       feed(built, **{}) | {built.correct_label: np.zeros([2, 64, 96, 2])})
    assert cross_entropy == 0 and loss == l2 > 0


def test_temperature_changes_confidences_alone(vgg_dir):
    """Logits over 4, as evaluation, prediction and export read them; the loss is what it was."""
    found = []
    for temperature in (1.0, 4.0):
        with main.open_model(vgg_dir, None, temperature=temperature) as (sess, model):
            found.append(sess.run([model.logits, model.loss], feed(model)))
    np.testing.assert_allclose(found[1][0], found[0][0] / 4, rtol=1e-5)
    assert found[0][1] == found[1][1]


def test_l2_is_the_sum_over_the_decoders_kernels_alone(vgg_dir):
    """Half the squares of the kernels times the weight, biases left out, and so is what a loaded graph may carry."""
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.constant(1e6, name='conv1_1/regularizer'))
        built = main.build_graph(sess, vgg_dir, l2=0.01)
        main.initialize_missing(sess)
        kernels = sess.run([v for v in decoder_of(sess) if 'kernel' in v.op.name])
        l2, loss, cross_entropy = sess.run([built.l2, built.loss, built.cross_entropy], feed(built))
    np.testing.assert_allclose(l2, 0.01 * sum((k ** 2).sum() / 2 for k in kernels), rtol=1e-5)
    np.testing.assert_allclose(loss, cross_entropy + l2, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------- training


def test_training_changes_the_whole_decoder_and_nothing_of_the_encoder(model):
    """Bit for bit: also initialisation has left the encoder alone, whose initialisers would make it zero."""
    sess, built = model
    encoder = [v for v in sess.graph.get_collection('variables') if not v.op.name.startswith('decoder/')
               and 'Adam' not in v.op.name and 'beta' not in v.op.name]
    assert len(encoder) == 30
    before = sess.run([encoder, decoder_of(sess)])
    assert all(value.any() for value, v in zip(before[0], encoder) if 'biases' not in v.op.name)
    for _ in range(3):
        sess.run(built.train_op, feed(built, **{}) | {built.keep_prob: 0.5})
    after = sess.run([encoder, decoder_of(sess)])
    for old, new in zip(before[0], after[0]):
        np.testing.assert_array_equal(old, new)
    for variable, old, new in zip(decoder_of(sess), before[1], after[1]):
        assert (old != new).any(), variable.op.name


def is_of(variable, *blocks):
    return variable.op.name.startswith(blocks) and 'Adam' not in variable.op.name


@pytest.mark.parametrize('block, trained, frontier, strides', [
    ('conv5', ('conv5', 'fc'), ['pool3', 'pool4'], [8, 16]), ('conv4', ('conv4', 'conv5', 'fc'), ['pool3'], [8]),
    ('conv3', ('conv3', 'conv4', 'conv5', 'fc'), ['pool2'], [4]), ('all', ('conv', 'fc'), ['image_input'], [1])])
def test_training_changes_the_named_block_and_all_above(vgg_dir, block, trained, frontier, strides):
    """To the bit; and what is fed at the frontier gives the loss that the image gives."""
    config = session_config('float32', train_encoder=block)[0]
    with main.open_model(vgg_dir, config, train_encoder=block, l2=0, encoder_l2=1e-3, clip_norm=1.0) as (sess, model):
        assert [tensor.op.name for tensor in model.frontier] == frontier and vgg16.strides(model.frontier) == strides
        variables = [v for v in sess.graph.get_collection('variables') if is_of(v, 'conv', 'fc', 'decoder')]
        assert len(variables) == 30 + 9
        inputs = feed(model)
        values = sess.run(model.frontier, {model.image_input: inputs[model.image_input]})
        fed = {key: value for key, value in inputs.items() if key is not model.image_input} | {model.frontier: tuple(values)}
        assert sess.run(model.cross_entropy, fed) == pytest.approx(sess.run(model.cross_entropy, inputs), rel=1e-5)
        before = sess.run(variables)
        for _ in range(2):
            sess.run(model.train_op, fed)
        for variable, old, new in zip(variables, before, sess.run(variables)):
            assert (old != new).any() == is_of(variable, 'decoder', *trained), variable.op.name


def test_encoder_has_its_own_rate_and_l2(vgg_dir):
    """Adam's first step moves each weight by the learning rate, whatever the gradient's size."""
    with main.open_model(vgg_dir, None, train_encoder='conv5', l2=0, encoder_rate=0.1, encoder_l2=0.5) as (sess, model):
        variables = [v for v in sess.graph.get_collection('variables') if is_of(v, 'conv5', 'fc', 'decoder')]
        kernels = sess.run([v for v in variables if is_of(v, 'conv5', 'fc') and 'biases' not in v.op.name])
        assert sess.run(model.l2) == pytest.approx(0.5 * sum((kernel ** 2).sum() / 2 for kernel in kernels), rel=1e-5)
        before = sess.run(variables)
        sess.run(model.train_op, feed(model))
        for variable, old, new in zip(variables, before, sess.run(variables)):
            expected = 1e-2 if is_of(variable, 'decoder') else 1e-3
            assert np.abs(new - old).max() == pytest.approx(expected, rel=0.01), variable.op.name


def test_large_gradients_are_shrunk_together(monkeypatch):
    """To the norm that is given, their directions kept; smaller ones are left."""
    given = []

    class Recording(tf.train.AdamOptimizer):
        def apply_gradients(self, pairs, **kwargs):
            given.append([gradient for gradient, _ in pairs])
            return super().apply_gradients(pairs, **kwargs)

    monkeypatch.setattr(main.tf.train, 'AdamOptimizer', Recording)
    logits = np.random.default_rng(0).normal(size=(1, 2, 3, 2)).astype(np.float32)
    label = np.eye(2, dtype=np.float32)[[[[0, 1, 1], [1, 0, 0]]]]
    for norm in (None, 0.01, 100.0):
        with tf.Graph().as_default(), tf.Session() as sess:
            main.optimize(tf.Variable(logits), tf.constant(label), 0.1, 2, clip_norm=norm)
            sess.run(tf.global_variables_initializer())
            given[-1] = sess.run(given[-1])[0]
    free, clipped, left = given
    np.testing.assert_allclose(clipped, free * 0.01 / np.linalg.norm(free), rtol=1e-5)
    np.testing.assert_allclose(left, free)


def test_cosine_goes_up_then_down_and_is_fed():
    rate = main.cosine(0.1, warm_up=0.2)
    assert rate(0) == pytest.approx(0.001) and rate(0.1) == pytest.approx(0.0505) and rate(0.2) == pytest.approx(0.1)
    assert rate(0.6) == pytest.approx(0.05) and rate(1) == pytest.approx(0)
    batches = lambda n: [([0], [0])] * 2  # noqa: E731
    batches.frames = 2
    with tf.Graph().as_default(), tf.Session() as sess:
        *names, learning_rate = [tf.placeholder(tf.float32) for _ in range(4)]
        seen = []
        main.train_nn(sess, 2, 1, batches, tf.no_op(), learning_rate * 2, *names, learning_rate, rate=rate,
                      after_epoch=lambda *row: seen.append(row[1]))
    np.testing.assert_allclose(seen, [rate(0) + rate(0.25), rate(0.5) + rate(0.75)], rtol=1e-5)


def test_train_nn_initialises_what_is_missing_and_only_that():
    with tf.Graph().as_default(), tf.Session() as sess:
        kept, missing = tf.get_variable('kept', [], initializer=tf.zeros_initializer()), tf.get_variable('missing', [])
        sess.run(tf.assign(kept, 7.0))
        names = [tf.placeholder(tf.float32) for _ in range(4)]
        main.train_nn(sess, 1, 1, lambda n: [([0], [0])], tf.no_op(), tf.constant(1.0), *names)
        assert sess.run(kept) == 7 and np.isfinite(sess.run(missing))


def test_loss_that_is_not_finite_stops_the_run():
    with tf.Graph().as_default(), tf.Session() as sess:
        names = [tf.placeholder(tf.float32) for _ in range(4)]
        with pytest.raises(main.InputError, match='epoch 1, step 1: the loss is nan at learning rate 0.5'):
            main.train_nn(sess, 1, 1, lambda n: [([0], [0])], tf.no_op(), tf.constant(np.nan), *names, rate=0.5)


def test_loss_that_is_not_finite_names_the_frames_of_its_batch(scenes_dir):
    """Those that the batch really held, in the second step of the third epoch."""
    read = []

    def read_batch(samples):
        read.append([sample.frame.name for sample in samples])
        return samples, samples

    batches = helper.gen_batch_function(os.path.join(scenes_dir, 'training'), (32, 32), read_batch=read_batch, first_epoch=3,
                                        variants=2)
    list(batches(4))
    assert batches.names(3, 2, 4) in read and len(read) == 3
    one = lambda n: [([0], [0])]  # noqa: E731
    one.names = lambda epoch, step, batch_size: read[1]
    with tf.Graph().as_default(), tf.Session() as sess:
        names = [tf.placeholder(tf.float32) for _ in range(4)]
        with pytest.raises(main.InputError, match=f'on the frames {", ".join(read[1])}; try a smaller'):
            main.train_nn(sess, 1, 1, one, tf.no_op(), tf.constant(np.inf), *names)


def test_dropout_noise_depends_on_seed_and_epoch_alone(model):
    batches = lambda n: [((), np.zeros([2, 64, 96, 2]))] * 2  # noqa: E731
    whole = main.with_dropout_noise(batches, model[1].noise, 7)
    epochs = [list(whole(2)) for _ in range(3)]
    again = list(main.with_dropout_noise(batches, model[1].noise, 7, first_epoch=3)(2))
    for (expected, _), (found, _) in zip(epochs[2], again):
        np.testing.assert_array_equal(expected[0], found[0])
    assert (epochs[0][0][0][0] != epochs[1][0][0][0]).all() and (again[0][0][0] != again[1][0][0]).all()


def test_xla_compiles_the_step(vgg_dir):
    """On a CPU too; without it nothing is compiled."""
    for xla in (False, True):
        with main.open_model(vgg_dir, session_config('float32', xla)[0]) as (sess, model):
            metadata = tf.RunMetadata()
            sess.run(model.train_op, feed(model), options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
            assert any(node.op == '_XlaRun' for graph in metadata.partition_graphs for node in graph.node) == xla


# ---------------------------------------------------------------------------------------------------- the run


def train(scenes_dir, vgg_dir, tmp_path, name, *options, monkeypatch):
    """Run main.main; returns the cross-entropies and L2 terms of its epochs."""
    losses = []
    original = main.train_nn

    def recording(*args, after_epoch, **kwargs):
        def both(epoch, cross_entropy, l2, rate):
            losses.append((cross_entropy, l2))
            after_epoch(epoch, cross_entropy, l2, rate)
        return original(*args, after_epoch=both, **kwargs)

    monkeypatch.setattr(main, 'train_nn', recording)
    code = main.main(['--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path / 'data'), '--runs-dir',
                      str(tmp_path / 'runs'), '--name', name, '--debug', '--precision', 'float32', *TINY, *options])
    monkeypatch.undo()
    assert code == 0
    return np.array(losses)


@pytest.mark.parametrize('block', ['none', 'conv4'])
def test_cache_changes_the_time_and_nothing_else(scenes_dir, vgg_dir, tmp_path, monkeypatch, block):
    """Same seeds, dropout and variants included: computed, cached and read again give the same losses."""
    arguments = scenes_dir, vgg_dir, tmp_path
    common = ['--variants', '3', '--augment', 'all', '--train-encoder', block]
    options = ['--cache-dtype', 'float32', *common]
    computed = train(*arguments, 'computed', *options, '--no-cache', monkeypatch=monkeypatch)
    assert not os.path.exists(tmp_path / 'data' / 'cache')
    cached = train(*arguments, 'cached', *options, monkeypatch=monkeypatch)
    again = train(*arguments, 'again', *options, monkeypatch=monkeypatch)
    np.testing.assert_allclose(cached, computed, rtol=1e-5)
    np.testing.assert_array_equal(cached, again)
    if block == 'none':
        half = train(*arguments, 'half', *common, monkeypatch=monkeypatch)
        other = train(*arguments, 'other', *options, '--seed', '1', monkeypatch=monkeypatch)
        np.testing.assert_allclose(half, computed, rtol=1e-2)
        assert (other != computed).all()


def test_trained_encoder_goes_with_the_run(scenes_dir, vgg_dir, tmp_path, monkeypatch, capsys):
    """evaluate, in a graph of its own, scores what training scored: the checkpoint holds the trained blocks, fresh variants
    and the scheduled rate are no hindrance, and the blocks below are those of the graph in --vgg-dir."""
    for block in ('conv5', 'all'):
        train(scenes_dir, vgg_dir, tmp_path, block, '--train-encoder', block, '--augment', 'all', '--variants', '0', '--schedule',
              'cosine', '--encoder-learning-rate', '1e-2', '--cache-dtype', 'float32', '--data-dir', str(tmp_path / block), monkeypatch=monkeypatch)
        folder = tmp_path / 'runs' / block
        assert os.path.isdir(tmp_path / block / 'cache') == (block != 'all')
        assert main.main(['evaluate', str(folder)]) == 0
        scores = json.loads((folder / 'evaluation-validation.json').read_text())['perspective']['URBAN']
        best = json.loads((folder / 'metrics.json').read_text())['best']
        assert 100 * scores['MaxF'] == pytest.approx(best['val_MaxF'], abs=1e-6)
        assert 100 * scores['AP'] == pytest.approx(best['val_AP'], abs=1e-6)
        saved = [name for name, _ in tf.train.list_variables(str(runs.load(str(folder)).decoder))]
        assert ('conv5_3/filter' in saved) and ('conv1_1/filter' in saved) == (block == 'all')


def test_classic_labels_train_but_do_not_score(scenes_dir, vgg_dir, tmp_path, monkeypatch):
    """Another cross-entropy from the first step on; what is scored is the true labels."""
    right = train(scenes_dir, vgg_dir, tmp_path, 'kitti', monkeypatch=monkeypatch)
    read, original = [], main.labelled_confidences

    def recording(sess, model, frames, read_batch, labels, image_shape):
        read.extend((frame, *labels[frame.name]) for frame in frames)
        return original(sess, model, frames, read_batch, labels, image_shape)

    monkeypatch.setattr(main, 'labelled_confidences', recording)
    classic = train(scenes_dir, vgg_dir, tmp_path, 'classic', '--labels', 'classic', monkeypatch=monkeypatch)
    assert (right[:, 0] != classic[:, 0]).all() and len(read) > 10
    for frame, road, counts in read:
        np.testing.assert_array_equal([road, counts], kitti.read_label(frame.label))


def test_run_writes_what_it_says(scenes_dir, vgg_dir, tmp_path, monkeypatch, capsys):
    train(scenes_dir, vgg_dir, tmp_path, 'first', monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    folder = tmp_path / 'runs' / 'first'
    for line in ('KITTI Road in', 'partial (training images 9 of 289', '* --epochs         2', 'Best on validation: epoch',
                 f'3 test images are in {folder / "images"}'):
        assert line in printed
    config = json.loads((folder / 'config.json').read_text())
    assert config['settings']['epochs'] == 2 and len(config['training']) == 6
    assert config['validation'] == ['um_000002', 'umm_000002', 'uu_000002']
    testing = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))
    assert sorted(os.listdir(folder / 'images')) == [os.path.basename(f.image) for f in testing]
    for frame in testing:
        before, after = iio.imread(frame.image), iio.imread(folder / 'images' / f'{frame.name}.png')
        assert before.shape == after.shape and (before != after).any()

    assert main.main(['evaluate', str(folder)]) == 0
    printed = capsys.readouterr().out
    row = printed.split('perspective')[1].split('\n')[5].split()
    scores = json.loads((folder / 'evaluation-validation.json').read_text())
    assert row[0] == 'URBAN' and row[1] == f'{100 * scores["perspective"]["URBAN"]["MaxF"]:.2f}'
    assert main.main(['submit', str(folder)]) == 0
    assert (folder / 'submission.zip').exists()
