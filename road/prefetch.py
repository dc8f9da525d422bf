"""Work done ahead in threads, so that it does not hold up a session's step."""

import os
import threading
from collections import deque
from concurrent.futures import Future, wait
from queue import SimpleQueue

THREADS = min(8, os.cpu_count() or 1)
MEMORY = 128e6  # bytes; see prefetch
STOP_SECONDS = 10  # after which a stopped program ends, whatever its threads are waiting for


def prefetch(function, items, depth=2 * THREADS, threads=THREADS, size=None):
    """Yield function(item) in order, computed in threads at most `depth` items ahead.

    Image decoders and encoders release the interpreter's lock, so threads run side by side. An
    exception in `function` is raised where its result would have been yielded; work that has not
    started is then dropped.

    Args:
        size: function of an item that gives the bytes it takes. Items that take more than MEMORY
            together are not worked on at the same time.
    """
    tasks, waiting = SimpleQueue(), deque()

    def work():
        for future, item in iter(tasks.get, None):
            if future.set_running_or_notify_cancel():
                _set_result(future, function, item)
            del future, item  # they may be large

    workers = [start_thread(work) for _ in range(threads)]
    try:
        for item in items:
            taken = size(item) if size else 0
            while waiting and taken + sum(each for _, each in waiting) > MEMORY:
                yield waiting.popleft()[0].result()
            waiting.append((Future(), taken))
            tasks.put((waiting[-1][0], item))
            if len(waiting) > depth:
                yield waiting.popleft()[0].result()
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()
        for _ in workers:
            tasks.put(None)
        wait(workers, STOP_SECONDS)  # reading a file may never end


def batched(items, size):
    """Yield lists of `size` items; the last one may be shorter."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def start_thread(function):
    """The Future of function() in a thread of its own, for which the end of the program does not
    wait."""
    future = Future()
    threading.Thread(target=_set_result, args=(future, function), daemon=True).start()
    return future


def _set_result(future, function, *args):
    try:
        future.set_result(function(*args))
    except BaseException as error:
        future.set_exception(error)
