"""The exported SavedModel: the same as predict, in a program that has nothing of this project."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import main
from road.network.tf1 import tf

# Run in an empty folder: what TensorFlow's own loader gives for a batch of images.
STRANGER = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images = tf.constant(np.load('images.npy'))
found = model.signatures['serving_default'](images=images)['confidence'].numpy()
assert not {'main', 'helper', 'road'} & set(sys.modules)
np.save('confidence.npy', found)
"""


@pytest.fixture
def batches(scenes_dir):
    """Batches of two images, the second one dark; the last two have other proportions."""
    picture = Image.open(f'{scenes_dir}/testing/image_2/um_000000.png')
    images = [np.asarray(picture.resize(size))
              for size in ((192, 64), (310, 94), (90, 120), (47, 33))]
    return [np.stack([image, image // 4]) for image in images]


def predictions(run, batches):
    with main.open_run(run) as opened:
        return [np.stack([found for *_, found in opened.predictor.predict(enumerate(batch))])
                for batch in batches]


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, words', [
    ('trained_run', ['Road segmentation: FCN-8s', 'resized to 64x192', '--epochs 3', ', MaxF ']),
    ('classes_run', ['float32 [n, height, width, 11]', 'classes: 0 sky, 1 ', ', mean IoU '])])
def test_export_gives_what_predict_gives(request, batches, tmp_path, capsys, kind, words):
    """As TensorFlow Serving finds its tensors."""
    run, folder = request.getfixturevalue(kind), str(tmp_path / 'out/model')
    assert main.main(['export', run, '--output', folder]) == 0
    assert main.main(['export', run, '--output', folder]) == 2
    assert 'exists already; name another' in capsys.readouterr().err
    with tf.Graph().as_default(), tf.Session() as sess:
        served = tf.saved_model.loader.load(sess, ['serve'], folder)
        signature = served.signature_def['serving_default']
        fetched = {name: each.name for name, each in signature.outputs.items()}
        got = [sess.run(fetched, {signature.inputs['images'].name: batch}) for batch in batches]
    for found, probabilities in zip(got, predictions(run, batches)):
        assert np.ptp(probabilities, axis=(0, 1, 2)).max() > 0.05  # there is something to compare
        if kind == 'trained_run':
            np.testing.assert_allclose(found['confidence'], probabilities[..., 1], atol=5e-3)
            continue
        np.testing.assert_allclose(found['probabilities'], probabilities, atol=5e-3)
        assert found['classes'].dtype == np.uint8
        np.testing.assert_array_equal(found['classes'], found['probabilities'].argmax(-1))
    readme = (tmp_path / 'out/model/README.txt').read_text()
    assert all(word in readme for word in [run, *words])


@pytest.mark.slow
def test_trained_encoder_is_exported_for_programs_without_this_project(encoder_run, batches,
                                                                       tmp_path):
    run, folder = encoder_run[0], str(tmp_path / 'model')
    assert main.main(['export', run, '--output', folder]) == 0
    np.save(tmp_path / 'images.npy', batches[2])
    subprocess.run([sys.executable, '-I', '-c', STRANGER, folder], cwd=tmp_path, check=True)
    expected, = predictions(run, batches[2:3])
    found = np.load(tmp_path / 'confidence.npy')
    np.testing.assert_allclose(found, expected[..., 1], atol=5e-3)
