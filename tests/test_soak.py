"""tools/soak.py with three kills, in real processes."""

import os

import pytest

from tools import soak


@pytest.mark.skipif(os.name == 'nt', reason='kills processes with SIGKILL')
@pytest.mark.slow
def test_killed_runs_end_as_an_undisturbed_run(tmp_path):
    phases = (('cache', 0.1), ('checkpoint', 0.06), ('images', 0.3))
    assert soak.soak(str(tmp_path), 3, phases) == (1, [])
