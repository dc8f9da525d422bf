"""Downloads from a server that cuts, stalls, lies and refuses; KITTI Road's download."""

import hashlib
import os
import shutil
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from road.data import download, kitti, unpack
from road.errors import InputError
from tests import bad_server

DATA = np.random.default_rng(0).bytes(700_001)
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def served(server, tmp_path, monkeypatch):
    for name, value in (('RETRIES', 3), ('WAIT', 0), ('TIMEOUT', (15, 0.5))):
        monkeypatch.setattr(download, name, value)
    (tmp_path / 'served' / 'file.bin').write_bytes(DATA)
    (tmp_path / 'served' / 'one.bin').write_bytes(b'1')
    (tmp_path / 'data').mkdir()
    return server


def get(url, tmp_path):
    path = tmp_path / 'data' / 'file.bin'
    download.download(url, str(path))
    return path.read_bytes()


def ranges():
    return [asked for _, asked in bad_server.serve.seen]


@pytest.mark.parametrize('how', ['cut', 'stall', 'nolength'])
def test_file_is_complete_in_the_end(served, tmp_path, capsys, how):
    assert get(f'{served}/{how}/file.bin', tmp_path) == DATA
    if how == 'cut':
        assert capsys.readouterr().out.count('; trying again') == 2
        first, second, third = ranges()
        assert first is None and 250_000 < int(second[6:-1]) < int(third[6:-1]) < 700_001


@pytest.mark.parametrize('url, happened, tries', [
    ('cutplain/file.bin', r'it broke off \(.*Error\)\. \d+ bytes are kept', 4),
    ('cutplain/one.bin', r'it broke off \(.*Error\). Nothing was kept', 4),
    ('page/file.bin', 'web page instead of the file. Nothing was kept', 1),
    ('down/file.bin', 'HTTP 500', 4), ('gone.bin', 'HTTP 404', 1)])
def test_failed_download_is_explained_in_one_line(served, tmp_path, url, happened, tries):
    with pytest.raises(InputError, match=happened) as raised:
        get(f'{served}/{url}', tmp_path)
    message, left = str(raised.value), os.listdir(tmp_path / 'data')
    assert '\n' not in message and 'By hand: save' in message and tries == len(ranges())
    assert 'file.bin' not in left and bool(left) == ('are kept' in message)


def test_tries_are_counted_anew_after_progress(served, tmp_path, monkeypatch):
    monkeypatch.setattr(download, 'RETRIES', 1)
    monkeypatch.setattr(download, 'NEW_BYTES', 1)
    assert get(f'{served}/cut/file.bin', tmp_path) == DATA


def test_no_connection_and_no_room_are_named(served, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r'no connection, .*\(ConnectionError\). Nothing was kept'):
        get('http://127.0.0.1:1/file.bin', tmp_path)
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(unpack.shutil, 'disk_usage', lambda path: usage(700_000 + unpack.SPARE))
    with pytest.raises(InputError, match='the download needs 700001 bytes, but the disk has only'):
        get(f'{served}/file.bin', tmp_path)


@pytest.mark.parametrize('left', [0, 300_000, 700_001, 800_000])
def test_next_call_resumes(served, tmp_path, left):
    """What an earlier call left may be complete, or be of a larger file."""
    (tmp_path / 'data' / 'file.bin.part').write_bytes(DATA[:left].ljust(left))
    assert get(f'{served}/file.bin', tmp_path) == DATA
    assert ranges()[0] == (f'bytes={left}-' if left else None)
    assert len(ranges()) == (2 if left > len(DATA) else 1)


def test_fetch_verifies_and_removes(served, tmp_path):
    data, url, used = str(tmp_path / 'data'), f'{served}/file.bin', []
    with pytest.raises(InputError, match='whose MD5 is 123; it was removed. By hand: save'):
        download.fetch(url, data, used.append, md5='123')
    assert os.listdir(data) == [] and used == []
    download.fetch(url, data, used.append, md5=MD5)
    assert os.listdir(data) == [] and used == [os.path.join(data, 'file.bin')]
    by_hand = tmp_path / 'data' / 'file.bin'
    by_hand.write_bytes(b'other')
    with pytest.raises(InputError, match='move .*file.bin away'):
        download.fetch(url, data, used.append, md5=MD5)
    assert by_hand.read_bytes() == b'other'


def test_parts_of_two_files_are_downloaded_once_more(served, tmp_path, capsys):
    """The server's file changes while it is downloaded; then it is never the expected one."""
    data, url, used = str(tmp_path / 'data'), f'{served}/other/file.bin', []
    download.fetch(url, data, used.append, md5=hashlib.md5(DATA[::-1]).hexdigest())
    assert 'downloading it again from its start' in capsys.readouterr().out and len(used) == 1
    (tmp_path / 'data' / 'file.bin.part').write_bytes(b'old')
    with pytest.raises(InputError, match='whose MD5 is 123; it was removed'):
        download.fetch(f'{served}/file.bin', data, used.append, md5='123')
    assert [bool(asked) for asked in ranges()] == [False, True, False, True, False]
    assert os.listdir(data) == []


def test_kitti_download(served, scenes_dir, tmp_path, monkeypatch, capsys):
    archive, kitti_dir = tmp_path / 'served' / 'data_road.zip', str(tmp_path / 'data' / 'data_road')
    monkeypatch.setattr(kitti, 'LINK', f'{served}/data_road.zip')
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('data_road/readme.txt', 'no data')
    with pytest.raises(InputError, match='holds no training/image_2; it was removed'):
        download.download_kitti(kitti_dir)
    assert os.listdir(tmp_path / 'data') == []
    shutil.make_archive(archive.with_suffix(''), 'zip', os.path.dirname(scenes_dir), 'data_road')
    download.download_kitti(kitti_dir)
    assert 'CC BY-NC-SA 3.0' in capsys.readouterr().out
    assert len(kitti.training_frames(os.path.join(kitti_dir, 'training'))) == 9
    monkeypatch.setattr(kitti, 'LINK', None)
    download.download_kitti(kitti_dir)  # it is there, so nothing is requested
