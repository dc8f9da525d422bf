"""tools/soak.py with one round of kills."""

import os
import subprocess
import sys

import pytest

from tools import soak


@pytest.mark.skipif(os.name == 'nt', reason='forks, and kills with SIGKILL')
@pytest.mark.slow
def test_killed_runs_end_as_an_undisturbed_run():
    result = subprocess.run([sys.executable, soak.__file__, '--kills', '4'], capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ' runs compared, 0 faults' in result.stdout
