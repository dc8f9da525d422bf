"""Work done ahead: in order, in threads; errors arrive where their results would stand."""

import operator

import pytest

from road.prefetch import prefetch


def test_results_come_in_order_and_an_error_where_its_result_would_stand():
    seen = []
    with pytest.raises(ZeroDivisionError):
        for value in prefetch(lambda n: 60 // n, [3, 2, 1, 0, 4]):
            seen.append(value)
    assert seen == [20, 30, 60]
    assert list(prefetch(operator.neg, range(50))) == [-n for n in range(50)]


def test_no_more_than_depth_is_done_ahead():
    begun = []
    items = (begun.append(n) or n for n in range(50))
    for done, _ in enumerate(prefetch(abs, items, depth=3)):
        assert len(begun) - done <= 4
    assert len(begun) == 50
