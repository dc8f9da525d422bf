"""Downloads that resume where they broke off, are verified and unpacked, complete or absent.

`NAME.part` is an unfinished download. If its parts are not of one file, the MD5 or the archive's
checksums show it, and it is removed. A file put at `data/NAME` by hand is used and kept.
"""

import os
import shutil
import time
import zipfile
import zlib

import requests

from road import files
from road.data import kitti
from road.errors import InputError
from road.progress import tqdm

RETRIES = 5  # in a row that bring nothing new
WAIT = 1  # seconds before the first retry, twice as long before each further one
TIMEOUT = 15, 30  # seconds without a connection, without a byte
PASSING = (408, 416, 425, 429, 500, 502, 503, 504)  # HTTP errors after which a retry may succeed
SPARE = 64 << 20  # bytes left free on the disk


class Damaged(InputError):
    """A file that is not what it should be and not worth keeping."""


def download_kitti(kitti_dir):
    """Download and unpack KITTI Road if `kitti_dir` is missing. Raises InputError."""
    if os.path.lexists(kitti_dir):
        return
    print(f'KITTI Road: licence {kitti.LICENCE}, not for commercial use; its page is {kitti.PAGE}')
    with files.lock(kitti_dir):
        if not os.path.lexists(kitti_dir):  # else another process has made it meanwhile
            fetch(kitti.LINK, os.path.dirname(os.path.abspath(kitti_dir)),
                  lambda archive: unpack(archive, 'data_road', kitti_dir))


def fetch(url, folder, use, *, md5=None):
    """Download `url` into `folder`, compare its MD5 if one is given, call use(path), and remove it.

    `use` raises Damaged if the file is not what it should be. Raises InputError, or as `use`.
    """
    path = os.path.join(folder, os.path.basename(url))
    with files.lock(path):
        by_hand = os.path.exists(path)
        if by_hand:
            print(f'{path} is there already; using it')
        else:
            download(url, path)
        try:
            if md5 and files.file_digest(path) != md5:
                raise Damaged(f'{url}: is not the file expected, whose MD5 is {md5}')
            use(path)
        except Damaged as error:
            if by_hand:
                raise InputError(f'{error}; move {path} away to download it again') from error
            os.remove(path)
            raise InputError(f'{error}; it was removed, and the same command downloads it again. '
                             f'{_by_hand(path)}') from error
        if not by_hand:
            os.remove(path)


def download(url, path):
    """Download `url` to `path`, complete or not at all, resuming `path`.part. Raises InputError."""
    print(f'Downloading {url}')
    part, tries = path + '.part', 0
    while True:
        before = _size(part)
        try:
            _receive(url, part)
            break
        except (InputError, OSError) as error:  # of the second kind are those of requests
            cause, may_pass = _judge(error)
            tries = 1 if _size(part) > before else tries + 1
            if tries > RETRIES or not may_pass:
                kept = f'{_size(part)} bytes are kept in {part}; the same command resumes there'
                if not _size(part):
                    files.remove(part)
                    kept = 'Nothing was kept'
                raise InputError(f'{url}: {cause}. {kept}. {_by_hand(path)}') from error
            print(f'{url}: {cause}; trying again')
            time.sleep(WAIT * 2 ** (tries - 1))
    os.replace(part, path)


def _size(part):
    return os.path.getsize(part) if os.path.exists(part) else 0


def _by_hand(path):
    return f'By hand: save that address as {path} and run the same command'


def _receive(url, part):
    """Append the missing bytes to `part`. Raises RequestException, OSError or InputError."""
    have = _size(part)
    # compressed bytes could not be counted or resumed
    headers = {'Accept-Encoding': 'identity', 'Range': f'bytes={have}-' if have else None}
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        if response.status_code == 416:  # `part` is as long as the file, or longer
            files.remove(part)
        response.raise_for_status()
        if 'text/html' in response.headers.get('Content-Type', ''):
            raise InputError('the server sent a web page instead of the file')
        if response.status_code != 206:  # the whole file
            have = 0
        missing = response.raw.length_remaining or 0  # bytes; 0 if the server does not say
        check_room(part, missing, 'the download needs')
        bar = tqdm(total=have + missing or None, initial=have, unit='B', unit_scale=True,
                   desc='download')
        with open(part, 'ab' if have else 'wb') as file, bar:
            for block in response.iter_content(1 << 16):  # raises if the connection breaks off
                file.write(block)
                bar.update(len(block))


def _judge(error):
    """(cause, whether a retry may succeed)"""
    if isinstance(error, requests.HTTPError):
        answer = error.response
        return f'HTTP {answer.status_code} {answer.reason}', answer.status_code in PASSING
    if isinstance(error, requests.RequestException):
        return f'no connection, or it broke off ({type(error).__name__})', True
    return str(error), False


def check_room(path, size, what):
    """Raise InputError, which starts with `what`, if `size` more bytes do not fit beside `path`."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if size + SPARE > free:
        raise InputError(f'{what} {size} bytes, but the disk has only {free} free; make room')


def unpack(archive, root, folder):
    """Unpack what lies under `root`/ in a zip archive to `folder`; skip all other members.

    Raises Damaged, or InputError if the disk has too little room.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            wanted = [member for member in file.infolist()
                      if member.filename.startswith(f'{root}/') and not member.is_dir()]
            if not wanted:
                raise Damaged(f'{archive}: holds no folder {root}/')
            if any(member.header_offset < 0 for member in wanted):  # zipfile lets an OSError out
                raise zipfile.BadZipFile('an offset is negative')
            total = sum(member.file_size for member in wanted)
            check_room(folder, total, f'{archive}: unpacks to')
            with files.atomic_folder(folder) as temporary, tqdm(
                    total=total, unit='B', unit_scale=True, desc='unpacking') as progress:
                for member in wanted:
                    member.filename = member.filename.removeprefix(f'{root}/')
                    # drops '..' and leading separators, makes no links, checks size and CRC-32
                    file.extract(member, temporary)
                    progress.update(member.file_size)
    # The last three: a file's name used as a folder's.
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error, RuntimeError, KeyError,
            FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Damaged(f'{archive}: the archive is damaged ({error})') from error
