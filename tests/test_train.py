"""train() hands every setting to what it is meant for."""

import pytest

import main
from road import settings
from road.network.tf1 import tf
from road.runs import run_folder


def test_every_setting_arrives(scenes_dir, vgg_dir, tmp_path, monkeypatch):
    """train() with odd values for all options: what reaches graph, batches, cache, schedule, ..."""
    seen = {}

    def record(module, name):
        original = getattr(module, name)

        def recording(*args, **kwargs):
            seen[name] = args, kwargs
            return original(*args, **kwargs)
        monkeypatch.setattr(module, name, recording)

    record(main.FeatureCache, 'fill')
    record(main.helper, 'maybe_download_pretrained_vgg')
    for name in ('find_device', 'open_dataset', 'Encoder', 'FeatureCache', 'Batches', 'open_model',
                 'Predictor', 'make_schedule', 'Metrics', 'optimize', 'layers'):
        record(main, name)
    record(tf, 'Session')

    def train_nn(*args, **kwargs):
        seen['train_nn'] = args, kwargs
        raise KeyboardInterrupt  # nothing that comes later is looked at
    monkeypatch.setattr(main, 'train_nn', train_nn)
    args = settings.parse_training([
        '--dataset', 'kitti',
        '--data-dir', str(tmp_path / 'data'), '--dataset-dir', scenes_dir, '--target', 'road',
        '--vgg-dir', vgg_dir, '--val-frames', '2', '--image-size', '70x130', '--epochs', '7',
        '--batch-size', '3', '--learning-rate', '0.02', '--schedule', 'constant',
        '--keep-prob', '0.7', '--l2', '0.003',
        '--augment', 'crop,gamma', '--copies', '2', '--train-encoder', 'conv5',
        '--encoder-learning-rate', '0.001', '--clip-norm', '4', '--seed', '11', '--precision',
        'bfloat16', '--cache-limit', '0.5', '--runs-dir', str(tmp_path / 'runs'), '--name', 'odd'])
    before = dict(vars(args))
    with pytest.raises(KeyboardInterrupt):
        main.train(args)
    assert vars(args) == before  # settings are never written to

    assert seen['find_device'][0] == ('bfloat16', 'conv5')
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
    assert options == {'copies': 2, 'augment': ('gamma', 'crop'), 'seed': 11}
    (_, cache_dir, samples, limit), options = seen['fill']
    assert cache_dir == str(tmp_path / 'data' / 'cache') and limit == 2**29
    assert len(samples) == 3 * 2 + 9 and options['encoder'].endswith(' bfloat16')
    assert seen['open_model'][1] == {
        'seed': 11, 'num_classes': 2, 'l2': 0.003, 'train_encoder': 'conv5', 'clip_norm': 4.0,
        'encoder_factor': 0.05}
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
    run = run_folder.load(str(tmp_path / 'runs' / 'odd'), begun=False)
    assert run.settings['target'] == ('road',) and run.classes[1].name == 'road'
    assert (len(run.training), len(run.validation)) == (3, 6)
    assert run.settings['learning_rate'] == 0.02 and run.settings['keep_prob'] == 0.7
    # An option that was added since must be tried here too; these are looked at by other tests.
    elsewhere = {'preset', 'sample', 'download_kitti', 'vgg_weights', 'cache', 'resume', 'debug'}
    usual = vars(settings.parse_training([]))
    assert {name for name in usual if before[name] == usual[name]} == elsewhere
