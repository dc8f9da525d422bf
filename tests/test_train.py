"""train() hands every setting to what it is meant for."""

from unittest.mock import Mock

import numpy as np
import pytest

import main
from road import settings
from road.files import read_json
from road.network.tf1 import tf
from road.runs import run_folder
from road.scoring.validation import Validation


def test_every_setting_arrives(scenes_dir, vgg_dir, tmp_path, monkeypatch, capsys):
    """train() with odd values for all options: what reaches graph, batches, cache, schedule, ...

    The stand-in for training makes a second epoch that is worse than the first.
    """
    seen, made = {}, {}

    def record(module, name):
        original = getattr(module, name)

        def recording(*args, **kwargs):
            seen[name] = args, kwargs
            made[name] = original(*args, **kwargs)
            return made[name]
        monkeypatch.setattr(module, name, recording)

    record(main.FeatureCache, 'fill')
    record(main.helper, 'maybe_download_pretrained_vgg')
    for name in ('find_device', 'open_dataset', 'Encoder', 'FeatureCache', 'Batches', 'open_model',
                 'Predictor', 'make_schedule', 'Metrics', 'optimize', 'layers'):
        record(main, name)
    record(tf, 'Session')
    record(main, 'Validation')
    record(main.helper, 'maybe_download_kitti')

    def weights():
        sess = seen['Predictor'][0][0]
        kernel, = (v for v in sess.graph.get_collection('trainable_variables')
                   if v.op.name == 'decoder/score_fr/kernel')
        return kernel, sess.run(kernel)

    def train_nn(*args, **kwargs):
        seen['train_nn'] = args, kwargs
        kernel, seen['before'] = weights()
        for epoch, score in ((1, 0.9), (2, 0.8)):
            scores = {**Validation.scores(made['Validation']), 'val_MaxF': score}
            monkeypatch.setattr(made['Validation'], 'scores', lambda found=scores: found)
            kwargs['after_epoch'](epoch, [0.5, 0.25], 10.0)
            kernel.load(np.zeros(kernel.shape), args[0])

    def draw(run, rows, outputs):
        seen['draw'] = run.folder, rows, [frame for frame, *_ in outputs]

    def write_test_images(*args):
        seen['write_test_images'], seen['after'] = args, weights()[1]
    monkeypatch.setattr(main, 'train_nn', train_nn)
    monkeypatch.setattr(main.figures, 'draw', draw)
    monkeypatch.setattr(main.helper, 'write_test_images', write_test_images)
    determinism = Mock(side_effect=lambda: seen.update(before_determinism={*seen}))
    monkeypatch.setattr(main, 'enable_determinism', determinism)  # it would stay on
    args = settings.parse_training([
        '--dataset', 'kitti', '--deterministic',
        '--data-dir', str(tmp_path / 'data'), '--dataset-dir', scenes_dir, '--target', 'road',
        '--vgg-dir', vgg_dir, '--val-frames', '2', '--image-size', '70x130',
        '--train-scale', '0.5', '--epochs', '7', '--batch-size', '3', '--learning-rate', '0.02',
        '--schedule', 'constant', '--keep-prob', '0.7', '--l2', '0.003',
        '--augment', 'crop,gamma', '--copies', '2', '--train-encoder', 'conv5',
        '--encoder-learning-rate', '0.001', '--clip-norm', '4', '--seed', '11', '--precision',
        'bfloat16', '--cache-limit', '0.5', '--runs-dir', str(tmp_path / 'runs'), '--name', 'odd'])
    before = dict(vars(args))
    main.train(args)
    assert vars(args) == before  # settings are never written to

    assert seen['find_device'][0] == ('bfloat16', 'conv5')
    determinism.assert_called_once_with()  # after VGG16 was tried out, before anything is computed
    assert 'maybe_download_pretrained_vgg' in seen['before_determinism']
    assert not {'Encoder', 'open_model'} & seen['before_determinism']
    assert seen['open_dataset'][0] == (args,)
    vgg = seen['maybe_download_pretrained_vgg'][1]
    assert vgg == {'vgg_dir': vgg_dir, 'weights': None}
    _, folder, encoder_config, block = seen['Encoder'][0]
    rewrite = encoder_config.graph_options.rewrite_options
    assert (folder, block) == (vgg_dir, 'conv5')
    assert rewrite.auto_mixed_precision_onednn_bfloat16 == rewrite.ON
    assert seen['FeatureCache'][0][1] == (70, 130)
    (frames, _, num_classes), options = seen['Batches']
    assert len(frames) == 3 and num_classes == 2
    assert options == {'copies': 2, 'augment': ('gamma', 'crop'), 'scale': 0.5, 'seed': 11}
    (_, cache_dir, samples, limit), options = seen['fill']
    assert cache_dir == str(tmp_path / 'data' / 'cache') and limit == 2**29
    assert len(samples) == 3 * 2 + 9 and options['encoder'].endswith(' bfloat16')
    assert seen['open_model'][1] == {
        'seed': 11, 'num_classes': 2, 'l2': 0.003, 'train_encoder': 'conv5', 'clip_norm': 4.0,
        'encoder_factor': 0.05, 'peers': None, 'scale_loss': False}
    config = seen['open_model'][0][1].graph_options.rewrite_options
    assert config.auto_mixed_precision_onednn_bfloat16 == rewrite.ON == 1
    assert seen['Session'][1]['config'] is seen['open_model'][0][1]
    assert seen['layers'][1] == {'l2': 0.003}
    optimizer = seen['optimize'][1]
    assert (optimizer['encoder_factor'], optimizer['clip_norm']) == (0.05, 4.0)
    assert {v.op.name.split('/')[0] for v in optimizer['encoder']} == {
        'conv5_1', 'conv5_2', 'conv5_3', 'fc6', 'fc7'}
    assert seen['Predictor'][0][4] == (70, 130)
    assert seen['make_schedule'][0] == ('constant', 0.02)
    assert seen['Metrics'][0][4](0.9) == 0.02
    (_, epochs, batch_size, batches, *tensors), options = seen['train_nn']
    assert (epochs, batch_size, batches.epoch, batches.seed) == (7, 3, 0, 11)
    assert len(batches.dropout_noise) == 2
    assert [tensor.op.name for tensor in tensors[-3:]] == [
        'correct_label', 'keep_prob', 'learning_rate']
    assert options['keep_prob_value'] == 0.7 and options['learning_rate_at'](0.3) == 0.02
    assert encoder_config is made['find_device'].encoder_config
    assert seen['open_model'][0][1] is made['find_device'].config
    (data, _), read = made['open_dataset'], made['FeatureCache'].read
    assert seen['FeatureCache'][0][2] is data and seen['Batches'][0][1] == read
    assert seen['Batches'][0][0] == data.training and len(data.validation) == 6
    assert seen['Predictor'][0][5] is made['Encoder']
    assert seen['Validation'][0] == (made['Predictor'], read, data)
    model = made['Metrics'].model
    assert tensors[:3] == [model.train_op, [model.cross_entropy, model.l2],
                           (*model.features, *model.dropout_noise)]
    assert 'maybe_download_kitti' not in seen and '* --l2 ' in capsys.readouterr().out
    assert 'Best on validation' in (tmp_path / 'runs' / 'odd' / 'log.txt').read_text()
    # The best epoch, which is not the last, paints the test images.
    predictor, frames, _, classes = seen['write_test_images']
    assert predictor is made['Predictor'] and frames == data.testing
    assert classes == data.classes
    assert seen['before'].all() and (seen['before'] == seen['after']).all()
    folder, rows, frames = seen['draw']
    assert folder == str(tmp_path / 'runs' / 'odd') and frames == data.validation
    assert [row['epoch'] for row in rows] == [1, 2] and rows[0]['cross_entropy'] == 0.5
    assert read_json(f'{folder}/metrics.json')['best']['epoch'] == 1
    run = run_folder.load(str(tmp_path / 'runs' / 'odd'), begun=False)
    assert run.settings['target'] == ('road',) and run.classes[1].name == 'road'
    assert (len(run.training), len(run.validation)) == (3, 6)
    assert run.settings['learning_rate'] == 0.02 and run.settings['keep_prob'] == 0.7
    # An option that was added since must be tried here too; these are looked at by other tests.
    elsewhere = {'preset', 'dataset', 'sample', 'download_kitti', 'vgg_weights', 'cache', 'resume',
                 'debug'}
    usual = vars(settings.parse_training([]))
    assert {name for name in usual if before[name] == usual[name]} == elsewhere


@pytest.mark.parametrize('options, module, function, expected', [
    (['--sample'], main, 'make_sample', ('place/sample/data_road', 'place/sample/vgg')),
    (['--download-kitti'], main.helper, 'maybe_download_kitti', ('place/data_road',))])
def test_what_is_made_or_downloaded_comes_first(monkeypatch, options, module, function, expected):
    made = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(module, function, made)
    with pytest.raises(KeyboardInterrupt):
        main.train(settings.parse_training(['--data-dir', 'place', *options]))
    made.assert_called_once_with(*expected)


def test_no_cache_fills_none(scenes_dir, vgg_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(main.FeatureCache, 'fill', Mock(side_effect=AssertionError))
    monkeypatch.setattr(main, 'open_model', Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        main.train(settings.parse_training([
            '--data-dir', str(tmp_path), '--kitti-dir', scenes_dir, '--vgg-dir', vgg_dir,
            '--runs-dir', str(tmp_path), '--val-frames', '1', '--no-cache']))
    main.open_model.assert_called_once()
