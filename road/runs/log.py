"""The log of a run, log.txt; and how a process ends when it is told to stop."""

import contextlib
import io
import os
import shlex
import signal
import sys

from road.errors import InputError, cannot_write

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextlib.contextmanager
def stoppable():
    """SIGTERM raises Terminated within, as Ctrl-C raises KeyboardInterrupt.

    Printing does not fail: what a stream in cp1252 cannot encode becomes a question mark, and a
    pipe whose reader has ended, as head does, is written to no more.
    """
    def terminate(*_):
        raise Terminated

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='replace')
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
        print(end='', flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, 'w', encoding='utf-8')
        os.dup2(sys.stdout.fileno(), 1)
    finally:
        signal.signal(signal.SIGTERM, before)


class Log(io.TextIOBase):
    """Copies what is printed within: to memory at first, to <folder>/log.txt once it is attached.

    Progress bars go to stderr and are not copied. After an error the last line of the log is the
    error; after an interruption it says how to resume.

    Args:
        is_chief: False prints and writes nothing: of processes that train as one, the chief does.
    """

    def __init__(self, is_chief=True):
        self.is_chief = is_chief
        self.screen = sys.stdout if is_chief else None
        self.copy, self.folder = io.StringIO(), None
        self.redirection = contextlib.redirect_stdout(self)

    def __enter__(self):
        self.redirection.__enter__()
        return self

    def attach(self, folder):
        """Write the text so far, and from now on, to log.txt, and the command to command.txt.

        The run folder is locked to the end. Raises InputError if it cannot be written or another
        process is using it.
        """
        if not self.is_chief:
            return
        path = os.path.join(folder, 'log.txt')
        try:
            file = open(path, 'a', encoding='utf-8', errors='replace', buffering=1)
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.close()
                raise InputError(f'{folder}: another process is using this run folder; wait until '
                                 'it ends, or end it') from error
            except OSError as error:  # Lustre, some NFS and FUSE mounts
                print(f'Warning: {folder}: files cannot be locked there ({error.strerror}); do not '
                      'resume this run while this process runs')
            file.write(self.copy.getvalue())
            with open(os.path.join(folder, 'command.txt'), 'a', encoding='utf-8',
                      errors='surrogateescape') as commands:
                commands.write(shlex.join(['python', *sys.argv]) + '\n')
        except OSError as error:
            raise cannot_write(path, error) from error
        self.copy, self.folder = file, folder

    def write(self, text):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None
            self.screen.write(text)
        try:
            self.copy.write(text)
        except OSError as error:
            raise cannot_write(self.copy.name, error) from error
        return len(text)

    def flush(self):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self.screen.flush()

    def __exit__(self, kind, error, trace):
        with contextlib.suppress(OSError, InputError):  # the error may be a full disk
            if isinstance(error, Exception):
                self.copy.write(f'Error: {str(error) or kind.__name__}\n')
            elif isinstance(error, KeyboardInterrupt) and self.folder:
                print('The last finished epoch is kept. To continue: python main.py --resume '
                      f'{self.folder}', flush=True)
            self.copy.close()
        self.redirection.__exit__(kind, error, trace)
