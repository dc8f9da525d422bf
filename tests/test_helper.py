"""Getting the VGG16 graph (from a local server, a local file), batches, and painted images."""

import hashlib
import os
import zipfile

import imageio.v3 as iio
import numpy as np
import pytest

import helper
from road import download, kitti, vgg16
from road.errors import InputError


@pytest.fixture
def zipped(vgg_dir, tmp_path):
    """The classic download in small: vgg.zip with the folder vgg/."""
    path = tmp_path / 'served' / 'vgg.zip'
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        for folder, _, names in os.walk(vgg_dir):
            for name in names:
                full = os.path.join(folder, name)
                archive.write(full, os.path.join('vgg', os.path.relpath(full, vgg_dir)))
        archive.writestr('__MACOSX/._vgg', 'stray')
    return path


def only_vgg(data_dir):
    return set(os.listdir(data_dir)) - {'downloads.json'} == {'vgg'}


def test_classic_download(server, zipped, tmp_path, monkeypatch):
    monkeypatch.setattr(helper, 'VGG_URL', f'{server}/vgg.zip')
    data = str(tmp_path / 'data')
    folder = helper.maybe_download_pretrained_vgg(data)
    assert folder == os.path.join(data, 'vgg') and vgg16.missing_file(folder) is None and only_vgg(data)
    monkeypatch.setattr(helper, 'VGG_URL', 'http://127.0.0.1:1/none')
    assert helper.maybe_download_pretrained_vgg(data) == folder  # it is there, so nothing is asked for


@pytest.mark.parametrize('classic', ['gone.zip', 'cutplain/vgg.zip', 'short/vgg.zip', 'page/vgg.zip', 'broken.zip'])
def test_second_source_where_the_first_fails(server, zipped, tmp_path, monkeypatch, classic, capsys):
    """The Keras file, small here; the reader's own test covers the real shapes."""
    served = tmp_path / 'served'
    (served / 'broken.zip').write_bytes(b'PK\x03\x04' + bytes(100))
    (served / 'weights.h5').write_bytes(b'weights')
    monkeypatch.setattr(download, 'WAITS', (0, 0))
    monkeypatch.setattr(helper, 'VGG_URL', f'{server}/{classic}')
    monkeypatch.setattr(helper, 'KERAS_URL', f'{server}/weights.h5')
    monkeypatch.setattr(helper, 'KERAS_MD5', 'd39a3f5a3a90e2d8dfa8b4d3ac1bd6b1')
    monkeypatch.setattr(vgg16, 'read_weights', lambda path: vgg16.random_weights())
    data = str(tmp_path / 'data')
    with pytest.raises(InputError, match='by hand|By hand') as raised:
        helper.maybe_download_pretrained_vgg(data)  # the wrong MD5
    assert '\n' not in str(raised.value) and not [n for n in os.listdir(data) if '.part' not in n]
    assert 'expected d39a3f5a' in capsys.readouterr().out
    monkeypatch.setattr(helper, 'KERAS_MD5', hashlib.md5(b'weights').hexdigest())
    assert vgg16.missing_file(helper.maybe_download_pretrained_vgg(data)) is None and only_vgg(data)


def test_graph_from_a_local_file_is_not_mistaken_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg16, 'read_weights', lambda path: vgg16.random_weights())
    first, second, data = tmp_path / 'a.npz', tmp_path / 'b.npz', str(tmp_path / 'data')
    first.write_bytes(b'1')
    second.write_bytes(b'2')
    folder = helper.maybe_download_pretrained_vgg(data, weights=str(first))
    assert helper.maybe_download_pretrained_vgg(data, weights=str(first)) == folder
    with pytest.raises(InputError, match='was not built from .*b.npz'):
        helper.maybe_download_pretrained_vgg(data, weights=str(second))


def test_incomplete_graph_is_named_and_left_alone(tmp_path):
    (tmp_path / 'vgg' / 'variables').mkdir(parents=True)
    (tmp_path / 'vgg' / 'saved_model.pb').write_bytes(b'')
    with pytest.raises(InputError, match='variables/variables.index is missing'):
        helper.maybe_download_pretrained_vgg(str(tmp_path))
    assert os.path.exists(tmp_path / 'vgg' / 'saved_model.pb')


