"""The graph and its training, and that every setting of a run arrives where it belongs."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

import main
from road.data.batches import Batches
from road.errors import InputError
from road.network.device import find_device
from road.network.tf1 import tf


@pytest.fixture(scope='module')
def model(vgg_dir):
    """The whole graph on the narrow encoder, initialised: (sess, model). Read only."""
    with main.open_model(vgg_dir) as opened:
        yield opened


def variables_of(sess, *prefixes):
    return [v for v in sess.graph.get_collection('variables')
            if v.op.name.startswith(prefixes) and 'Adam' not in v.op.name]


def feed(model, **changes):
    rng = np.random.default_rng(0)
    label = np.eye(2)[rng.integers(2, size=(2, 64, 96))]
    values = {'image_input': rng.uniform(0, 255, (2, 64, 96, 3)), 'correct_label': label,
              'keep_prob': 1.0, 'learning_rate': 1e-2, **changes}
    return {getattr(model, name): value for name, value in values.items()}


def test_decoder_has_the_published_names_and_takes_sizes_that_32_does_not_divide(model):
    sess, built = model
    shapes = {v.op.name: v.shape.as_list() for v in variables_of(sess, 'decoder/')}
    assert shapes == {
        'decoder/score_fr/kernel': [1, 1, 16, 2], 'decoder/score_fr/bias': [2],
        'decoder/score_pool4/kernel': [1, 1, 32, 2], 'decoder/score_pool4/bias': [2],
        'decoder/score_pool3/kernel': [1, 1, 24, 2], 'decoder/score_pool3/bias': [2],
        'decoder/upscore2/kernel': [4, 4, 2, 2], 'decoder/upscore_pool4/kernel': [4, 4, 2, 2],
        'decoder/upscore8/kernel': [16, 16, 2, 2]}
    image = np.zeros([3, 37, 70, 3])
    logits = sess.run(built.logits, {built.image_input: image, built.keep_prob: 1.0})
    assert logits.shape == (3 * 40 * 72, 2)
    assert sess.graph.finalized  # no image can add to it


@pytest.mark.parametrize('stride', [2, 8])
def test_upsampling_starts_as_bilinear_interpolation(stride):
    """Away from the border; classes do not mix."""
    image = np.random.default_rng(0).normal(size=(1, 6, 7, 2)).astype(np.float32)
    large, inner = (6 * stride, 7 * stride), slice(stride, -stride)
    with tf.Graph().as_default(), tf.Session() as sess:
        found, expected = sess.run([
            tf.nn.conv2d_transpose(image, main.bilinear_kernel(2 * stride, 2), (1, *large, 2),
                                   strides=stride, padding='SAME'),
            tf.compat.v2.image.resize(image, large)])
    np.testing.assert_allclose(found[:, inner, inner], expected[:, inner, inner], atol=1e-5)


# Six pixels, of which `optimize` ignores two.
LOGITS = np.random.default_rng(0).normal(size=(1, 2, 3, 2)).astype(np.float32)
LABEL = np.float32([[[[1, 0], [0, 0], [0, 1]], [[0, 1], [1, 0], [0, 0]]]])


@pytest.mark.parametrize('kind', [np.float32, np.int32, bool])
def test_ignored_pixels_change_nothing(kind):
    """Their gradient is exactly zero, and the loss is the weighted mean over the others."""
    weighted = LABEL * [0.5, 3]
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.constant(7.0))  # VGG16's own
        _, _, loss = main.optimize(tf.Variable(LOGITS), tf.constant(LABEL.astype(kind)), 0.1, 2,
                                   class_weights=[0.5, 3])
        sess.run(tf.global_variables_initializer())
        got, gradient = sess.run([loss, tf.gradients(loss, tf.trainable_variables()[0])[0]])
    log_softmax = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    np.testing.assert_allclose(got, -(weighted * log_softmax).sum() / weighted.sum(), rtol=1e-6)
    np.testing.assert_array_equal(gradient.any(-1), LABEL.any(-1))


def test_l2_is_the_sum_over_the_decoder_kernels_alone(model):
    """Half the squares of the kernels times the weight, 1e-4; not biases."""
    sess, built = model
    kernels = sess.run([v for v in variables_of(sess, 'decoder/') if 'kernel' in v.op.name])
    wanted = [built.l2_loss, built.loss, built.cross_entropy]
    l2, loss, cross_entropy = sess.run(wanted, feed(built))
    np.testing.assert_allclose(l2, 1e-4 * sum((k ** 2).sum() / 2 for k in kernels), rtol=1e-5)
    np.testing.assert_allclose(loss, cross_entropy + l2, rtol=1e-6)
    ignored = sess.run(wanted, feed(built, correct_label=np.zeros([2, 64, 96, 2])))
    assert ignored == [l2, l2, 0]


@pytest.mark.parametrize('block, trained', [
    ('none', ()), ('conv4', ('conv4', 'conv5', 'fc')), ('all', ('conv', 'fc'))])
def test_training_changes_the_named_block_and_all_above(vgg_dir, block, trained):
    """To the bit. Adam's first step moves a weight by the learning rate, whatever its gradient."""
    with main.open_model(vgg_dir, find_device('float32', block).config, train_encoder=block,
                         clip_norm=1.0, encoder_factor=0.1) as (sess, model):
        variables = variables_of(sess, 'conv', 'fc', 'decoder')
        before = sess.run(variables)
        assert all(value.any() for value in before if value.ndim == 4)  # as loaded, not zeros
        sess.run(model.train_op, feed(model))
        for variable, old, new in zip(variables, before, sess.run(variables)):
            name = variable.op.name
            expected = 1e-2 if name.startswith('decoder') else 1e-3 * name.startswith(trained)
            assert np.abs(new - old).max() == pytest.approx(expected, rel=0.1), name


