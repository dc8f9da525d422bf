"""evaluate: the table, the JSON and the PNG of a run that knows its frames' labels."""

import copy
import json
import os
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import main
from road.commands import evaluate
from road.data import camvid, images, kitti
from road.data.augmentation import PLAIN
from road.data.batches import Sample
from road.data.calibration import read_calibration
from road.data.dataset import Frame
from road.errors import InputError
from road.files import file_digest, read_json, write_json
from road.network.feature_cache import FeatureCache
from road.runs import run_folder
from road.scoring import evaluation, scores
from road.scoring.birdseye import to_birdseye


def guess(frame):
    """The label of a frame with noise, as confidence float32 [h, w]."""
    road = kitti.read_label(frame.label) == 1
    noise = np.random.default_rng(0).random(road.shape, dtype=np.float32)
    return np.float32(0.4) * road + np.float32(0.6) * noise


def test_evaluate_prints_and_writes_the_scores(scenes_dir, copied_scenes, tmp_path, capsys):
    """For two frames trained, and one of each category left."""
    frames = kitti.training_frames(os.path.join(scenes_dir, 'training'))
    names = [frame.name for frame in frames]
    settings = {'dataset_dir': scenes_dir, 'data_dir': str(tmp_path), 'image_size': (64, 192)}
    run = SimpleNamespace(folder=str(tmp_path), settings=settings, encoder='', training=names[:2],
                          validation=names[2::3], best_checkpoint='best', classes=kitti.CLASSES)
    predictor = SimpleNamespace(
        encode=SimpleNamespace(layers=[(8, 4)]), seen=PLAIN,
        predict=lambda pairs: ((frame, image, guess(frame)) for frame, image in pairs))
    opened = SimpleNamespace(run=run, predictor=predictor, precision='float32')

    def evaluated(split='validation', dataset_dir=None):
        evaluate.run(SimpleNamespace(run='run', vgg_dir=None, dataset_dir=dataset_dir, split=split),
                     lambda *_: nullcontext(opened))
        written = json.loads((tmp_path / f'evaluation-{split}.json').read_text())
        return capsys.readouterr().out, written

    printed, written = evaluated()
    assert written['frames'] == ['um_000002', 'umm_000002', 'uu_000002']
    for view, title in evaluation.VIEWS.items():
        levels = []
        for frame in frames[2::3]:
            grey, label = scores.to_grey(guess(frame)), kitti.read_label(frame.label)
            if view == 'birdseye':
                calibration = read_calibration(frame.calib)
                valid = to_birdseye(label != 255, calibration)
                grey, label = (to_birdseye(plane, calibration) for plane in (grey, label))
                label[~valid] = 255
            levels.append((frame.category, scores.histogram(grey, label)))
        columns, *rows = map(str.split, printed.partition(f'{title}\n')[2].split('\n')[:5])
        expected = {name: scores.scores(each) for name, each in scores.pool(levels).items()}
        assert rows == [[name, *(f'{100 * getattr(row, column):.2f}' for column in columns)]
                        for name, row in expected.items()]
        assert written[view] == {name: row._asdict() for name, row in expected.items()}
    assert (tmp_path / 'evaluation-validation.png').stat().st_size > 20000
    printed, trained = evaluated('train')
    assert '2 train frames, which the run was TRAINED on' in printed
    assert trained['frames'] == ['um_000000', 'um_000001']
    os.remove(os.path.join(copied_scenes, 'training/calib/umm_000002.txt'))
    printed, partly = evaluated(dataset_dir=copied_scenes)
    assert "No scores in bird's eye view: " in printed and 'has no calibration file' in printed
    assert partly['perspective'] == written['perspective'] and 'birdseye' not in partly
    with pytest.raises(InputError, match=r'is \d+x\d+ pixels, but its image is 90x30'):
        evaluation.evaluate([(frames[0], None, np.zeros((30, 90)))], 1, kitti.read_label)
    with pytest.raises(InputError, match=r'is \d+x\d+ pixels, but its image is 90x30'):
        evaluation.evaluate_classes([(frames[0], None, np.zeros((30, 90, 3)))], 1,
                                    kitti.read_label, 3)


def test_scores_that_are_not_defined(tmp_path):
    empty = {view: {'um': np.zeros((2, 256), int)} for view in evaluation.VIEWS}
    assert evaluation.text(empty).count('nan') == 2 * len(evaluation.COLUMNS)
    evaluation.write_json(tmp_path / 'scores.json', empty, {})
    written = json.loads((tmp_path / 'scores.json').read_text())
    assert set(written['birdseye']['um'].values()) == {None}


def test_two_classes_of_other_data_have_one_row_and_no_birdseye_view(tmp_path, capsys):
    frame = Frame('a', 'a.png', 'a_label.png')
    data = SimpleNamespace(layout='camvid', read_label=lambda path: np.uint8([[0, 1, 1, 255]]))
    outputs = [(frame, None, np.float32([[0.1, 0.9, 0.2, 0.9]]))] * 2
    evaluate.score_two(outputs, data, 2, 'title', str(tmp_path / 'scores'), {'split': 'test'})
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.split('\n')[3:5]] == ['all', 'Written']
    assert 'bird' not in printed and '50.00' in printed.split('\n')[3]
    written = read_json(tmp_path / 'scores.json')
    assert list(written) == ['split', 'perspective'] and list(written['perspective']) == ['all']
    assert written['perspective']['all']['IoU'] == 0.5


