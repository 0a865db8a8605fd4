"""What every test gets: one thread per library, a home of its own, and warehouses that begin as a copy of an empty one."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warehouse.connection import Warehouse

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


@pytest.fixture(scope="session")
def _make_a_copy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Warehouse], None]:
    """What makes the file of a warehouse a copy of an empty one: the same bytes, without another 74 CREATE TABLE."""
    empty = Warehouse(tmp_path_factory.mktemp("empty"))
    empty._create()

    def create(self: Warehouse) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        self.path.with_name(f"{self.path.name}.wal").unlink(missing_ok=True)
        os.replace(shutil.copy(empty.path, new), self.path)

    return create


@pytest.fixture(autouse=True)
def _empty_warehouses_are_copies(
    request: pytest.FixtureRequest, _make_a_copy: Callable[[Warehouse], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How the file is made is tested in tests/warehouse, and by every process that a test starts."""
    if "tests/warehouse/" not in request.node.nodeid:
        monkeypatch.setattr(Warehouse, "_create", _make_a_copy)
