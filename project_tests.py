"""Checks of the four functions in main.py and of the KITTI folder, one a function; usable on anybody's implementation.

    python project_tests.py     # runs them on main.py and says by name what passed
    pytest project_tests.py     # the same under pytest, which hands in main.py's functions as fixtures (conftest.py)

    from project_tests import test_layers; test_layers(my_layers)
"""

import os
import sys
from contextlib import contextmanager
from functools import wraps
from unittest import mock

import numpy as np

from road import kitti
from road.tf1 import tf


def in_own_graph(test):
    """Run a check in a graph of its own."""
    @wraps(test)
    def wrapped(*args, **kwargs):
        with tf.Graph().as_default():
            test(*args, **kwargs)
    return wrapped


@contextmanager
def quiet():
    """Hold back what the checked function prints."""
    with open(os.devnull, 'w') as nowhere, mock.patch('sys.stdout', nowhere), mock.patch('sys.stderr', nowhere):
        yield


def assert_shape(tensor, shape, name):
    assert tensor.shape.rank == len(shape), f'{name} has rank {tensor.shape.rank}, expected {len(shape)}'
    for i, (got, expected) in enumerate(zip(tensor.shape.as_list(), shape)):
        assert got == expected, f'{name} has size {got} in dimension {i}, expected {expected}: {tensor.shape}'


@in_own_graph
def test_load_vgg(load_vgg, tf_module):
    """load_vgg loads tag 'vgg16' through tf_module's loader and returns the graph's own five tensors, in order."""
    names = ('image_input', 'keep_prob', 'layer3_out', 'layer4_out', 'layer7_out')
    with mock.patch.object(tf_module.saved_model.loader, 'load') as load, tf.Session() as sess:
        expected = [tf.placeholder(tf.float32, name=name) for name in names]
        returned = load_vgg(sess, 'some/path')
    assert load.called, 'tf.saved_model.loader.load() is not called'
    assert load.call_args == mock.call(sess, ['vgg16'], 'some/path'), \
        'tf.saved_model.loader.load() is not called with (sess, ["vgg16"], vgg_path)'
    assert len(returned) == len(names), f'load_vgg returns {len(returned)} values, expected {len(names)}'
    for name, got, tensor in zip(names, returned, expected):
        assert got is tensor, f'{name} is not the tensor {name}:0 of the graph'


@in_own_graph
def test_layers(layers):
    """layers gives logits of shape [batch, height, width, num_classes] from three tensors of any size."""
    num_classes = 2
    layer3 = tf.placeholder(tf.float32, [None, None, None, 256])
    layer4 = tf.placeholder(tf.float32, [None, None, None, 512])
    layer7 = tf.placeholder(tf.float32, [None, None, None, 4096])
    output = layers(layer3, layer4, layer7, num_classes)
    assert_shape(output, [None, None, None, num_classes], 'the output of layers')
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        logits = sess.run(output, {layer3: np.ones([1, 8, 12, 256]), layer4: np.ones([1, 4, 6, 512]),
                                   layer7: np.ones([1, 2, 3, 4096])})
    assert logits.shape == (1, 64, 96, num_classes), f'an image of 64x96 gives logits of shape {logits.shape}'


@in_own_graph
def test_optimize(optimize):
    """optimize flattens the logits, and its train_op changes the variable."""
    num_classes, shape = 2, [2, 3, 4, 2]
    output = tf.Variable(tf.zeros(shape))
    correct_label = tf.placeholder(tf.float32, [None, None, None, num_classes])
    learning_rate = tf.placeholder(tf.float32)
    logits, train_op, loss = optimize(output, correct_label, learning_rate, num_classes)
    assert_shape(logits, [2 * 3 * 4, num_classes], 'logits')
    labels = np.arange(np.prod(shape)).reshape(shape)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run([train_op], {correct_label: labels, learning_rate: 10})
        values, loss_value = sess.run([output, loss], {correct_label: labels})
    assert values.any(), 'the training operation does not change the variable'
    assert np.isfinite(loss_value), f'the loss is {loss_value}'


@in_own_graph
def test_train_nn(train_nn):
    """train_nn runs with a constant as train_op, without variables, on whatever get_batches_fn yields."""
    asked = []

    def get_batches_fn(batch_size):
        asked.append(batch_size)
        shape = [batch_size, 2, 3, 3]
        return np.arange(np.prod(shape)).reshape(shape)

    placeholders = {name: tf.placeholder(tf.float32, name=name)
                    for name in ('input_image', 'correct_label', 'keep_prob', 'learning_rate')}
    with tf.Session() as sess, quiet():
        train_nn(sess=sess, epochs=1, batch_size=2, get_batches_fn=get_batches_fn, train_op=tf.constant(0),
                 cross_entropy_loss=tf.constant(10.11), **placeholders)
    assert asked == [2], f'one epoch of batches of 2 calls get_batches_fn with {asked}'


def test_for_kitti_dataset(data_dir):
    """<data_dir>/data_road holds all of KITTI Road, or as much of it as there is, each image with its label."""
    kitti_dir = os.path.join(data_dir, 'data_road')
    assert os.path.isdir(kitti_dir), kitti.missing_message(kitti_dir)
    training = kitti.training_frames(os.path.join(kitti_dir, 'training'))
    testing = kitti.testing_frames(os.path.join(kitti_dir, 'testing'))
    for difference in kitti.differing_counts(training, testing):
        print(f'Note: {difference}', file=sys.stderr)


def run_all():
    """Run the checks on main.py; returns the number that failed. Without KITTI Road its check is skipped."""
    import main
    checks = [(test_load_vgg, (main.load_vgg, main.tf)), (test_layers, (main.layers,)),
              (test_optimize, (main.optimize,)), (test_train_nn, (main.train_nn,)),
              (test_for_kitti_dataset, ('data',))]
    passed = failed = skipped = 0
    for check, arguments in checks:
        if check is test_for_kitti_dataset and not os.path.isdir('data/data_road'):
            print(f'{check.__name__}: skipped, data/data_road is not there')
            skipped += 1
            continue
        try:
            check(*arguments)
        except Exception as error:  # a check must not keep the others from running, whatever it meets
            print(f'{check.__name__}: FAILED: {type(error).__name__}: {error}')
            failed += 1
        else:
            print(f'{check.__name__}: passed')
            passed += 1
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return failed


if __name__ == '__main__':
    sys.exit(1 if run_all() else 0)
