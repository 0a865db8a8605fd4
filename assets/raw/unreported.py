"""Landings that a command has ingested and that Dagster has not been told of yet, one small file per command in the home.

A command that reads a file need not wait for Dagster to load: whoever opens the home's instance next (the landing sensor, a
run) tells it. How Dagster is told is in `assets`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter

from assets.raw.ingest import LandingResult

_RESULTS = TypeAdapter(list[LandingResult])


def leave(home: Path, results: Sequence[LandingResult]) -> None:
    """Leaves word of what a command has ingested; whole or not at all."""
    if not results:
        return
    folder = home / "unreported"
    folder.mkdir(exist_ok=True)
    scratch = folder / f".{uuid4().hex}"
    scratch.write_bytes(_RESULTS.dump_json(list(results)))
    os.replace(scratch, folder / f"{scratch.name[1:]}.json")


def waiting(home: Path) -> dict[Path, list[LandingResult]]:
    """What was ingested and not told of, by the file that says so, oldest first."""
    files = sorted((home / "unreported").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return {file: _RESULTS.validate_json(file.read_bytes()) for file in files}