def test_rows_of_classes_are_counted_pixel_by_pixel(tmp_path):
    label = np.uint8([[0, 0, 1, 1, 2, 255]])
    found = np.eye(11, dtype=np.float32)[[[0, 1, 1, 1, 0, 3]]]
    frame = SimpleNamespace(label=label, category='')
    matrix = evaluation.evaluate_classes([(frame, None, found)] * 2, 2, lambda label: label, 11)
    head, *rows = evaluation.text_of_classes(matrix, camvid.CLASSES).split('\n')
    assert [row.split() for row in rows] == [
        ['sky', '33.33', '40.00'], ['building', '66.67', '40.00'], ['pole', '0.00', '20.00'],
        *([each.name, 'nan', '0.00'] for each in camvid.CLASSES[3:]),
        ['mean', 'IoU', '33.33'], ['global', 'accuracy', '60.00']]
    evaluation.write_json_of_classes(tmp_path / 'a.json', matrix, camvid.CLASSES, {'split': 'test'})
    written = read_json(tmp_path / 'a.json')
    assert written['split'] == 'test' and written['accuracy'] == 0.6
    assert written['mean_IoU'] == pytest.approx(1 / 3) and written['IoU']['road'] is None
    assert written['confusion'][0] == [2, 2, *[0] * 9] and written['IoU']['pole'] == 0


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('split, frames', [
    ('validation', 2), ('test', 1), pytest.param('train', 4, marks=pytest.mark.slow)])
def test_evaluate_run_of_classes(classes_run, tmp_path, capsys, split, frames):
    run_dir = str(shutil.copytree(classes_run, tmp_path / 'run'))
    assert main.main(['evaluate', run_dir, '--split', split]) == 0
    printed = capsys.readouterr().out
    assert f'{run_dir}: {frames} {split} frames' in printed
    assert ('Features of' in printed) == (split != 'test')  # which are not in the cache
    for name in (*(each.name for each in camvid.CLASSES), 'mean IoU', 'global accuracy'):
        assert printed.count(f'\n{name} ') == 1
    written = read_json(f'{run_dir}/evaluation-{split}.json')
    assert np.sum(written['confusion']) == frames * 48 * 59  # some pixels do not count
    assert os.path.getsize(f'{run_dir}/evaluation-{split}.png') > 5000
    if split == 'validation':
        best = read_json(f'{run_dir}/metrics.json')['best']
        assert 100 * written['mean_IoU'] == pytest.approx(best['val_mean_IoU'])


@pytest.mark.parametrize('kind', ['trained_run', 'classes_run'])
def test_cached_features_are_read_and_score_as_encoded_anew(request, capsys, opened_run, kind):
    with main.open_run(request.getfixturevalue(kind)) as opened:
        data, predictor = run_folder.find_dataset(opened.run), copy.copy(opened.predictor)
        opened = opened._replace(predictor=predictor)
        frames, encode, encoded = data.named(opened.run.validation), predictor.encode, []
        expected = list(predictor.predict(images.read_frames(frames)))

        class Counting:
            layers = encode.layers

            def __call__(self, values):
                encoded.append(len(values))
                return encode(values)

        predictor.encode = Counting()
        outputs = list(evaluate.predict(opened, data, frames))
        assert f'Features of {len(frames)} of {len(frames)} images are' in capsys.readouterr().out
        assert not encoded and [frame for frame, *_ in outputs] == frames
        for (_, image, confidence), (_, same, exact) in zip(outputs, expected):
            np.testing.assert_array_equal(image, same)
            np.testing.assert_allclose(confidence, exact, atol=2e-3)
        opened.run.settings['data_dir'] = 'nowhere'  # without the cache
        outputs = list(evaluate.predict(opened, data, frames))
        assert sum(encoded) == len(frames) and 'Features' not in capsys.readouterr().out
        for (*_, confidence), (*_, exact) in zip(outputs, expected):
            np.testing.assert_array_equal(confidence, exact)


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('size, cached', [((96, 128), True), ((32, 128), False)])
def test_images_of_other_proportions_are_encoded_though_they_are_cached(classes_run, tmp_path,
                                                                       capsys, size, cached):
    with main.open_run(classes_run) as opened:
        data = run_folder.find_dataset(opened.run)
        digests = {path: file_digest(path) for frame in data.validation for path in frame[1:3]}
        opened.predictor.image_shape, usual = size, opened.predictor.image_shape
        opened.run.settings.update(data_dir=str(tmp_path), image_size=size)
        cache = FeatureCache(opened.predictor.encode, size, data._replace(digests=digests))
        samples = [Sample(frame, opened.run.seen) for frame in data.validation]
        cache.fill(str(tmp_path / 'cache'), samples,
                   encoder=f'{opened.run.encoder} {opened.precision}')
        assert len(list(evaluate.predict(opened, data, data.validation))) == 2
        opened.predictor.image_shape = usual
    assert ('images are read from' in capsys.readouterr().out) == cached


@pytest.mark.usefixtures('opened_run')
def test_test_labels_of_kitti_are_not_public(trained_run, capsys):
    assert main.main(['evaluate', trained_run, '--split', 'test']) == 2
    error = capsys.readouterr().err.rstrip('\n').split('\n')[-1]
    assert error.endswith("cannot score its test images: KITTI Road's test labels are not public; "
                          'send the maps of `submit` to its server')


@pytest.mark.usefixtures('opened_run')
def test_run_of_an_earlier_version_is_of_road(trained_run, tmp_path, capsys):
    run_dir = shutil.copytree(trained_run, tmp_path / 'run')
    config = read_json(run_dir / 'config.json')
    del config['classes'], config['light']
    del config['settings']['dataset'], config['settings']['target']
    config['settings']['kitti_dir'] = config['settings'].pop('dataset_dir')
    write_json(run_dir / 'config.json', config)
    assert main.main(['evaluate', str(run_dir)]) == 0
    assert '\nURBAN ' in capsys.readouterr().out
