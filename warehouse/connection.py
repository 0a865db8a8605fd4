"""The one way to open the warehouse file, and the one way to open DuckDB without it.

Open late, close early: read, close, compute, then write. Nothing may suspend inside the `with`, and no other code
opens the file, not even to hash or copy it: closing any descriptor of it drops DuckDB's own lock in this process.
So a process has the file open at most once at a time. What the tables hold is in `contracts`, the queue in `lock`.
"""

import ctypes
import fcntl
import itertools
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import duckdb

from warehouse import lock, schema
from warehouse.contracts import quoted
from warehouse.errors import WarehouseError
from warehouse.writer import transaction

if TYPE_CHECKING:
    import pyarrow as pa

SPILL = "spill"
STORAGE = "v1.2.0"
"""The oldest DuckDB that reads a new file: opening it takes a third of the time of one in the default format."""
_PAUSE_S = 0.05
_MOST_LEFT = 2
_OUTSIDER = re.compile(r"\(PID (\d+)\)")
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
Mode = Literal["read", "write"]
_spills = itertools.count()


class WarehouseBusyError(WarehouseError):
    """Another process holds the warehouse; names its PID and the remedy."""


class WarehouseFullError(WarehouseError):
    """The disk is full; nothing was written."""


@dataclass(frozen=True)
class _Engine:
    """DuckDB started, with no file: a session has it to itself, and leaves it to the next session of the process.

    Nothing of a session stays in it: its connection, which holds settings, views and temporary tables, is closed. One that
    has spilled or has seen an error is ended instead.
    """

    root: duckdb.DuckDBPyConnection
    folder: Path
    spill: Path

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection of one's own."""
        con = self.root.cursor()
        _set_up(con)
        return con

    def detach(self) -> None:
        """Closes the file, unless a result still reads it."""
        with suppress(duckdb.Error):
            self.root.execute("DETACH warehouse")

    def leave(self) -> None:
        """What the next session of this folder may have."""
        self.root.execute("RESET memory_limit")
        if self.spill.exists() or _left.setdefault(self.folder, self) is not self:
            self.end()
            return
        while len(_left) > _MOST_LEFT:
            with suppress(KeyError, StopIteration):  # another thread has taken it
                _left.pop(next(iter(_left))).end()

    def end(self) -> None:
        self.root.close()


@dataclass(frozen=True)
class _Session:
    """What a thread has open: a nested read uses the same connection."""

    connection: duckdb.DuckDBPyConnection
    engine: _Engine
    mode: Mode
    process: int


class _Threads(threading.local):
    def __init__(self) -> None:
        self.sessions: dict[Path, _Session] = {}


_threads = _Threads()
# One thread of a process at a time has a file open, since closing a second handle would drop the first one's lock.
_process_locks: dict[Path, threading.Lock] = {}
# Per folder to spill to, what a session has left for the next one; oldest first.
_left: dict[Path, _Engine] = {}
# Files (path, device, inode) that this process has seen with the declared tables.
_current: set[tuple[Path, int, int]] = set()


