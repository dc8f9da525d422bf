"""evaluate: the table, the JSON and the PNG of a run that knows its frames' labels."""

import json
import os
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from road.commands import evaluate
from road.data import kitti
from road.data.calibration import read_calibration
from road.errors import InputError
from road.scoring import evaluation, scores
from road.scoring.birdseye import to_birdseye


def guess(frame):
    """The label of a frame with noise, as confidence float32 [h, w]."""
    road, _ = kitti.read_label(frame.label)
    noise = np.random.default_rng(0).random(road.shape, dtype=np.float32)
    return np.float32(0.4) * road + np.float32(0.6) * noise


def test_evaluate_prints_and_writes_the_scores(scenes_dir, copied_scenes, tmp_path, capsys):
    """For two frames trained, and one of each category left."""
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    names = [frame.name for frame in frames]
    run = SimpleNamespace(folder=str(tmp_path), settings={'kitti_dir': scenes_dir},
                          training=names[:2], validation=names[2::3], best_checkpoint='best')
    predictor = SimpleNamespace(
        predict=lambda pairs: ((frame, image, guess(frame)) for frame, image in pairs))

    def evaluated(split='validation', kitti_dir=None):
        evaluate.run(SimpleNamespace(run='run', vgg_dir=None, kitti_dir=kitti_dir, split=split),
                     lambda *_: nullcontext(SimpleNamespace(run=run, predictor=predictor)))
        written = json.loads((tmp_path / f'evaluation-{split}.json').read_text())
        return capsys.readouterr().out, written

    printed, written = evaluated()
    assert written['frames'] == ['um_000002', 'umm_000002', 'uu_000002']
    for view, title in evaluation.VIEWS.items():
        levels = {}
        for frame in frames[2::3]:
            planes = scores.to_grey(guess(frame)), *kitti.read_label(frame.label)
            if view == 'birdseye':
                planes = [to_birdseye(plane, read_calibration(frame.calib)) for plane in planes]
            levels[frame.name] = scores.histogram(*planes)
        columns, *rows = map(str.split, printed.partition(f'{title}\n')[2].split('\n')[:5])
        expected = {name: scores.scores(each) for name, each in scores.pool(levels).items()}
        assert rows == [[name, *(f'{100 * getattr(row, column):.2f}' for column in columns)]
                        for name, row in expected.items()]
        assert written[view] == {name: row._asdict() for name, row in expected.items()}
    assert (tmp_path / 'evaluation-validation.png').stat().st_size > 20000
    printed, trained = evaluated('train')
    assert '2 train frames, which the run was TRAINED on' in printed
    assert trained['frames'] == ['um_000000', 'um_000001']
    shutil.rmtree(os.path.join(copied_scenes, 'training', 'calib'))
    printed, partly = evaluated(kitti_dir=copied_scenes)
    assert "No scores in bird's eye view: " in printed and 'has no calibration file' in printed
    assert partly['perspective'] == written['perspective'] and 'birdseye' not in partly
    with pytest.raises(InputError, match=r'is \d+x\d+ pixels, but its image is 90x30'):
        evaluation.evaluate([(frames[0], None, np.zeros((30, 90)))], 1)


def test_scores_that_are_not_defined(tmp_path):
    empty = {view: {'um': np.zeros((2, 256), int)} for view in evaluation.VIEWS}
    assert evaluation.text(empty).count('nan') == 2 * len(evaluation.COLUMNS)
    evaluation.write_json(tmp_path / 'scores.json', empty, {})
    written = json.loads((tmp_path / 'scores.json').read_text())
    assert set(written['birdseye']['um'].values()) == {None}
