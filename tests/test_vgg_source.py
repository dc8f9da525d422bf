"""The VGG16 graph is found, built from a file, or downloaded from a local server."""

import hashlib
import os
import shutil
import zipfile

import pytest

from road.data import download
from road.errors import InputError
from road.network import vgg16, vgg_folder, vgg_source


@pytest.fixture(autouse=True)
def sources(server, vgg_dir, tmp_path, monkeypatch):
    """Both downloads in small. Any file passes as weights, which have tests of their own."""
    shutil.make_archive(tmp_path / 'served' / 'vgg', 'zip', os.path.dirname(vgg_dir), 'vgg')
    (tmp_path / 'served' / 'weights.h5').write_bytes(b'weights')
    with zipfile.ZipFile(tmp_path / 'served' / 'bad.zip', 'w') as file:
        file.writestr('vgg/readme', 'no graph')
    monkeypatch.setattr(vgg_source, 'VGG_URL', f'{server}/vgg.zip')
    monkeypatch.setattr(vgg_source, 'KERAS_URL', f'{server}/weights.h5')
    monkeypatch.setattr(vgg_source, 'KERAS_MD5', hashlib.md5(b'weights').hexdigest())
    monkeypatch.setattr(vgg_source, 'read_weights', lambda path: vgg16.random_weights())
    monkeypatch.setattr(download, 'RETRIES', 0)


def test_classic_download(vgg_dir, server, tmp_path, capsys):
    folder = str(tmp_path / 'data' / 'vgg')
    graph = vgg_source.find_vgg(folder)
    assert graph == vgg_folder.check(vgg_dir)._replace(folder=folder, source=f'{server}/vgg.zip')
    assert f'Encoder in {folder}: VGG16, with fc6 and fc7, fing' in capsys.readouterr().out
    shutil.rmtree(tmp_path / 'served')
    assert vgg_source.find_vgg(folder) == graph  # it is there, so nothing is requested


@pytest.mark.parametrize('classic', ['cutplain/vgg.zip', 'weights.h5', 'bad.zip'])
def test_second_source_if_the_first_fails(server, tmp_path, monkeypatch, capsys, classic):
    folder = str(tmp_path / 'data' / 'vgg')
    monkeypatch.setattr(vgg_source, 'VGG_URL', f'{server}/{classic}')
    with monkeypatch.context() as patch:
        patch.setattr(vgg_source, 'KERAS_MD5', 'd39a3f5a')
        with pytest.raises(InputError, match='from either source. By hand: download'):
            vgg_source.find_vgg(folder)
    assert 'expected d39a3f5a' in capsys.readouterr().out and not os.path.exists(folder)
    assert vgg_source.find_vgg(folder).source.startswith(f'{server}/weights.h5 (MD5 ')
    assert os.listdir(tmp_path / 'data') == ['vgg']


def test_graph_of_another_file_is_refused(tmp_path):
    folder = str(tmp_path / 'data' / 'vgg')
    first, second, keras = (tmp_path / name for name in ('a.npz', 'b.npz', 'weights.h5'))
    for path in (first, second, keras):
        path.write_bytes(path.name.encode())
    graph = vgg_source.find_vgg(folder, str(first))
    assert vgg_source.find_vgg(folder, str(first)) == graph == vgg_source.find_vgg(folder)
    with pytest.raises(InputError, match='was not built from .*b.npz'):
        vgg_source.find_vgg(folder, str(second))
    with pytest.raises(InputError, match="has MD5 .*, Keras' file"):
        vgg_source.find_vgg(str(tmp_path / 'other'), str(keras))
