"""Checks of the four functions in main.py and of the KITTI folder; for any implementation of them.

    python project_tests.py     # runs them on main.py and prints by name what passed
    pytest project_tests.py     # the same; conftest.py provides main.py's functions as fixtures

    from project_tests import test_layers
    test_layers(my_layers)
"""

import os
import sys
from contextlib import contextmanager
from unittest import mock

import numpy as np

from road.data import kitti
from road.network.tf1 import tf


@contextmanager
def own_graph():
    """Run a check in a graph of its own."""
    with tf.Graph().as_default():
        yield


def assert_shape(tensor, shape, name):
    found = None if tensor.shape.rank is None else tensor.shape.as_list()
    assert found == shape, f'{name} has shape {found}, expected {shape}'


@own_graph()
def test_load_vgg(load_vgg, tf_module):
    """load_vgg loads tag 'vgg16' with tf_module's loader and returns five tensors, in order."""
    names = ('image_input', 'keep_prob', 'layer3_out', 'layer4_out', 'layer7_out')
    with mock.patch.object(tf_module.saved_model.loader, 'load') as load, tf.Session() as sess:
        expected = [tf.placeholder(tf.float32, name=name) for name in names]
        returned = load_vgg(sess, 'some/path')
    assert load.called, 'tf.saved_model.loader.load() is not called'
    assert load.call_args == mock.call(sess, ['vgg16'], 'some/path'), \
        'tf.saved_model.loader.load() is not called with (sess, ["vgg16"], vgg_path)'
    assert len(returned) == 5, f'load_vgg returns {len(returned)} values, expected 5'
    for name, got, tensor in zip(names, returned, expected):
        assert got is tensor, f'{name} is not the tensor {name}:0 of the graph'


@own_graph()
def test_layers(layers):
    """layers gives logits of shape [batch, height, width, num_classes] for images of any size."""
    inputs = [tf.placeholder(tf.float32, [None, None, None, size]) for size in (256, 512, 4096)]
    output = layers(*inputs, 2)
    assert_shape(output, [None, None, None, 2], 'the output of layers')
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        logits = sess.run(output, {  # strides 8, 16 and 32 of an image of 64x96
            placeholder: np.ones([1, 64 // stride, 96 // stride, placeholder.shape[-1]])
            for placeholder, stride in zip(inputs, (8, 16, 32))})
    assert logits.shape == (1, 64, 96, 2), f'an image of 64x96 gives logits of {logits.shape}'


@own_graph()
def test_optimize(optimize):
    """optimize flattens the logits, and its train_op changes the variable."""
    shape = [2, 3, 4, 2]
    output = tf.Variable(tf.zeros(shape))
    correct_label = tf.placeholder(tf.float32, [None, None, None, 2])
    learning_rate = tf.placeholder(tf.float32)
    logits, train_op, loss = optimize(output, correct_label, learning_rate, 2)
    assert_shape(logits, [2 * 3 * 4, 2], 'logits')
    labels = np.arange(np.prod(shape)).reshape(shape)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run([train_op], {correct_label: labels, learning_rate: 10})
        values, loss_value = sess.run([output, loss], {correct_label: labels})
    assert values.any(), 'the training operation does not change the variable'
    assert np.isfinite(loss_value), f'the loss is {loss_value}'


@own_graph()
def test_train_nn(train_nn):
    """train_nn runs with a constant as train_op and no variables, on what get_batches_fn gives."""
    asked = []

    def get_batches_fn(batch_size):
        asked.append(batch_size)
        shape = [batch_size, 2, 3, 3]
        return np.arange(np.prod(shape)).reshape(shape)

    placeholders = {name: tf.placeholder(tf.float32, name=name)
                    for name in ('input_image', 'correct_label', 'keep_prob', 'learning_rate')}
    with tf.Session() as sess:
        train_nn(sess=sess, epochs=1, batch_size=2, get_batches_fn=get_batches_fn,
                 train_op=tf.constant(0), cross_entropy_loss=tf.constant(10.11), **placeholders)
    assert asked == [2], f'one epoch of batches of 2 calls get_batches_fn with {asked}'


def test_for_kitti_dataset(data_dir):
    """<data_dir>/data_road holds KITTI Road or a part of it, each training image with its label."""
    kitti_dir = os.path.join(data_dir, 'data_road')
    assert os.path.isdir(kitti_dir), kitti.missing_message(kitti_dir)
    training = kitti.training_frames(os.path.join(kitti_dir, 'training'))
    testing = kitti.testing_frames(os.path.join(kitti_dir, 'testing'))
    for difference in kitti.differing_counts(training, testing):
        print(f'Note: {difference}', file=sys.stderr)


def run_all():
    """Run the checks on main.py; returns how many failed."""
    import main
    failed = 0
    checks = [(test_load_vgg, main.load_vgg, main.tf), (test_layers, main.layers),
              (test_optimize, main.optimize), (test_train_nn, main.train_nn)]
    if os.path.isdir('data/data_road'):
        checks.append((test_for_kitti_dataset, 'data'))
    for check, *arguments in checks:
        try:
            check(*arguments)
            print(f'{check.__name__}: passed')
        except Exception as error:  # the other checks run all the same
            print(f'{check.__name__}: failed: {type(error).__name__}: {error}')
            failed += 1
    return failed


if __name__ == '__main__':
    sys.exit(1 if run_all() else 0)
