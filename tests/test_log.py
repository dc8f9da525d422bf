"""The log keeps what the screen shows, on any screen and file system; progress bars in a file."""

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import main
from road import progress
from road.errors import InputError
from road.runs import log
from road.runs.log import Log


def text_of(folder):
    return (folder / 'log.txt').read_text(encoding='utf-8')


@pytest.mark.parametrize('error, kept, last', [
    (InputError('a.png: is damaged'), None, 'Error: a.png: is damaged'),
    (ZeroDivisionError(), None, 'Error: ZeroDivisionError'),
    (OSError(None, 'No space left on device', 'b.png'), 'The last finished epoch is kept.',
     'Error: b.png: No space left on device; make room on the disk\n{}'),
    (KeyboardInterrupt(), 'No epoch is finished.', '{}')])
def test_log_holds_what_was_printed_and_how_it_ended(tmp_path, capsys, error, kept, last):
    if kept == 'The last finished epoch is kept.':
        (tmp_path / 'checkpoints/last').mkdir(parents=True)
        (tmp_path / 'checkpoints/last/state.json').touch()
    with pytest.raises(type(error)), Log() as started:
        print('before')
        started.attach(str(tmp_path))
        print('after', flush=True)
        raise error
    print('outside')
    resume = f'{kept} To continue: python main.py --resume {tmp_path}'
    assert text_of(tmp_path) == f'before\nafter\n{last.format(resume)}\n'
    on_screen = f'{resume}\n' if kept else ''
    assert capsys.readouterr().out == f'before\nafter\n{on_screen}outside\n'


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGHUP'])
def test_signals_stop_as_ctrl_c_does_but_not_after_nohup(tmp_path, name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run after nohup themselves
    with pytest.raises(log.Terminated), log.stoppable(), Log() as kept:
        kept.attach(str(tmp_path))
        signal.raise_signal(number)
    assert text_of(tmp_path).endswith(f'To continue: python main.py --resume {tmp_path}\n')
    signal.signal(number, signal.SIG_IGN)
    with log.stoppable():
        signal.raise_signal(number)
    signal.signal(number, before)


@pytest.mark.parametrize('screen', [io.TextIOWrapper(io.BytesIO(), 'cp1252'), None])
def test_screen_that_cannot_show_the_text(tmp_path, monkeypatch, screen):
    monkeypatch.setattr(sys, 'stdout', screen)
    monkeypatch.setattr(sys, 'argv', ['main.py', '\udcff'])
    with log.stoppable(), Log() as kept:
        print('straße 道路', flush=True)
        kept.attach(str(tmp_path))
        print('\udcff', flush=True)  # how Python shows a byte of a file name that is not UTF-8
    assert text_of(tmp_path) == 'straße 道路\n?\n'
    assert (tmp_path / 'command.txt').read_bytes() == b"python main.py '\xff'\n"
    assert not screen or screen.buffer.getvalue() == b'stra\xdfe ??\n?\n'


@pytest.mark.parametrize('stream, other', [('stdout', 'stderr'), ('stderr', 'stdout')])
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_a_reader_that_has_ended_ends_the_printing_alone(stream, other, unbuffered):
    """As `main.py evaluate RUN | head -1`, here with a reader that ends before the first line."""
    code = f"""
import sys
import threading
from road.runs.log import stoppable
with stoppable():
    sys.stdin.read()
    print('lost\\n' * 10000, file=sys.{stream}, flush=True)
    print('lost', file=sys.{stream})
    print('shown', file=sys.{other})
"""
    pipes = dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.PIPE)
    process = subprocess.Popen([sys.executable, '-c', code], text=True, **pipes,
                               env={**os.environ, 'PYTHONUNBUFFERED': unbuffered})
    getattr(process, stream).close()
    process.stdin.close()
    assert getattr(process, other).read() == 'shown\n'
    assert process.wait() == 0


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='Linux has this full disk')
def test_full_disk_is_named_with_the_log_and_is_one_line_below_the_screen(
        tmp_path, monkeypatch, capsys):
    (tmp_path / 'log.txt').symlink_to('/dev/full')
    with pytest.raises(OSError, match='No space left on device: .*log.txt'), Log() as kept:
        kept.attach(str(tmp_path))
        print('text')
    monkeypatch.setattr(main, 'train', lambda args: print('text'))
    with open('/dev/full', 'w') as full:
        monkeypatch.setattr(sys, 'stdout', full)
        assert main.main([]) == 2
    assert capsys.readouterr().err == 'Error: No space left on device; make room on the disk\n'


def test_a_closed_terminal_ends_the_printing_alone(monkeypatch):
    terminal, end = os.openpty()
    os.close(terminal)
    with open(end, 'w') as screen:
        monkeypatch.setattr(sys, 'stdout', screen)
        with log.stoppable():
            print('lost', flush=True)


def test_commands_run_in_a_thread_that_cannot_set_signal_handlers(tmp_path):
    """As Gradio, Streamlit and Flask call them."""
    with ThreadPoolExecutor() as pool:
        assert pool.submit(main.main, ['runs', '--runs-dir', str(tmp_path)]).result() == 0


def test_a_file_gets_few_lines_and_no_carriage_return(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress.sys, 'stderr', screen)
    with progress.tqdm(total=1000, unit='image', desc='work') as bar:
        for i in range(1000):
            bar.set_postfix(loss=i, refresh=False)
            bar.update(1)
            if i % 100 == 0:
                progress.tqdm.write(f'row {i}', file=screen)
    assert bar.mininterval == bar.maxinterval == 10  # seconds
    lines = screen.getvalue().split('\n')
    assert '\r' not in screen.getvalue() and sum(line.startswith('work') for line in lines) < 4
    assert sum(line.startswith('row') for line in lines) == 10
    assert '1000/1000' in screen.getvalue() and 'loss=999' in screen.getvalue()
