"""Unpack a zip archive of others: nothing lands outside the folder, which is complete or absent."""

import os
import shutil
import zipfile
import zlib

from road.errors import InputError
from road.files import atomic_folder
from road.progress import tqdm

SPARE = 64 << 20  # bytes left free on the disk


class Damaged(InputError):
    """A file that is not what it should be and not worth keeping."""


def check_room(path, size, what):
    """Raise InputError, which starts with `what`, if `size` more bytes do not fit beside `path`."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if size + SPARE > free:
        raise InputError(f'{what} {size} bytes, but the disk has only {free} free; make room')


def unpack(archive, root, folder):
    """Unpack what lies under `root`/ in a zip archive to `folder`; skip all other members.

    Raises Damaged (not a zip archive, cut short, a wrong checksum), or InputError if the disk has
    too little room for it.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            wanted = [m for m in members if m.filename.startswith(f'{root}/') and not m.is_dir()]
            if not wanted:
                raise Damaged(f'{archive}: holds no folder {root}/')
            if any(m.header_offset < 0 for m in wanted):  # zipfile lets an OSError out
                raise Damaged(f'{archive}: the archive is damaged (an offset is negative)')
            total = sum(member.file_size for member in wanted)
            check_room(folder, total, f'{archive}: unpacks to')
            with atomic_folder(folder) as temporary, tqdm(
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
