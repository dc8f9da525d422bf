"""Downloads from a server that cuts, stalls, lies, refuses and redirects: whole files, or one line that says what to do."""

import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

from road import download, kept
from road.errors import InputError
from tests import bad_server

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = np.random.default_rng(0).bytes(700_001)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(download, 'WAITS', (0, 0, 0))


@pytest.fixture
def served(server, tmp_path):
    (tmp_path / 'served' / 'file.bin').write_bytes(DATA)
    return server


def get(served, how, tmp_path):
    path = tmp_path / 'data' / 'file.bin'
    download.download(f'{served}/{how}/file.bin' if how else f'{served}/file.bin', str(path))
    return path


def ranges():
    return [asked for _, asked in bad_server.serve.seen]


@pytest.mark.parametrize('how', ['', 'plain', 'cut', 'nolength', 'other', 'wrongrange', 'busy', 'moved'])
def test_file_is_whole_in_the_end(served, tmp_path, how):
    path = get(served, how, tmp_path)
    assert path.read_bytes() == (DATA[::-1] if how == 'other' else DATA)
    assert os.listdir(path.parent) == ['file.bin']


def test_breaks_go_on_where_they_stopped(served, tmp_path):
    get(served, 'cut', tmp_path)
    first, second, third = ranges()
    assert first is None and 250_000 < int(second[6:-1]) < int(third[6:-1]) < 700_001


def test_stall_ends(served, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, 'SILENCE', 0.5)
    assert get(served, 'stall', tmp_path).read_bytes() == DATA
    assert 'nothing came for 0.5 s' in capsys.readouterr().out and ranges()[1].startswith('bytes=')


@pytest.mark.parametrize('how, happened, tries', [
    ('cutplain', r'broke off at \d+ of 700001 bytes \(4 tries\)', 4), ('refuse', 'HTTP 403', 1), ('page', 'web page', 1),
    ('hiddenpage', 'web page', 1), ('loop', 'redirects in a circle', None), ('down', r'HTTP 500.*\(4 tries\)', 4),
    ('long', 'broke off|not the one begun', 4)])
def test_what_cannot_be_had_is_said_in_one_line(served, tmp_path, how, happened, tries):
    with pytest.raises(InputError, match=happened) as raised:
        get(served, how, tmp_path)
    message, left = str(raised.value), os.listdir(tmp_path / 'data')
    assert '\n' not in message and 'By hand: save that address as ' in message and f'{served}/{how}/file.bin' in message
    assert 'file.bin' not in left and tries in (None, len(ranges()))
    if 'file.bin.part' in left:
        kept = os.path.getsize(tmp_path / 'data' / 'file.bin.part')
        assert f'{kept} bytes are kept in {tmp_path}/data/file.bin.part; the same command goes on from there' in message
    else:
        assert 'Nothing was kept' in message and left == []


def test_missing_file_and_missing_server(served, tmp_path):
    for address, happened in ((f'{served}/gone.bin', 'HTTP 404'), ('http://127.0.0.1:1/x', 'no connection'),
                              ('nonsense://x/y', 'InvalidSchema')):
        with pytest.raises(InputError, match=happened):
            download.download(address, str(tmp_path / 'x'))


def test_next_call_goes_on_and_another_address_does_not(served, tmp_path, monkeypatch):
    monkeypatch.setattr(download, 'WAITS', ())
    with pytest.raises(InputError, match='the same command goes on'):
        get(served, 'cut', tmp_path)
    kept = os.path.getsize(tmp_path / 'data' / 'file.bin.part')
    with pytest.raises(InputError):
        get(served, 'cut', tmp_path)
    assert ranges()[1] == f'bytes={kept}-'
    assert get(served, '', tmp_path).read_bytes() == DATA and ranges()[2] is None  # another address: from its start


def test_part_that_the_server_no_longer_has_is_not_continued(served, tmp_path):
    """416: more bytes are here than there; and a damaged note is none."""
    (tmp_path / 'data').mkdir()
    part = tmp_path / 'data' / 'file.bin.part'
    for note in (None, '{"url', '[]', f'{{"url": "{served}/file.bin", "size": 700001, "mark": null, "crc32": 0}}'):
        part.write_bytes(bytes(750_000 if note is None else 1000))
        kept.write(f'{part}.json', {'url': f'{served}/file.bin', 'size': 800_000, 'mark': None})
        if note:
            (tmp_path / 'data' / 'file.bin.part.json').write_text(note)
        assert get(served, '', tmp_path).read_bytes() == DATA
        os.remove(tmp_path / 'data' / 'file.bin')


def test_disk_that_is_too_small_is_noticed_first(served, tmp_path, monkeypatch):
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(download.shutil, 'disk_usage', lambda path: usage(1000))
    with pytest.raises(InputError, match='700001 bytes are to come, but the disk has only 1000 free'):
        get(served, '', tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(download, 'LARGEST', 1000)
    with pytest.raises(InputError, match='announces 700001 bytes, expected at most 1000'):
        get(served, '', tmp_path)
    with pytest.raises(InputError, match='more than 1000 bytes came'):
        get(served, 'nolength', tmp_path)


def test_fetch_checks_removes_and_remembers(served, tmp_path):
    data, used = str(tmp_path / 'data'), []
    os.mkdir(data)
    with pytest.raises(InputError, match='has MD5 .* expected 123; it was removed. By hand: save'):
        download.fetch(f'{served}/file.bin', data, used.append, md5='123')
    assert os.listdir(data) == [] and used == []
    download.fetch(f'{served}/file.bin', data, used.append)
    assert os.listdir(data) == ['downloads.json'] and used == [os.path.join(data, 'file.bin')]
    (tmp_path / 'served' / 'file.bin').write_bytes(DATA[:-1])
    with pytest.raises(InputError, match='has SHA-256 .* as at the first download .*downloads.json'):
        download.fetch(f'{served}/file.bin', data, used.append)
    (tmp_path / 'data' / 'file.bin').write_bytes(DATA)  # by hand
    download.fetch(f'{served}/file.bin', data, used.append)
    assert len(used) == 2 and sorted(os.listdir(data)) == ['downloads.json', 'file.bin']
    (tmp_path / 'data' / 'file.bin').write_bytes(b'other')
    with pytest.raises(InputError, match='move .*file.bin away'):
        download.fetch(f'{served}/file.bin', data, used.append)
    assert (tmp_path / 'data' / 'file.bin').read_bytes() == b'other'


def test_two_processes_make_it_once(served, tmp_path):
    """Both want the same folder; the second waits, finds it there, and neither leaves anything else."""
    script = '''
import os, sys, time
from road import download
url, folder = sys.argv[1:]
with download.alone(folder):
    if os.path.exists(folder):
        print('found')
    else:
        def use(path):
            time.sleep(0.5)
            os.mkdir(folder)
        download.fetch(url, os.path.dirname(folder), use)
        print('made')
'''
    words = [sys.executable, '-c', script, f'{served}/file.bin', str(tmp_path / 'data' / 'folder')]
    both = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=30)[0].strip().split('\n')[-1] for process in both]
    assert sorted(printed) == ['found', 'made'] and len(ranges()) == 1
    assert sorted(os.listdir(tmp_path / 'data')) == ['downloads.json', 'folder']
