"""How the cells of a backtest share the cores."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import pytest

from assets.evaluations import run_cells
from assets.evaluations.grid import Cell
from tests.evaluations.live_world import CELL, NOW, VIRAL, world_settings
from warehouse.connection import Warehouse


class Pool:
    """In joblib's place: notes what is asked for, and does nothing."""

    def __init__(self, asked: list[tuple[int, int]]) -> None:
        self.asked = asked

    def __call__(self, n_jobs: int, return_as: str) -> "Callable[[Iterable[Any]], Iterator[Any]]":
        def run(tasks: Iterable[Any]) -> Iterator[Any]:
            self.asked.append((len(list(tasks)), n_jobs))
            return iter(())

        return run


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_a_pool_keeps_its_size_while_the_next_cell_is_read(
    live_home: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(run_cells, "Parallel", Pool(asked))
    monkeypatch.setattr(run_cells, "cpu_count", lambda: cores)
    warehouse, settings = live_home(), world_settings()
    origins = run_cells.planned(warehouse, settings, [CELL], None)[CELL]
    assert len(origins) == 2
    plan = {CELL: origins, VIRAL: origins[-1:], Cell(CELL.source, CELL.target, "pre"): origins}
    run_cells.run_cells(warehouse, settings, plan, date.min, date.max, run_id="run", now=NOW)
    assert [tasks for tasks, _ in asked] == [3, 2, 3], "a task per origin, and the random split"
    assert [workers for _, workers in asked] == [min(3, cores)] * 3
