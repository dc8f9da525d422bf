"""Archives made to do harm, damaged ones, and a good one."""

import os
import stat
import zipfile
from collections import namedtuple

import pytest

from road import unpack as unpack_module
from road.download import Damaged
from road.errors import InputError
from road.unpack import unpack


def archive(path, members):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return str(path)


def link(name, target):
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return member, target


GOOD = [('set/a.txt', 'a'), ('set/sub/b.txt', 'b' * 5000), ('__MACOSX/._x', 'stray')]


def test_good_archive(tmp_path):
    unpack(archive(tmp_path / 'a.zip', GOOD), 'set', str(tmp_path / 'set'), lambda folder: None)
    assert sorted(os.listdir(tmp_path)) == ['a.zip', 'set'] and sorted(os.listdir(tmp_path / 'set')) == ['a.txt', 'sub']
    assert (tmp_path / 'set' / 'sub' / 'b.txt').read_text() == 'b' * 5000


@pytest.mark.parametrize('members, complaint', [
    ([('../evil', 'x')], 'outside'), ([('set/../../evil', 'x')], 'outside'), ([('/tmp/evil', 'x')], 'outside'),
    ([('C:/evil', 'x')], 'outside'), ([('set\\..\\evil', 'x')], 'outside'), ([link('set/l', '/etc')], 'is a link'),
    ([link('set/l', '..'), ('set/l/evil', 'x')], 'is a link'), ([('set/a.txt', 'again')], 'damaged'),
    ([('set/a.txt/b', 'x')], 'damaged'), ([(f'set/{i}', '') for i in range(60)], 'expected at most 50'),
    ([('set/bomb', bytes(3 << 20))], 'bytes unpacked, expected at most 50 and 2097152')])
def test_harmful_archives_are_refused(tmp_path, monkeypatch, members, complaint):
    monkeypatch.setattr(unpack_module, 'MEMBERS', 50)
    monkeypatch.setattr(unpack_module, 'LARGEST', 2 << 20)
    folder = tmp_path / 'in'
    folder.mkdir()
    with pytest.warns(UserWarning) if complaint == 'damaged' and members[0][0] == 'set/a.txt' else monkeypatch.context():
        path = archive(folder / 'a.zip', GOOD + members)
    with pytest.raises(Damaged, match=complaint) as raised:
        unpack(path, 'set', str(folder / 'set'), lambda folder: None)
    assert os.listdir(folder) == ['a.zip'] and os.listdir(tmp_path) == ['in'] and '\n' not in str(raised.value)


def test_bomb_that_lies_about_its_size(tmp_path):
    """The directory says 10 bytes, 3 MB are packed: no more than 10 are written, and the checksum does not fit."""
    path = archive(tmp_path / 'a.zip', [('set/bomb', bytes(3 << 20))])
    data = bytearray(open(path, 'rb').read())
    size = (3 << 20).to_bytes(4, 'little')
    while size in data:
        at = data.index(size)
        data[at:at + 4] = (10).to_bytes(4, 'little')
    open(path, 'wb').write(data)
    with pytest.raises(Damaged, match='damaged'):
        unpack(path, 'set', str(tmp_path / 'set'), lambda folder: None)
    assert os.listdir(tmp_path) == ['a.zip']


def test_cut_archives_and_wrong_ones(tmp_path):
    path = archive(tmp_path / 'a.zip', GOOD)
    data = open(path, 'rb').read()
    packed = data.index(b'set/sub/b.txt') + len('set/sub/b.txt')
    for content in (data[:-30], data[:100], b'', b'<html>', data[:packed] + b'\x55' * 4 + data[packed + 4:]):
        open(path, 'wb').write(content)
        with pytest.raises(Damaged):
            unpack(path, 'set', str(tmp_path / 'set'), lambda folder: None)
    open(path, 'wb').write(data)
    with pytest.raises(Damaged, match='holds no folder other/'):
        unpack(path, 'other', str(tmp_path / 'set'), lambda folder: None)

    def refuse(folder):
        raise InputError('not this')
    with pytest.raises(InputError, match='not this'):
        unpack(path, 'set', str(tmp_path / 'set'), refuse)
    assert os.listdir(tmp_path) == ['a.zip']


def test_full_disk_is_noticed_first_and_the_archive_kept(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(unpack_module.shutil, 'disk_usage', lambda path: usage(1000))
    with pytest.raises(InputError, match='only 1000 free') as raised:
        unpack(archive(tmp_path / 'a.zip', GOOD), 'set', str(tmp_path / 'set'), lambda folder: None)
    assert not isinstance(raised.value, Damaged)
