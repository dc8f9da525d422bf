"""`main.py export RUN`: the run as one SavedModel that needs nothing of this project."""

import os

from road.errors import InputError
from road.network import surgery
from road.network.export import TAG, save
from road.runs.metrics import format_scores
from road.settings import option_text

README = """{title}: FCN-8s on VGG16, a TensorFlow SavedModel with the tag '{tag}'.

    import tensorflow as tf
    model = tf.saved_model.load(folder)  # keep `model`: the signature alone does not keep it alive
    outputs = model.signatures['serving_default'](images=tf.constant(images))

    images         uint8 [n, height, width, 3], RGB, any size
{outputs}

Images are resized to {height}x{width} (height x width), and the outputs back. Images of other
proportions keep them and get about as many pixels. Dark images are brightened.
TensorFlow Serving expects these files in MODEL/1/.

Training run {run}, {training} frames
    {settings}
Scores on its {validation} validation frames
    {scores}
"""
CONFIDENCE = """    confidence     float32 [n, height, width], 0 to 1, the probability of {name}
A pixel is usually called {name} from a confidence of 0.5 on."""
CLASSES = """    probabilities  float32 [n, height, width, {count}], 0 to 1
    classes        uint8 [n, height, width], the most probable class
The classes: {names}"""
SETTINGS = ('epochs', 'batch_size', 'learning_rate', 'augment', 'train_encoder', 'seed')


def run(args, open_run):
    """Write the SavedModel and its README.txt to a new folder."""
    if os.path.lexists(args.output):
        raise InputError(f'{args.output}: exists already; name another folder with --output, or '
                         'move it away')
    with open_run(args.run, args.vgg_dir) as opened:
        run, frozen = opened.run, surgery.freeze(opened.sess)
    save(frozen, tuple(run.settings['image_size']), run.light, args.output, readme(run))
    size = sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(args.output) for name in names)
    print(f'{args.output}: {size / 1e6:.0f} MB')


def readme(run):
    """Text of README.txt for a road.runs.run_folder.Run: signature, settings and scores."""
    if len(run.classes) == 2:
        name = run.classes[1].name
        title, outputs = f'{name.capitalize()} segmentation', CONFIDENCE.format(name=name)
    else:
        title = 'Semantic segmentation'
        names = ', '.join(f'{i} {each.name}' for i, each in enumerate(run.classes))
        outputs = CLASSES.format(count=len(run.classes), names=names)
    height, width = run.settings['image_size']
    _, state = run.read_checkpoint('best')
    return README.format(
        title=title, tag=TAG, outputs=outputs, height=height, width=width, run=run.folder,
        training=len(run.training), validation=len(run.validation),
        scores=format_scores(state['rows'][-1]),
        settings=' '.join(' '.join(option_text(name, run.settings[name])) for name in SETTINGS))
