"""Downloads that go on where they broke off, are checked, and are whole or not there.

    with alone('data/vgg'):                                     # one process at a time makes that folder
        fetch('https://.../vgg.zip', 'data', use=unpack_it)     # data/vgg.zip, handed to unpack_it, then removed

While a file comes it is `NAME.part`, with `NAME.part.json` beside it: whose bytes those are (address, size, the server's
mark for this version of the file), so that they are only ever continued by the rest of the same file. A file that was put
at `data/NAME` by hand is used as it is, and kept.
"""

import hashlib
import os
import re
import shutil
import time
from contextlib import contextmanager, suppress
from itertools import chain

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from road import kept
from road.errors import InputError

WAITS = (1, 2, 4, 8, 16)  # seconds before each new try; tries that bring new bytes do not count
CONNECT, SILENCE = 15, 30  # seconds without a connection, without a byte
NEW_BYTES = 1 << 20  # what a try must bring to count as progress; without a least a server could keep us for ever
LARGEST = 4 << 30  # bytes; the largest file wanted here has about 1e9
SPARE = 64 << 20  # bytes left free on the disk
BUSY = (408, 425, 429, 500, 502, 503, 504)  # HTTP errors that pass


class Broken(Exception):
    """This try failed, the next may not."""


class Damaged(InputError):
    """The file came, but is not what it should be: it is not worth keeping."""


@contextmanager
def alone(path):
    """Hold the right to make `path`; where another process makes it, say so in a line and wait until it is done.

    The lock is the operating system's (on `.NAME.lock` beside it), so a killed process leaves none behind.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    lock = FileLock(os.path.join(folder, f'.{name}.lock'))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f'Another process is making {path}; waiting for it')
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; there it stays, empty
            os.remove(lock.lock_file)  # still held: who waits for it notices that it is gone
        lock.release()


def fetch(url, folder, use, *, md5=None):
    """Download `url` into `folder`, check it, call use(path), and remove it again. A file put there by hand is kept.

    Args:
        md5: its published MD5. Without one, the SHA-256 of the first download that `use` could use is recorded in
            `folder`/downloads.json, and later downloads of the same address are compared with it.
    Raises:
        InputError: it cannot be had, or is not the file expected; and whatever `use` raises.
    """
    path = os.path.join(folder, url.rstrip('/').rsplit('/', 1)[-1])
    with alone(path):
        by_hand = os.path.exists(path)
        if by_hand:
            print(f'{path} is there already; using it')
        else:
            download(url, path)
        try:
            _check_digest(url, path, md5)
            use(path)
        except Damaged as error:
            if by_hand:
                raise InputError(f'{error}; move {path} away, and it is downloaded anew') from error
            os.remove(path)
            raise InputError(f'{error}; it was removed. By hand: save that address as {path}') from error
        if not md5:
            kept.write(_record(path), {**kept.read(_record(path)), url: file_digest(path, 'sha256')})
        if not by_hand:
            os.remove(path)


def discard(url, folder):
    """Remove what an unfinished download of `url` left in `folder`."""
    part = os.path.join(folder, url.rstrip('/').rsplit('/', 1)[-1]) + '.part'
    for left in (part, part + '.json'):
        if os.path.exists(left):
            os.remove(left)


def _record(path):
    return os.path.join(os.path.dirname(path), 'downloads.json')


def _check_digest(url, path, md5):
    """Raise Damaged where the file has not the published MD5, or not the SHA-256 of the first download."""
    digest = file_digest(path, 'md5' if md5 else 'sha256')
    expected = md5 or kept.read(_record(path)).get(url, digest)
    if digest != expected:
        first = '' if md5 else f' as at the first download (delete {_record(path)} to take it all the same)'
        raise Damaged(f'{url}: what came has {"MD5" if md5 else "SHA-256"} {digest}, expected {expected}{first}')


def file_digest(path, name):
    """The digest `name` ('md5', 'sha256') of a file, hex."""
    digest = hashlib.new(name)
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def download(url, path):
    """Download `url` to `path`, which appears only when whole, with a progress bar in bytes.

    Breaks are tried again after growing waits, and go on where they stopped if the server allows that; so does the next
    call. Raises InputError: one line with what happened, what was kept, how to go on, and how to do it by hand.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    part, tries = path + '.part', 0
    furthest = _size(part)
    try:
        while True:
            try:
                _receive(url, part)
                break
            except Broken as error:
                if _size(part) >= furthest + NEW_BYTES:
                    furthest, tries = _size(part), 0
                if tries == len(WAITS):
                    raise InputError(f'{error} ({tries + 1} tries)') from error
                print(f'{url}: {error}; trying again in {WAITS[tries]} s')
                time.sleep(WAITS[tries])
                tries += 1
    except InputError as error:
        raise InputError(f'{url}: {error}. {_kept(part)}By hand: save that address as {path} and run the same '
                         'command') from error
    os.replace(part, path)
    os.remove(part + '.json')


