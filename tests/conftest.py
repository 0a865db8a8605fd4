"""What every test gets: one thread per library, and a home of its own."""

import os
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
