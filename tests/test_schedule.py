"""Learning rate schedules."""

import pytest

from road.network.schedule import make_schedule


def test_cosine_rises_then_falls_and_constant_stays():
    cosine = make_schedule('cosine', 0.1)
    for progress, expected in ((0, 0.001), (0.025, 0.0505), (0.05, 0.1), (0.525, 0.05), (1, 0)):
        assert cosine(progress) == pytest.approx(expected)
        assert make_schedule('constant', 0.1)(progress) == 0.1
