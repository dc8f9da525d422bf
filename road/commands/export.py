"""`main.py export RUN`: the run as SavedModel, ONNX or TFLite, without need of this project."""

import importlib
import json
import os
import re

from road.data.images import STRIDE, network_shape, read_frames
from road.errors import InputError
from road.network import surgery
from road.network.export import Network
from road.runs import run_folder
from road.runs.metrics import format_scores
from road.settings import option_text

WRITERS = {'savedmodel': 'export', 'onnx': 'onnx_graph', 'tflite': 'tflite'}  # in road/network/
CURES = {'onnx': 'pip install onnx onnxruntime', 'tflite': 'pip install tensorflow==2.21.0'}

ANY_SIZE = """
    images         uint8 [n, height, width, 3], RGB, any size
{outputs}

Images are resized to {height}x{width} (height x width), and the outputs back. Images of other
proportions keep them and get about as many pixels. Dark images are brightened.
"""
README = {'savedmodel': """{title}: FCN-8s on VGG16, a TensorFlow SavedModel with the tag 'serve'.

    import tensorflow as tf
    model = tf.saved_model.load(folder)  # keep `model`: the signature alone does not keep it alive
    outputs = model.signatures['serving_default'](images=tf.constant(images))
""" + ANY_SIZE + """
TensorFlow Serving expects these files in MODEL/1/. The images of a request must have one size, and
with --enable_batching those of all requests. The signature image_bytes has no such limit and needs
a tenth of the bytes: JPEG or PNG files in base64 become grey PNG files in base64, of the confidence
times 255 or of the classes. EXIF data are ignored: turn photos upright first.
    {{"signature_name": "image_bytes", "instances": [{{"b64": "..."}}]}}
""", 'onnx': """{title}: FCN-8s on VGG16, in ONNX for onnxruntime, OpenVINO and others.

    import onnxruntime
    session = onnxruntime.InferenceSession('model.onnx')
    outputs = session.run(None, {{'images': images}})
""" + ANY_SIZE + """
Confidences are those of `main.py predict` in float32 to about 0.02; with --int8 they differ by
0.001 on average. Some programs compute in lower precision unless told not to: OpenVINO needs
INFERENCE_PRECISION_HINT f32.
""", 'tflite': """{title}: FCN-8s on VGG16, in TFLite (LiteRT) with weights of 8 bits.

    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image
    label = Interpreter('model.tflite').get_signature_runner()
    image = Image.open('holiday.jpg').convert('RGB').resize(({width}, {height}), Image.BILINEAR)
    outputs = label(image=np.float32(image)[None])

    image          float32 [1, {height}, {width}, 3], RGB, 0 to 255
{outputs}

Resize the output to the size of the image. Dark images are not brightened. metadata.json and
labels.txt are zipped behind the model: unzip model.tflite.
"""}
TRAINING = """
Training run {run}, {training} frames
    {settings}
Scores on its {validation} validation frames
    {scores}
"""
CONFIDENCE = """    confidence     float32 [n, height, width], 0 to 1, the probability of {name}
    mask           uint8 [n, height, width], 255 from a confidence of {threshold:g} on, else 0"""
CLASSES = """    probabilities  float32 [n, height, width, {count}], 0 to 1
    classes        uint8 [n, height, width], the most probable class
The classes: {names}"""
SETTINGS = ('epochs', 'batch_size', 'learning_rate', 'augment', 'train_encoder', 'seed')


def run(args, open_run):
    """Write the model, metadata.json and README.txt to a new folder."""
    if os.path.lexists(args.output):
        raise InputError(f'{args.output}: exists already; name another folder with --output, or '
                         'move it away')
    try:  # before the long work
        writer = importlib.import_module(f'road.network.{WRITERS[args.format]}')
    except (ImportError, AttributeError) as error:  # TensorFlow may have lost its tf.lite
        raise InputError(f'--format {args.format}: {error}; {CURES[args.format]}') from error
    with open_run(args.run, args.vgg_dir) as opened:
        run, frozen = opened.run, surgery.freeze(opened.sess)
    network = Network(frozen, len(run.classes), tuple(run.settings['image_size']), run.light,
                      run.threshold)
    more = [_calibration_images(run, args.dataset_dir)] if args.int8 else []
    writer.save(network, args.output, *describe(run, network, args.format), *more)
    size = sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(args.output) for name in names)
    print(f'{args.output}: {size / 1e6:.1f} MB')


def _calibration_images(run, dataset_dir):
    """At most 32 of the run's validation images, evenly spaced: uint8 [h, w, 3]."""
    frames = run_folder.find_dataset(run, dataset_dir).named(run.validation)
    return [image for _, image in read_frames(frames[::-(-len(frames) // 32)])]


def describe(run, network, export_format):
    """(metadata, text of README.txt) of a road.runs.run_folder.Run: its network and scores.

    metadata is a dict of texts, by the names that other programs read.
    """
    height, width = shape = network_shape(network.image_shape)
    names = {i: each.name for i, each in enumerate(run.classes)}
    scores = format_scores(run.read_checkpoint('best')[1]['rows'][-1])
    metadata = {
        'task': 'semantic segmentation', 'names': str(names), 'class_names': json.dumps(names),
        'colours': json.dumps(['#{:02x}{:02x}{:02x}'.format(*each.colour) for each in run.classes]),
        'imgsz': str(list(shape)), 'stride': str(STRIDE), 'threshold': str(network.threshold),
        'run': run.folder, 'scores': scores}
    if len(names) == 2:
        title = f'{names[1].capitalize()} segmentation'
        outputs = CONFIDENCE.format(name=names[1], threshold=network.threshold)
    else:
        title = 'Semantic segmentation'
        listed = ', '.join(f'{i} {name}' for i, name in names.items())
        outputs = CLASSES.format(count=len(names), names=listed)
    if export_format == 'tflite':  # has no second output
        outputs = re.sub('\n    .*', '', outputs)
    readme = (README[export_format] + TRAINING).format(
        title=title, outputs=outputs, height=height, width=width, run=run.folder,
        training=len(run.training), validation=len(run.validation), scores=scores,
        settings=' '.join(' '.join(option_text(name, run.settings[name])) for name in SETTINGS))
    return metadata, readme
