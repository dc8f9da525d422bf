"""`main.py evaluate RUN`: the scores of the run's validation, training or test frames."""

import webbrowser
from pathlib import Path

from road.data.batches import sample_of
from road.data.check import inspect_files, size_faults
from road.data.formats import target_line
from road.errors import InputError
from road.files import atomic_folder, write_json
from road.network.feature_cache import FeatureCache
from road.progress import tqdm
from road.runs import run_folder
from road.runs.figures import save_figure
from road.runs.page import Page
from road.scoring.scorers import make_scorer
from road.scoring.validation import Validation


def run(args, open_run):
    """Print the scores and write them, with a figure and a page, into the run folder."""
    path = f'{args.run}/evaluation-{args.split}'
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
        shown = {'title': title, 'target': target_line(run), 'scores': scorer.format_scores()}
        print(*shown.values(), 'docs/use.md explains the scores', sep='\n')
        write_json(f'{path}.json', {
            'run': run.folder, **best, 'labels': labels, 'split': args.split,
            'frames': [each.name for each in frames], **scorer.as_json()})
        save_figure(scorer.plot(title), f'{path}.png')
        page.write(f'{path}.png', **shown, threshold=best['threshold'])
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
    """(frame, label, probabilities) as a scorer takes them, with features of the run's cache.

    Raises InputError if a file is damaged, or a label has another size than its image.
    """
    run, predictor = opened.run, opened.predictor
    infos, unread = inspect_files([frame.image for frame in frames],
                                  [frame.label for frame in frames], run.checked_path, trust=True)
    for fault in *unread.values(), *size_faults(frames, infos).values():
        raise InputError(fault)
    data = data._replace(training=frames, validation=[], testing=[]).with_infos(infos, run.bits)
    features = FeatureCache(predictor.encode, data)
    samples = [sample_of(frame, predictor.image_shape, light=predictor.light)
               for frame in data.training]
    features.find(f'{run.settings["data_dir"]}/cache', samples,
                  encoder=f'{run.encoder} {opened.precision}')
    if features.cached:
        print(f'Features of {len(features.cached)} of {len(frames)} images are read from '
              f'{features.folder}')
    return Validation(predictor, features.read, data).outputs(data.training)