def test_kitti_download(server, scenes_dir, tmp_path, monkeypatch, capsys):
    """Licence first; another folder inside the archive is refused; nothing half-done is left; then training/image_2 is there."""
    served, kitti_dir = tmp_path / 'served' / 'data_road.zip', str(tmp_path / 'data' / 'data_road')
    monkeypatch.setattr(kitti, 'LINK', f'{server}/data_road.zip')
    with zipfile.ZipFile(served, 'w') as archive:
        archive.writestr('data_road/readme.txt', 'no data')
    with pytest.raises(InputError, match='training/image_2 is missing; it was removed'):
        helper.maybe_download_kitti(kitti_dir)
    assert os.listdir(tmp_path / 'data') == []
    with zipfile.ZipFile(served, 'w') as archive:
        for folder, _, names in os.walk(scenes_dir):
            for name in names:
                full = os.path.join(folder, name)
                archive.write(full, os.path.join('data_road', os.path.relpath(full, scenes_dir)))
    capsys.readouterr()
    helper.maybe_download_kitti(kitti_dir)
    printed = capsys.readouterr().out
    assert 'CC BY-NC-SA 3.0' in printed and kitti.PAGE in printed
    assert len(kitti.training_frames(os.path.join(kitti_dir, 'training'))) == 9
    assert sorted(os.listdir(tmp_path / 'data')) == ['data_road', 'downloads.json']
    monkeypatch.setattr(kitti, 'LINK', 'http://127.0.0.1:1/none')
    helper.maybe_download_kitti(kitti_dir)  # it is there, so nothing is asked for


# ---------------------------------------------------------------------------------------------------- batches


def test_batches_cover_every_frame_once_an_epoch(scenes_dir):
    folder = os.path.join(scenes_dir, 'training')
    get_batches_fn = helper.gen_batch_function(folder, (64, 192), seed=3)
    first, second = (list(get_batches_fn(4)) for _ in range(2))
    assert [len(images) for images, _ in first] == [4, 4, 1] and get_batches_fn.frames == 9
    for images, labels in first:
        assert images.shape[1:] == (64, 192, 3) and images.dtype == np.uint8 and labels.shape[1:] == (64, 192, 2)
    first, second = (np.concatenate([images for images, _ in epoch]) for epoch in (first, second))
    assert (first != second).any()  # another order
    np.testing.assert_array_equal(np.sort(first.sum((1, 2, 3))), np.sort(second.sum((1, 2, 3))))
    again = np.concatenate([images for images, _ in helper.gen_batch_function(folder, (64, 192), seed=3)(4)])
    np.testing.assert_array_equal(first, again)


# ----------------------------------------------------------------------------------------------------- output


def test_paint_is_green_and_as_strong_as_the_confidence():
    image = np.full((1, 3, 3), 100, np.uint8)
    painted = helper.paint(image, np.array([[0.0, 0.5, 1.0]], np.float32), 'tint')
    assert painted[0].tolist() == [[100, 100, 100], [75, 139, 75], [50, 178, 50]]


def test_classic_calls_write_test_images(scenes_dir, vgg_dir, tmp_path):
    """gen_test_output and save_inference_samples with the image placeholder, as the classic exercise calls them."""
    import main
    from road.tf1 import tf
    data_dir = os.path.dirname(scenes_dir)
    with tf.Graph().as_default(), tf.Session() as sess:
        model = main.build_graph(sess, vgg_dir, l2=0)
        main.initialize_missing(sess)
        sess.graph.finalize()  # no softmax is added for an image
        outputs = dict(helper.gen_test_output(sess, model.logits, model.keep_prob, model.image_input,
                                              os.path.join(scenes_dir, 'testing'), (50, 170)))
        folder = helper.save_inference_samples(str(tmp_path), data_dir, sess, (50, 170), model.logits, model.keep_prob,
                                               model.image_input)
    assert sorted(outputs) == sorted(os.listdir(folder)) == ['um_000000.png', 'umm_000000.png', 'uu_000000.png']
    for name, painted in outputs.items():
        assert painted.shape == iio.imread(os.path.join(scenes_dir, 'testing', 'image_2', name)).shape
        np.testing.assert_array_equal(painted, iio.imread(os.path.join(folder, name)))
