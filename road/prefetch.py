"""Work done ahead in threads, so that it does not hold up a session's step."""

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

THREADS = min(8, os.cpu_count() or 1)


def prefetch(function, items, depth=2 * THREADS, pool=None):
    """Yield function(item) in order, computed in threads at most `depth` items ahead.

    Image decoders and encoders release the interpreter's lock, so threads run side by side. An
    exception in `function` is raised where its result would have been yielded; work that has not
    started is then dropped.

    Args:
        pool: the threads, a ThreadPoolExecutor; shut down at the end.
    """
    pool, waiting = pool or ThreadPoolExecutor(THREADS), deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


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
    def work():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    future = Future()
    threading.Thread(target=work, daemon=True).start()
    return future
