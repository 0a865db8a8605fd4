"""What ingestion refuses. Its text is for a person: the file, the row, the field and the remedy."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa


class IngestError(ValueError):
    """An input that cannot be read as asked; a record at fault is quarantined instead."""

    def __init__(self, path: Path | str, problem: str, *, row: int | None = None, field: str | None = None) -> None:
        where = str(path)
        where += f", row {row}" if row is not None else ""
        where += f", field {field}" if field is not None else ""
        super().__init__(f"{where}: {' '.join(problem.split())}")


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """What a library cannot do with a file is that file's error: it says which, and the others go on."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, csv.Error, OverflowError, RecursionError, UnicodeError) as error:
        what = f"{type(error).__name__}: {error}"[:300]
        raise IngestError(name, f"cannot be read ({what}); mend it, or report it with the file") from error
