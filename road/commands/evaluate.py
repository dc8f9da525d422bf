"""`main.py evaluate RUN`: KITTI's scores of the run's validation (or training) frames."""

import os

from road.data import images, kitti
from road.runs import run_folder
from road.scoring import evaluation


def run(args, open_run):
    """Print the scores and write them, with precision-recall curves, into the run folder."""
    with open_run(args.run, args.vgg_dir) as opened:
        run = opened.run
        kitti_dir = run_folder.find_kitti(run, args.kitti_dir)
        names = run.training if args.split == 'train' else run.validation
        labelled = kitti.training_frames(os.path.join(kitti_dir, 'training'))
        run_folder.compare_labels(run, labelled)
        frames = kitti.named(labelled, names, kitti_dir)
        outputs = opened.predictor.predict(images.read_frames(frames))
        histograms, fault = evaluation.evaluate(outputs, len(frames))
    title = f'{run.folder}: {len(frames)} {args.split} frames'
    if args.split == 'train':
        title += ', which the run was TRAINED on: their scores do not tell how good it is'
    print(f'{title}\n{evaluation.text(histograms)}')
    if fault:
        print(f"No scores in bird's eye view: {fault}")
    path = os.path.join(run.folder, f'evaluation-{args.split}')
    evaluation.write_json(f'{path}.json', histograms, {
        'run': run.folder, 'split': args.split, 'frames': names, 'checkpoint': run.best_checkpoint})
    evaluation.plot_curves(f'{path}.png', histograms, title)
    print(f'Written to {path}.json, precision and recall to {path}.png')
