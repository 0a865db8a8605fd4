"""Many small pieces of work on contents, and their results together: one transaction for a batch, not for an item."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Row = dict[str, Any]

_AT_ONCE = 2048
# A film takes seconds: what is done by then is written, so that a crash loses little.
_WRITE_EVERY_S = 10.0


def in_batches(items: Sequence[Row], work: Callable[[Row], Row]) -> Iterator[list[Row]]:
    """The results of some work on items, by as many threads as there are cores, in batches that are worth a transaction."""
    together: list[Row] = []
    begun = time.monotonic()
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        for result in _ahead(pool, items, work):
            together.append(result)
            if len(together) >= _AT_ONCE or time.monotonic() - begun > _WRITE_EVERY_S:
                yield together
                together, begun = [], time.monotonic()
        if together:
            yield together
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(pool: ThreadPoolExecutor, items: Sequence[Row], work: Callable[[Row], Row]) -> Iterator[Row]:
    for start in range(0, len(items), _AT_ONCE):
        yield from pool.map(work, items[start : start + _AT_ONCE])
