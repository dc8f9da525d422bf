"""The exported SavedModel: the same as predict, in a program that has nothing of this project."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

import main
from road.commands import export as command
from road.data import images, kitti
from road.network import export
from road.network.tf1 import tf
from road.runs import run_folder

SHAPE = (50, 170)  # that the run is trained at
SIZES = [SHAPE, (150, 497), (33, 47), (120, 90)]  # the last two have other proportions

# Run in an empty folder: loads the export in two ways and compares it with what predict gave.
STRANGER = """
import sys
import numpy as np, tensorflow as tf
data, folder = np.load(sys.argv[1]), sys.argv[2]
def compare(run):
    for i in range(len(data.files) // 2):
        images, expected = data[f'images{i}'], data[f'confidence{i}']
        got = run(images)
        assert images.dtype == np.uint8 and got.dtype == np.float32
        assert got.shape == expected.shape and got.min() >= 0 and got.max() <= 1
        error = np.abs(got - expected)
        assert error.max() < 5e-3 and error.mean() < 1e-3, (images.shape, error.max(), error.mean())
        print(images.shape)
model = tf.saved_model.load(folder)
signature = model.signatures['serving_default']
compare(lambda images: signature(images=tf.constant(images))['confidence'].numpy())
tf1 = tf.compat.v1
with tf.Graph().as_default(), tf1.Session() as sess:  # as TensorFlow Serving finds the tensors
    served = tf1.saved_model.loader.load(sess, ['serve'], folder).signature_def['serving_default']
    fetched, fed = served.outputs['confidence'].name, served.inputs['images'].name
    compare(lambda images: sess.run(fetched, {fed: images}))
    operations = sess.graph.get_operations()
assert not {op.type for op in operations} & {
    'RandomUniform', 'VarHandleOp', 'VariableV2', 'ApplyAdam', 'SoftmaxCrossEntropyWithLogits'}
assert [op.name for op in operations if op.type == 'Placeholder'] == ['images']
assert not {'main', 'helper', 'road'} & set(sys.modules)
"""


@pytest.fixture(params=['trained encoder', 'frozen'])
def run_dir(request, train_run, encoder_run):
    if request.param == 'trained encoder':
        return encoder_run[0]
    code, folder = train_run('exported', '--image-size=50x170', '--train-scale=0.6',
                             '--epochs=1')
    assert code == main.main(['evaluate', folder]) == 0
    return folder


def export_twice(run_dir, folder, capsys):
    assert main.main(['export', run_dir, '--output', folder]) == 0
    assert main.main(['export', run_dir, '--output', folder]) == 2
    assert 'exists already; name another' in capsys.readouterr().err


@pytest.mark.slow
def test_export_gives_what_predict_gives_in_another_process(run_dir, scenes_dir, tmp_path, capsys,
                                                            monkeypatch):
    folder = str(tmp_path / 'exported/model')
    frames = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))[:2]
    arrays = {}
    with main.open_run(run_dir) as opened:
        monkeypatch.setattr(main, 'open_run', lambda *_: nullcontext(opened))
        export_twice(run_dir, folder, capsys)
        for i, size in enumerate(SIZES):
            batch = np.stack([Image.open(each.image).resize(size[::-1]) for each in frames])
            batch[1] //= 4  # a dark image
            arrays[f'images{i}'] = batch
            outputs = opened.predictor.predict(enumerate(batch))
            arrays[f'confidence{i}'] = np.stack([confidence for *_, confidence in outputs])
    assert os.listdir(tmp_path / 'exported') == ['model']
    readme = (tmp_path / 'exported/model/README.txt').read_text()
    for words in ('resized to 50x170', run_dir, '--epochs ', 'perspective: M', 'birdseye: M'):
        assert words in readme
    assert max(map(np.ptp, list(arrays.values())[1::2])) > 0.05  # there is something to compare
    np.savez(tmp_path / 'data.npz', **arrays)
    command_line = [sys.executable, '-I', '-c', STRANGER, str(tmp_path / 'data.npz'), folder]
    printed = subprocess.check_output(command_line, cwd=tmp_path, text=True)
    assert printed.count('\n') == 2 * len(SIZES)


def test_brightening_is_that_of_the_other_commands():
    rng = np.random.default_rng(0)
    batch = np.stack([rng.integers(0, top + 1, (33, 47, 3)) for top in (0, 3, 40, 90, 180, 255)])
    with tf.Graph().as_default(), tf.Session() as sess:
        got = sess.run(export.brighten(tf.constant(batch, tf.float32), 0.26))
    np.testing.assert_array_equal(got, [images.brighten(image, 0.26) for image in np.uint8(batch)])
    assert np.mean(got != batch) > 0.5


@pytest.mark.usefixtures('opened_run')
def test_export_of_classes_gives_what_predict_gives(classes_run, camvid_dir, tmp_path):
    run_dir, folder = shutil.copytree(classes_run, tmp_path / 'run'), str(tmp_path / 'model')
    assert main.main(['evaluate', str(run_dir)]) == 0
    assert main.main(['export', str(run_dir), '--output', folder]) == 0
    picture = Image.open(f'{camvid_dir}/test/test_0.png')
    batches = [np.stack([picture.resize(size)] * 2) for size in ((64, 48), (128, 96), (110, 40))]
    with main.open_run(str(run_dir)) as opened:
        expected = [np.stack([found for *_, found in opened.predictor.predict(enumerate(batch))])
                    for batch in batches]
    with tf.Graph().as_default(), tf.Session() as sess:
        served = tf.saved_model.loader.load(sess, ['serve'], folder)
        outputs = served.signature_def['serving_default'].outputs
        fetched = {name: each.name for name, each in outputs.items()}
        got = [sess.run(fetched, {'images:0': batch}) for batch in batches]
    for batch, probabilities, outputs in zip(batches, expected, got):
        assert outputs.keys() == {'probabilities', 'classes'}
        assert outputs['classes'].dtype == np.uint8 and np.ptp(probabilities) > 0.05
        assert outputs['classes'].shape == batch.shape[:3]
        assert outputs['probabilities'].shape == (*batch.shape[:3], 11)
        np.testing.assert_allclose(outputs['probabilities'], probabilities, atol=5e-3)
        np.testing.assert_array_equal(outputs['classes'], outputs['probabilities'].argmax(-1))
        first, second = np.sort(probabilities)[..., -1], np.sort(probabilities)[..., -2]
        clear = first - second > 1e-2
        assert clear.mean() > 0.3
        np.testing.assert_array_equal(outputs['classes'][clear], probabilities.argmax(-1)[clear])
    readme = (tmp_path / 'model/README.txt').read_text()
    for words in ('float32 [n, height, width, 11]', 'classes: 0 sky, 1 ', ', 10 bicyclist\n',
                  'mean IoU ', 'accuracy ', 'IoU: sky '):
        assert words in readme


@pytest.mark.usefixtures('opened_run')
def test_export_of_road_gives_what_predict_gives(trained_run, scenes_dir, tmp_path, capsys):
    """At the trained size, at another one, and at other proportions."""
    export_twice(trained_run, str(tmp_path / 'model'), capsys)
    frame = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))[0]
    batches = [np.stack([Image.open(frame.image).resize(size)] * 2)
               for size in ((192, 64), (310, 94), (90, 120))]
    with main.open_run(trained_run) as opened:
        expected = [np.stack([found for *_, found in opened.predictor.predict(enumerate(batch))])
                    for batch in batches]
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.saved_model.loader.load(sess, ['serve'], str(tmp_path / 'model'))
        for batch, confidence in zip(batches, expected):
            got = sess.run('confidence:0', {'images:0': batch})
            assert np.ptp(confidence) > 0.05 and got.dtype == np.float32
            np.testing.assert_allclose(got, confidence, atol=5e-3)
    size, seconds = export.size_and_speed(str(tmp_path / 'model'))
    files = [path for path in (tmp_path / 'model').rglob('*') if path.is_file()]
    assert size == sum(path.stat().st_size for path in files) and 0 < seconds < size


def test_readme_has_the_scores(trained_run, tmp_path):
    run = run_folder.load(trained_run)._replace(folder=str(tmp_path))
    assert f'none: python main.py evaluate {tmp_path} was not run' in command.readme(run)
    scores = {'MaxF': 0.91348, 'AP': None, 'IoU': 0}  # no calibration
    for category in ('URBAN', 'all'):  # all: other data than KITTI Road
        (tmp_path / 'evaluation-validation.json').write_text(
            json.dumps({'perspective': {category: scores}}))
        assert 'perspective: MaxF 91.35%, AP not defined, IoU 0.00%' in command.readme(run)
    assert command.readme(run).startswith('Road segmentation: FCN-8s')
    assert 15 <= command.readme(run).count('\n') <= 25
