"""A home with the features of one cell, trainers that know the stepwise forecaster, and orders made by hand."""

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from assets.evaluations.grid import data_version
from assets.models.forecasters import FORECASTERS
from assets.models.order import Order
from assets.models.task import Task
from assets.models.training_runs import training_rows
from assets.models.training_set import freeze
from resources.clock import set_replay
from resources.settings import load_settings
from tests.evaluations.served_home import CELL, NOW, new_home
from tests.models.frames import make_frame
from tests.models.stepwise import FOLDER, Stepwise
from warehouse.connection import Warehouse

ORIGIN = date(2024, 3, 4)
REPOSITORY = Path(__file__).parents[2]
SETTINGS = """\
gate: {{rows: 150}}
training: {{targets: [log_views_7d], cutoffs: [24h], forecasters: [{forecasters}], device: cpu, {more}}}
"""


@pytest.fixture(autouse=True)
def stepwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stepwise forecaster exists, here and in trainers."""
    monkeypatch.setitem(FORECASTERS, "stepwise", Stepwise)
    path = [str(FOLDER), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


@pytest.fixture
def trained_home(home: Path) -> Warehouse:
    """A home whose one cell can be trained."""
    warehouse = new_home(home, make_frame(700, "24h", seed=3))
    set_replay(home, NOW)
    configure(home)
    return warehouse


def configure(home: Path, forecasters: str = "stepwise", more: str = "") -> None:
    """Settings of a home: what is trained."""
    (home / "upswell.yaml").write_text(SETTINGS.format(forecasters=forecasters, more=more))


def order(home: Path, forecaster: str = "stepwise", rows: int = 400, **more: Any) -> Order:
    """An order on frozen rows of a made frame."""
    train = training_rows(make_frame(600, "24h", seed=3), ORIGIN).head(rows)
    training_set_id, _ = freeze(train, home)
    target = more.pop("target", CELL.target)
    asked = {
        "home": home,
        "source": "simulator",
        "task": Task.of(load_settings(home), target, "24h"),
        "forecaster": forecaster,
        "parameters": {},
        "preset": "",
        "seed": 0,
        "fraction": 1.0,
        "origin": ORIGIN,
        "training_set_id": training_set_id,
        "feature_fingerprint": "f1",
        "data_version": data_version(train),
        "device": "cpu",
        "run_id": "r1",
    }
    return Order(**asked | more)
