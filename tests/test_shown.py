"""Scores, figures and event files, read back and compared with what they are of."""

import csv
import glob
import re
import shutil
from contextlib import nullcontext

import numpy as np
import pytest

import main
from road.data.images import read_frames, resize_confidence
from road.files import read_json
from road.network.tf1 import tf
from road.runs import figures, run_folder

TAGS = {
    'cross_entropy': 'loss/cross_entropy', 'l2': 'loss/L2', 'train_MaxF': 'train/MaxF',
    'train_IoU': 'train/IoU', 'val_MaxF': 'validation/MaxF', 'val_AP': 'validation/AP',
    'val_IoU': 'validation/IoU', 'train_mean_IoU': 'train/mean_IoU',
    'val_mean_IoU': 'validation/mean_IoU', 'val_accuracy': 'validation/accuracy',
    'images_per_s': 'speed/images_per_s', 'learning_rate': 'speed/learning_rate'}


def score(outputs):
    """KITTI's MaxF and the IoU in per cent, of (label, confidence)."""
    label, confidence = (np.concatenate([output[i].ravel() for output in outputs]) for i in (0, 1))
    road, confidence = label[label < 255] == 1, confidence[label < 255].astype(np.float64)
    with np.errstate(divide='ignore'):
        grey = np.rint(255 / (1 + (1 / confidence - 1) ** (1 / 8)))
    f_measures = [2 * (road & found).sum() / (road.sum() + found.sum())
                  for found in (grey >= i for i in range(256))]
    sure = confidence >= 0.5
    return {'MaxF': 100 * max(f_measures), 'IoU': 100 * (road & sure).sum() / (road | sure).sum()}


def test_scores_are_of_the_named_frames(encoder_run, tmp_path, monkeypatch):
    """What predict finds in these frames, scored here, is what the run's files say."""
    folder = shutil.copytree(encoder_run[0], tmp_path / 'run')
    config = folder / 'config.json'
    config.write_text(config.read_text().replace('"float32"', '"float16"'))
    with open(f'{folder}/metrics.csv', encoding='utf-8') as file:
        best = max(csv.DictReader(file), key=lambda row: float(row['val_MaxF']))
    training = [f'{kind}_00000{i}' for kind in ('um', 'umm', 'uu') for i in (0, 1)]
    with main.open_run(str(folder)) as opened:
        assert opened.precision == 'float32'  # that of this machine: float16 is for GPUs
        monkeypatch.setattr(main, 'open_run', lambda *_: nullcontext(opened))
        assert main.main(['evaluate', str(folder)]) == 0
        written = read_json(f'{folder}/evaluation-validation.json')
        assert written['frames'] == ['um_000002', 'umm_000002', 'uu_000002']
        data = run_folder.find_dataset(opened.run)
        train, val = ([(data.read_label(frame.label),
                        resize_confidence(found[..., 1], image.shape[:2]))
                       for frame, image, found
                       in opened.predictor.predict(read_frames(data.named(names)))]
                      for names in (training, written['frames']))
    expected = {**{f'train_{name}': value for name, value in score(train).items()},
                **{f'val_{name}': value for name, value in score(val).items()}}
    assert {name: float(best[name]) for name in expected} == pytest.approx(expected, abs=0.01)
    for category, outputs in (('URBAN', val), ('umm', val[1:2])):
        for name, value in score(outputs).items():
            assert 100 * written['perspective'][category][name] == pytest.approx(value, abs=0.01)


def test_curves_show_the_metrics(trained_run):
    rows = read_json(f'{trained_run}/checkpoints/last/state.json')['rows']
    rows.append({**rows[0], 'epoch': 4})  # not the best
    left, right = figures.plot_curves(rows, 'title').axes
    assert (left.get_title(), right.get_title()) == ('losses', 'scores, per cent')
    assert (left.get_yscale(), right.get_yscale()) == ('log', 'linear')
    for axes, names in ((left, ('cross_entropy', 'l2')), (right, (
            'val_MaxF', 'val_IoU', 'val_AP', 'train_MaxF', 'train_IoU'))):
        *lines, marker = axes.get_lines()
        assert marker.get_xdata()[0] == max(rows, key=lambda row: row['val_MaxF'])['epoch']
        assert axes.get_xlabel() == 'epoch'
        for line, name in zip(lines, names, strict=True):
            assert line.get_xydata().tolist() == [[row['epoch'], row[name]] for row in rows]
            assert (line.get_linestyle() == '--') == name.startswith('train')
            assert line.get_label() == f'{name}, last {rows[-1][name]:.4g}'


def check_events(folder):
    """Compare events, as TensorBoard reads them, with metrics; the epochs at which it started."""
    rows = read_json(f'{folder}/checkpoints/last/state.json')['rows']
    scalars, starts = {}, []
    for path in sorted(glob.glob(f'{glob.escape(str(folder))}/events/*')):
        for event in tf.train.summary_iterator(path):
            if event.WhichOneof('what') == 'session_log':
                starts.append(event.step)  # drops what came before of this step and later ones
                scalars = {tag: {step: values[step] for step in values if step < event.step}
                           for tag, values in scalars.items()}
            for value in event.summary.value:
                scalars.setdefault(value.tag, {})[event.step] = value.simple_value
            assert event.WhichOneof('what') != 'graph_def'
    names = TAGS.keys() & rows[0].keys()
    assert scalars.keys() == {TAGS[name] for name in names}
    for name in names:
        expected = {row['epoch']: row[name] for row in rows}
        assert scalars[TAGS[name]] == pytest.approx(expected, rel=1e-5), name
    return starts


@pytest.mark.parametrize('kind, header', [
    ('trained_run', 'train_MaxF,train_IoU,val_MaxF,threshold,val_AP,val_IoU'),
    ('classes_run', 'train_mean_IoU,val_mean_IoU,val_accuracy')])
def test_metrics_have_these_columns_and_are_the_events(request, kind, header):
    folder = request.getfixturevalue(kind)
    with open(f'{folder}/metrics.csv', encoding='utf-8') as file:
        names, first, *_ = file.read().splitlines()
    assert names == f'epoch,cross_entropy,l2,{header},seconds,images_per_s,learning_rate'
    assert re.fullmatch(r'1(,\d\.\d{6}){2}(,\d+\.\d\d+)+,\d+\.\d,[\de.-]+', first)
    assert check_events(folder) == [1]
