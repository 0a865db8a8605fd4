"""A home to take media into, and short ways to look at what became of them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from assets.raw.media import ingest_media
from resources.media.store import MediaStore
from resources.settings import Settings, load_settings
from warehouse.connection import Warehouse

NOW = datetime(2025, 11, 20)


class Place:
    """A home with its warehouse and media store, and a folder of files to ingest."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.warehouse = Warehouse(home)
        self.settings: Settings = load_settings(home)
        self.store = MediaStore(home)
        self.folder = home.parent / "files"
        self.folder.mkdir()

    def put(self, files: Mapping[str, bytes]) -> None:
        """Writes files into the folder, by their paths inside it."""
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def take(self, folder: Path | None = None, **how: Any) -> dict[str, Any]:
        """Ingests the folder."""
        order = {"source": "s", "now": NOW, **how}
        return ingest_media(self.warehouse, self.settings, folder or self.folder, **order)

    def changed(self, **media: Any) -> Settings:
        """The settings with other values below `media`."""
        return self.settings.model_copy(update={"media": self.settings.media.model_copy(update=media)})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result of a query."""
        with self.warehouse.read() as con:
            return con.execute(sql).fetchall()


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)
