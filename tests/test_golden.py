"""Golden numbers of short trainings; and which changes of data and settings are seen.

A commit that is not meant to change results must not change the numbers. One that is says why;
`python -m pytest -n 0 tests/test_golden.py` prints the new numbers. With and without oneDNN, with
AVX-512 and SSE4, with one thread and two they differed by at most 2e-6 of their size.
"""

import os
import re
import shutil

import numpy as np
import PIL
import pytest
from PIL import Image

import main
from road.files import read_json
from road.network import vgg_folder
from road.runs import run_folder
from road.sample.prepare import make_encoder
from tools.train_sample_encoder import random_weights

# Python 3.10 has Pillow 12, by which pixels of the drawn scenes differ a little.
drawn_as_ever = pytest.mark.skipif(PIL.__version__ < '13', reason='Pillow 12 draws other scenes')


def compare(folder, expected):
    """expected: metrics.csv without epochs, times, and the threshold, which one pixel can move."""
    rows = read_json(f'{folder}/checkpoints/last/state.json')['rows']
    found = [[value for name, value in row.items()
              if name not in ('epoch', 'seconds', 'images_per_s', 'threshold')] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=5e-4, atol=1e-6, err_msg=f'found {found}')


@drawn_as_ever
def test_training_with_a_frozen_encoder(train_run):
    """Cached copies, augmentation, both dropouts."""
    _, folder = train_run('frozen', '--epochs', '2', '--augment', 'all', '--copies', '3')
    compare(folder, [
        [0.975349, 0.003004, 39.957578, 0.0, 38.792177, 29.397964, 0.0, 0.01],
        [0.565933, 0.002684, 58.256198, 9.9002, 59.650528, 51.14211, 12.602075, 0.01]])


@drawn_as_ever
def test_training_of_the_encoder(train_run):
    """New, smaller copies in every epoch; cosine schedule, clipped gradients, balanced classes."""
    _, folder = train_run(
        'conv4', '--epochs', '2', '--augment', 'all', '--copies', '0', '--train-encoder', 'conv4',
        '--encoder-learning-rate', '1e-3', '--clip-norm', '0.5', '--schedule', 'cosine',
        '--train-scale', '0.7', '--image-size', '64x224', '--seed', '5', '--keep-prob', '0.8',
        '--class-weights', 'balanced')
    compare(folder, [
        [0.800455, 0.003131, 49.794508, 0.0, 50.68232, 38.425557, 0.0, 0.0001],
        [0.771484, 0.003023, 57.454627, 36.1442, 58.13784, 42.583335, 40.797049, 0.005413]])


@drawn_as_ever
def test_sample_training(scenes_dir, tmp_path, monkeypatch):
    """The sample's encoder and settings; fewer and smaller scenes, as all 78 take 10 s."""
    def make_sample(kitti_dir, vgg_dir):
        os.makedirs(os.path.dirname(kitti_dir), exist_ok=True)
        os.symlink(scenes_dir, kitti_dir)
        make_encoder(vgg_dir)

    monkeypatch.setattr(main, 'make_sample', make_sample)
    main.main(['--sample', '--data-dir', str(tmp_path), '--runs-dir', str(tmp_path), '--name',
               'run', '--val-frames', '1', '--epochs', '2', '--precision', 'float32'])
    compare(tmp_path / 'run', [
        [0.374572, 0.000355, 96.747427, 93.601909, 97.151304, 98.362068, 94.365023, 0.001],
        [0.050666, 0.000382, 96.636979, 90.821546, 97.212501, 97.032246, 92.020208, 0.054129]])


