"""The exported ONNX file: the same as predict, in a process without TensorFlow and this project."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from PIL import Image

import main
from road.data import images
from road.network import onnx_graph
from tests.test_export import predictions
from tests.test_readme import blocks


def export(run, folder, *options):
    words = ['export', run, '--format', 'onnx', '--output', str(folder), *options]
    assert main.main(words) == 0
    return str(folder / 'model.onnx')


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind', ['trained_run', 'classes_run', pytest.param(
    'encoder_run', marks=pytest.mark.slow)])
def test_file_gives_what_predict_gives(request, scenes_dir, tmp_path, kind):
    """Two and 11 classes, a trained encoder, any size and batch; the second image is dark."""
    found = request.getfixturevalue(kind)
    run = found if isinstance(found, str) else found[0]
    session = onnxruntime.InferenceSession(export(run, tmp_path / 'model'))
    picture = Image.open(f'{scenes_dir}/testing/image_2/um_000000.png')
    for size, count in (((192, 64), 1), ((310, 94), 5), ((90, 120), 2), ((1, 1), 1),
                        ((3000, 2), 1), ((200, 4000), 1)):
        image = np.asarray(picture.resize(size))
        batch = np.stack([image, image // 4, image[::-1], image // 2, 255 - image][:count])
        expected, = predictions(run, [batch])
        first, second = session.run(None, {'images': batch})
        assert second.dtype == np.uint8 and second.shape == batch.shape[:3]
        if kind == 'classes_run':
            np.testing.assert_array_equal(second, first.argmax(-1))
        else:
            threshold = float(session.get_modelmeta().custom_metadata_map['threshold'])
            np.testing.assert_array_equal(second, np.where(first >= threshold, 255, 0))
            expected = expected[..., 1]
        assert first.dtype == np.float32
        np.testing.assert_allclose(first, expected, atol=1e-3)


def test_file_is_of_2023_and_says_what_it_holds(opened_run, tmp_path):
    model = onnx.load(export(opened_run.run.folder, tmp_path / 'model'))
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert 'Resize' not in {node.op_type for node in model.graph.node}
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts['names'] == "{0: 'not road', 1: 'road'}"
    assert facts['class_names'] == '{"0": "not road", "1": "road"}'
    assert (facts['imgsz'], facts['stride']) == ('[64, 192]', '32')
    assert 'MaxF' in facts['scores'] and 'onnxruntime' in model.doc_string


@pytest.mark.parametrize('image_shape', [(192, 672), (160, 576), (360, 480)])
def test_fit_shape_is_that_of_the_other_commands(image_shape):
    rng, graph = np.random.default_rng(0), onnx_graph.Graph()
    output = onnx.ValueInfoProto(name=onnx_graph.fit_shape(graph, 'size', image_shape))
    size = helper.make_tensor_value_info('size', onnx.TensorProto.INT64, [2])
    model = helper.make_model(
        helper.make_graph(graph.nodes, 'part', [size], [output], graph.constants),
        opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for size in np.exp(rng.uniform(0, np.log(6000), (2000, 2))).astype(np.int64):
        found, = session.run(None, {'size': size})
        assert tuple(found) == images.fit_shape(size.tolist(), image_shape), size


def test_int8_differs_little(opened_run, scenes_dir, tmp_path):
    image = np.asarray(Image.open(f'{scenes_dir}/testing/image_2/um_000000.png'))[np.newaxis]
    files = [export(opened_run.run.folder, tmp_path / f'model{i}', *options)
             for i, options in enumerate(((), ('--int8',)))]
    float32, int8 = (onnxruntime.InferenceSession(file).run(None, {'images': image})[0]
                     for file in files)
    assert 0 < np.abs(float32 - int8).mean() < 5e-3
    model = onnx.load(files[1])
    quantized = {node.output[0] for node in model.graph.node if node.op_type == 'DequantizeLinear'}
    for node in model.graph.node:
        if node.op_type in ('Conv', 'MatMul'):
            assert quantized.isdisjoint(node.input) == (node.op_type == 'MatMul')


def test_lines_of_the_readme_run_without_tensorflow_and_this_project(opened_run, tmp_path):
    export(opened_run.run.folder, tmp_path / 'model')
    Image.new('RGB', (320, 200), (90, 99, 90)).save(tmp_path / 'holiday.jpg')
    code, = (block for block in blocks('README.md', 'python') if 'onnxruntime' in block)
    code += ("Image.fromarray(mask[0]).save('mask.png')\nimport sys\n"
             "assert not {'tensorflow', 'road', 'main'} & set(sys.modules)\n")
    subprocess.run([sys.executable, '-I', '-c', code], cwd=tmp_path, check=True)
    with Image.open(tmp_path / 'mask.png') as mask:
        assert mask.size == (320, 200) and set(np.unique(mask)) <= {0, 255}


def test_without_onnx_export_says_what_to_install_before_it_opens_the_run(
        trained_run, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, 'road.network.onnx_graph')
    monkeypatch.setitem(sys.modules, 'onnx', None)
    monkeypatch.setattr(main, 'open_run', None)
    assert main.main(['export', trained_run, '--format', 'onnx']) == 2
    assert 'pip install onnx onnxruntime' in capsys.readouterr().err


def test_file_that_computes_something_else_is_refused(opened_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_graph, 'MEAN_BGR', (0, 0, 0))
    folder = tmp_path / 'model'
    assert main.main(['export', opened_run.run.folder, '--format', 'onnx', '--output',
                      str(folder)]) == 2
    assert "differ from TensorFlow's by 0." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
