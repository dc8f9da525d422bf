"""Harmful archives, damaged ones, and a good one."""

import os
import stat
import zipfile
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from road.data import unpack as unpack_module
from road.data.unpack import Damaged, unpack
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
        ('set/a.txt', 'a'), ('set/sub/b.txt', 'b' * 5000), ('set/../../../one', ''), (LINK, '..'),
        ('set//two', ''), ('../three', 'x'), ('/tmp/four', 'x'), ('__MACOSX/x', '')])
    unpack(str(path), 'set', str(tmp_path / 'in' / 'set'), lambda folder: None)
    assert sorted(os.listdir(tmp_path)) == ['in'] and not os.path.exists('/tmp/four')
    assert sorted(os.listdir(tmp_path / 'in')) == ['a.zip', 'set']
    assert sorted(os.listdir(tmp_path / 'in' / 'set')) == ['a.txt', 'link', 'one', 'sub', 'two']
    assert not os.path.islink(tmp_path / 'in' / 'set' / 'link')
    assert (tmp_path / 'in' / 'set' / 'sub' / 'b.txt').read_text() == 'b' * 5000


NAMES = st.lists(st.sampled_from(['set', '..', '.', '', 'a', 'b', 'C:', 'a\\b', 'é']), min_size=1,
                 max_size=5).map('/'.join).filter(bool)


@pytest.mark.filterwarnings('ignore:Duplicate name')
@given(st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=6), st.integers(0, 10**6),
       st.integers(0, 255))
def test_any_archive_is_unpacked_inside_the_folder_or_refused(tmp_path_factory, members, at,
                                                              change):
    """Any names; and one byte changed, which is noticed or changes nothing."""
    tmp_path = tmp_path_factory.mktemp('any')
    path = archive(tmp_path, members)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= change
    path.write_bytes(data)
    try:
        unpack(str(path), 'set', str(tmp_path / 'in' / 'set'), lambda folder: None)
    except InputError as error:
        assert str(error).startswith(str(path)) and os.listdir(tmp_path / 'in') == ['a.zip']
    else:
        unpacked = {file.read_bytes() for file in (tmp_path / 'in' / 'set').rglob('*')
                    if file.is_file()}
        contents = [content for _, content in members]
        assert unpacked <= set(contents)
    assert os.listdir(tmp_path) == ['in'] and {*os.listdir(tmp_path / 'in')} <= {'a.zip', 'set'}


@given(st.dictionaries(st.sampled_from(['a', 'b/c', 'b/d', 'é.txt', 'x y']),
                       st.binary(max_size=99), min_size=1))
def test_good_archives_are_unpacked_to_the_byte(tmp_path_factory, contents):
    tmp_path = tmp_path_factory.mktemp('good')
    path = archive(tmp_path, [('set/', ''), ('other/a', b'x'),
                              *((f'set/{name}', content) for name, content in contents.items())])
    folder = tmp_path / 'in' / 'set'
    unpack(str(path), 'set', str(folder), lambda temporary: None)
    assert contents == {file.relative_to(folder).as_posix(): file.read_bytes()
                        for file in folder.rglob('*') if file.is_file()}


def test_damaged_archives_and_wrong_ones(tmp_path, monkeypatch):
    path = archive(tmp_path, [('set/a.txt', 'a' * 5000), ('set/bomb', bytes(3 << 20))])
    data = path.read_bytes()
    packed = data.index(b'set/a.txt') + len('set/a.txt')
    lie = data.replace((3 << 20).to_bytes(4, 'little'), (10).to_bytes(4, 'little'))

    def check_refused(content, complaint, kind=Damaged, root='set'):
        path.write_bytes(content)
        with pytest.raises(kind, match=complaint):
            unpack(str(path), root, str(path.parent / 'set'), lambda folder: None)
        assert os.listdir(path.parent) == ['a.zip']

    for content in (data[:-30], b'', lie, data[:packed] + b'\x55' * 4 + data[packed + 4:]):
        check_refused(content, 'damaged')
    check_refused(data, 'holds no folder other/', root='other')
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(unpack_module.shutil, 'disk_usage', lambda path: usage(1000))
    check_refused(data, 'only 1000 free', InputError)
    monkeypatch.setattr(unpack_module, 'LARGEST', 2 << 20)
    check_refused(data, 'bytes unpacked; expected at most 2097152')
