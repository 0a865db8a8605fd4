"""Many small pieces of work on contents, and their rows in bulk: one transaction for a batch, not for an item."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from warehouse.contracts import Table

Row = dict[str, Any]

_AT_ONCE = 256
# A film takes seconds: what is done by then is written, so that a crash loses little.
_WRITE_EVERY_S = 10.0
_TYPES = {
    "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.string()),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "FLOAT[]": pa.list_(pa.float32()),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
}


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


def arrow_rows(declared: Table, rows: Sequence[Mapping[str, Any]], without: Sequence[str] = ()) -> pa.Table:
    """Rows in the columns and types of a table."""
    columns = [column for column in declared.columns if column.name not in without]
    return pa.table({c.name: pa.array([row[c.name] for row in rows], _TYPES[c.type]) for c in columns})
