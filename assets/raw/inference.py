"""Which adapter a file is for, and a mapping for a file that none knows: by header names and the shapes of values."""

from collections.abc import Iterable

from assets.raw.adapters import Adapter
from assets.raw.readers import Reading


def recognise(reading: Reading, known: Iterable[Adapter]) -> Adapter | None:
    """The adapter whose columns the file has; of several, the one that names most."""
    names = {column.casefold() for column in reading.columns}
    best, most = None, 0
    for adapter in known:
        for columns in adapter.recognise:
            if len(columns) > most and {column.casefold() for column in columns} <= names:
                best, most = adapter, len(columns)
    return best
