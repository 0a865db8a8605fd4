"""Which registered emotion model serves: its cell in `models.versions`, and the folder of its bundle."""

from pathlib import Path

from assets.evaluations.grid import Cell
from assets.models.registry import CHAMPION, EMOTIONS, registered
from assets.models.task import Task
from warehouse.connection import Warehouse

CELL = Cell("texts", EMOTIONS, "text")
TASK = Task(target=EMOTIONS, cutoff="text", kind="labels", has_level=False, log_scale=False, horizon=None)


def serving(warehouse: Warehouse) -> Path | None:
    """The bundle of the champion, or None."""
    champion = registered(warehouse, CELL, CHAMPION)
    return None if champion is None else warehouse.home / str(champion["uri"])
