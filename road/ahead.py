"""Work done ahead in threads, so that neither reading nor writing holds up a session's step."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

THREADS = min(8, os.cpu_count() or 1)


def map_ahead(function, items, depth=2 * THREADS, threads=THREADS):
    """Yield function(item) in order, computed in threads at most `depth` items ahead of the consumer.

    Image decoders and encoders release the interpreter's lock, so threads do run side by side. An exception in
    `function` is raised where its result would have been yielded; work not yet started is then dropped.
    """
    pool, waiting = ThreadPoolExecutor(threads), deque()
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
    """Yield lists of `size` items, the last one perhaps shorter."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
