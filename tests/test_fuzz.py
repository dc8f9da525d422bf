"""A small fixed part of tests/fuzz.py; the whole is `python tests/fuzz.py`."""

from tests import fuzz


def test_garbled_files_are_refused_or_read_right():
    outcomes, wrong = fuzz.fuzz(4)
    assert wrong == []
    assert set(outcomes) == set(fuzz.NAMES) and all(sum(counter.values()) == 4 for counter in outcomes.values())
