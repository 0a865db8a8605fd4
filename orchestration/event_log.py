"""Where a home's Dagster instance keeps its runs: Dagster's SQLite storage, which writes a batch of events at once.

A range of days makes two events per asset and day; Dagster hands them over in batches, but its SQLite storage still
opens, writes and commits two databases for each event (20 ms per asset and day; 5 ms in batches). Where the process says
so they stay open, since SQLite tidies up, and waits for the disk, whenever nobody has a database open any more. Dagster also
makes an SQLAlchemy engine whenever it opens one; here the engines stay, since they know the statements that they have compiled.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

_ENGINES = 4


class EventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log, with one transaction per batch of asset events instead of two per event.

    Args:
        base_dir: Folder of the databases: one per run, and the index.
    """

    def __init__(self, base_dir: str) -> None:
        self._keeps_open = False
        self._open: dict[str, sqlite3.Connection] = {}
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keeps the databases that are written open meanwhile; a commit then outlives the process, not a power failure.

        Nothing else in the process may open the files, even to read them: closing them drops SQLite's own locks.
        """
        self._keeps_open = True
        try:
            yield
        finally:
            self._keeps_open = False
            while self._open:
                self._open.popitem()[1].close()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                if self._keeps_open:
                    connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
                    self._keep_open(shard)
                yield connection

    def _engine(self, shard: str) -> Engine:
        """The engine of a database; it has no file open by itself. The least recently used makes room."""
        engine = self._engines.pop(shard, None) or create_engine(
            self.conn_string_for_shard(shard),
            poolclass=NullPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        self._engines[shard] = engine
        if len(self._engines) > _ENGINES:
            del self._engines[next(iter(self._engines))]
        return engine

    def _keep_open(self, shard: str) -> None:
        if shard not in self._open:
            self._open[shard] = sqlite3.connect(self.path_for_shard(shard), check_same_thread=False)
            self._open[shard].execute("PRAGMA schema_version").fetchone()  # not opened before it is read

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events: those of assets in their run's database and, as Dagster does, in the index; others one by one.

        Args:
            events: What Dagster has buffered of one run.
        """
        of_assets = []
        for event in events:
            if event.dagster_event_type in ASSET_EVENTS:
                of_assets.append(event)
            else:
                self.store_event(event)
        inserts = [self.prepare_insert_event(event) for event in of_assets]
        with self.index_transaction() as index:
            ids = [index.execute(insert).lastrowid for insert in inserts]
            self._store_asset_event_tags(index, of_assets, ids)
            newest = {
                (event.dagster_event_type, event.get_dagster_event().asset_key): n for n, event in enumerate(of_assets)
            }
            for n in newest.values():  # an asset's row holds its newest event only
                self._store_asset_event(index, of_assets[n], ids[n])
        with self.run_connection(events[0].run_id) as run:
            for insert in inserts:
                run.execute(insert)


class Storage(DagsterSqliteStorage):
    """The storage named in `dagster.yaml`: runs, events and schedules in SQLite files below `base_dir`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> "Storage":
        """The storage for a configured folder."""
        return cls(inst_data=inst_data, **config_value)
