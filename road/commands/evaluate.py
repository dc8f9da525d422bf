"""`main.py evaluate RUN`: the scores of the run's validation, training or test frames."""

import os
import webbrowser
from itertools import groupby
from pathlib import Path

from road.data.batches import Sample
from road.data.formats import target_line
from road.data.images import fit_shape, image_bytes, network_shape, read_image
from road.errors import InputError
from road.files import atomic_folder, file_digest, write_json
from road.network.feature_cache import FeatureCache
from road.network.predictor import BATCH
from road.prefetch import batched, prefetch
from road.progress import tqdm
from road.runs import run_folder
from road.runs.figures import save_figure
from road.runs.page import Page
from road.scoring.scorers import make_scorer


def run(args, open_run):
    """Print the scores and write them, with a figure and a page, into the run folder."""
    path = os.path.join(args.run, f'evaluation-{args.split}')
    with open_run(args.run, args.vgg_dir) as opened, atomic_folder(path) as folder:
        run = opened.run
        best = run.best()  # now, because a run that still trains has another one later
        data = run_folder.find_dataset(run, args.dataset_dir)
        if data.faults:
            raise InputError(data.faults[0])
        labels = run_folder.compare_data(run, data)
        frames = find_frames(run, data, args.split)
        title = f'{run.folder}: {len(frames)} {args.split} frames'
        if args.split == 'train':
            title += ', which the run was TRAINED on: their scores do not tell how good it is'
        scorer = make_scorer(run.classes, with_birdseye=data.format == 'kitti',
                             mask_threshold=best['threshold'])
        page = Page(folder, run.classes)
        outputs = page.draw(predict(opened, data, frames))
        scorer.add(tqdm(outputs, total=len(frames), desc='scoring', unit='image'))
        print('\n'.join([title, target_line(run), scorer.format_scores()]))
        write_json(f'{path}.json', {
            'run': run.folder, **best, 'labels': labels, 'split': args.split,
            'frames': [each.name for each in frames], **scorer.as_json()})
        save_figure(scorer.plot(title), f'{path}.png')
        page.write(f'{path}.png', title=title, target=target_line(run),
                   scores=scorer.format_scores(), threshold=best['threshold'])
    print(f'Written to {path}.json, {path}.png and {path}/index.html')
    if args.open and not webbrowser.open(Path(path, 'index.html').absolute().as_uri()):
        print('No browser was found; open index.html yourself')


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
    """Yield (frame, label, probabilities) as a scorer takes them, with features of the run's cache.

    Cached features are float16; they are of the run's image size, so an image of other proportions
    is encoded, as a frame is that is not in the cache.
    Raises InputError if a label has another size than its image.
    """
    run, predictor = opened.run, opened.predictor
    size = run.settings['image_size']
    paths = [path for frame in frames for path in (frame.image, frame.label)]
    data = data._replace(digests=dict(zip(paths, prefetch(file_digest, paths))))
    features = FeatureCache(predictor.encode, size, data)
    samples = {frame: Sample(frame, light=predictor.light) for frame in frames}
    features.find(os.path.join(run.settings['data_dir'], 'cache'), samples.values(),
                  encoder=f'{run.encoder} {opened.precision}')

    def read(frame):
        image, label = read_image(frame.image, frame.bits), data.read_label(frame.label)
        if label.shape != image.shape[:2]:
            raise InputError('{0}: is {2}x{1} pixels, but its image is {4}x{3}; a label must be as '
                             'large as its image'.format(frame.label, *label.shape, *image.shape))
        fits = fit_shape(label.shape, size) == network_shape(size)
        return frame, image, label, fits and samples[frame] in features.cached

    count = 0
    read_ahead = prefetch(read, frames, size=lambda frame: image_bytes(frame.image))
    for is_cached, items in groupby(read_ahead, key=lambda item: item[-1]):
        for batch in batched(items, BATCH):
            if is_cached:
                inputs, _ = features.read([samples[frame] for frame, *_ in batch])
                found = predictor.confidences(inputs)
                count += len(batch)
            else:
                pairs = [(frame, image) for frame, image, *_ in batch]
                found = [probabilities for *_, probabilities in predictor.predict(pairs)]
            for (frame, _, label, _), probabilities in zip(batch, found):
                yield frame, label, probabilities
    if count:
        tqdm.write(f'Features of {count} of {len(frames)} images are read from {features.folder}')
