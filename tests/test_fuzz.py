"""A small fixed part of tools/fuzz.py; the whole is `python tools/fuzz.py`."""

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
