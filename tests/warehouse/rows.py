"""Small rows of `raw.snapshots`, and scripts that run in another process, for the tests beside it."""

import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse.contracts import table

SNAPSHOTS = table("raw.snapshots")
DAY = date(2024, 3, 1)
NEXT_DAY = DAY + timedelta(days=1)


def snapshots(count: int, day: date = DAY, **columns: Any) -> pa.Table:
    """`count` snapshots of as many videos at noon of a day; `columns` replaces whole columns."""
    noon = datetime(day.year, day.month, day.day, 12)
    values: dict[str, Any] = dict.fromkeys(SNAPSHOTS.column_names, pa.nulls(count))
    values |= {
        "source": ["demo"] * count,
        "video_id": [f"v{position}" for position in range(count)],
        "observed_at": pa.array([noon] * count, pa.timestamp("us")),
        "known_at": pa.array([noon] * count, pa.timestamp("us")),
        "landing_id": ["landing"] * count,
        "row_number": pa.array(range(1, count + 1), pa.int64()),
    }
    return pa.table(values | columns)


def start_script(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python script in a process of its own; its output is piped."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_script(script: str, *arguments: object) -> str:
    """What a script prints; it must succeed."""
    process = start_script(script, *arguments)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output
