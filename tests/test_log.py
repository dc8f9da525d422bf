"""The log keeps what the screen shows, on any screen and any file system."""

import io
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest

from road.errors import InputError
from road.runs import log
from road.runs.log import Log


def text_of(folder):
    return (folder / 'log.txt').read_text(encoding='utf-8')


def test_log_holds_what_was_printed_and_the_error(tmp_path, capsys):
    with pytest.raises(InputError), Log() as kept:
        print('before')
        kept.attach(str(tmp_path))
        print('after', flush=True)
        raise InputError('a.png: is damaged')
    print('outside')
    assert text_of(tmp_path) == 'before\nafter\nError: a.png: is damaged\n'
    assert capsys.readouterr().out == 'before\nafter\noutside\n'


UNIX = pytest.mark.skipif(log.fcntl is None, reason='needs signals, locks and pipes of Unix')


@UNIX
def test_log_says_how_to_resume_and_that_there_are_no_locks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(log.fcntl, 'flock', Mock(side_effect=OSError(1, 'no locks')))
    with pytest.raises(log.Terminated), log.stoppable(), Log() as kept:
        kept.attach(str(tmp_path))
        signal.raise_signal(signal.SIGTERM)
    assert 'files cannot be locked there (no locks)' in text_of(tmp_path)
    assert text_of(tmp_path).endswith(f'To continue: python main.py --resume {tmp_path}\n')
    assert capsys.readouterr().out == text_of(tmp_path)


@pytest.mark.parametrize('screen', [io.TextIOWrapper(io.BytesIO(), 'cp1252'), None])
def test_screen_that_cannot_show_the_text(tmp_path, monkeypatch, screen):
    monkeypatch.setattr(sys, 'stdout', screen)
    with log.stoppable(), Log() as kept:
        print('straße 道路', flush=True)
        kept.attach(str(tmp_path))
        print('\udcff', flush=True)  # how Python shows a byte of a file name that is not UTF-8
    assert text_of(tmp_path) == 'straße 道路\n?\n'
    assert not screen or screen.buffer.getvalue() == b'stra\xdfe ??\n?\n'


@UNIX
def test_a_pipe_that_is_no_longer_read_ends_nothing(tmp_path):
    """As `main.py runs | head -1` does, here with a reader that has ended before the first line."""
    code = f'import main; exit(main.main(["runs", "--runs-dir", {str(tmp_path)!r}]))'
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b'' and process.wait() == 0


def test_full_disk_is_named_with_the_log(tmp_path):
    with Log() as kept:
        kept.attach(str(tmp_path))
        kept.copy.close()
        kept.copy = Mock(write=Mock(side_effect=OSError(28, 'No space left on device')))
        kept.copy.name = 'runs/x/log.txt'
        with pytest.raises(InputError, match='^runs/x/log.txt: .*No space left on device'):
            print('text')
