"""What every test gets: one thread per library, and a home of its own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, which `UPSWELL_HOME` names too."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("UPSWELL_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _no_storage_of_an_instance_that_is_gone() -> Iterator[None]:
    """What an earlier test's Dagster instance left as current is not looked up by a test that opens none."""
    if "dagster" not in sys.modules:
        yield
        return
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield
