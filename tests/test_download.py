"""Downloads from a server that cuts, stalls, lies and refuses; harmful and damaged archives."""

import hashlib
import os
import shutil
import stat
import zipfile
from urllib.parse import urljoin

import numpy as np
import pytest

from road.data import download, kitti
from road.data.download import unpack
from road.errors import InputError
from tests import bad_server

DATA = np.random.default_rng(0).bytes(700_001)
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def served(server, tmp_path, monkeypatch):
    for name, value in (('RETRIES', 3), ('WAIT', 0), ('TIMEOUT', (15, 0.5))):
        monkeypatch.setattr(download, name, value)
    (tmp_path / 'served' / 'file.bin').write_bytes(DATA)
    (tmp_path / 'data').mkdir()
    return server


def get(url, tmp_path):
    path = tmp_path / 'data' / 'file.bin'
    download.download(url, str(path))
    return path.read_bytes()


@pytest.mark.parametrize('how, retries', [('cut', 1), ('stall', 3), ('nolength', 0)])
def test_file_is_complete_in_the_end(served, tmp_path, monkeypatch, how, retries):
    """Where something new arrives, tries are counted anew: `cut` breaks off twice."""
    monkeypatch.setattr(download, 'RETRIES', retries)
    assert get(f'{served}/{how}/file.bin', tmp_path) == DATA
    if how == 'cut':
        (_, first), (_, second), (_, third) = bad_server.serve.seen
        assert first is None
        assert 250_000 < int(second[6:-1]) < int(third[6:-1]) < 700_001


@pytest.mark.parametrize('url, happened, tries', [
    ('cutplain/file.bin', r'it broke off \(.*Error\)\. \d+ bytes are kept', 4),
    ('page/file.bin', 'web page instead of the file. Nothing was kept', 1),
    ('down/file.bin', 'HTTP 500', 4), ('gone.bin', 'HTTP 404', 1),
    ('file.bin', 'the download needs 700001 bytes, but the disk has only', 1),
    ('http://127.0.0.1:1/file.bin', r'no connection, .*\(ConnectionError\). Nothing was kept', 0)])
def test_failed_download_is_explained_in_one_line(served, tmp_path, monkeypatch, url, happened,
                                                  tries):
    if 'the disk' in happened:
        monkeypatch.setattr(download, 'SPARE', 1 << 60)
    with pytest.raises(InputError, match=f'^[^\n]*{happened}[^\n]*By hand: save[^\n]*$') as raised:
        get(urljoin(f'{served}/', url), tmp_path)
    left = ['file.bin.part'] if 'are kept' in str(raised.value) else []
    assert os.listdir(tmp_path / 'data') == left
    assert len(bad_server.serve.seen) == tries


@pytest.mark.parametrize('left', [0, 300_000, 700_001, 800_000])
def test_next_call_resumes(served, tmp_path, left):
    """What an earlier call left may be of a larger file: it is then downloaded anew."""
    (tmp_path / 'data' / 'file.bin.part').write_bytes(DATA[:left].ljust(left))
    assert get(f'{served}/file.bin', tmp_path) == DATA
    (_, first), *more = bad_server.serve.seen
    assert first == (f'bytes={left}-' if left else None)
    assert len(more) == (left >= len(DATA))


@pytest.mark.parametrize('name, complaint', [
    ('file.bin.part', 'it was removed, and the same command downloads it again. By hand: save'),
    ('file.bin', 'move .*file.bin away to download it again')])
def test_file_with_another_digest_is_never_used(served, tmp_path, name, complaint):
    """One that was put there by hand is kept, and used if it is the right one."""
    data = tmp_path / 'data'
    (data / name).write_bytes(b'of another file')
    with pytest.raises(InputError, match=f'whose MD5 is .*; {complaint}'):
        download.fetch(f'{served}/file.bin', str(data), lambda path: 1 / 0, md5=MD5)
    assert os.listdir(data) == [name] * (name == 'file.bin')
    (data / 'file.bin').write_bytes(DATA)
    asked = len(bad_server.serve.seen)
    download.fetch(f'{served}/file.bin', str(data), lambda path: None, md5=MD5)
    assert os.listdir(data) == ['file.bin']
    assert len(bad_server.serve.seen) == asked


def test_kitti_download(served, scenes_dir, tmp_path, monkeypatch, capsys):
    archive, kitti_dir = tmp_path / 'served' / 'data_road.zip', str(tmp_path / 'data' / 'data_road')
    monkeypatch.setattr(kitti, 'LINK', f'{served}/data_road.zip')
    archive.write_bytes(b'no zip')
    with pytest.raises(InputError, match='the archive is damaged .*; it was removed'):
        download.download_kitti(kitti_dir)
    assert os.listdir(tmp_path / 'data') == []
    shutil.make_archive(archive.with_suffix(''), 'zip', os.path.dirname(scenes_dir), 'data_road')
    download.download_kitti(kitti_dir)
    assert 'CC BY-NC-SA 3.0' in capsys.readouterr().out
    assert os.listdir(tmp_path / 'data') == ['data_road']
    assert len(kitti.training_frames(os.path.join(kitti_dir, 'training'))) == 9
    monkeypatch.setattr(kitti, 'LINK', None)
    download.download_kitti(kitti_dir)  # it is there, so nothing is requested


LINK = zipfile.ZipInfo('set/link')
LINK.create_system, LINK.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def archive(tmp_path, members):
    (tmp_path / 'in').mkdir()
    with zipfile.ZipFile(tmp_path / 'in' / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return tmp_path / 'in' / 'a.zip'


def test_nothing_lands_outside_the_folder(tmp_path):
    path = archive(tmp_path, [
        ('set/sub/b.txt', 'b' * 5000), ('set/é x', 'y'), ('set/../../../one', ''), (LINK, '..'),
        ('set//two', ''), ('../three', 'x'), (f'{tmp_path}/four', 'x'), ('__MACOSX/x', '')])
    unpack(str(path), 'set', str(tmp_path / 'in' / 'set'))
    assert os.listdir(tmp_path) == ['in']
    assert {*os.listdir(tmp_path / 'in')} == {'a.zip', 'set'}
    assert {*os.listdir(tmp_path / 'in' / 'set')} == {'link', 'one', 'sub', 'two', 'é x'}
    assert not os.path.islink(tmp_path / 'in' / 'set' / 'link')
    assert (tmp_path / 'in' / 'set' / 'sub' / 'b.txt').read_text() == 'b' * 5000


@pytest.mark.parametrize('change, spare, complaint', [
    (lambda data: data[:-30], 0, 'damaged'),
    (lambda data: data[:39] + b'\xff' + data[40:], 0, 'damaged'),  # compressed bytes
    (lambda data: data.replace((3 << 20).to_bytes(4, 'little'), (10).to_bytes(4, 'little')), 0,
     'damaged'),  # a false size
    (lambda data: data.replace(b'set/', b'sat/'), 0, 'holds no folder set/'),
    (bytes, 1 << 60, r'unpacks to 3150728 bytes, but the disk has only \d+ free')])
def test_damaged_archives_and_wrong_ones(tmp_path, monkeypatch, change, spare, complaint):
    path = archive(tmp_path, [('set/a.txt', 'a' * 5000), ('set/bomb', bytes(3 << 20))])
    path.write_bytes(change(path.read_bytes()))
    monkeypatch.setattr(download, 'SPARE', spare)
    with pytest.raises(InputError, match=complaint):
        unpack(str(path), 'set', str(path.parent / 'set'))
    assert os.listdir(path.parent) == ['a.zip']
