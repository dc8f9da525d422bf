"""Small fixed parts of tools/fuzz.py, whose docstring has the commands for the whole."""

import os
import subprocess
import sys

import pytest

from tools import fuzz


@pytest.mark.skipif(os.name == 'nt', reason='forks')
@pytest.mark.slow
def test_garbled_files_are_refused_or_give_the_same_results():
    result = subprocess.run([sys.executable, fuzz.__file__, '--count', '1'], capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '0 faults' in result.stdout
    for kind in fuzz.KINDS:
        assert f'{kind}: ' in result.stdout


@pytest.mark.skipif(os.name == 'nt', reason='links, and names that are not UTF-8')
def test_data_sets_with_mistakes_are_refused_or_read_as_they_were_drawn(capsys):
    assert fuzz.plausible(range(0, 400, 13)) == []
    printed = capsys.readouterr().out
    assert 'refused' in printed and 'read' in printed
