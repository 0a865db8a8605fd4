"""What ingestion refuses. Its text is for a person: the file, the row, the field and the remedy."""

from pathlib import Path


class IngestError(ValueError):
    """An input that cannot be read as asked; a record at fault is quarantined instead."""

    def __init__(self, path: Path | str, problem: str, *, row: int | None = None, field: str | None = None) -> None:
        where = str(path)
        where += f", row {row}" if row is not None else ""
        where += f", field {field}" if field is not None else ""
        super().__init__(f"{where}: {problem}")
