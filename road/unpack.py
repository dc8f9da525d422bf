"""Unpacking a zip archive that others made: nothing lands outside the folder, and the folder is whole or not there."""

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib

from tqdm import tqdm

from road.download import SPARE, Damaged
from road.errors import InputError

LARGEST = 4 << 30  # bytes unpacked; the VGG16 graph has 0.5e9, KITTI Road 0.5e9
MEMBERS = 10000  # KITTI Road has about 1,500


def unpack(archive, root, folder, finish):
    """Unpack what lies under `root`/ in a zip archive to `folder`, which must not exist; other members are left out.

    Args:
        finish: called with the folder it is unpacked to before that gets its name; raises InputError to refuse it.
    Raises:
        Damaged: not a zip archive, cut short, a member with a wrong checksum, outside its folder, a link, or too many
            bytes once unpacked.
        InputError: the disk has too little room.
    """
    parent = os.path.dirname(os.path.abspath(folder))
    try:
        with zipfile.ZipFile(archive) as file:
            members = [_checked(archive, member) for member in file.infolist()]
            total = sum(member.file_size for member in members)
            if total > LARGEST or len(members) > MEMBERS:
                raise Damaged(f'{archive}: {len(members)} members of {total} bytes unpacked, expected at most {MEMBERS} and '
                              f'{LARGEST}')
            wanted = [m for m in members if m.filename.startswith(f'{root}/') and not m.is_dir()]
            if not wanted:
                raise Damaged(f'{archive}: holds no folder {root}/')
            free = shutil.disk_usage(parent).free
            if total + SPARE > free:
                raise InputError(f'{archive}: unpacks to {total} bytes, but the disk has only {free} free; make room')
            with tempfile.TemporaryDirectory(dir=parent, prefix=f'.{os.path.basename(folder)}-') as building:
                with tqdm(total=total, unit='B', unit_scale=True, desc=f'unpacking {os.path.basename(archive)}') as bar:
                    for member in wanted:
                        _write(file, member, os.path.join(building, member.filename), bar)
                finish(os.path.join(building, root))
                os.replace(os.path.join(building, root), folder)
    # the last three: the same name twice, or a file's name used as a folder's
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error, RuntimeError, KeyError,
            FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Damaged(f'{archive}: the archive is damaged ({error})') from error


def _checked(archive, member):
    """The member, or Damaged where it has no business in an archive of data."""
    name, mode = member.filename, member.external_attr >> 16
    # orig_filename: zipfile itself cuts a name at its first zero byte and turns this system's separator to /
    odd = '\\' in member.orig_filename or '\0' in member.orig_filename or re.match(r'/|[A-Za-z]:', name)
    if odd or '..' in name.split('/') or not name:
        raise Damaged(f'{archive}: member {member.orig_filename!r} would be written outside the folder')
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Damaged(f'{archive}: member {name!r} is a link or a device, expected files alone')
    return member


def _write(file, member, path, bar):
    """Write a member; zipfile hands out at most the size it states, and checks its CRC-32."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with file.open(member) as source, open(path, 'xb') as target:  # x: no name twice
        for block in iter(lambda: source.read(1 << 20), b''):
            target.write(block)
            bar.update(len(block))
