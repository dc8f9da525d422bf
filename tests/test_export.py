"""Exported SavedModels, ONNX and TFLite files: as predict, in programs without this project."""

import io
import json
import subprocess
import sys
import types
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import main
from road.commands import export
from road.data.images import fit_shape, read_frames, resize_confidence
from road.files import read_json
from road.network import onnx_graph
from road.network.tf1 import tf
from road.runs.metrics import format_scores
from tests.test_readme import blocks


@pytest.fixture
def batches(scenes_dir):
    """Batches of several sizes, of which one is 1.25 times as wide as usual; dark images too."""
    picture = Image.open(f'{scenes_dir}/testing/image_2/um_000000.png')
    images = [np.asarray(picture.resize(size))
              for size in ((192, 64), (310, 94), (94, 310), (1, 1), (3000, 2), (200, 4000),
                           (375, 100))]
    return [np.stack([image, image // 4, image[::-1], 255 - image][:count])
            for image, count in zip(images, (2, 4, 2, 1, 1, 1, 1))]


def predictions(run, batches):
    with main.open_run(run) as opened:
        found = [np.stack([resize_confidence(found, batch.shape[1:3])
                           for *_, found in opened.predictor.predict(enumerate(batch))])
                 for batch in batches]
    assert np.ptp(found[0][0], axis=(0, 1)).max() > 0.05  # there is something to compare
    return found


def export_onnx(run, folder, *options):
    words = ['export', run, '--format', 'onnx', '--output', str(folder), *options]
    assert main.main(words) == 0
    return str(folder / 'model.onnx')


def compare(first, second, threshold, probabilities, atol):
    """The outputs of an exported model with what predict gives."""
    assert (first.dtype, second.dtype) == (np.float32, np.uint8)
    if probabilities.shape[-1] == 2:
        probabilities = probabilities[..., 1]
        np.testing.assert_array_equal(second, np.where(first >= float(threshold), 255, 0))
    else:
        np.testing.assert_array_equal(second, first.argmax(-1))
    np.testing.assert_allclose(first, probabilities, atol=atol)


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, outputs, in_files, words', [
    ('trained_run', ['confidence', 'mask'], ('confidence', 255),
     ["classes {0: 'not road', 1: 'road'}", ', MaxF ', ', 6 frames\n', ' 3 validation frames']),
    ('classes_run', ['probabilities', 'classes'], ('classes', 1),
     ["classes {0: 'sky', 1: ", ', mean IoU ', ', 4 frames\n', ' 2 validation frames'])])
def test_export_gives_what_predict_gives(request, batches, tmp_path, capsys, kind, outputs,
                                         in_files, words):
    """As TensorFlow Serving finds its tensors."""
    run, folder = request.getfixturevalue(kind), str(tmp_path / 'out/model')
    assert main.main(['export', run, '--output', folder]) == 0
    assert main.main(['export', run, '--output', folder]) == 2
    assert 'exists already; name another' in capsys.readouterr().err
    metadata = json.loads((tmp_path / 'out/model/metadata.json').read_text())
    assert metadata['scores'] == format_scores(read_json(f'{run}/metrics.json')['best'])
    assert metadata['settings'].split()[::2] == [
        '--epochs', '--batch-size', '--learning-rate', '--augment', '--train-encoder', '--seed']
    with tf.Graph().as_default(), tf.Session() as sess:
        served = tf.saved_model.loader.load(sess, ['serve'], folder)
        signature = served.signature_def['serving_default']
        fetched = [signature.outputs[name].name for name in outputs]
        for batch, probabilities in zip(batches, predictions(run, batches)):
            found = sess.run(fetched, {signature.inputs['images'].name: batch})
            compare(*found, metadata['threshold'], probabilities, 5e-3)
    readme = (tmp_path / 'out/model/README.txt').read_text()
    assert all(word in readme for word in [run, *words, 'resized to [', '--epochs '])
    compare_files(folder, batches, *in_files)


def compare_files(folder, batches, output, levels):
    """image_bytes, as TensorFlow Serving feeds it: JPEG and PNG of two sizes in, PNG out."""
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
    run, image = opened_run.run.folder, batches[1][0]
    assert main.main(['export', run, '--format', 'tflite', '--output', f'{tmp_path}/model']) == 0
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
    assert np.abs(found - expected[0, ..., 1]).mean() < 5e-3
    with zipfile.ZipFile('model/model.tflite') as file:
        threshold = float(json.loads(file.read('metadata.json'))['threshold'])
        assert file.read('labels.txt').decode().split('\n') == ['not road', 'road']
    mask = names['label'](image=np.float32(names['image'])[np.newaxis])['mask'][0]
    np.testing.assert_array_equal(mask, np.where(names['confidence'] >= threshold, 255, 0))


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind', ['trained_run', 'classes_run', pytest.param(
    'encoder_run', marks=pytest.mark.slow)])
