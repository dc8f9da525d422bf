"""What a run shows on the screen, kept in its log.txt; and how it ends when it is told to stop."""

import io
import os
import signal
import sys
from contextlib import contextmanager

from road.errors import InputError, cannot_write

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def stoppable():
    """SIGTERM raises Terminated, as Ctrl-C raises KeyboardInterrupt. Either waits for the end of a session's step."""
    def terminate(*_):
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: whoever started it handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Log:
    """Stands in for sys.stdout and keeps a copy: in memory, and in <folder>/log.txt from keep_in(folder) on.

    Progress bars go to sys.stderr and so are not kept. An error or interruption is kept as its last line, and an
    interruption says how to go on.
    """

    def __init__(self):
        self.screen, self.kept, self.folder = sys.stdout, io.StringIO(), None

    def __enter__(self):
        sys.stdout = self
        return self

    def keep_in(self, folder):
        """From now on, and with what was shown before, keep it in the folder's log.txt.

        Raises:
            InputError: the file cannot be written, or another process is at this run.
        """
        path = os.path.join(folder, 'log.txt')
        try:
            file = open(path, 'a', encoding='utf-8', buffering=1)
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of when the process ends, however it does
            file.write(self.kept.getvalue())
        except BlockingIOError as error:
            raise InputError(f'{folder}: another process is at this run; wait for its end, or end it') from error
        except OSError as error:
            raise cannot_write(path, error) from error
        self.kept, self.folder = file, folder

    def write(self, text):
        try:
            self.kept.write(text)
        except OSError as error:
            raise cannot_write(self.kept.name, error) from error
        return self.screen.write(text)

    def flush(self):
        self.screen.flush()

    def __getattr__(self, name):
        return getattr(self.screen, name)

    def __exit__(self, kind, error, trace):
        sys.stdout = self.screen
        try:
            if isinstance(error, Exception):
                self.kept.write(f'Error: {error}\n')
            elif isinstance(error, KeyboardInterrupt) and self.folder:
                advice = f'Its last finished epoch is kept. To go on: python main.py --resume {self.folder}'
                print(advice, flush=True)
                self.kept.write(advice + '\n')
            self.kept.close()
        except OSError:  # a full disk is what the error is about
            pass
