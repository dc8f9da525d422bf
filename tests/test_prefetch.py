"""Work done ahead: in order, in threads or processes; errors arrive, and nothing stays behind."""

import functools
import operator
import os
import signal
import subprocess
import sys
import time

import pytest

from road.prefetch import prefetch, processes


@pytest.mark.parametrize('make_pool', [lambda: None, processes], ids=['threads', 'processes'])
def test_results_come_in_order_and_an_error_where_its_result_would_stand(make_pool):
    inverse = functools.partial(operator.floordiv, 60)
    seen = []
    with pytest.raises(ZeroDivisionError):
        for value in prefetch(inverse, [3, 2, 1, 0, 4], pool=make_pool()):
            seen.append(value)
    assert seen == [20, 30, 60]
    assert list(prefetch(operator.neg, range(50), pool=make_pool())) == [-n for n in range(50)]


def test_processes_are_others():
    workers = set(prefetch(_process, range(20), pool=processes()))
    assert workers and os.getpid() not in workers


def _process(_):
    return os.getpid()


PARENT = '''
import os, sys, time
sys.path[:0] = sys.argv[1:]
from road.prefetch import prefetch, processes
from test_prefetch import report
if __name__ == '__main__':
    list(prefetch(report, range(4), pool=processes()))
'''


def report(_):
    print(os.getpid(), flush=True)
    time.sleep(60)


@pytest.mark.skipif(os.name != 'posix', reason='SIGKILL is of Unix')
@pytest.mark.slow
def test_processes_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / 'parent.py').write_text(PARENT)
    here = os.path.dirname(__file__)
    parent = subprocess.Popen([sys.executable, tmp_path / 'parent.py', os.path.dirname(here), here],
                              stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=30)  # to the end of what all of them may print: all have ended
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(worker, 0)
            time.sleep(0.1)  # whoever inherited it must still take note of its end