def test_onnx_gives_what_predict_gives(request, batches, tmp_path, kind):
    found = request.getfixturevalue(kind)
    run = found if isinstance(found, str) else found[0]
    session = onnxruntime.InferenceSession(export_onnx(run, tmp_path / 'model'))
    threshold = session.get_modelmeta().custom_metadata_map['threshold']
    for batch, probabilities in zip(batches, predictions(run, batches)):
        compare(*session.run(None, {'images': batch}), threshold, probabilities, 1e-3)


@pytest.mark.parametrize('image_shape', [(192, 672), (160, 576), (360, 480)])
def test_fit_shape_of_onnx_is_that_of_the_other_commands(image_shape):
    rng, graph = np.random.default_rng(0), onnx_graph.Graph()
    graph('Identity', onnx_graph.fit_shape(graph, 'size', image_shape), name='shape')
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> part (int64[2] size) => (int64[2] shape) {}')
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.constants)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for size in np.exp(rng.uniform(0, np.log(6000), (2000, 2))).astype(np.int64):
        found, = session.run(None, {'size': size})
        assert tuple(found) == fit_shape(size.tolist(), image_shape), size


def test_int8_onnx_differs_little(opened_run, scenes_dir, tmp_path, monkeypatch):
    read = []  # frames that calibrate it
    monkeypatch.setattr(export, 'read_frames',
                        lambda frames: read.extend(frames) or read_frames(frames))
    image = np.asarray(Image.open(f'{scenes_dir}/testing/image_2/um_000000.png'))[np.newaxis]
    files = [export_onnx(opened_run.run.folder, tmp_path / f'model{i}', *options)
             for i, options in enumerate(((), ('--int8',)))]
    float32, int8 = (onnxruntime.InferenceSession(file).run(None, {'images': image})[0]
                     for file in files)
    assert 0 < np.abs(float32 - int8).mean() < 5e-3
    assert [frame.name for frame in read] == opened_run.run.validation
    model = onnx.load(files[1])
    scales = [each for each in model.graph.initializer if each.name.endswith('_scale')]
    assert any(np.prod(each.dims) > 1 for each in scales)  # one per channel
    quantized = {node.output[0] for node in model.graph.node if node.op_type == 'DequantizeLinear'}
    for node in model.graph.node:
        if node.op_type in ('Conv', 'MatMul'):
            assert quantized.isdisjoint(node.input) == (node.op_type == 'MatMul')


def test_lines_of_the_readme_run_an_onnx_file_of_2023_that_says_what_it_holds(opened_run, tmp_path):
    """Without TensorFlow and this project."""
    model = onnx.load(export_onnx(opened_run.run.folder, tmp_path / 'model'))
    Image.new('RGB', (320, 200), (90, 99, 90)).save(tmp_path / 'holiday.jpg')
    code, = (block for block in blocks('README.md', 'python') if 'onnxruntime' in block)
    code += ("Image.fromarray(mask[0]).save('mask.png')\nimport sys\n"
             "assert not {'tensorflow', 'road', 'main'} & set(sys.modules)\n")
    subprocess.run([sys.executable, '-I', '-c', code], cwd=tmp_path, check=True)
    with Image.open(tmp_path / 'mask.png') as mask:
        assert mask.size == (320, 200) and set(np.unique(mask)) <= {0, 255}
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert 'Resize' not in {node.op_type for node in model.graph.node}
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts['names'] == "{0: 'not road', 1: 'road'}"
    assert facts['class_names'] == '{"0": "not road", "1": "road"}'
    assert (facts['imgsz'], facts['stride']) == ('[64, 192]', '32')
    assert 'MaxF' in facts['scores'] and 'onnxruntime' in model.doc_string


def test_without_onnx_export_says_what_to_install_before_it_opens_the_run(
        trained_run, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, 'road.network.onnx_graph')
    monkeypatch.setitem(sys.modules, 'onnx', None)
    monkeypatch.setattr(main, 'open_run', None)
    assert main.main(['export', trained_run, '--format', 'onnx']) == 2
    assert 'pip install onnx onnxruntime' in capsys.readouterr().err


def test_onnx_that_computes_something_else_is_refused(opened_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_graph, 'MEAN_BGR', (0, 0, 0))
    words = ['--format', 'onnx', '--output', str(tmp_path / 'model')]
    assert main.main(['export', opened_run.run.folder, *words]) == 2
    assert "differ from TensorFlow's by 0." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
