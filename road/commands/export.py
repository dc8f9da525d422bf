"""`main.py export RUN`: the run as SavedModel, ONNX or TFLite, without need of this project."""

import json
import os
from pathlib import Path

from road import files
from road.data.dataset import evenly_spaced
from road.data.images import STRIDE, network_shape, read_frames
from road.errors import InputError, writing
from road.network import export, surgery
from road.runs import run_folder
from road.runs.metrics import format_scores
from road.settings import option_text

CONFIDENCE = """    confidence     float32 [n, height, width], 0 to 1, the probability of class 1
    mask           uint8 [n, height, width], 255 where confidence >= threshold (metadata.json)"""
PROBABILITIES = """    probabilities  float32 [n, height, width, classes], 0 to 1
    classes        uint8 [n, height, width], the most probable class"""
SETTINGS = ('epochs', 'batch_size', 'learning_rate', 'augment', 'train_encoder', 'seed')


def run(args, open_run):
    """Write the model, metadata.json and README.txt to a new folder."""
    if os.path.lexists(args.output):
        raise InputError(f'{args.output}: exists already; name another --output, or move it away')
    save = export.save if args.format == 'savedmodel' else export.save_tflite
    if args.format == 'onnx':
        try:  # before the long work
            from road.network.onnx_graph import save
        except ImportError as error:
            raise InputError(f'--format onnx: {error}; pip install onnx onnxruntime') from error
    with open_run(args.run, args.vgg_dir) as opened:
        run = opened.run
        threshold = run.threshold  # now: a run that still trains has another one later
        texts = describe(run, args.format)
        frozen = surgery.freeze(opened.sess)
    calibration = []
    if args.int8:
        frames = run_folder.find_dataset(run, args.dataset_dir).named(run.validation)
        calibration = [image for _, image in read_frames(evenly_spaced(frames, 32))]
    network = export.Network(
        frozen, [each.name for each in run.classes], run.settings['image_size'], run.light,
        threshold, *texts, calibration)
    with writing(args.output), files.atomic_folder(args.output) as folder:
        save(network, folder)
        files.write_json(os.path.join(folder, 'metadata.json'), network.metadata)
        files.write_text(os.path.join(folder, 'README.txt'), network.readme)
    size = sum(path.stat().st_size for path in Path(args.output).rglob('*') if path.is_file())
    print(f'{args.output}: {size / 1e6:.1f} MB')


def describe(run, export_format):
    """Texts about a Run: a dict that other programs read, and README.txt from its template."""
    names = {i: each.name for i, each in enumerate(run.classes)}
    metadata = {
        'task': 'semantic segmentation', 'names': str(names), 'class_names': json.dumps(names),
        'colours': json.dumps(['#{:02x}{:02x}{:02x}'.format(*each.colour) for each in run.classes]),
        'imgsz': str(list(network_shape(run.settings['image_size']))), 'stride': str(STRIDE),
        'threshold': str(run.threshold), 'run': run.folder,
        'scores': format_scores(run.read_checkpoint('best')[1]['rows'][-1]),
        'settings': ' '.join(' '.join(option_text(name, run.settings[name])) for name in SETTINGS)}
    outputs = CONFIDENCE if len(names) == 2 else PROBABILITIES
    readme = Path(__file__).with_name(f'{export_format}_readme.txt').read_text(encoding='utf-8')
    return metadata, readme.format(outputs=outputs, training=len(run.training),
                                   validation=len(run.validation), **metadata)
