"""Many small pieces of work on contents, and their results together: one transaction for a batch, not for an item."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from warehouse.writer import worth_a_transaction

Row = dict[str, Any]

_AHEAD = 2048


def in_batches(items: Sequence[Row], work: Callable[[Row], Row]) -> Iterator[list[Row]]:
    """The results of some work on items, by as many threads as there are cores, in batches that are worth a transaction."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        yield from worth_a_transaction(_ahead(pool, items, work))
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(pool: ThreadPoolExecutor, items: Sequence[Row], work: Callable[[Row], Row]) -> Iterator[Row]:
    for start in range(0, len(items), _AHEAD):
        yield from pool.map(work, items[start : start + _AHEAD])
