"""Downloads that resume where they broke off, are verified, and are complete or absent.

`NAME.part` is an unfinished download; the address, size and version in `NAME.part.json` ensure that
only the same file resumes it. A file that was put at `data/NAME` by hand is used and kept.
"""

import os
import re
import time
from contextlib import suppress
from itertools import chain

import requests
from urllib3.util import Retry

from road import files
from road.data import kitti
from road.data.unpack import Damaged, check_room, unpack
from road.errors import InputError
from road.progress import tqdm

RETRIES = 5  # of a request, and of a broken body that brought no new bytes
WAIT = 1  # seconds before the first retry, twice as long before each further one
CONNECT, SILENCE = 15, 30  # seconds without a connection, without a byte
NEW_BYTES = 1 << 20  # progress; with less a server could keep us for ever
BUSY = (408, 425, 429, 500, 502, 503, 504)  # HTTP errors that pass


class Broken(Exception):
    """The body broke off; the next try may bring the rest."""


def download_kitti(kitti_dir):
    """If `kitti_dir` is missing, print KITTI Road's licence and page, download and unpack it.

    Raises InputError if that fails; the folder is complete or absent.
    """
    def finish(folder):
        if not os.path.isdir(os.path.join(folder, 'training', 'image_2')):
            raise Damaged(f'{kitti.LINK}: the archive holds no training/image_2')

    if os.path.lexists(kitti_dir):
        return
    print(f'KITTI Road: licence {kitti.LICENCE}, not for commercial use; its page is {kitti.PAGE}')
    with files.lock(kitti_dir):
        if not os.path.lexists(kitti_dir):  # else another process has made it meanwhile
            fetch(kitti.LINK, os.path.dirname(os.path.abspath(kitti_dir)),
                  lambda archive: unpack(archive, 'data_road', kitti_dir, finish))


def fetch(url, folder, use, *, md5=None):
    """Download `url` into `folder`, verify it, call use(path), and remove it.

    md5: its published MD5. Without one, the SHA-256 of the first download that `use` accepted is
    recorded in `folder`/downloads.json, and later downloads are compared with it.
    Raises InputError if the download failed or is not the file expected, and whatever `use` raises.
    """
    path = os.path.join(folder, os.path.basename(url))
    record = os.path.join(folder, 'downloads.json')
    with files.lock(path):
        by_hand = os.path.exists(path)
        if by_hand:
            print(f'{path} is there already; using it')
        else:
            download(url, path)
        digest = files.file_digest(path, algorithm='md5' if md5 else 'sha256')
        expected = md5 or files.read_json(record).get(url, digest)
        try:
            if digest != expected:
                known = 'MD5' if md5 else f'SHA-256, recorded in {record}; delete that to accept it'
                raise Damaged(f'{url}: the file has {digest}, expected {expected} ({known})')
            use(path)
        except Damaged as error:
            if by_hand:
                raise InputError(f'{error}; move {path} away to download it again') from error
            os.remove(path)
            raise InputError(f'{error}; it was removed. {_by_hand(path)}') from error
        if not md5:
            files.write_json(record, {**files.read_json(record), url: digest})
        if not by_hand:
            os.remove(path)


def download(url, path):
    """Download `url` to `path`, which appears only when complete; resume what an earlier call left.

    Raises InputError: one line with the cause, what was kept, and how to do it by hand.
    """
    print(f'Downloading {url}')
    part, tries = path + '.part', 0
    retry = Retry(RETRIES, status_forcelist=BUSY, backoff_factor=WAIT, raise_on_status=False,
                  respect_retry_after_header=False)
    try:
        with requests.Session() as session:
            for adapter in session.adapters.values():
                adapter.max_retries = retry
            while True:
                before = _size(part)
                try:
                    _receive(session, url, part)
                    break
                except Broken as error:
                    tries = 1 if _size(part) >= before + NEW_BYTES else tries + 1
                    if tries > RETRIES:
                        raise InputError(f'{error} ({tries} tries)') from error
                    print(f'{url}: {error}; trying again')
                    time.sleep(WAIT * 2 ** (tries - 1))
    except (InputError, OSError) as error:
        kept = f'{_size(part)} bytes are kept in {part}; the same command resumes there'
        if not _size(part):
            remove(part)
            kept = 'Nothing was kept'
        raise InputError(f'{url}: {error}. {kept}. {_by_hand(path)}') from error
    os.replace(part, path)
    os.remove(part + '.json')


def remove(part):
    for path in (part, part + '.json'):
        with suppress(FileNotFoundError):
            os.remove(path)


def _size(part):
    return os.path.getsize(part) if os.path.exists(part) else 0


def _by_hand(path):
    return f'By hand: save that address as {path} and run the same command'


def _receive(session, url, part):
    """Append the missing bytes to `part`. Raises Broken, or InputError if a retry is of no use."""
    state = files.read_json(part + '.json')
    have = _size(part) if state.get('url') == url else 0
    size = state.get('size') if have else None
    if have and have == size:
        return
    headers = {'Accept-Encoding': 'identity'}  # compressed bytes could not be counted or resumed
    if have:  # If-Range: else from the start
        headers |= {'Range': f'bytes={have}-', 'If-Range': state.get('version')}
    try:
        response = session.get(url, stream=True, timeout=(CONNECT, SILENCE), headers=headers)
    except requests.RequestException as error:
        raise InputError(_cause(error)) from error
    with response:
        if response.status_code not in (200, 206, 416):
            raise InputError(f'HTTP {response.status_code} {response.reason}')
        if response.status_code == 200:
            have, length = 0, response.headers.get('Content-Length', '')
            size = int(length) if length.isdigit() else None
        else:
            expected = rf'bytes {have}-\d+/({size or "[0-9]+"}|\*)'
            if not re.fullmatch(expected, response.headers.get('Content-Range', '')):
                remove(part)
                raise Broken('the file on the server is another one now; starting again')
        if size is not None:
            check_room(part, size - have, 'the download needs')
        tag = response.headers.get('ETag', 'W/')  # RFC 9110, 13.1.5: no weak tags in If-Range
        version = response.headers.get('Last-Modified') if tag.startswith('W/') else tag
        cause = 'the connection broke off'
        try:
            _append(response, part, have, {'url': url, 'size': size, 'version': version})
        except requests.RequestException as error:
            cause, size = _cause(error), size or 'unknown'
    if size not in (None, _size(part)):
        raise Broken(f'{cause} at {_size(part)} of {size} bytes')


def _append(response, part, have, state):
    """Append the body to `part`, or start `part` with it if `have` is 0."""
    blocks = response.iter_content(1 << 16)
    first = next(blocks, b'')
    if have == 0:
        if first.lstrip()[:14].lower().startswith((b'<!doctype html', b'<html')):
            raise InputError('the server sent a web page instead of the file')
        open(part, 'wb').close()  # before the note: old bytes must not pass for the new file's
        files.write_json(part + '.json', state)
    bar = tqdm(total=state['size'], initial=have, unit='B', unit_scale=True, desc='download')
    with open(part, 'ab') as file, bar:
        for block in chain([first], blocks):
            file.write(block)
            bar.update(len(block))


def _cause(error):
    if 'Read timed out' in str(error):
        return f'nothing came for {SILENCE} s'
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be verified"
    broken = isinstance(error, requests.exceptions.ChunkedEncodingError)
    return 'the connection broke off' if broken else f'no connection ({type(error).__name__})'
