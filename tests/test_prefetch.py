"""Work done ahead: in order, in threads; errors arrive where their results would stand."""

import operator
import os
import signal
import sys
import threading
import time
from subprocess import PIPE, Popen

import pytest

from road.prefetch import MEMORY, STOP_SECONDS, prefetch


def test_results_come_in_order_and_an_error_where_its_result_would_stand():
    seen = []
    with pytest.raises(ZeroDivisionError):
        for value in prefetch(lambda n: 60 // n, [3, 2, 1, 0, 4]):
            seen.append(value)
    assert seen == [20, 30, 60]
    assert list(prefetch(operator.neg, range(50))) == [-n for n in range(50)]


def test_an_error_is_raised_at_once_though_much_is_waiting():
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        list(prefetch(lambda n: time.sleep(n) or 1 // n, [0] + [0.2] * 50, depth=40, threads=1))
    assert time.monotonic() - start < STOP_SECONDS / 2


def test_depth_is_done_ahead():
    begun = []
    items = (begun.append(n) or n for n in range(50))
    for done, _ in enumerate(prefetch(abs, items, depth=3)):
        assert len(begun) == min(done + 4, 50)


@pytest.mark.parametrize('sizes, most', [
    ([0.2] * 12, 5), ([0.6] * 6, 1), ([3] * 6, 1), ([0.1] * 8 + [0.9, 0.1], 8)])
def test_items_worked_on_fit_into_the_memory(sizes, most):
    at_work, lock = set(), threading.Lock()

    def work(item):
        with lock:
            at_work.add(item)
            seen.append(len(at_work))
            assert len(at_work) == 1 or sum(sizes[i] for i in at_work) < 1.01
        time.sleep(0.005 * (1 + item))
        with lock:
            at_work.remove(item)
        return item

    seen = []
    found = prefetch(work, range(len(sizes)), depth=9, threads=9,
                     size=lambda item: sizes[item] * MEMORY)
    assert list(found) == [*range(len(sizes))]
    assert max(seen) <= most


def test_a_stop_ends_the_process_although_a_thread_waits(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    code = '''from road import prefetch; from road.runs.log import end
prefetch.STOP_SECONDS = 0.1
print(flush=True)
try:
    list(prefetch.prefetch(open, ["pipe"]))
except KeyboardInterrupt:
    end(130)'''
    with Popen([sys.executable, '-c', code], stdout=PIPE, cwd=tmp_path,
               env={**os.environ, 'PYTHONPATH': os.getcwd()}) as process:
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == 130
        finally:
            process.kill()
