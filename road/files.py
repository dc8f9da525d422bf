"""Files and folders that appear complete or not at all; locks; small JSON files; digests."""

import errno
import functools
import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

# in temporary names: processes of two machines that share a folder may have one process id
OWN = f'{os.getpid()}{time.time_ns() % 10**6:06d}'
NO_LOCKS = errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS  # Lustre, some NFS and FUSE
_print_once = functools.cache(print)


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path`, which replaces `path` unless an exception is raised."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f'.{OWN}.{name}')  # keeps the ending, the format
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            os.remove(temporary)


@contextmanager
def atomic_folder(folder):
    """Yield an empty temporary folder beside `folder`, which replaces `folder` at the end.

    After an exception the temporary folder is removed and `folder` is as it was. Raises OSError.
    """
    parent, name = os.path.split(os.path.abspath(folder))
    temporary = os.path.join(parent, f'.{OWN}.{name}')
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        os.makedirs(temporary)
        yield temporary
        former = f'{temporary}.former'
        if os.path.lexists(folder):
            os.rename(folder, former)  # a folder cannot be renamed over another
        os.rename(temporary, folder)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_temporary(folder):
    """Remove what killed processes left in a folder that this process alone writes to."""
    for name in os.listdir(folder):
        if name.startswith('.') and name[1:].partition('.')[0].isdigit():
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def write_text(path, text):
    """Write a UTF-8 text file, complete or not at all. Raises OSError."""
    with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write(text)


def write_json(path, content):
    """As write_text, for content that JSON can hold."""
    write_text(path, json.dumps(content, indent=1))


def read_json(path):
    """The dict in a JSON file; empty if the file is missing, damaged, or holds something else."""
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def lock(path):
    """Hold the lock for making `path`; wait, and say so, while another process holds it.

    The operating system locks `.NAME.lock` beside `path`: a killed process leaves no lock behind.
    Where the file system cannot lock, warn once and go on.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    file_lock = FileLock(os.path.join(folder, f'.{name}.lock'), fallback_to_soft=False)
    try:
        file_lock.acquire(blocking=False)
    except Timeout:
        print(f'Another process is making {path}; waiting for it')
        file_lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _print_once(f'Warning: {folder}: no file locks ({error.strerror}); run one process only')
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file
            os.remove(file_lock.lock_file)  # still held: a waiting process notices that it is gone
        file_lock.release()


def file_digest(*paths, algorithm='md5'):
    """The digest ('md5', 'sha256') of the bytes of files, one after the other, hex."""
    digest = hashlib.new(algorithm)
    for path in paths:
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
