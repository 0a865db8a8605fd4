"""The home that assets work in: its folder, warehouse, settings and clock, as one Dagster resource.

Where things lie in a home is said here and nowhere else. Nothing here knows an asset.
"""

from datetime import datetime
from pathlib import Path

import dagster as dg

from resources import clock
from resources.settings import Settings, load_settings
from warehouse.connection import Warehouse


class Home(dg.ConfigurableResource):
    """One Upswell home (`UPSWELL_HOME`)."""

    path: str

    @property
    def folder(self) -> Path:
        """The home's folder."""
        return Path(self.path)

    @property
    def inbox(self) -> Path:
        """Where files are dropped to be ingested; a file leaves it once its bytes are kept as a landing."""
        return self.folder / "inbox"

    @property
    def refused(self) -> Path:
        """Where files go that could not be read at all, each beside a text that says why."""
        return self.folder / "refused"

    @property
    def reports(self) -> Path:
        """Where report pages are written."""
        return self.folder / "reports"

    @property
    def warehouse(self) -> Warehouse:
        """A handle on the warehouse; opening it takes its lock."""
        return Warehouse(self.folder)

    @property
    def settings(self) -> Settings:
        """The checked settings of the home."""
        return load_settings(self.folder)

    def now(self) -> datetime:
        """The home's time (naive UTC)."""
        return clock.now(self.folder)
