"""evaluate: the table, the JSON and the PNG of a run that knows its frames' labels."""

import os
import re
import shutil
import sys
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main
from road.commands import evaluate
from road.data import images
from road.errors import InputError
from road.files import read_json
from road.runs import run_folder
from road.runs.metrics import format_scores
from road.scoring import scores
from tests.test_folder import save
from tests.test_page import content


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, split, frames', [
    ('trained_run', 'validation', 3), ('trained_run', 'train', 6), ('classes_run', 'validation', 2),
    ('classes_run', 'test', 1)])
def test_evaluate_prints_and_writes_scores_and_opens_their_page(
        request, tmp_path, monkeypatch, capsys, kind, split, frames):
    folder = str(shutil.copytree(request.getfixturevalue(kind), tmp_path / 'cost #1 $x^$'))
    page, opened = Path(folder, f'evaluation-{split}/index.html'), []
    monkeypatch.setattr(webbrowser, 'open', opened.append)
    assert main.main(['evaluate', folder, '--split', split, '--open']) == 0
    printed, shown = capsys.readouterr().out, content(page)
    assert opened == [page.as_uri()]
    assert 'No browser was found' in printed
    assert shown['title'] in printed
    assert shown['scores'] in printed
    assert f'{folder}: {frames} {split} frames' in printed
    assert ('TRAINED on' in printed) == (split == 'train')
    assert ('Features of' in printed) == (split != 'test')  # which are not in the cache
    assert os.path.getsize(f'{folder}/evaluation-{split}.png') > 5000
    written = read_json(f'{folder}/evaluation-{split}.json')
    assert shown['threshold'] == written['threshold']
    assert [frame['name'] for frame in shown['frames']] == written['frames']
    assert (written['run'], written['split'], len(written['frames'])) == (folder, split, frames)
    if kind == 'classes_run':
        score, name = written['mean_IoU'], 'mean_IoU'
        assert written['threshold'] == 0.5
        assert '\nTarget: all 11 classes\n' in printed
        assert np.sum(written['confusion']) == frames * 48 * 59  # some pixels are ignored
        assert re.search(f'\nmean IoU +{100 * score:.2f}\n', printed)
    else:
        score, name = written['perspective']['URBAN']['MaxF'], 'MaxF'
        assert '\nTarget: road (#ff00ff in the masks)\n' in printed
        assert re.search(f'\nURBAN +{100 * score:.2f} ', printed)
        assert written['birdseye']['URBAN']['MaxF'] != score
        iou = scores.scores(np.array(shown['total'])).IoU
        assert iou == written['perspective']['URBAN']['IoU']
        assert written['threshold'] == run_folder.load(folder).threshold
        assert f' IoU at 0.5  IoU at {written["threshold"]:.4g}\n' in printed
    if split == 'validation':
        best = read_json(f'{folder}/metrics.json')['best']
        assert 100 * score == pytest.approx(best[f'val_{name}'])
        if name == 'MaxF':
            iou, threshold = written['perspective']['URBAN']['mask_IoU'], written['threshold']
            assert f' IoU {100 * iou:.2f} % at threshold {threshold:.4g} ' in format_scores(best)


@pytest.mark.usefixtures('opened_run')
def test_evaluation_is_of_its_weights_and_labels(copied_run, copied_scenes, capsys):
    folder = str(copied_run)
    run = run_folder.load(folder)
    frame, other, *_ = run_folder.find_dataset(run, copied_scenes).training
    shutil.copy(other.label, frame.label)
    labels = read_json(f'{folder}/environment.json')['labels']
    for options, own in ((['--dataset-dir', copied_scenes], False), ([], True)):
        assert main.main(['evaluate', folder, *options]) == 0
        written = read_json(f'{folder}/evaluation-validation.json')
        assert written.items() >= run.best().items() and (written['labels'] == labels) == own
    os.remove(frame.label)
    assert main.main(['evaluate', folder, '--dataset-dir', copied_scenes]) == 2
    assert f'{frame.image}: has no label' in capsys.readouterr().err


def test_labels_of_another_size_and_those_that_are_not_public_are_refused(opened_run, tmp_path):
    data = run_folder.find_dataset(opened_run.run)
    Image.new('RGB', (300, 90)).save(tmp_path / 'label.png')
    frame = data.training[0]._replace(label=str(tmp_path / 'label.png'))
    with pytest.raises(InputError, match='90x300 pixels, but its image is .*; a label must'):
        list(evaluate.predict(opened_run, data, [frame]))
    with pytest.raises(InputError, match="cannot score its test images: KITTI Road's test labels"):
        evaluate.find_frames(opened_run.run, data, 'test')


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind', ['trained_run', 'classes_run'])
def test_cached_features_are_read_and_score_as_encoded_anew(request, capsys, kind):
    with main.open_run(request.getfixturevalue(kind)) as opened:
        data = run_folder.find_dataset(opened.run)
        frames = data.named(opened.run.validation)
        expected = [found for *_, found in opened.predictor.predict(images.read_frames(frames))]
        for cached in (True, False):
            outputs = list(evaluate.predict(opened, data, frames))
            found = f'Features of {len(frames)} of {len(frames)} images are'
            assert (found in capsys.readouterr().out) == cached
            assert [frame.name for frame, *_ in outputs] == opened.run.validation
            for (*_, probabilities), exact in zip(outputs, expected):
                resized = images.resize_confidence(probabilities, exact.shape[:2])
                np.testing.assert_allclose(resized, exact, atol=2e-3 if cached else 0)
            opened.run.settings['data_dir'] = 'nowhere'  # without the cache


@pytest.mark.parametrize('options', [[], ['--no-cache'], ['--train-encoder', 'all']])
def test_pictures_of_several_proportions_score_in_training_as_in_evaluation(
        vgg_dir, tmp_path, options):
    """They use 10 of 16 bits; those that validate are the darkest. Their names are no UTF-8."""
    stem = 'a\udce9.' if sys.platform == 'linux' else 'é.'  # elsewhere all names are UTF-8
    for i in range(10):
        mask = np.zeros((60, 100) if i % 2 else (120, 50), np.uint8)
        mask[len(mask) // 2:, :30 + 2 * i] = 255
        for folder, pixels in ('images', mask * np.uint16(3) // (1 + i)), ('masks', mask):
            save(tmp_path / folder / f'{stem}{i}.png', Image.fromarray(pixels))
    places = ['--vgg-dir', vgg_dir, '--data-dir', str(tmp_path / 'data'), '--precision', 'float32',
              '--runs-dir', str(tmp_path), '--name', 'run']
    assert main.main(['--dataset-dir', str(tmp_path), '--epochs', '2', *places, *options]) == 0
    assert main.main(['evaluate', str(tmp_path / 'run')]) == 0
    assert sorted(os.listdir(tmp_path / 'run/images')) == [f'{stem}{i}.png' for i in (8, 9)]
    best = read_json(tmp_path / 'run/metrics.json')['best']
    found = read_json(tmp_path / 'run/evaluation-validation.json')['perspective']['all']
    assert (100 * found['MaxF'], 100 * found['IoU'], found['threshold']) == pytest.approx(
        (best['val_MaxF'], best['val_IoU'], best['threshold']), abs=1e-9)
    assert run_folder.find_dataset(run_folder.load(str(tmp_path / 'run'))).bits == 10
