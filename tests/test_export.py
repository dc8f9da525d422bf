"""Exported SavedModels and TFLite files: as predict, in programs with nothing of this project."""

import io
import json
import sys
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

import main
from road.data.images import resize_confidence
from road.network.tf1 import tf
from tests.test_readme import blocks


@pytest.fixture
def batches(scenes_dir):
    """Batches of two images, the second one dark; the last two have other proportions."""
    picture = Image.open(f'{scenes_dir}/testing/image_2/um_000000.png')
    images = [np.asarray(picture.resize(size))
              for size in ((192, 64), (310, 94), (90, 120), (47, 33))]
    return [np.stack([image, image // 4]) for image in images]


def predictions(run, batches):
    with main.open_run(run) as opened:
        return [np.stack([resize_confidence(found, batch.shape[1:3])
                          for *_, found in opened.predictor.predict(enumerate(batch))])
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
            threshold = json.loads((tmp_path / 'out/model/metadata.json').read_text())['threshold']
            mask = np.where(found['confidence'] >= float(threshold), 255, 0)
            np.testing.assert_array_equal(found['mask'], mask)
            continue
        np.testing.assert_allclose(found['probabilities'], probabilities, atol=5e-3)
        assert found['classes'].dtype == np.uint8
        np.testing.assert_array_equal(found['classes'], found['probabilities'].argmax(-1))
    readme = (tmp_path / 'out/model/README.txt').read_text()
    assert all(word in readme for word in [run, *words])


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, output, levels', [('trained_run', 'confidence', 255),
                                                  ('classes_run', 'classes', 1)])
def test_files_of_several_sizes_in_one_request(request, batches, tmp_path, kind, output, levels):
    """image_bytes, as TensorFlow Serving feeds it: JPEG or PNG in, PNG out."""
    folder = str(tmp_path / 'model')
    assert main.main(['export', request.getfixturevalue(kind), '--output', folder]) == 0
    files = [io.BytesIO(), io.BytesIO()]
    Image.fromarray(batches[1][0]).save(files[0], 'JPEG')
    Image.fromarray(batches[2][0]).save(files[1], 'PNG')
    label_images, label_files = (
        tf.compat.v2.saved_model.load(folder).signatures[name]
        for name in ('serving_default', 'image_bytes'))
    answers = label_files(tf.constant([file.getvalue() for file in files]))[f'{output}_bytes']
    for file, answer in zip(files, answers.numpy()):
        image = tf.constant(np.asarray(Image.open(file))[np.newaxis])
        expected = levels * label_images(image)[output][0].numpy()
        found = np.float32(Image.open(io.BytesIO(answer)))
        np.testing.assert_allclose(found, expected, atol=0.6 if levels == 255 else 0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'images \[1,32,32,4\] is not comp'):
        label_images(tf.zeros([1, 32, 32, 4], tf.uint8))


@pytest.mark.filterwarnings('ignore:.*tf.lite.Interpreter is deprecated')
def test_lines_of_the_page_run_the_tflite_file(opened_run, batches, tmp_path, monkeypatch):
    run, folder = opened_run.run.folder, tmp_path / 'model'
    assert main.main(['export', run, '--format', 'tflite', '--output', str(folder)]) == 0
    image = batches[1][0]
    Image.fromarray(image).save(tmp_path / 'holiday.jpg', 'PNG')
    # the same interpreter, as a part of TensorFlow
    monkeypatch.setitem(sys.modules, 'ai_edge_litert', types.ModuleType('ai_edge_litert'))
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', tf.compat.v2.lite)
    monkeypatch.chdir(tmp_path)
    code, = (block for block in blocks('docs/use.md', 'python') if 'tflite' in block)
    names = {}
    exec(code, names)
    expected, = predictions(run, [image[np.newaxis]])
    found = resize_confidence(names['confidence'], image.shape[:2])
    assert np.ptp(expected[..., 1]) > 0.05
    assert np.abs(found - expected[0, ..., 1]).mean() < 5e-3
    with zipfile.ZipFile(folder / 'model.tflite') as file:
        assert json.loads(file.read('metadata.json'))['stride'] == '32'
        assert file.read('labels.txt').decode().split('\n') == ['not road', 'road']
