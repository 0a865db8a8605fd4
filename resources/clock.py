"""What time the platform thinks it is: the wall clock, or a replay clock that every process of a home reads.

A home in replay has a file `clock` that holds one ISO time (UTC). Nothing else in Upswell asks the wall for a
time that ends up in a decision or a row.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Mode = Literal["live", "replay"]


def mode(home: Path) -> Mode:
    """Whether the home runs on the wall clock or on its replay file."""
    return "replay" if (home / "clock").exists() else "live"


def now(home: Path) -> datetime:
    """The current time of a home, as naive UTC.

    Raises:
        ValueError: The replay file does not hold an ISO time.
    """
    replay = home / "clock"
    if not replay.exists():
        return datetime.now(UTC).replace(tzinfo=None)
    text = replay.read_text().strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{replay}: {text!r} is no ISO time; write one such as 2025-03-01T00:00:00") from error
    return naive_utc(time)


def naive_utc(time: datetime) -> datetime:
    """A time as naive UTC; one without a zone is taken to be UTC."""
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def set_replay(home: Path, time: datetime) -> None:
    """Put a home on the replay clock at `time` (naive UTC); readers see the old time or the new one, never half."""
    home.mkdir(parents=True, exist_ok=True)
    scratch = home / f"clock.{os.getpid()}"
    scratch.write_text(time.isoformat())
    os.replace(scratch, home / "clock")
