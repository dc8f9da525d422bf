"""The exported SavedModel: the same as predict, in a program that has nothing of this project."""

import contextlib
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import main
from road import export, kitti, vgg16
from road.tf1 import tf

SIZES = [(50, 170), (94, 310), (375, 1242), (33, 47)]  # the first is the trained one

# Run from an empty folder: loads the export in both ways and compares with what predict gave.
STRANGER = """
import sys
import numpy as np, tensorflow as tf
data, folder = np.load(sys.argv[1]), sys.argv[2]
model = tf.saved_model.load(folder)
signature = model.signatures['serving_default']
inputs, outputs = signature.structured_input_signature[1]['images'], signature.structured_outputs['confidence']
assert inputs.dtype == tf.uint8 and inputs.shape.as_list() == [None, None, None, 3], inputs
assert outputs.dtype == tf.float32 and outputs.shape.as_list() == [None, None, None], outputs
def compare(run):
    for i in range(len(data.files) // 2):
        images, expected = data[f'images{i}'], data[f'confidence{i}']
        got = run(images)
        print(images.shape, np.abs(got - expected).max())
        assert got.shape == expected.shape and got.min() >= 0 and got.max() <= 1 and np.abs(got - expected).max() < 1e-3

compare(lambda images: signature(images=tf.constant(images))['confidence'].numpy())
with tf.Graph().as_default(), tf.compat.v1.Session() as sess:  # as TensorFlow Serving finds tag, signature and tensors
    served = tf.compat.v1.saved_model.loader.load(sess, ['serve'], folder).signature_def['serving_default']
    compare(lambda images: sess.run(served.outputs['confidence'].name, {served.inputs['images'].name: images}))
ours = [name for name in sys.modules if name.split('.')[0] in ('main', 'helper', 'road')]
assert not ours, ours
"""


@pytest.fixture(scope='module', params=['none', 'conv4'])
def run_dir(request, scenes_dir, vgg_dir, tmp_path_factory):
    """A trained run in float32, with dropout on both sides of fc7, evaluated; the encoder frozen, and trained in part."""
    folder = tmp_path_factory.mktemp('export')
    assert main.main(['--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(folder / 'data'), '--runs-dir',
                      str(folder), '--name', 'run', '--image-size', '50x170', '--epochs', '1', '--val-frames', '1',
                      '--precision', 'float32', '--train-encoder', request.param, '--encoder-learning-rate', '0.01',
                      '--temperature', '2']) == 0
    assert main.main(['evaluate', str(folder / 'run')]) == 0
    return str(folder / 'run')


@pytest.fixture(scope='module')
def exported(run_dir, tmp_path_factory):
    """(folder, what export printed); made once a run."""
    folder = str(tmp_path_factory.mktemp('exported') / 'model')
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main.main(['export', run_dir, '--output', folder]) == 0
    return folder, printed.getvalue()


def test_export_is_what_predict_gives_in_another_process(run_dir, exported, tmp_path):
    folder, printed = exported
    assert f'{folder}: 0 MB, ' in printed
    assert sorted(os.listdir(folder))[0] == 'README.txt' and os.listdir(os.path.dirname(folder)) == ['model']
    readme = open(os.path.join(folder, 'README.txt')).read()
    for words in ('uint8 [n, height, width, 3]', 'resized to 50x170', run_dir, 'learning_rate', 'perspective MaxF'):
        assert words in readme

    class Arguments:
        run, vgg_dir = run_dir, None

    rng, arrays = np.random.default_rng(0), {}
    with main.open_run(Arguments) as (_, outputs, _):
        for i, size in enumerate(SIZES):
            images = rng.integers(0, 256, (2, *size, 3)).astype(np.uint8)
            arrays[f'images{i}'] = images
            arrays[f'confidence{i}'] = np.stack([confidence for _, _, confidence in outputs(enumerate(images))])
    assert max(np.ptp(arrays[f'confidence{i}']) for i in range(len(SIZES))) > 0.05  # there is something to compare
    np.savez(tmp_path / 'data.npz', **arrays)
    result = subprocess.run([sys.executable, '-I', '-c', STRANGER, str(tmp_path / 'data.npz'), folder], cwd=tmp_path,
                            capture_output=True, text=True, env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})
    assert result.returncode == 0 and result.stdout.count('\n') == 2 * len(SIZES), result.stdout + result.stderr


def test_nothing_for_training_is_left(exported):
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        tf.saved_model.loader.load(sess, ['serve'], exported[0])
        operations = graph.get_operations()
    types = {op.type for op in operations}
    assert not types & {'RandomUniform', 'VarHandleOp', 'VariableV2', 'RestoreV2', 'SaveV2', 'ResourceApplyAdam', 'ApplyAdam'}
    assert [op.name for op in operations if op.type == 'Placeholder'] == ['images']
    assert not [op.name for op in operations if 'dropout' in op.name or 'Adam' in op.name or 'keep_prob' in op.name]


def test_existing_folder_is_not_written_over(run_dir, tmp_path, capsys):
    (tmp_path / 'model').mkdir()
    assert main.main(['export', run_dir, '--output', str(tmp_path / 'model')]) == 2
    assert 'model: is there already; name another folder with --output' in capsys.readouterr().err
    assert os.listdir(tmp_path / 'model') == []


@pytest.mark.parametrize('shape, new_shape', [((375, 1242), (160, 576)), ((376, 1241), (160, 576)), ((37, 70), (64, 192)),
                                              ((1, 1), (40, 50)), ((320, 1152), (160, 576)), ((33, 47), (50, 13))])
def test_resizing_is_pillows_to_the_last_bit(shape, new_shape):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, *shape, 3)).astype(np.uint8)
    confidences = rng.random((2, *shape), np.float32)
    with tf.Graph().as_default(), tf.Session() as sess:
        got, smooth = sess.run([export.resize(tf.constant(images), new_shape), export.resize(tf.constant(confidences), new_shape)])
    size = new_shape[::-1], Image.Resampling.BILINEAR
    np.testing.assert_array_equal(got, [np.asarray(Image.fromarray(image).resize(*size)) for image in images])
    np.testing.assert_allclose(smooth, [kitti.resize_confidence(c, new_shape) for c in confidences], atol=1e-6)


def test_dropouts_of_an_older_graph_are_found():
    """TensorFlow 1 wrote x / keep_prob * floor(keep_prob + uniform), as the classic download has it."""
    with tf.Graph().as_default():
        image, keep_prob = tf.placeholder(tf.float32, [None, 4], name='image_input'), tf.placeholder(tf.float32, name='keep_prob')

        def dropout(x, name):
            with tf.name_scope(name):
                mask = tf.floor(keep_prob + tf.random.uniform(tf.shape(x)), name='Floor')
                return tf.multiply(tf.divide(x, keep_prob, name='div'), mask, name='mul')

        second = dropout(tf.nn.relu(dropout(tf.nn.relu(image, name='fc6'), 'first'), name='fc7'), 'second')
        assert vgg16.dropouts(image, keep_prob) == {'first/mul': 'fc6', 'second/mul': 'fc7'}
        assert second.op.name == 'second/mul'
