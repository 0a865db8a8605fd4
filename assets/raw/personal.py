"""What of a record names a person, taken out of a reading before anything of it is mapped, stored or set aside.

Which columns these are, and how, is the adapter's to say. The landing keeps the bytes that arrived; nothing here writes.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from assets.raw.adapters import Concealment
from assets.raw.readers import RECORD, Reading
from resources.secrets import hashed

_HASH = re.compile(r"[0-9a-f]{64}")
_HANDLE = re.compile(r"/@[^/?#]*")
_WITHHELD = "(withheld: a record that cannot be read may name a person)"

Conceal = Callable[[str], str | None]


def conceal(reading: Reading, personal: Mapping[str, Concealment], salt: Callable[[], str]) -> Reading:
    """A reading in which nobody is named.

    Args:
        reading: As it was read.
        personal: Columns, or paths of JSON records, and how each is concealed: `hash` puts the salted hash in its place
            (a hash stays as it is), `link` takes the handle out of an address, `drop` leaves nothing.
        salt: Gives the home's salt; asked for only where there is something to hash.
    """
    if not personal:
        return reading
    known: dict[str, str] = {}

    def stands_for(value: str) -> str:
        if value not in known:
            known[value] = value if not value or _HASH.fullmatch(value) else hashed(salt(), value)
        return known[value]

    ways: dict[str, Conceal] = {"hash": stands_for, "link": lambda value: _HANDLE.sub("/@", value), "drop": _nothing}
    chosen = {column: ways[how] for column, how in personal.items()}
    rows = _in_json(reading.rows, chosen) if reading.format == "json" else _in_columns(reading, chosen)
    return replace(
        reading,
        rows=rows,
        broken=[row if row.reason == "forgotten" else replace(row, text=_WITHHELD) for row in reading.broken],
    )


def _nothing(value: str) -> None:
    return None


def _in_columns(reading: Reading, chosen: Mapping[str, Conceal]) -> pa.Table:
    by_name = {column.casefold(): column for column in reading.columns}
    rows = reading.rows
    for name, way in chosen.items():
        column = by_name.get(name.casefold())
        if column is None:
            continue
        said = rows[column].combine_chunks().dictionary_encode()
        values = [None if value is None else way(str(value)) for value in said.dictionary.to_pylist()]
        concealed = pa.array(values, pa.string()).take(said.indices)
        rows = rows.set_column(rows.schema.get_field_index(column), column, concealed)
    return rows


def _in_json(rows: pa.Table, chosen: Mapping[str, Conceal]) -> pa.Table:
    texts = []
    for text in rows[RECORD].to_pylist():
        record = json.loads(text)
        for path, way in chosen.items():
            _at(record, path.split("."), way)
        texts.append(json.dumps(record, ensure_ascii=False))
    return rows.set_column(rows.schema.get_field_index(RECORD), RECORD, pa.array(texts, pa.string()))


def _at(record: Any, path: list[str], way: Conceal) -> None:
    """Conceals what is at a path, a number or a whole branch too."""
    *above, leaf = path
    for key in above:
        record = record.get(key) if isinstance(record, dict) else None
    if isinstance(record, dict) and record.get(leaf) is not None:
        said = record[leaf]
        record[leaf] = way(said if isinstance(said, str) else json.dumps(said))
