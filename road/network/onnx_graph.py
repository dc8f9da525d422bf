"""A trained network as one ONNX file: from images of any size to confidences and a mask.

The nodes are written one by one, from the weights of the frozen graph. Images are resized by matrix
products, whose kernels the graph computes: OpenVINO and OpenCV leave the antialiasing out of ONNX's
own Resize without a message, which changes confidences by up to 0.99.
"""

import os
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from road.data.images import STRIDE, network_shape
from road.errors import InputError
from road.network.export import build_graph
from road.network.tf1 import cpu_session, tf
from road.network.vgg16 import BLOCKS, MEAN_BGR

BITS_22 = np.float32(2**22)
MAX_DIFFERENCE = 1e-3  # of confidences from TensorFlow's; 1.5e-6 was measured


class Graph:
    """Nodes and constants. An operand is the name of a node's output, or a value: a constant."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def __call__(self, operation, *operands, name=None, **attributes):
        """Add a node; returns the name of its output."""
        name = name or f'{operation}_{len(self.nodes)}'
        inputs = [each if isinstance(each, str) else self.constant(each) for each in operands]
        self.nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def constant(self, value, name=None):
        name = name or f'constant_{len(self.constants)}'
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _kernel(graph, old, new):
    """The weights of Pillow's BILINEAR, float32 [new, old], for int64 scalars.

    Triangles as wide as the larger pixel, exact in integers up to the division.
    """
    def centres(step):  # of the pixels, in units in which both images are 2 * old * new long
        return graph('Range', step, length, graph('Mul', step, 2))

    length = graph('Mul', graph('Mul', old, new), 2)
    distances = graph('Sub', graph('Unsqueeze', centres(old), [1]), centres(new))
    # cast first, because OpenCV has no Abs of integers
    distances = graph('Abs', graph('Cast', distances, to=TensorProto.FLOAT))
    width = graph('Cast', graph('Mul', graph('Max', old, new), 2), to=TensorProto.FLOAT)
    kernel = graph('Relu', graph('Sub', np.float32(1), graph('Div', distances, width)))
    kernel = graph('Div', kernel, graph('ReduceSum', kernel, [1], keepdims=1))
    # 22 bits, as Pillow's: exact halves then round as there
    return graph('Div', graph('Round', graph('Mul', kernel, BITS_22)), BITS_22)


def resize(graph, values, old, new, rounded=False):
    """Resize float32 [..., *old] to [..., *new], int64 (height, width): first the width.

    rounded: as Pillow does with uint8, to whole numbers after each of the two steps.
    """
    def finished(values):
        return graph('Floor', graph('Add', values, np.float32(0.5))) if rounded else values

    down, across = (_kernel(graph, graph('Gather', old, i), graph('Gather', new, i))
                    for i in (0, 1))
    narrow = graph('MatMul', values, graph('Transpose', across, perm=[1, 0]))
    return finished(graph('MatMul', down, finished(narrow)))


def fit_shape(graph, size, image_shape):
    """road.data.images.fit_shape for int64 (height, width); in float64, as Python computes."""
    usual = np.int64(network_shape(image_shape))
    sides = graph('Cast', graph('Mul', size, usual[::-1]), to=TensorProto.DOUBLE)
    ratio = graph('Div', graph('Gather', sides, 1), graph('Gather', sides, 0))
    is_usual = graph('And', graph('GreaterOrEqual', ratio, 0.8), graph('LessOrEqual', ratio, 1.25))
    pixels = graph('Cast', graph('ReduceProd', size, keepdims=0), to=TensorProto.DOUBLE)
    scale = graph('Div', graph('Sqrt', graph('Div', float(usual.prod()), pixels)), float(STRIDE))
    blocks = graph('Round', graph('Mul', graph('Cast', size, to=TensorProto.DOUBLE), scale))
    blocks = graph('Max', graph('Cast', blocks, to=TensorProto.INT64), 1)
    return graph('Where', is_usual, usual, graph('Mul', blocks, STRIDE))


def brighten(graph, images, height, light):
    """road.data.images.brighten for whole grey levels, float32 [n, 3, height, w]."""
    logs = graph('Log', graph('Mul', graph('Add', images, np.float32(0.5)), np.float32(1 / 256)))
    half = graph('Div', height, [2])
    lower = graph('Slice', logs, half, [np.iinfo(np.int64).max], [2])
    gamma = graph('Div', np.float32(np.log(light)), graph('ReduceMean', lower, axes=[1, 2, 3]))
    gamma = graph('Clip', gamma, np.float32(0.5), np.float32(1))
    shares = graph('Exp', graph('Mul', gamma, logs))
    return graph('Round', graph('Sub', graph('Mul', shares, np.float32(256)), np.float32(0.5)))


def _logits(graph, frozen, x):
    """The network for RGB grey levels: float32 [n, 3, h, w] => [n, classes, h, w]."""
    values = {node.name: tf.make_ndarray(node.attr['value'].tensor)
              for node in frozen.node if node.op == 'Const'}

    def kernel(name):  # [h, w, in, out] => [out, in, h, w]; up: [h, w, out, in]
        weights = values[name].transpose(3, 2, 0, 1)
        half = weights.astype(np.float16)
        if (half != weights).any():
            return graph.constant(weights, name)
        # loses nothing, and the file is half as large
        return graph('Cast', graph.constant(half, name), to=TensorProto.FLOAT)

    def conv(x, name, weights='filter', pad=1):
        return graph('Relu', graph('Conv', x, kernel(f'{name}/{weights}'), values[f'{name}/biases'],
                                   pads=[pad] * 4))

    def score(x, name):
        return graph('Conv', x, kernel(f'decoder/{name}/kernel'), values[f'decoder/{name}/bias'])

    def upscore(x, name, stride):
        return graph('ConvTranspose', x, kernel(f'decoder/{name}/kernel'), strides=[stride] * 2,
                     pads=[stride // 2] * 4)

    x = graph('Gather', x, [2, 1, 0], axis=1)  # to BGR
    # not a part of the bias, because the first convolution pads with zeros after it
    x = graph('Sub', x, np.float32(MEAN_BGR).reshape(3, 1, 1))
    pools = []
    for block, count in enumerate(BLOCKS, 1):  # [n, c, h, w] => [n, c', h/2, w/2]
        for i in range(1, count + 1):
            x = conv(x, f'conv{block}_{i}')
        x = graph('MaxPool', x, kernel_shape=[2, 2], strides=[2, 2])
        pools.append(x)
    if 'fc6/weights' in values:
        x = conv(conv(x, 'fc6', 'weights', pad=3), 'fc7', 'weights', pad=0)
    # main.layers multiplies the skips by these two constants
    pool3 = score(graph('Mul', pools[2], values['decoder/mul_1/y']), 'score_pool3')
    pool4 = score(graph('Mul', pools[3], values['decoder/mul/y']), 'score_pool4')
    x = graph('Add', upscore(score(x, 'score_fr'), 'upscore2', 2), pool4)
    x = graph('Add', upscore(x, 'upscore_pool4', 2), pool3)
    return upscore(x, 'upscore8', 8)


def build_model(network):
    """The onnx.ModelProto of a Network, with the signature of road.network.export.build_graph."""
    graph = Graph()
    size = graph('Slice', graph('Shape', 'images'), [1], [3])
    shape = fit_shape(graph, size, network.image_shape)
    images = graph('Cast', graph('Transpose', 'images', perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    small = brighten(graph, resize(graph, images, size, shape, rounded=True),
                     graph('Gather', shape, 0), network.light)
    found = graph('Softmax', _logits(graph, network.frozen, small), axis=1)
    if len(network.classes) == 2:
        found = graph('Gather', found, 1, axis=1)
    found = graph('Clip', resize(graph, found, shape, size), np.float32(0), np.float32(1))
    space = 'batch, height, width'
    if len(network.classes) == 2:
        graph('Identity', found, name='confidence')
        is_road = graph('GreaterOrEqual', found, np.float32(network.threshold))
        graph('Where', is_road, np.uint8(255), np.uint8(0), name='mask')
        outputs = f'float[{space}] confidence, uint8[{space}] mask'
    else:
        graph('Transpose', found, perm=[0, 2, 3, 1], name='probabilities')
        classes = graph('ArgMax', found, axis=1, keepdims=0)
        graph('Cast', classes, to=TensorProto.UINT8, name='classes')
        outputs = f'float[{space}, {len(network.classes)}] probabilities, uint8[{space}] classes'
    model = onnx.parser.parse_model(  # versions that programs of 2023 read
        '<ir_version: 8, opset_import: ["": 17], producer_name: "road-segmentation">'
        f'fcn8s (uint8[{space}, 3] images) => ({outputs}) {{}}')
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.constants)
    model.doc_string = network.readme
    helper.set_model_props(model, network.metadata)
    return model


def save(network, folder):
    """Write model.onnx to a folder; with network.calibration its convolutions compute in 8 bits.

    Raises InputError if onnxruntime finds other confidences of random pixels than TensorFlow.
    """
    path = os.path.join(folder, 'model.onnx')
    onnx.save(build_model(network), path)
    images = np.random.default_rng(0).integers(
        256, size=(1, *network_shape(network.image_shape), 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    found, _ = session.run(None, {'images': images})
    with cpu_session() as sess:
        inputs, outputs = build_graph(network)['serving_default']
        expected = sess.run(next(iter(outputs.values())), {inputs['images']: images})
    difference = np.abs(found - expected).max()
    if not difference <= MAX_DIFFERENCE:  # NaN too
        raise InputError(f'--format onnx: confidences of onnxruntime {onnxruntime.__version__} '
                         f"differ from TensorFlow's by {difference:.2g}; leave out --format")
    if network.calibration:
        feeds = ({'images': image[np.newaxis]} for image in network.calibration)
        reader = SimpleNamespace(get_next=lambda: next(feeds, None))
        quantization.quant_pre_process(path, path, skip_symbolic_shape=True)
        # no matrix products, because 8 bits would round the resized grey levels
        quantization.quantize_static(path, path, reader, per_channel=True,
                                     op_types_to_quantize=['Conv', 'Relu', 'MaxPool'])