def _kept(part):
    if _size(part):
        return f'{_size(part)} bytes are kept in {part}; the same command goes on from there. '
    for left in (part, part + '.json'):
        if os.path.exists(left):
            os.remove(left)
    return 'Nothing was kept. '


def _receive(url, part):
    """One try: ask for what is missing and append it to `part`. Raises Broken, or InputError where trying is no use."""
    state = kept.read(part + '.json')
    have = _size(part) if state.get('url') == url else 0
    size = state.get('size') if have else None
    if have and have == size:
        return
    headers = {'Accept-Encoding': 'identity'}  # packed bytes could be neither counted nor continued
    if have:
        headers['Range'] = f'bytes={have}-'
        if state.get('mark'):
            headers['If-Range'] = state['mark']  # another version of the file is then sent from its start
    try:
        with requests.get(url, stream=True, timeout=(CONNECT, SILENCE), headers=headers) as response:
            _refuse(response)
            if response.status_code == 200:
                have, size = 0, _number(response.headers.get('Content-Length'))
            elif not _continues(response, have, size):
                os.remove(part)
                raise Broken('the file on the server is not the one begun; starting again')
            _check_room(part, size, have)
            blocks = response.iter_content(1 << 16)
            first = next(blocks, b'')
            if have == 0:
                if first.lstrip()[:14].lower().startswith((b'<!doctype html', b'<html')):
                    raise InputError('the server sent a web page instead of the file')
                open(part, 'wb').close()  # before the note: bytes are never taken for another file's
                kept.write(part + '.json', {'url': url, 'size': size, 'mark': _mark(response)})
            _append(part, chain([first], blocks), have, size)
    except requests.RequestException as error:
        raise (Broken if _passes(error) else InputError)(_cause(error) + _place(part, size)) from error
    if size is not None and os.path.getsize(part) != size:
        raise Broken('the connection broke off' + _place(part, size))


def _refuse(response):
    """Raise where what comes is not the file."""
    if response.status_code in BUSY:
        raise Broken(f'HTTP {response.status_code} {response.reason}')
    if response.status_code not in (200, 206, 416):
        raise InputError(f'HTTP {response.status_code} {response.reason}')
    if response.headers.get('Content-Type', '').startswith('text/html') and response.status_code == 200:
        raise InputError('the server sent a web page instead of the file')


def _continues(response, have, size):
    """Whether a 206 brings the bytes from `have` on of a file of `size` bytes (None: not known)."""
    match = re.fullmatch(r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', ''))
    return bool(match) and int(match[1]) == have and (size is None or match[2] in ('*', str(size)))


def _mark(response):
    """What names this version of the file for If-Range; RFC 9110, 13.1.5 leaves weak tags out."""
    tag = response.headers.get('ETag', 'W/')
    return response.headers.get('Last-Modified') if tag.startswith('W/') else tag


def _number(text):
    return int(text) if text and text.isdigit() else None


def _check_room(part, size, have):
    if size is not None and size > LARGEST:
        raise InputError(f'the server announces {size} bytes, expected at most {LARGEST}')
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(part))).free
    if size is not None and size - have + SPARE > free:
        raise InputError(f'{size - have} bytes are to come, but the disk has only {free} free; make room')


def _append(part, blocks, have, size):
    name = os.path.basename(part)[:-len('.part')]
    with open(part, 'ab') as file, tqdm(total=size, initial=have, unit='B', unit_scale=True, desc=name) as bar:
        for block in blocks:
            try:
                file.write(block)
            except OSError as error:
                raise InputError(f'{part} cannot be written ({error.strerror})') from error
            bar.update(len(block))
            if file.tell() > LARGEST:
                raise InputError(f'more than {LARGEST} bytes came')


def _place(part, size):
    return f' at {_size(part)} of {size} bytes' if size is not None and _size(part) else ''


def _size(part):
    return os.path.getsize(part) if os.path.exists(part) else 0


def _passes(error):
    """Whether a failed request is worth another try."""
    lasting = (requests.TooManyRedirects, requests.exceptions.InvalidURL,
               requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema, requests.exceptions.SSLError)
    return not isinstance(error, lasting)


def _cause(error):
    """What went wrong with a request, in a few words."""
    if isinstance(error, requests.TooManyRedirects):
        return 'the server redirects in a circle'
    if isinstance(error, requests.ConnectTimeout):
        return f'no answer in {CONNECT} s'
    if isinstance(error, requests.Timeout) or 'timed out' in str(error):
        return f'nothing came for {SILENCE} s'
    if isinstance(error, requests.exceptions.SSLError):
        return 'the server\'s certificate cannot be checked'
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return 'the connection broke off'
    return {requests.ConnectionError: 'no connection'}.get(type(error), type(error).__name__)
