"""`main.py export RUN`: the run as one SavedModel that needs nothing of this project."""

import os

from road.errors import InputError
from road.files import read_json
from road.network import surgery
from road.network.export import TAG, save, size_and_speed
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
    size, seconds = size_and_speed(args.output)
    print(f'{args.output}: {size / 1e6:.0f} MB, {1000 * seconds:.0f} ms on this device for an '
          'image of 375x1242, in float32')


def readme(run):
    """Text of README.txt for a road.runs.run_folder.Run: signature, settings and scores."""
    evaluation = read_json(os.path.join(run.folder, 'evaluation-validation.json'))
    scores = []
    for view in ('perspective', 'birdseye'):
        if view in evaluation:
            *_, row = evaluation[view].values()  # URBAN or all
            scores.append(f'{view}: {_score_text(row, ("MaxF", "AP", "IoU"))}')
    if 'mean_IoU' in evaluation:
        scores = [f'{_score_text(evaluation, ("mean_IoU", "accuracy"))}'.replace('_', ' '),
                  f'IoU: {_score_text(evaluation["IoU"], evaluation["IoU"])}']
    if not scores:
        scores = [f'none: python main.py evaluate {run.folder} was not run before the export']
    if len(run.classes) == 2:
        name = run.classes[1].name
        title, outputs = f'{name.capitalize()} segmentation', CONFIDENCE.format(name=name)
    else:
        title = 'Semantic segmentation'
        names = ', '.join(f'{i} {each.name}' for i, each in enumerate(run.classes))
        outputs = CLASSES.format(count=len(run.classes), names=names)
    height, width = run.settings['image_size']
    return README.format(
        title=title, tag=TAG, outputs=outputs, height=height, width=width, run=run.folder,
        training=len(run.training), validation=len(run.validation), scores='\n    '.join(scores),
        settings=' '.join(' '.join(option_text(name, run.settings[name])) for name in SETTINGS))


def _score_text(scores, names):
    return ', '.join(f'{name} ' + ('not defined' if scores[name] is None else
                                   f'{scores[name]:.2%}') for name in names)
