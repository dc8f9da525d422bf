"""evaluate: the table, the JSON and the PNG of a run that knows its frames' labels."""

import copy
import os
import re
import shutil

import numpy as np
import pytest

import main
from road.commands import evaluate
from road.data import images, kitti
from road.data.batches import Sample
from road.errors import InputError
from road.files import file_digest, read_json
from road.network.feature_cache import FeatureCache
from road.runs import run_folder


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, split, frames', [
    ('trained_run', 'validation', 3), ('trained_run', 'train', 6), ('classes_run', 'validation', 2),
    ('classes_run', 'test', 1)])
def test_evaluate_prints_and_writes_scores(request, tmp_path, capsys, kind, split, frames):
    run_dir = str(shutil.copytree(request.getfixturevalue(kind), tmp_path / 'run'))
    assert main.main(['evaluate', run_dir, '--split', split]) == 0
    printed = capsys.readouterr().out
    assert f'{run_dir}: {frames} {split} frames' in printed
    assert ('TRAINED on' in printed) == (split == 'train')
    assert ('Features of' in printed) == (split != 'test')  # which are not in the cache
    assert os.path.getsize(f'{run_dir}/evaluation-{split}.png') > 5000
    written = read_json(f'{run_dir}/evaluation-{split}.json')
    assert written['run'] == run_dir and written['split'] == split
    assert len(written['frames']) == frames
    if kind == 'classes_run':
        score, name = written['mean_IoU'], 'mean_IoU'
        assert np.sum(written['confusion']) == frames * 48 * 59  # some pixels are ignored
        assert re.search(f'\nmean IoU +{100 * score:.2f}\n', printed)
    else:
        score, name = written['perspective']['URBAN']['MaxF'], 'MaxF'
        assert re.search(f'\nURBAN +{100 * score:.2f} ', printed)
        assert written['birdseye']['URBAN']['MaxF'] != score
    if split == 'validation':
        best = read_json(f'{run_dir}/metrics.json')['best']
        assert 100 * score == pytest.approx(best[f'val_{name}'])


def test_label_of_another_size_than_its_image_is_refused(scenes_dir):
    frame = kitti.training_frames(os.path.join(scenes_dir, 'training'))[0]
    outputs = [(frame, np.zeros((30, 90, 3), np.uint8), np.zeros((30, 90), np.float32))]
    with pytest.raises(InputError, match=r'is \d+x\d+ pixels, but its image is 90x30'):
        list(evaluate.with_labels(outputs, [frame], kitti.read_label))


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
        samples = [Sample(frame, light=opened.run.light) for frame in data.validation]
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
