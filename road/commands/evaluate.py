"""`main.py evaluate RUN`: the scores of the run's validation, training or test frames."""

import os
from itertools import groupby

from road.data.batches import Sample
from road.data.images import fit_shape, network_shape, read_frames, resize_confidence
from road.errors import InputError
from road.files import atomic_path, file_digest, write_json
from road.network.feature_cache import FeatureCache
from road.network.predictor import BATCH, prefetch_depth
from road.prefetch import batched, prefetch
from road.progress import tqdm
from road.runs import run_folder
from road.scoring.scorers import make_scorer


def run(args, open_run):
    """Print the scores and write them, with a figure, into the run folder."""
    with open_run(args.run, args.vgg_dir) as opened:
        run = opened.run
        data = run_folder.find_dataset(run, args.dataset_dir)
        if data.faults:
            raise InputError(data.faults[0])
        run_folder.compare_data(run, data)
        frames = find_frames(run, data, args.split)
        title = f'{run.folder}: {len(frames)} {args.split} frames'
        if args.split == 'train':
            title += ', which the run was TRAINED on: their scores do not tell how good it is'
        scorer = make_scorer(run.classes, with_birdseye=data.format == 'kitti')
        outputs = with_labels(predict(opened, data, frames), frames, data.read_label)
        scorer.add(tqdm(outputs, total=len(frames), desc='scoring', unit='image'),
                   depth=prefetch_depth(len(run.classes)))
        print(f'{title}\n{scorer.format_scores()}')
        path = os.path.join(run.folder, f'evaluation-{args.split}')
        write_json(f'{path}.json', {
            'run': run.folder, 'split': args.split, 'frames': [each.name for each in frames],
            'checkpoint': run.best_checkpoint, **scorer.as_json()})
        with atomic_path(f'{path}.png') as temporary:
            scorer.plot(title).savefig(temporary, dpi=110)
        print(f'Written to {path}.json and {path}.png')


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
    samples = [Sample(frame, light=predictor.light) for frame in frames]
    features.find(os.path.join(run.settings['data_dir'], 'cache'), samples,
                  encoder=f'{run.encoder} {opened.precision}')
    count = 0

    def is_cached(pair):
        frame, image = pair
        fits = fit_shape(image.shape[:2], size) == network_shape(size)
        return fits and Sample(frame, light=predictor.light) in features.cached

    for use_cache, pairs in groupby(read_frames(frames), key=is_cached):
        if not use_cache:
            yield from predictor.predict(pairs)
            continue
        for batch in batched(pairs, BATCH):
            inputs, _ = features.read([Sample(frame, light=predictor.light) for frame, _ in batch])
            for (frame, image), confidence in zip(batch, predictor.confidences(inputs)):
                yield frame, image, resize_confidence(confidence, image.shape[:2])
            count += len(batch)
    if count:
        tqdm.write(f'Features of {count} of {len(frames)} images are read from {features.folder}')


def with_labels(outputs, frames, read_label):
    """Yield (frame, label, confidence) for the outputs of `predict`; labels are read in threads."""
    labels = prefetch(lambda frame: read_label(frame.label), frames)
    for (frame, image, confidence), label in zip(outputs, labels):
        if label.shape != image.shape[:2]:
            raise InputError('{0}: is {2}x{1} pixels, but its image is {4}x{3}; a label must be as '
                             'large as its image'.format(frame.label, *label.shape, *image.shape))
        yield frame, label, confidence
