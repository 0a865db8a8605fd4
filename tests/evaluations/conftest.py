"""A home with a past and videos that are still live, built once and copied by the modules that change it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evaluations.live_world import make_home
from warehouse.connection import Warehouse


@pytest.fixture(scope="session")
def live_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Warehouse]:
    """Gives a fresh copy of the home of `live_world` each time."""
    template: list[Path] = []

    def copy() -> Warehouse:
        if not template:
            template.append(make_home(tmp_path_factory.mktemp("template")).home)
        return Warehouse(shutil.copytree(template[0], tmp_path_factory.mktemp("live") / "home"), patience_s=10)

    return copy
