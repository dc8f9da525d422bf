"""Files and folders that appear complete or not at all; locks; small JSON files; digests."""

import errno
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
import zlib
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from road.errors import InputError

HOST = f'{zlib.crc32(platform.node().encode()):08x}'  # two machines may share a folder
_LEFTOVER = re.compile(r'\.road-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}-.*', re.DOTALL)
NO_LOCKS = errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS  # Lustre, some NFS and FUSE
_print_once = functools.cache(print)


@contextmanager
def _temporary(path):
    """Yield a new hidden path beside `path` and remove it at the end. An OSError names `path`."""
    folder, name = os.path.split(os.path.abspath(path))
    # with the ending of `path`, and shorter than the 255 bytes that a name may have
    own = f'.road-{HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{name[-40:]}'
    temporary = os.path.join(folder, own)
    try:
        yield temporary
    except OSError as error:
        named = str(error.filename or temporary)  # a failed write names nothing
        if named.startswith(temporary):
            error.filename = f'{path}{named.removeprefix(temporary)}'
        raise
    finally:
        remove(temporary)


def remove(path):
    """Remove a file or folder, if it is there and can be removed."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        os.remove(path)


def remove_leftovers(folder):
    """Remove temporary files and folders that killed processes left in a folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            match = _LEFTOVER.fullmatch(name)
            if match and _has_ended(match[1], int(match[2]), path):
                remove(path)


def _has_ended(host, process, path):
    try:
        if host != HOST or os.name == 'nt':  # where os.kill(process, 0) is Ctrl-C
            return time.time() - os.stat(path).st_mtime > 24 * 3600
        os.kill(process, 0)  # sends nothing, and fails if there is no such process
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


@contextmanager
def atomic_path(path):
    """Yield a temporary path, which replaces `path` if all goes well. An OSError names `path`."""
    with _temporary(path) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextmanager
def atomic_folder(folder, replace=True):
    """Yield an empty temporary folder, which becomes `folder` if all goes well.

    Else `folder` is as it was. A folder that exists is replaced, or, with replace=False, an error.
    An OSError names `folder`.
    """
    with _temporary(folder) as temporary, _temporary(folder) as former:
        os.makedirs(temporary)
        yield temporary
        try:
            if replace:
                with suppress(FileNotFoundError):
                    os.rename(folder, former)  # a folder cannot be renamed over another
            os.rename(temporary, folder)
        except BaseException:  # Ctrl-C too
            with suppress(OSError):
                os.rename(former, folder)
            raise


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
def lock(path, wait=True):
    """Hold the lock for making `path`, the file `.NAME.lock` beside it, or wait and say so.

    With wait=False, raise InputError instead. Where the file system cannot lock, warn and go on.
    The operating system holds it: a killed process leaves no lock behind.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    file_lock = FileLock(os.path.join(folder, f'.{name}.lock'), fallback_to_soft=False)
    try:
        file_lock.acquire(blocking=False)
    except Timeout as error:
        if not wait:
            raise InputError(f'{folder}: another process is using this folder; wait until it ends, '
                             'or end it') from error
        print(f'Another process is making {path}; waiting for it')
        file_lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _print_once(f'Warning: {folder}: no file locks ({error.strerror}); run one process only')
    remove_leftovers(folder)
    try:
        yield
    finally:
        remove(file_lock.lock_file)  # still held: a waiting process notices that it is gone
        file_lock.release()


def file_digest(path):
    """The MD5 (hex) of a file's bytes."""
    digest = hashlib.md5(usedforsecurity=False)  # FIPS systems refuse it otherwise
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
