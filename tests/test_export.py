"""The exported SavedModel: the same as predict, in a program that has nothing of this project."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import main
from road.network.tf1 import tf

SIZES = [(64, 192), (94, 310), (120, 90), (33, 47)]  # the last two have other proportions

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


def batches(picture):
    """Batches of two images of each size, the second one dark."""
    for height, width in SIZES:
        image = np.asarray(picture.resize((width, height)))
        yield np.stack([image, image // 4])


def predictions(run, pictures):
    with main.open_run(run) as opened:
        return [np.stack([found for *_, found in opened.predictor.predict(enumerate(batch))])
                for batch in pictures]


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, picture, words', [
    ('trained_run', 'data_road/testing/image_2/um_000000.png',
     ['Road segmentation: FCN-8s', 'resized to 64x192', '--epochs 3', ', MaxF ', ', IoU ']),
    ('classes_run', 'test/test_0.png',
     ['float32 [n, height, width, 11]', 'classes: 0 sky, 1 ', ', 10 bicyclist\n', ', mean IoU '])])
def test_export_gives_what_predict_gives(request, data_dir, camvid_dir, tmp_path, capsys, kind,
                                         picture, words):
    """As TensorFlow Serving finds its tensors."""
    run, folder = request.getfixturevalue(kind), str(tmp_path / 'out/model')
    assert main.main(['export', run, '--output', folder]) == 0
    assert f'{folder}: ' in capsys.readouterr().out
    assert main.main(['export', run, '--output', folder]) == 2
    assert 'exists already; name another' in capsys.readouterr().err
    place = data_dir if kind == 'trained_run' else camvid_dir
    pictures = list(batches(Image.open(f'{place}/{picture}')))
    expected = predictions(run, pictures)
    with tf.Graph().as_default(), tf.Session() as sess:
        served = tf.saved_model.loader.load(sess, ['serve'], folder)
        signature = served.signature_def['serving_default']
        fetched = {name: each.name for name, each in signature.outputs.items()}
        got = [sess.run(fetched, {signature.inputs['images'].name: batch}) for batch in pictures]
    for found, probabilities in zip(got, expected):
        assert np.ptp(probabilities[..., 1]) > 0.05  # there is something to compare
        if kind == 'trained_run':
            np.testing.assert_allclose(found['confidence'], probabilities[..., 1], atol=5e-3)
            continue
        np.testing.assert_allclose(found['probabilities'], probabilities, atol=5e-3)
        assert found['classes'].dtype == np.uint8
        np.testing.assert_array_equal(found['classes'], found['probabilities'].argmax(-1))
    readme = (tmp_path / 'out/model/README.txt').read_text()
    for word in [run, *words]:
        assert word in readme


@pytest.mark.slow
def test_trained_encoder_is_exported_for_programs_without_this_project(encoder_run, scenes_dir,
                                                                       tmp_path):
    run, folder = encoder_run[0], str(tmp_path / 'model')
    assert main.main(['export', run, '--output', folder]) == 0
    *_, batch, _ = batches(Image.open(f'{scenes_dir}/testing/image_2/um_000000.png'))
    expected, = predictions(run, [batch])
    np.save(tmp_path / 'images.npy', batch)
    subprocess.run([sys.executable, '-I', '-c', STRANGER, folder], cwd=tmp_path, check=True)
    found = np.load(tmp_path / 'confidence.npy')
    np.testing.assert_allclose(found, expected[..., 1], atol=5e-3)
