"""`main.py evaluate RUN`: the scores of the run's validation, training or test frames."""

import os
from itertools import groupby

from road.data.batches import Sample
from road.data.images import fit_shape, network_shape, read_frames, resize_confidence
from road.errors import InputError
from road.files import file_digest
from road.network.feature_cache import FeatureCache
from road.network.predictor import BATCH
from road.prefetch import batched, prefetch
from road.progress import tqdm
from road.runs import run_folder
from road.scoring import evaluation


def run(args, open_run):
    """Print the scores and write them, with a figure, into the run folder."""
    with open_run(args.run, args.vgg_dir) as opened:
        run = opened.run
        data = run_folder.find_dataset(run, args.dataset_dir)
        if data.faults:
            raise InputError(data.faults[0])
        run_folder.compare_labels(run, data)
        frames = find_frames(run, data, args.split)
        title = f'{run.folder}: {len(frames)} {args.split} frames'
        if args.split == 'train':
            title += ', which the run was TRAINED on: their scores do not tell how good it is'
        path = os.path.join(run.folder, f'evaluation-{args.split}')
        facts = {'run': run.folder, 'split': args.split, 'frames': [each.name for each in frames],
                 'checkpoint': run.best_checkpoint}
        score = score_two if len(run.classes) == 2 else score_more
        score(predict(opened, data, frames), data, len(frames), title, path, facts)


def find_frames(run, data, split):
    """The frames of a split: road.data.dataset.Frame. Raises InputError if they have no labels."""
    if split != 'test':
        return data.named(run.training if split == 'train' else run.validation)
    if not data.testing or not all(frame.label for frame in data.testing):
        why = ("KITTI Road's test labels are not public; send the maps of `submit` to its server"
               if data.format == 'kitti' else 'the test images have no labels')
        raise InputError(f'{data.folder}: cannot score its test images: {why}')
    return data.testing


def predict(opened, data, frames):
    """Yield (frame, image, confidence) as Predictor.predict, with features of the run's cache.

    Cached features are float16; they are of the run's image size, so an image of other proportions
    is encoded, as a frame is that is not in the cache.
    """
    run, predictor = opened.run, opened.predictor
    size = run.settings['image_size']
    paths = [path for frame in frames for path in (frame.image, frame.label)]
    data = data._replace(digests=dict(zip(paths, prefetch(file_digest, paths))))
    features = FeatureCache(predictor.encode, size, data)
    samples = [Sample(frame, predictor.seen) for frame in frames]
    cached = features.find(os.path.join(run.settings['data_dir'], 'cache'), samples,
                           encoder=f'{run.encoder} {opened.precision}')
    count = 0

    def is_cached(pair):
        frame, image = pair
        fits = fit_shape(image.shape[:2], size) == network_shape(size)
        return fits and Sample(frame, predictor.seen) in cached

    for use_cache, pairs in groupby(read_frames(frames), key=is_cached):
        if not use_cache:
            yield from predictor.predict(pairs)
            continue
        for batch in batched(pairs, BATCH):
            inputs, _ = features.read([Sample(frame, predictor.seen) for frame, _ in batch])
            for (frame, image), confidence in zip(batch, predictor.confidences(inputs)):
                yield frame, image, resize_confidence(confidence, image.shape[:2])
            count += len(batch)
    if count:
        tqdm.write(f'Features of {count} of {len(frames)} images are read from {features.folder}')


def score_two(outputs, data, total, title, path, facts):
    """KITTI's scores, and precision over recall as a figure."""
    histograms, fault = evaluation.evaluate(outputs, total, data.read_label)
    print(f'{title}\n{evaluation.text(histograms)}')
    if fault and data.format == 'kitti':
        print(f"No scores in bird's eye view: {fault}")
    evaluation.write_json(f'{path}.json', histograms, facts)
    evaluation.plot_curves(f'{path}.png', histograms, title)
    print(f'Written to {path}.json, precision and recall to {path}.png')


def score_more(outputs, data, total, title, path, facts):
    """IoU of each of more than two classes, also as a figure."""
    matrix = evaluation.evaluate_classes(outputs, total, data.read_label, len(data.classes))
    print(f'{title}\n{evaluation.text_of_classes(matrix, data.classes)}')
    evaluation.write_json_of_classes(f'{path}.json', matrix, data.classes, facts)
    evaluation.plot_classes(f'{path}.png', matrix, data.classes, title)
    print(f'Written to {path}.json, the IoUs to {path}.png')
