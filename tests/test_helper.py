"""The classic helper functions, called as the classic exercise calls them."""

import os
import re

import imageio.v3 as iio
import numpy as np

import helper
import main
from road.network import surgery
from road.network.tf1 import tf


def test_batches_of_a_training_folder(scenes_dir):
    get_batches_fn = helper.gen_batch_function(os.path.join(scenes_dir, 'training'), (50, 170))
    shapes = [(images.shape, labels.shape) for images, labels in get_batches_fn(4)]
    assert shapes == [((n, 64, 192, 3), (n, 64, 192, 2)) for n in (4, 4, 1)]
    losses = []
    with tf.Graph().as_default(), tf.Session() as sess:  # who looks at a batch trains as long
        fed = [tf.placeholder(tf.float32) for _ in range(4)]
        kept, missing = (tf.get_variable(name, initializer=1.0) for name in ('kept', 'missing'))
        kept.load(7.0, sess)  # only what is missing is initialised
        main.train_nn(sess, 2, 4, get_batches_fn, tf.no_op(), [kept, missing], *fed,
                      after_epoch=lambda epoch, means, *_: losses.append(means.tolist()))
    assert losses == [[7, 1]] * 2


def test_classic_calls_write_test_images(scenes_dir, vgg_dir, tmp_path, capsys):
    """gen_test_output and save_inference_samples with the image placeholder."""
    with tf.Graph().as_default(), tf.Session() as sess:
        model = main.build_graph(sess, vgg_dir, l2=0)
        surgery.initialize_missing(sess)
        sess.graph.finalize()  # no softmax is added for an image
        outputs = dict(helper.gen_test_output(
            sess, model.logits, model.keep_prob, model.image_input,
            os.path.join(scenes_dir, 'testing'), (50, 170)))
        folder = helper.save_inference_samples(
            str(tmp_path), os.path.dirname(scenes_dir), sess, (50, 170), model.logits,
            model.keep_prob, model.image_input)
    assert re.fullmatch(rf'{tmp_path}/fcn8s-\d{{8}}-\d{{6}}/images', folder)
    assert 'painting: 100%|##########| 3/' in capsys.readouterr().err
    names = ['um_000000.png', 'umm_000000.png', 'uu_000000.png']
    assert sorted(outputs) == sorted(os.listdir(folder)) == names
    for name, painted in outputs.items():
        np.testing.assert_array_equal(painted, iio.imread(os.path.join(folder, name)))
