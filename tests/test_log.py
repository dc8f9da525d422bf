"""The log keeps what the screen shows, on any screen and any file system."""

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from road.errors import InputError
from road.files import write_json
from road.runs import log
from road.runs.log import Log

UNIX = pytest.mark.skipif(log.fcntl is None, reason='needs signals, locks and pipes of Unix')


def text_of(folder):
    return (folder / 'log.txt').read_text(encoding='utf-8')


@pytest.mark.parametrize('error, last', [
    (InputError('a.png: is damaged'), 'Error: a.png: is damaged'),
    (ZeroDivisionError(), 'Error: ZeroDivisionError'),
    (OSError(None, 'No space left on device', 'b.png'),
     'Error: b.png: No space left on device; make room on the disk\n{}'),
    (KeyboardInterrupt(), '{}')])
@pytest.mark.parametrize('epoch, kept', [(None, 'No epoch is finished.'),
                                         (1, 'The last finished epoch is kept.')])
def test_log_holds_what_was_printed_and_how_it_ended(tmp_path, capsys, error, last, epoch, kept):
    if epoch:
        (tmp_path / 'checkpoints/last').mkdir(parents=True)
        write_json(tmp_path / 'checkpoints/last/state.json', {'epoch': epoch})
    with pytest.raises(type(error)), Log() as started:
        print('before')
        started.attach(str(tmp_path))
        print('after', flush=True)
        raise error
    print('outside')
    resume = f'{kept} To continue: python main.py --resume {tmp_path}'
    assert text_of(tmp_path) == f'before\nafter\n{last.format(resume)}\n'
    on_screen = f'{resume}\n' if '{}' in last else ''
    assert capsys.readouterr().out == f'before\nafter\n{on_screen}outside\n'


@UNIX
@pytest.mark.parametrize('name', ['SIGTERM', 'SIGHUP'])
def test_signals_stop_as_ctrl_c_does_but_not_after_nohup(tmp_path, monkeypatch, name):
    number = getattr(signal, name)
    monkeypatch.setattr(log.fcntl, 'flock', Mock(side_effect=OSError(1, 'no locks')))
    with pytest.raises(log.Terminated), log.stoppable(), Log() as kept:
        kept.attach(str(tmp_path))
        signal.raise_signal(number)
    assert 'files cannot be locked there (no locks)' in text_of(tmp_path)
    assert text_of(tmp_path).endswith(f'To continue: python main.py --resume {tmp_path}\n')
    before = signal.signal(number, signal.SIG_IGN)
    with log.stoppable():
        signal.raise_signal(number)
    assert signal.signal(number, before) == signal.SIG_IGN


def test_a_thread_may_run_it_without_signals():
    def run():
        with log.stoppable():
            return 'done'

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == 'done'


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
@pytest.mark.parametrize('stream, other', [('stdout', 'stderr'), ('stderr', 'stdout')])
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_a_reader_that_has_ended_ends_the_printing_alone(tmp_path, stream, other, unbuffered):
    """As `main.py evaluate RUN | head -1`, here with a reader that ends before the first line."""
    code = ('import sys, time\n'
            'from road.runs.log import stoppable\n'
            'with stoppable():\n'
            '    time.sleep(0.3)\n'
            f'    print("lost\\n" * 10000, file=sys.{stream}, flush=True)\n'
            f'    print("shown", file=sys.{other})\n'
            f'    print("lost", file=sys.{stream})\n'
            f'    open({str(tmp_path / "result")!r}, "w").close()\n')
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               env={**os.environ, 'PYTHONUNBUFFERED': unbuffered})
    getattr(process, stream).close()
    assert getattr(process, other).read() == 'shown\n'
    assert process.wait() == 0
    assert (tmp_path / 'result').exists()


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='Linux has this full disk')
def test_full_disk_is_named_with_the_log(tmp_path):
    (tmp_path / 'log.txt').symlink_to('/dev/full')
    with pytest.raises(OSError, match='No space left on device: .*log.txt'), Log() as kept:
        kept.attach(str(tmp_path))
        print('text')