@pytest.fixture(scope='module')
def own_run(vgg_dir, tmp_path_factory):
    """A folder with own/, 17 pictures of three classes in bands; vgg/; and a run of them."""
    folder = tmp_path_factory.mktemp('own')
    for name in ('images', 'masks'):
        (folder / 'own' / name).mkdir(parents=True)
    (folder / 'own/classes.txt').write_text('9 ignore\n4 sky\n0 background\n7 road #ff00ff\n')
    rows, columns = np.mgrid[:48, :64]
    for i in range(17):
        mask = np.uint8([4, 0, 7, 9])[(rows // 3 + columns // 16 + i) // 5 % 4]
        image = np.stack([40 * (mask % 5) + columns, 20 * mask + rows, 250 - 3 * rows], axis=2)
        for name, pixels in (('masks', mask), ('images', np.uint8(image))):
            Image.fromarray(pixels).save(folder / f'own/{name}/{i:02d}.png', compress_level=0)
    shutil.copytree(vgg_dir, folder / 'vgg')
    assert main.main([*options_of(folder), '--name', 'run']) == 0
    return folder


def options_of(folder):
    return ['--dataset-dir', f'{folder}/own', '--data-dir', str(folder), '--runs-dir', str(folder),
            '--epochs', '3', '--learning-rate', '0.05', '--precision', 'float32']


def test_training_on_own_pictures_with_defaults(own_run):
    compare(own_run / 'run', [
        [1.489079, 0.004443, 33.046283, 1.815884, 4.635762, 0.0005],
        [1.163253, 0.003465, 11.812005, 15.089264, 39.804084, 0.039806],
        [1.157129, 0.003361, 13.427532, 16.498555, 39.541943, 0.013712]])
    assert sorted(os.listdir(own_run / 'run/images')) == ['14.png', '15.png', '16.png']  # validate


ALL = 29  # cached: 14 training frames, and the scored frames at their light, 12 of them and 3 more
LABELS, IMAGES = 'the labels are not those that', 'the contents of the images are not those that'
CLASSES = 'was trained with the classes'


def edit(name, old=None, new=None):
    """A function that changes a file of own pictures: its text, or a pixel of an image."""
    def change(folder):
        path = folder / 'own' / name
        if old:
            path.write_text(path.read_text().replace(old, new))
        else:
            with Image.open(path) as file:
                pixels = np.array(file)
            pixels[0, 0] = np.where(pixels[0, 0] == 7, 4, 7)
            Image.fromarray(pixels).save(path, compress_level=0)  # as many bytes as before
    return change


@pytest.mark.parametrize('change, computed, complaint', [
    (edit('masks/16.png'), 1, LABELS), (edit('images/01.png'), 2, IMAGES),
    (edit('classes.txt', '7 road', '5 x\n7 road'), ALL, CLASSES),
    (edit('classes.txt', '7 road', '7 ignore'), ALL, CLASSES),
    (edit('classes.txt', '#ff00ff', '#ff00ff\n8 road'), ALL, CLASSES),
    (edit('classes.txt', '7 road', '7 street'), 0, CLASSES),
    (edit('classes.txt', '#ff00ff', '#ff00fe'), 0, CLASSES),
    (lambda folder: (folder / 'own/val.txt').write_text('14\n13\n16\n'), 1, 'the training images'),
    (lambda folder: vgg_folder.save(random_weights(fc_width=16, seed=1), f'{folder}/vgg'),
     ALL, 'is not the encoder of'),
    ('--seed 3', 0, None), ('--target road', ALL, None), ('--precision bfloat16', ALL, None),
    ('--precision float16', 0, None),  # float32 on a CPU
    ('--image-size 64x96', ALL, None), ('--train-scale 0.5', 14, None),
    ('--augment crop --copies 2', 14, None), ('--train-encoder conv5', ALL, None)])
def test_a_change_is_seen(own_run, tmp_path, monkeypatch, capsys, change, computed, complaint):
    """A new run computes the features of what has changed alone; the old one is not resumed."""
    folder = shutil.copytree(own_run, tmp_path / 'changed')
    run = run_folder.load(str(folder / 'run'))
    monkeypatch.setattr(main, 'open_model', lambda *_, **__: 1 / 0)  # enough is seen

    def start(*words):
        with pytest.raises(ZeroDivisionError):
            main.main([*options_of(folder), *words])
        return int(re.search(r'(\d+) computed now', capsys.readouterr().out)[1])

    if complaint is None:
        assert start(*change.split()) == computed
        return
    change(folder)
    assert start() == computed
    assert main.main(['--resume', run.folder, '--data-dir', str(folder), '--epochs', '9']) == 2
    assert complaint in capsys.readouterr().err
    data = run_folder.find_dataset(run, f'{folder}/own')
    if complaint == CLASSES:
        with pytest.raises(Exception, match=CLASSES):
            run_folder.compare_data(run, data)
    else:
        run_folder.compare_data(run, data)
        assert (LABELS in capsys.readouterr().out) == (complaint == LABELS)
