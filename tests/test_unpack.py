"""Harmful archives, damaged ones, and a good one."""

import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from road.data import download
from road.data.download import unpack
from road.errors import InputError

LINK = zipfile.ZipInfo('set/link')
LINK.create_system, LINK.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def archive(tmp_path, members):
    (tmp_path / 'in').mkdir()
    with zipfile.ZipFile(tmp_path / 'in' / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return tmp_path / 'in' / 'a.zip'


def test_nothing_lands_outside_the_folder(tmp_path):
    path = archive(tmp_path, [
        ('set/sub/b.txt', 'b' * 5000), ('set/é x', 'y'), ('set/../../../one', ''), (LINK, '..'),
        ('set//two', ''), ('../three', 'x'), (f'{tmp_path}/four', 'x'), ('__MACOSX/x', '')])
    unpack(str(path), 'set', str(tmp_path / 'in' / 'set'))
    assert os.listdir(tmp_path) == ['in']
    assert {*os.listdir(tmp_path / 'in')} == {'a.zip', 'set'}
    assert {*os.listdir(tmp_path / 'in' / 'set')} == {'link', 'one', 'sub', 'two', 'é x'}
    assert not os.path.islink(tmp_path / 'in' / 'set' / 'link')
    assert (tmp_path / 'in' / 'set' / 'sub' / 'b.txt').read_text() == 'b' * 5000


PARTS = st.sampled_from(['set', '..', '.', '', 'a', 'b', 'C:', 'a\\b', 'é'])
NAMES = st.lists(PARTS, min_size=1, max_size=5).map('/'.join).filter(len)


@pytest.mark.filterwarnings('ignore:Duplicate name')
@given(st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=6), st.integers(0, 10**6),
       st.integers(0, 255))
def test_any_archive_stays_inside_the_folder_or_is_refused(tmp_path_factory, members, at, change):
    """Any names; and one byte changed, which is noticed or changes nothing."""
    tmp_path = tmp_path_factory.mktemp('any')
    path = archive(tmp_path, members)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= change
    path.write_bytes(data)
    try:
        unpack(str(path), 'set', str(tmp_path / 'in' / 'set'))
    except InputError as error:
        assert str(error).startswith(str(path))
        assert os.listdir(tmp_path / 'in') == ['a.zip']
    else:
        unpacked = filter(Path.is_file, (tmp_path / 'in' / 'set').rglob('*'))
        assert {file.read_bytes() for file in unpacked} <= {content for _, content in members}
    assert os.listdir(tmp_path) == ['in']
    assert {*os.listdir(tmp_path / 'in')} <= {'a.zip', 'set'}


@pytest.mark.parametrize('change, spare, complaint', [
    (lambda data: data[:-30], 0, 'damaged'),
    (lambda data: data.replace((3 << 20).to_bytes(4, 'little'), (10).to_bytes(4, 'little')), 0,
     'damaged'),  # a false size
    (lambda data: data.replace(b'set/', b'sat/'), 0, 'holds no folder set/'),
    (bytes, 1 << 60, r'unpacks to 3150728 bytes, but the disk has only \d+ free')])
def test_damaged_archives_and_wrong_ones(tmp_path, monkeypatch, change, spare, complaint):
    path = archive(tmp_path, [('set/a.txt', 'a' * 5000), ('set/bomb', bytes(3 << 20))])
    path.write_bytes(change(path.read_bytes()))
    monkeypatch.setattr(download, 'SPARE', spare)
    with pytest.raises(InputError, match=complaint):
        unpack(str(path), 'set', str(path.parent / 'set'))
    assert os.listdir(path.parent) == ['a.zip']
