"""The log of a run, log.txt; and how a process ends when it is told to stop."""

import contextlib
import errno
import io
import os
import shlex
import signal
import sys
import threading

from road.errors import describe, writing
from road.files import lock
from road.runs import checkpoints


class Terminated(KeyboardInterrupt):
    """SIGTERM came, or SIGHUP: the terminal was closed."""


class _Screen:
    """A standard stream; what is printed after its reader has ended, as head does, is dropped."""
    dropped = errno.EPIPE, errno.EIO  # errors; EIO: a terminal that was closed

    def __init__(self, stream):
        self.stream = stream
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='replace')  # what cp1252 lacks becomes a question mark

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        return self._call('write', text)

    def flush(self):
        self._call('flush')

    def _call(self, method, *args):
        try:
            return getattr(self.stream, method)(*args)
        except OSError as error:
            # not the stream alone: Python writes what waits in it once more at the end
            with open(os.devnull, 'w') as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())
            if error.errno not in self.dropped:
                raise


@contextlib.contextmanager
def stoppable():
    """SIGTERM and SIGHUP raise Terminated within, and printing does not fail: see _Screen."""
    def terminate(*_):
        raise Terminated

    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # no other thread can set them
            for name in ('SIGTERM', 'SIGHUP'):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number and signal.getsignal(number) != signal.SIG_IGN:  # which nohup sets
                    stack.callback(signal.signal, number, signal.signal(number, terminate))
        stack.enter_context(contextlib.redirect_stdout(sys.stdout and _Screen(sys.stdout)))
        stack.enter_context(contextlib.redirect_stderr(sys.stderr and _Screen(sys.stderr)))
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                print(end='', flush=True)


def end(code):
    """End the process with an exit code; once it was stopped, whatever its threads wait for."""
    if code > 2:
        os._exit(code)
    sys.exit(code)


class Log(_Screen):
    """Copies what is printed within: to memory at first, to <folder>/log.txt once it is attached.

    Progress bars go to stderr and are not copied. The log ends with the error, or how to resume.
    Of processes that train as one, only the chief prints and writes.
    """
    dropped = tuple(errno.errorcode)  # all: the log has the text too

    def __init__(self, settings=None, is_chief=True):
        super().__init__(sys.stdout if is_chief and sys.stdout else io.StringIO())
        self.settings, self.is_chief = settings or {}, is_chief  # settings: for describe
        self.copy, self.folder = io.StringIO(), None
        self.entered = contextlib.ExitStack()

    def __enter__(self):
        self.entered.enter_context(contextlib.redirect_stdout(self))
        return self

    def attach(self, folder):
        """Write the text so far, and from now on, to log.txt, and the command to command.txt.

        The run folder is locked to the end: InputError if another process is using it.
        """
        if not self.is_chief:
            return
        path = os.path.join(folder, 'log.txt')
        with writing(path):
            self.entered.enter_context(lock(path, wait=False))
            file = open(path, 'a', encoding='utf-8', errors='replace', buffering=1)
            file.write(self.copy.getvalue())
            with open(os.path.join(folder, 'command.txt'), 'a', encoding='utf-8',
                      errors='surrogateescape') as commands:
                commands.write(shlex.join(['python', *sys.argv]) + '\n')
        self.copy, self.folder = file, folder

    def write(self, text):
        super().write(text)
        with writing(getattr(self.copy, 'name', None)):
            self.copy.write(text)
        return len(text)

    def __exit__(self, kind, error, trace):
        with self.entered, contextlib.suppress(OSError):  # the error may be a full disk
            if isinstance(error, Exception):
                self.copy.write(f'Error: {describe(error, self.settings) or kind.__name__}\n')
            if self.folder and isinstance(error, (KeyboardInterrupt, OSError)):
                kept = ('The last finished epoch is kept.' if checkpoints.latest(self.folder)
                        else 'No epoch is finished.')
                print(f'{kept} To continue: python main.py --resume {shlex.quote(self.folder)}',
                      flush=True)
            self.copy.close()