def run_train_nn(epochs, batches, loss=lambda image, *_: tf.constant(1.0), **options):
    """The rows that train_nn reports, of batches of 4."""
    rows = []
    with tf.Graph().as_default(), tf.Session() as sess:
        fed = [tf.placeholder(tf.float32) for _ in ('image', 'label', 'keep_prob', 'rate')]
        main.train_nn(sess, epochs, 4, batches, tf.no_op(), loss(*fed), *fed,
                      after_epoch=lambda *row: rows.append(row), **options)
    return rows


def frames_named(names):
    return [SimpleNamespace(name=name, shape=(32, 32)) for name in names]


def test_train_nn_feeds_schedule_and_keep_prob_and_reports_means(capsys):
    """A smaller last batch counts as many images as it has."""
    batches = Batches(frames_named('abcde'), (32, 32),
                      lambda samples: ([0], np.zeros([len(samples), 1], np.uint8)))
    batches.epoch = 1  # resumed after the first epoch
    batches.processes = 2  # which share each batch: half of a label is here
    epochs, losses, speeds, rates = zip(*run_train_nn(
        3, batches, lambda image, label, keep_prob, rate: [rate, keep_prob],
        learning_rate_at=lambda progress: 1 + progress, keep_prob_value=0.75))
    assert epochs == (2, 3)
    assert '15/15' in capsys.readouterr().err  # the bar goes on too
    assert min(speeds) > 0
    starts = np.array([[1, 1.8], [2, 2.8]]) / 3  # shares of the training that are done
    means = np.average(1 + starts, axis=1, weights=(4, 1))
    np.testing.assert_allclose(losses, [(mean, 0.75) for mean in means], rtol=1e-6)
    np.testing.assert_allclose(rates, 1 + starts[:, 0])  # that of the epoch's first step


def test_a_loss_that_is_not_finite_names_epoch_step_and_frames():
    """In the second step of the third epoch, with the frames that the batch held."""
    names = {}  # by the size of the batch: 4, then 2

    def read(samples):
        names[len(samples)] = ', '.join(sample.frame.name for sample in samples)
        return [len(samples)], np.zeros([len(samples), 1], np.uint8)

    batches = Batches(frames_named('abcdef'), (32, 32), read)
    batches.epoch = 2
    with pytest.raises(InputError) as raised:
        run_train_nn(3, batches, lambda image, *_: tf.where(image[0] < 4, np.nan, 1.0),
                     learning_rate_at=lambda progress: progress / 1e6)
    assert str(raised.value).startswith(
        'epoch 3, step 2: the loss is nan at learning rate 8.88889e-07 on')
    assert f'on the frames {names[2]}; resume with a smaller --learning-rate' in str(raised.value)
    with pytest.raises(InputError, match='epoch 1, step 1: .* on the frames unknown; resume'):
        run_train_nn(1, lambda batch_size: [([0], [0])], lambda *_: tf.constant(np.inf))


def test_out_of_memory_names_what_to_lower(capsys, monkeypatch, train_run):
    monkeypatch.setattr(main, 'FeatureCache', Mock(side_effect=MemoryError))
    code, folder = train_run('small')
    line = capsys.readouterr().err.splitlines()[-1]
    assert code == 2 and line == (
        'Error: out of memory at image size 64x192 and batch size 2; lower --batch-size, then '
        '--image-size (half the height and width takes a quarter)')
    with open(f'{folder}/log.txt') as file:
        assert file.read().splitlines()[-1] == line


@pytest.mark.parametrize('error, options', [
    (ZeroDivisionError(), []), (InputError('bad'), ['--debug'])])
def test_a_fault_of_the_program_and_debug_show_the_traceback(monkeypatch, error, options):
    monkeypatch.setattr(main, 'train', Mock(side_effect=error))
    with pytest.raises(type(error)):
        main.main(options)
