"""A small home that `upswell demo` has finished, made once per test session; tests work on copies of it.

Its settings leave one cell to backtest, its replay clock stands still, so that two homes can be compared row by row.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest

from resources.clock import set_replay
from warehouse.connection import Warehouse
from warehouse.contracts import load_tables

NOW = datetime(2025, 2, 15, 12)
DAYS, VIDEOS_PER_DAY = 30, 20
NO_SHIPPED_TARGETS = """\
  log_views_7d: null
  log_views_30d: null
  log_views_3d_after_first_seen: null
  log_views_last_seen: null
  likes_7d: null
  velocity_7d: null
  engagement_rate_7d: null
  viral_7d: null
  viral_vs_channel_7d: null
  success_7d: null
"""
"""Lines for the targets of a home that has only its own."""
SETTINGS = (
    """\
start: 2025-01-01
first_origin: 2025-01-06
cutoffs: [pre, 24h, 72h]
evaluation: {targets: [log_views_3d], cutoffs: [24h], origins: 1}
embeddings: {refit_weeks: 2, min_fit: 100}
gate: {rows: 100, slice_rows: 100}
targets:
  log_views_3d: {metric: views, anchor: published_at, horizon: 3d, tolerance: 24h, transform: log}
  viral_3d: {of: log_views_3d, percentile: 80}
"""
    + NO_SHIPPED_TARGETS
)
UPSWELL = str(Path(sys.executable).with_name("upswell"))
# Names of runs and their times differ between homes that hold the same; so may the bytes of equal models.
_OF_THE_RUN = {"run_id", "created_at", "written_at", "audited_at", "audit_id", "received_at"}
_OF_THE_BYTES = {"models.versions": {"version", "uri", "sha256"}}


@dataclass(frozen=True)
class Finished:
    """The home that the demo left, and what the demo said."""

    folder: Path
    stdout: str
    stderr: str

    def copy(self, folder: Path) -> Path:
        """A home of one's own with the same content."""
        return Path(shutil.copytree(self.folder, folder))


def new_home(folder: Path, settings: str = SETTINGS) -> Path:
    """An empty home with the small settings, on the replay clock."""
    folder.mkdir(parents=True)
    (folder / "upswell.yaml").write_text(settings)
    (folder / "inbox").mkdir()
    set_replay(folder, NOW)
    return folder


def environment(home: Path) -> dict[str, str]:
    """The environment of a process that works on a home."""
    here = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    own = {"UPSWELL_HOME": str(home), "UPSWELL_YOUTUBE_API_KEY": PLANTED, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return {**here, **own}


PLANTED = "planted-key-8Jw2mQ"
"""A secret in the environment in which the home was made; none of its files may hold it."""


def upswell(home: Path, *arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own."""
    return subprocess.run(
        [UPSWELL, *arguments], env=environment(home), cwd=home, capture_output=True, text=True, timeout=timeout
    )


def contents(home: Path, *schemas: str) -> dict[str, str]:
    """Per table of the schemas (all by default) a digest of its rows, whoever wrote them and when."""
    found = {}
    with Warehouse(home).read() as con:
        for name, declared in load_tables().items():
            if schemas and declared.schema not in schemas:
                continue
            left_out = _OF_THE_RUN | _OF_THE_BYTES.get(name, set())
            columns = ", ".join(f'"{column}"' for column in declared.column_names if column not in left_out)
            rows = con.execute(f"SELECT {columns} FROM {declared.identifier} ORDER BY ALL").fetchall()
            found[name] = f"{len(rows)} rows {hashlib.sha256(repr(rows).encode()).hexdigest()[:16]}"
    return found


def built_days(home: Path) -> tuple[date, date]:
    """The first and last day that the feature tables were built for."""
    with Warehouse(home).read() as con:
        row = con.execute(
            """SELECT min(partition), max(partition) FROM lineage.partitions
               WHERE "table" = 'features.context' AND length(partition) = 10"""
        ).fetchone()
    assert row is not None
    return date.fromisoformat(row[0]), date.fromisoformat(row[1])


def _make(folder: Path) -> None:
    done = upswell(new_home(folder), "demo", "--days", str(DAYS), "--videos-per-day", str(VIDEOS_PER_DAY), timeout=900)
    assert done.returncode == 0, done.stderr
    (folder.parent / "stdout").write_text(done.stdout)
    (folder.parent / "stderr").write_text(done.stderr)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The home that the demo left; workers of one session share it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "small-home"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "stderr").exists():
            shutil.rmtree(root / "home", ignore_errors=True)
            _make(root / "home")
    return Finished(root / "home", (root / "stdout").read_text(), (root / "stderr").read_text())


@pytest.fixture
def small_home(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished home, which `UPSWELL_HOME` names."""
    folder = finished.copy(tmp_path / "home")
    monkeypatch.setenv("UPSWELL_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "dagster"))
    return folder
