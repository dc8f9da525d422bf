"""Files and folders are complete or absent; locks, small JSON files."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from road import files


def test_file_is_replaced_or_as_it_was(tmp_path):
    path = tmp_path / 'a.txt'
    files.write_text(str(path), 'first ä\n')
    with pytest.raises(ZeroDivisionError), files.atomic_path(str(path)) as temporary:
        with open(temporary, 'w') as file:
            file.write('half')
        _ = 1 / 0
    assert path.read_text('utf-8') == 'first ä\n'
    files.write_text(str(path), 'second')
    assert os.listdir(tmp_path) == ['a.txt']
    assert files.file_digest(str(path)) == 'a9f0e61a137d86aa9db53465e0801612'  # of md5sum


def test_folder_is_replaced_or_as_it_was(tmp_path):
    folder = tmp_path / 'deep' / 'set'
    for name, before in (('first', []), ('second', ['set'])):
        with pytest.raises(ZeroDivisionError), files.atomic_folder(str(folder)) as temporary:
            _ = os.mkdir(f'{temporary}/half') or 1 / 0
        assert os.listdir(folder.parent) == before
        with files.atomic_folder(str(folder)) as temporary:
            os.mkdir(f'{temporary}/{name}')
        assert os.listdir(folder) == [name]
        assert os.listdir(folder.parent) == ['set']
    for replace in (True, False):  # the new one is gone, or the old one may not be replaced
        with pytest.raises(OSError), files.atomic_folder(str(folder), replace) as temporary:
            if replace:
                os.rmdir(temporary)
        assert os.listdir(folder) == ['second']
        assert os.listdir(folder.parent) == ['set']


def test_temporary_names_differ_per_call_and_fit_long_names(tmp_path):
    path = str(tmp_path / ('道' * 80 + '.png'))
    with files.atomic_path(path) as one, files.atomic_path(path) as other:
        for temporary in {one, other}:
            Path(temporary).touch(exist_ok=False)
            assert temporary.endswith('.png')
    assert os.listdir(tmp_path) == [os.path.basename(path)]


def test_what_killed_processes_left_is_removed(tmp_path, monkeypatch):
    """Of processes of this machine that have ended; of other machines after a day."""
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    day = 25 * 3600
    for name, age, left in (
            ('.lock', day, True), (f'.road-{files.HOST}-{ended.pid}-0123abcd-a\n.txt', 0, False),
            (f'.road-{files.HOST}-{ended.pid}-0123abcd-set/', 0, False),
            (f'.road-{files.HOST}-{os.getppid()}-0123abcd-a.txt', day, True),
            ('.road-00000000-1-0123abcd-a.txt', 0, True),
            ('.road-00000000-2-0123abcd-a.txt', day, False),
            ('.road-00000000-3-0123abcd-a.txt', day - 7200, True)):
        path = tmp_path / name
        path.mkdir() if name.endswith('/') else path.touch()
        os.utime(path, (time.time() - age,) * 2)
        files.remove_leftovers(str(tmp_path))
        assert path.exists() == left, name
    files.remove_leftovers(str(tmp_path / 'none'))
    monkeypatch.setattr(os, 'kill', mock.Mock(side_effect=PermissionError))  # of another user
    (tmp_path / f'.road-{files.HOST}-1-0123abcd-a.txt').touch()
    files.remove_leftovers(str(tmp_path))
    assert len(os.listdir(tmp_path)) == 5


def test_damaged_json_is_empty(tmp_path):
    path = tmp_path / 'a.json'
    assert files.read_json(str(path)) == {}
    files.write_json(str(path), {'a': [1, None, 'ä']})
    assert files.read_json(str(path)) == {'a': [1, None, 'ä']}
    for content in (b'{"a": 1', b'[1]', b'\xff\xfe', b'[' * 100_000):
        path.write_bytes(content)
        assert files.read_json(str(path)) == {}


def test_lock_makes_another_process_wait(tmp_path):
    path = str(tmp_path / 'deep' / 'set')
    script = ('import os, sys; from road import files\n'
              'with files.lock(sys.argv[1]):\n    print(os.path.exists(sys.argv[1]))')
    with files.lock(path):
        waiting = subprocess.Popen([sys.executable, '-uc', script, path], text=True,
                                   stdout=subprocess.PIPE)
        assert waiting.stdout.readline() == f'Another process is making {path}; waiting for it\n'
        os.mkdir(path)
    assert waiting.communicate(timeout=30)[0] == 'True\n'
    assert os.listdir(tmp_path / 'deep') == ['set']


def test_without_file_locks_one_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('fcntl.flock', mock.Mock(side_effect=OSError(errno.ENOLCK, 'No locks')))
    for name in ('set', 'other'):
        with files.lock(str(tmp_path / name)):
            pass
    expected = f'Warning: {tmp_path}: no file locks (No locks); run one process only\n'
    assert capsys.readouterr().out == expected
