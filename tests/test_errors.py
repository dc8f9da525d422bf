"""Errors of the system as one line, with the user's path and a cure."""

import errno
import os
import re

import numpy as np
import pytest

import main
from road import errors
from road.files import atomic_folder, atomic_path
from road.network.tf1 import tf
from road.runs.painting import write_png

EXHAUSTED = tf.errors.ResourceExhaustedError
CUT = 'SaveV2 failed:\n  /a/.road-1/x.index; {}\n  more'


@pytest.mark.parametrize('error, settings, line', [
    (OSError(errno.EACCES, os.strerror(errno.EACCES), 'a'), {},
     'a: Permission denied; give permission, or name another folder'),
    (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), 'a'), {},
     'a: Disk quota exceeded; make room on the disk'),
    (errors.InputError('a\x1b[1m\nb'), {}, 'a?[1m?b'),
    (OSError(errno.EIO, 'Input/output error', 'a'), {}, 'a: Input/output error'),
    (OSError('no such host'), {}, 'no such host'), (TimeoutError(), {}, 'TimeoutError'),
    (EXHAUSTED(None, None, CUT.format('No space left on device')), {},
     'No space left on device; make room on the disk'),
    (EXHAUSTED(None, None, CUT.format('Too many open files')), {'batch_size': 1},
     'Too many open files; raise the limit, as with ulimit -n 4096'),
    (EXHAUSTED(None, None, 'OOM'), {'full_size': True},
     'out of memory; leave out --full-size, or make the images smaller'),
    (MemoryError(), {'full_size': False},
     'out of memory; close other programs, or use a run trained at a smaller --image-size'),
    (MemoryError(), {'resume': 'runs/x'},
     'out of memory; close other programs, or resume with a smaller --batch-size'),
    (ZeroDivisionError(), {}, None)])
def test_what_the_user_can_mend_is_one_line(error, settings, line):
    assert errors.describe(error, settings) == line


def test_temporary_paths_are_not_named(tmp_path):
    with pytest.raises(OSError) as found, atomic_folder(str(tmp_path / 'folder')) as temporary:
        with atomic_path(os.path.join(temporary, 'a.png')):
            raise OSError(errno.ENOSPC, 'No space')  # a failed write names no file
    assert found.value.filename == str(tmp_path / 'folder/a.png')
    with pytest.raises(OSError) as found, atomic_path(str(tmp_path / 'b.png')):
        raise OSError(errno.ENOENT, 'No such file', 'other.png')
    assert found.value.filename == 'other.png'


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('command, inputs, written', [
    ('evaluate', [], 'evaluation-validation.json'), ('submit', [], 'submission.zip'),
    ('export', [], 'export'), ('predict', ['a.png'], 'predictions/a.png')])
def test_full_disk_names_what_was_to_be_written(copied_run, tmp_path, monkeypatch, capsys, command,
                                                inputs, written):
    def full(source, target):
        raise OSError(errno.ENOSPC, 'No space left on device', source)

    write_png(str(tmp_path / 'a.png'), np.zeros((9, 16, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    for name in ('replace', 'rename'):
        monkeypatch.setattr(os, name, full)
    assert main.main([command, str(copied_run), *inputs]) == 2
    error = capsys.readouterr().err.split('\n')[-2]
    assert error.startswith(f'Error: {copied_run}/{written}: ')
    assert re.search('No space left on device.*; make room on the disk$', error)
    assert not any('.road-' in name for _, _, names in os.walk(copied_run) for name in names)
