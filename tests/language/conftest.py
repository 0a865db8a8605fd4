"""A home with a few texts, built once; tests work on copies of it."""

import shutil
from pathlib import Path

import pytest

from tests.language.words import home_of_words
from warehouse.connection import Warehouse


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with features of two videos, and their texts as raw rows."""
    folder = tmp_path_factory.mktemp("said")
    home_of_words(Warehouse(folder))
    return folder


@pytest.fixture
def words(said: Path, tmp_path: Path) -> Warehouse:
    """A copy of that home."""
    return Warehouse(Path(shutil.copytree(said, tmp_path / "home")))
