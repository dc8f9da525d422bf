"""`main.py export RUN`: the run as one SavedModel that needs nothing of this project."""

import os

from road.errors import InputError
from road.files import read_json
from road.network import surgery
from road.network.export import TAG, save, size_and_speed

README = """{title}: FCN-8s on VGG16, as a TensorFlow SavedModel with the tag '{tag}'.

Signature serving_default
{outputs}
The model resizes images to {height}x{width} (height x width), and {output} back. Images of
other proportions keep them and are resized to as many pixels. Dark images are brightened.

    import tensorflow as tf
    model = tf.saved_model.load(folder)  # keep `model`: the signature alone does not keep it alive
    {variable} = model.signatures['serving_default'](images=tf.constant(images))['{variable}']

TensorFlow Serving expects these files in MODEL/1/.

Training run {run}
{settings}
Trained on {training} frames, validated on {validation}.

Scores on the validation frames
{scores}
"""

CONFIDENCE = """    images      uint8 [n, height, width, 3], RGB, any size
    confidence  float32 [n, height, width], 0 to 1
A confidence is the probability that a pixel is {name}, the softmax of the network's logits. A pixel
is usually called {name} from 0.5 on."""
CLASSES = """    images         uint8 [n, height, width, 3], RGB, any size
    probabilities  float32 [n, height, width, {count}], 0 to 1
    classes        uint8 [n, height, width], the most probable class
The probabilities are the softmax of the network's logits. The classes, and their usual colours:
{names}"""


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
            scores.append(f'    {view:11s} {_score_text(row, ("MaxF", "AP", "IoU"))}')
    if 'mean_IoU' in evaluation:
        scores = [f'    {_score_text(evaluation, ("mean_IoU", "accuracy"))}'.replace('_', ' '),
                  f'    IoU: {_score_text(evaluation["IoU"], evaluation["IoU"])}']
    if not scores:
        scores = [f'    none: python main.py evaluate {run.folder} was not run before the export']
    settings = [f'    {name:14s} {value}' for name, value in run.settings.items()]
    height, width = run.settings['image_size']
    if len(run.classes) == 2:
        name = run.classes[1].name
        own = {'title': f'{name.capitalize()} segmentation', 'variable': 'confidence',
               'output': 'the confidence', 'outputs': CONFIDENCE.format(name=name)}
    else:
        names = '\n'.join(f'    {i:3d}  {each.name}, RGB {each.colour}'
                          for i, each in enumerate(run.classes))
        own = {'title': 'Semantic segmentation', 'variable': 'classes',
               'output': 'the probabilities',
               'outputs': CLASSES.format(count=len(run.classes), names=names)}
    return README.format(tag=TAG, height=height, width=width, run=run.folder, **own,
                         scores='\n'.join(scores), settings='\n'.join(settings),
                         training=len(run.training), validation=len(run.validation))


def _score_text(scores, names):
    return ', '.join(f'{name} ' + ('not defined' if scores[name] is None else
                                   f'{scores[name]:.2%}') for name in names)
