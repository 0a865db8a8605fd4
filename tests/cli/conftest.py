"""The command line called in this process, and the small finished home."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.cli import main
from tests.orchestration.small_home import finished, small_home

__all__ = ["finished", "shared_home", "small_home", "upswell"]


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


Upswell = Callable[..., Said]


@pytest.fixture
def upswell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Upswell:
    """Calls `upswell` with arguments, as the installed command does."""

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["upswell", *arguments])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        captured = capfd.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def shared_home(finished, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """One copy of the finished home for the tests of a module that only read it."""
    return finished.copy(tmp_path_factory.mktemp("shared") / "home")
