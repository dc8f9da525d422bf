"""A small fixed part of tools/fuzz.py; the whole is `python tools/fuzz.py`."""

import pytest

from tools import fuzz


@pytest.mark.slow
def test_garbled_files_are_refused_or_read_right():
    outcomes, wrong = fuzz.fuzz(4)
    assert wrong == [] and len(outcomes) == 15
    assert all(counter.total() == 4 for counter in outcomes.values())
