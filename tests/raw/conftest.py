"""A home to ingest into, and short ways to write a file and to look at what became of it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from assets.raw.ingest import LandingResult, ingest
from resources.settings import Settings, load_settings
from warehouse.connection import Warehouse

NOW = datetime(2025, 11, 20)
SIMULATED = (
    "video_id,channel_id,channel_name,subscribers,title,description,tags,duration,published_at,collected_at,"
    "views,likes,comments,shares,saves,status"
)


class House:
    """A home with its warehouse."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.warehouse = Warehouse(home)
        self.settings: Settings = load_settings(home)
        self.inbox = home.parent / "inbox"
        self.inbox.mkdir()

    def file(self, name: str, text: str | bytes) -> Path:
        """Write a file to ingest."""
        path = self.inbox / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def take(self, name: str, text: str | bytes, **how: Any) -> LandingResult:
        """Write a file and ingest it."""
        return ingest(self.warehouse, self.settings, self.file(name, text), **{"now": NOW, **how})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result of a query."""
        with self.warehouse.read() as con:
            return con.execute(sql).fetchall()


@pytest.fixture
def house(home: Path) -> House:
    return House(home)


def simulated(video: str, at: str, views: object, **fields: object) -> str:
    """One row of a simulator landing."""
    row = {
        "video_id": video,
        "channel_id": "c1",
        "channel_name": "One",
        "subscribers": 100,
        "title": "T",
        "published_at": "2025-01-01T00:00:00",
        "collected_at": at,
        "views": views,
        "likes": 1,
        "status": "live",
        **fields,
    }
    return ",".join(str(row.get(name, "")) for name in SIMULATED.split(","))


def landing(*rows: str) -> str:
    """A simulator landing."""
    return "\n".join([SIMULATED, *rows]) + "\n"