class Warehouse:
    """The warehouse of a home: `warehouse.duckdb` and the files of its lock.

    Args:
        home: Folder of the warehouse; links are resolved, so that two names of one home share its lock.
        patience_s: Seconds to wait for others before `WarehouseBusyError`.
    """

    def __init__(self, home: Path, patience_s: float = 60.0) -> None:
        self.home = Path(os.path.realpath(home))
        self.path = self.home / "warehouse.duckdb"
        self.patience_s = patience_s

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection under the shared lock; inside another `read` or `write` of the thread, that one's.

        Raises:
            WarehouseBusyError: Another process holds the file for longer than `patience_s`.
        """
        session = self._session()
        if session is not None:
            yield session.connection
            return
        self._bring_up_to_date()
        engine = _start(self.home / SPILL)  # starting DuckDB takes longer than most reads: before the lock
        with self._locked(exclusive=False) as deadline, self._attached(engine, "read", deadline) as con:
            yield con

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in a transaction under the exclusive lock: commits at the end, rolls back on an error.

        Raises:
            WarehouseBusyError: Another process holds the file for longer than `patience_s`.
            WarehouseFullError: The disk is full; the transaction is rolled back.
            RuntimeError: The thread is already inside `read` or `write` of this warehouse.
        """
        self._refuse_nested("write")
        engine = _start(self.home / SPILL)
        with (
            self._explained(),
            self._locked(exclusive=True) as deadline,
            self._attached(engine, "write", deadline) as con,
            transaction(con),
        ):
            yield con

    @contextmanager
    def file(self) -> Iterator[BinaryIO]:
        """The whole file, open for reading while nobody can write: current tables, no write-ahead log beside it.

        Raises:
            WarehouseBusyError: Another process holds the file for longer than `patience_s`.
            RuntimeError: The thread is already inside `read` or `write` of this warehouse.
        """
        self._refuse_nested("file")
        engine = _start(self.home / SPILL)
        with self._explained(), self._locked(exclusive=True) as deadline:
            with self._attached(engine, "write", deadline) as con:
                con.execute("CHECKPOINT")
            with self.path.open("rb") as file:
                try:  # programs that do not queue: DuckDB asks for this lock
                    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise self._busy(lock.holders(self.path, "POSIX")) from None
                yield file

    def compact(self) -> None:
        """Write the file anew, without the bytes of what was deleted from it, and put it in the old one's place.

        Raises:
            WarehouseBusyError: Another process holds the file for longer than `patience_s`.
            WarehouseFullError: No space for the copy; the file stays as it was.
            WarehouseError: The copy differs from the file; the file stays as it was.
            RuntimeError: The thread is already inside `read` or `write` of this warehouse.
        """
        self._refuse_nested("compact")
        new = self.home / f"{self.path.name}.new"
        engine = _start(self.home / SPILL)
        with self._explained(), self._locked(exclusive=True) as deadline:
            try:
                with self._attached(engine, "write", deadline) as con:
                    _remove(new)
                    _copy_whole(con, new)
                os.replace(new, self.path)
            finally:
                _remove(new)
            self.path.with_name(f"{self.path.name}.wal").unlink(missing_ok=True)

    def extract(
        self, queries: Mapping[str, str], parameters: Mapping[str, object] | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Copy the result of each query into a table of that name in a new in-memory connection.

        All queries see the same state; the lock is free again when this returns.

        Args:
            queries: One SELECT per table name.
            parameters: Values of the `$name` parameters; each query uses those that it names.

        Raises:
            WarehouseBusyError: Another process holds the file for longer than `patience_s`.
        """
        session = self._session()
        if session is None:
            self._bring_up_to_date()
        target = scratch(self.home / SPILL)
        try:
            if session is not None:
                _copy_from(session.connection, target, queries, parameters or {})
            else:
                with self._locked(exclusive=False) as deadline:
                    self._attach(target, "read", deadline)
                    _copy_attached(target, queries, parameters or {})
        except BaseException:
            target.close()
            raise
        return target

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> "pa.Table":
        """The result of one short read."""
        with self.read() as con:
            return con.execute(sql, parameters or {}).to_arrow_table()

    def _session(self) -> _Session | None:
        session = _threads.sessions.get(self.path)
        return session if session is not None and session.process == os.getpid() else None

    def _refuse_nested(self, wanted: str) -> None:
        session = self._session()
        if session is not None:
            raise RuntimeError(
                f"{wanted} of {self.path} inside its {session.mode} would wait for itself: read, close, compute, then write"
            )

    @contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[float]:
        """Hold the queue's lock; gives the moment at which patience ends."""
        deadline = time.monotonic() + self.patience_s
        process = os.getpid()
        self.home.mkdir(parents=True, exist_ok=True)
        thread_lock = _process_locks.setdefault(self.path, threading.Lock())
        if not thread_lock.acquire(timeout=self.patience_s):
            raise self._busy([process])
        try:
            try:
                descriptor = lock.acquire(self.home, exclusive=exclusive, deadline=deadline)
            except lock.LockTimeoutError as error:
                raise self._busy(error.holders) from None
            try:
                yield deadline
            finally:
                if os.getpid() == process:
                    lock.release(descriptor)
        finally:
            if os.getpid() == process:
                thread_lock.release()

    @contextmanager
    def _attached(self, engine: _Engine, mode: Mode, deadline: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of this thread to the file, with the declared tables when writing; closes both at the end."""
        process = os.getpid()
        con = engine.connection()
        try:
            if mode == "write" and not self.path.exists():
                self._create()
            self._attach(con, mode, deadline)
            if mode == "write":
                self._apply_schema(con)
                _sweep(self.home / SPILL)
            _threads.sessions[self.path] = _Session(con, engine, mode, process)
            yield con
        except BaseException:
            if os.getpid() == process:
                _detach(con)
                engine.end()
            raise
        finally:
            if os.getpid() == process:
                _threads.sessions.pop(self.path, None)
                con.close()
        if os.getpid() == process:
            engine.detach()
            if _has_open(self.path):
                engine.end()
                raise RuntimeError(
                    f"a result that still streams keeps {self.path} open: fetch it whole inside the `with`"
                )
            engine.leave()

    def _attach(self, con: duckdb.DuckDBPyConnection, mode: Mode, deadline: float) -> None:
        """Open the file, waiting for a program that has it open without queueing, such as the duckdb shell."""
        attach = f"ATTACH {_literal(self.path)} AS warehouse ({'READ_ONLY' if mode == 'read' else 'READ_WRITE'})"
        while True:
            try:
                con.execute(attach)
                con.execute("USE warehouse")
                return
            except duckdb.IOException as error:
                if any(text in str(error) for text in _FULL):
                    raise
                if "Could not set lock" not in str(error):
                    raise WarehouseError(f"{self.path} cannot be opened: {error}") from error
                if time.monotonic() + _PAUSE_S > deadline:
                    raise self._busy([int(pid) for pid in _OUTSIDER.findall(str(error))]) from error
            time.sleep(_PAUSE_S)

    def _bring_up_to_date(self) -> None:
        """Create or upgrade the file before a read, once per process and file."""
        if self._identity() in _current:
            return
        engine = _start(self.home / SPILL)
        if self.path.exists():
            with self._locked(exclusive=False) as deadline, self._attached(engine, "read", deadline) as con:
                current = schema.is_current(con)
            if current:
                self._remember_current()
                return
            engine = _start(self.home / SPILL)
        with self._explained(), self._locked(exclusive=True) as deadline, self._attached(engine, "write", deadline):
            pass

    def _create(self) -> None:
        """Make the file beside its place and move it there, so that nobody ever finds half a file."""
        new = self.home / f"{self.path.name}.new"
        _remove(new)
        self.path.with_name(f"{self.path.name}.wal").unlink(missing_ok=True)
        with scratch(self.home / SPILL) as con:
            con.execute(f"ATTACH {_literal(new)} AS fresh (READ_WRITE, STORAGE_VERSION '{STORAGE}')")
            con.execute("USE fresh")
            schema.bring_up_to_date(con)
            con.execute("CHECKPOINT")
        os.replace(new, self.path)

    def _apply_schema(self, con: duckdb.DuckDBPyConnection) -> None:
        if not schema.is_current(con):
            if self._identity() in _current:
                raise WarehouseError(f"{self.path} was changed by another version of Upswell: restart this process")
            schema.bring_up_to_date(con)
        self._remember_current()

    def _identity(self) -> tuple[Path, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return self.path, status.st_dev, status.st_ino

    def _remember_current(self) -> None:
        identity = self._identity()
        if identity is not None:
            _current.add(identity)

    def _busy(self, holders: list[int]) -> WarehouseBusyError:
        named = ", ".join(_describe(pid) for pid in holders) or "a process that the system does not name"
        remedy = f"wait, or end it (kill {holders[0]})" if holders and holders[0] != os.getpid() else "wait"
        return WarehouseBusyError(
            f"{self.path} is held by {named} (waited {self.patience_s:g} s); {remedy}, "
            "or read the published warehouse.snapshot.duckdb"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one line that the disk is full."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            if not any(text in str(error) for text in _FULL):
                raise
            raise WarehouseFullError(
                f"no space for {self.path}: nothing of this write was kept; free space on {self.home} and run it again"
            ) from error


def scratch(directory: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory connection to compute in: UTC, no extension fetched from the network.

    Args:
        directory: Where intermediate results spill when memory is short; by default the system's temporary folder.
    """
    con = _connect(_spill_directory(directory or Path(tempfile.gettempdir()) / "upswell-spill"))
    _set_up(con)
    return con


def _start(folder: Path) -> _Engine:
    """What an earlier session has left, or else a new one."""
    left = _left.pop(folder, None)
    if left is not None:
        return left
    spill = _spill_directory(folder)
    return _Engine(_connect(spill), folder, spill)


def _connect(spill: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={**_CONFIG, "temp_directory": str(spill)})


def _set_up(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")  # it would be printed among the output of a command


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _remove(database: Path) -> None:
    """Remove a database file that nobody uses, with its log."""
    database.unlink(missing_ok=True)
    database.with_name(f"{database.name}.wal").unlink(missing_ok=True)


def _copy_whole(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Copy the attached warehouse into a new file, in the order of its rows, and compare the two."""
    con.execute("CHECKPOINT")
    con.execute(f"ATTACH {_literal(path)} AS fresh (READ_WRITE, STORAGE_VERSION '{STORAGE}')")
    con.execute("COPY FROM DATABASE warehouse TO fresh")
    con.execute("CHECKPOINT fresh")
    names = con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'warehouse' ORDER BY ALL"
    ).fetchall()
    for schema_name, table_name in names:
        name = f"{quoted(schema_name)}.{quoted(table_name)}"
        said = [
            con.execute(f"SELECT count(*), bit_xor(hash(t)) FROM {database}.{name} AS t").fetchone()
            for database in ("warehouse", "fresh")
        ]
        if said[0] != said[1]:
            raise WarehouseError(f"{name} differs in the copy of {path.parent}: nothing was changed")
    con.execute("DETACH fresh")


def holding(con: duckdb.DuckDBPyConnection, patterns: Sequence[str]) -> list[str]:
    """The columns of every attached database in whose texts some regular expression is found."""
    columns = con.execute(
        """SELECT database_name, schema_name, table_name, column_name FROM duckdb_columns()
           WHERE data_type IN ('VARCHAR', 'VARCHAR[]') AND NOT internal AND database_name NOT IN ('memory', 'temp', 'system')
           ORDER BY ALL"""
    ).fetchall()
    return [
        f"{schema_name}.{table_name}.{column}"
        for database, schema_name, table_name, column in columns
        if patterns and holds(con, f"{quoted(database)}.{quoted(schema_name)}.{quoted(table_name)}", column, patterns)
    ]


def holds(con: duckdb.DuckDBPyConnection, relation: str, column: str, patterns: Sequence[str]) -> bool:
    """Whether some regular expression is found in a column of texts, or of lists of them; each value is looked at once."""
    query = f"""SELECT 1 FROM (SELECT DISTINCT {quoted(column)}::VARCHAR AS text FROM {relation})
                WHERE regexp_matches(text, $pattern) LIMIT 1"""
    return con.execute(query, {"pattern": "|".join(patterns)}).fetchone() is not None


def _detach(con: duckdb.DuckDBPyConnection) -> None:
    """Give the file back although the error at hand may still refer to a result of it."""
    with suppress(duckdb.Error):  # not attached, or DuckDB has given up on it: closing does the rest
        con.execute("USE memory")
        con.execute("DETACH warehouse")


def _copy_attached(
    target: duckdb.DuckDBPyConnection, queries: Mapping[str, str], parameters: Mapping[str, object]
) -> None:
    try:
        for name, query in queries.items():
            target.execute(f"CREATE TABLE memory.main.{quoted(name)} AS {query}", _used(target, query, parameters))
    finally:
        target.execute("USE memory")
        target.execute("DETACH warehouse")


def _copy_from(
    source: duckdb.DuckDBPyConnection,
    target: duckdb.DuckDBPyConnection,
    queries: Mapping[str, str],
    parameters: Mapping[str, object],
) -> None:
    """The same for a thread that has the file open already, and so cannot attach it."""
    for name, query in queries.items():
        target.register("extracted_rows", source.execute(query, _used(source, query, parameters)).to_arrow_table())
        target.execute(f"CREATE TABLE {quoted(name)} AS FROM extracted_rows")
        target.unregister("extracted_rows")


def _used(con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters that a query names; DuckDB refuses others."""
    statements = con.extract_statements(query)
    if len(statements) != 1:
        raise ValueError(f"expected one SELECT, got {len(statements)} statements: {query[:200]}")
    return {name: value for name, value in parameters.items() if name in statements[0].named_parameters}


def _has_open(path: Path) -> bool:
    """Whether this process has a descriptor of the file."""
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return False
    for descriptor in descriptors:
        with suppress(OSError):  # closed since
            if os.readlink(f"/proc/self/fd/{descriptor}") == str(path):
                return True
    return False


def _spill_directory(parent: Path) -> Path:
    """A folder for one connection: two that share a folder overwrite each other's temporary files.

    DuckDB creates it when it spills, and removes it when it closes.
    """
    parent.mkdir(parents=True, exist_ok=True)
    return parent / f"{os.getpid()}-{next(_spills)}"


def _sweep(parent: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    if parent.is_dir():
        for folder in parent.iterdir():
            if not Path("/proc", folder.name.split("-")[0]).exists():
                shutil.rmtree(folder, ignore_errors=True)


def _describe(pid: int) -> str:
    if pid == os.getpid():
        return f"another thread of this process ({pid})"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").split()
    except OSError:
        words = []
    return f"process {pid} ({' '.join(words)[:80]})" if words else f"process {pid}"


def _forget_in_child() -> None:
    """A forked child shares the parent's database but must never touch it, not even to free its memory."""
    sessions = _threads.sessions.values()
    engines = [*_left.values(), *(session.engine for session in sessions)]
    for connection in [engine.root for engine in engines] + [session.connection for session in sessions]:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    _threads.sessions.clear()
    _left.clear()
    _process_locks.clear()


os.register_at_fork(after_in_child=_forget_in_child)
