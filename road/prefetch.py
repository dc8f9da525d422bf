"""Work done ahead in threads, side by side: image codecs release the interpreter's lock."""

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait

THREADS = min(8, os.cpu_count() or 1)
MEMORY = 128e6  # bytes; see prefetch
STOP_SECONDS = 10  # after which a stopped program ends, whatever its threads are waiting for


def prefetch(function, items, depth=2 * THREADS, threads=THREADS, size=None):
    """Yield function(item) in order, computed in threads at most `depth` items ahead.

    An exception in `function` is raised where its result would have been yielded; work that has not
    started is then dropped. Items that take more than MEMORY together, size(item) being the bytes
    of one, are not worked on at the same time.
    """
    pool, waiting = ThreadPoolExecutor(threads), deque()  # of (Future, bytes)
    try:
        for item in items:
            taken = size(item) if size else 0
            while waiting and taken + sum(each for _, each in waiting) > MEMORY:
                yield waiting.popleft()[0].result()
            waiting.append((pool.submit(function, item), taken))
            if len(waiting) > depth:
                yield waiting.popleft()[0].result()
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # those that run: reading a file may never end, and wait() takes a cancelled one for running
        wait([future for future, _ in waiting if not future.cancelled()], STOP_SECONDS)


def batched(items, size, key=lambda item: None):
    """Yield lists of `size` items of one key, as they fill up; then the rest, which are shorter."""
    batches = {}
    for item in items:
        batch = batches.setdefault(key(item), [])
        batch.append(item)
        if len(batch) == size:
            yield batches.pop(key(item))
    yield from batches.values()


def start_thread(function):
    """The Future of function() in a thread, for which the end of the program does not wait."""
    def work():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    future = Future()
    threading.Thread(target=work, daemon=True).start()
    return future
