"""Runs the backtests of cells that are missing or whose data or code has changed, one committed (cell, origin) at a time.

A crash loses at most the origin in work; the next run goes on with what is missing. Fitting is in `backtest`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

import duckdb
import pandas as pd
from joblib import Parallel, cpu_count, delayed

from assets.clusters.frame import add_content, content_origin, load_content
from assets.evaluations.backtest import Fitted, OriginResult, run_origin, run_random, split
from assets.evaluations.grid import Cell, data_version, origins_of
from assets.evaluations.importance import permutation_importance
from assets.evaluations.learning_curve import learning_curve
from assets.evaluations.rows import as_arrow
from assets.features.frame import features_fingerprint, load_frame, load_outcomes
from assets.models.columns import Schema
from assets.models.forecasters import (
    FORECASTERS,
    default_for,
    fixed_parameters,
    names_for,
    on_request,
    preset_fingerprint,
    sees_content,
    unavailable,
)
from assets.models.labels import ViralLabel
from assets.models.predictor import FOLDER, save
from assets.models.task import Task
from assets.models.training_set import freeze
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.lineage import record_partitions
from warehouse.writer import replace_rows

TABLE = "evaluations.predictions"
BACKTEST = "backtest"
"""Who made the models that are kept here: they explain an evaluation and never serve by an alias."""


@dataclass
class Progress:
    """What a run of backtests did."""

    fitted: int = 0
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What rows were made from, by which run, and when."""

    version: str
    run_id: str
    now: datetime


def planned(
    warehouse: Warehouse, settings: Settings, cells: Sequence[Cell], latest: int | None
) -> dict[Cell, list[date]]:
    """The latest few origins of each cell (all of them for None) at which it can be backtested."""
    plan = {}
    for cell in cells:
        outcomes = load_outcomes(warehouse, settings, cell.source, cell.target, cell.cutoff)
        origins = origins_of(outcomes, settings.first_origin)
        plan[cell] = origins if latest is None else origins[-latest:]
    return plan


def stale(warehouse: Warehouse, settings: Settings, plan: dict[Cell, list[date]]) -> dict[Cell, list[date]]:
    """What of a plan is missing or was made from other data or code."""
    found = {}
    for cell, origins in plan.items():
        frames = _Frames(warehouse, settings, cell)
        found[cell] = [origin for origin in origins if not frames.is_done(origin)]
        if origins and not frames.random_is_done(origins) and origins[-1] not in found[cell]:
            found[cell].append(origins[-1])
    return {cell: origins for cell, origins in found.items() if origins}


def run_cells(
    warehouse: Warehouse,
    settings: Settings,
    plan: dict[Cell, list[date]],
    start: date,
    end: date,
    *,
    run_id: str,
    now: datetime,
    log: Callable[[str], None] = lambda message: None,
) -> Progress:
    """Backtests the cells of a plan at its origins in [start, end).

    At a cell's latest origin the fitted models are kept, their importance is measured and the random split is run as a
    contrast.
    """
    progress = Progress()
    # As many processes for every cell: a pool that still hands out a cell's tasks waits for ever to change its size.
    workers = min(max(map(len, plan.values()), default=0) + 1, cpu_count())
    started = (_start(warehouse, settings, cell, origins, start, end, workers) for cell, origins in plan.items())
    ahead = next(started, None)
    for number in range(1, len(plan) + 1):
        # The next cell is read while the cores are at this one, and waits for them.
        at_work, ahead = ahead, next(started, None)
        assert at_work is not None
        _finish(warehouse, at_work, run_id, now, progress)
        cell, wanted, asked = at_work.cell, at_work.versions, at_work.asked
        log(f"backtest {number} of {len(plan)}: {cell}, {len(wanted)} of {len(asked)} origins fitted")
    return progress


@dataclass(frozen=True)
class _AtWork:
    """A cell whose origins are being fitted.

    Attributes:
        cell: The cell.
        frames: Its rows.
        origins: All of its plan.
        asked: Those between the dates asked for.
        versions: Those that are fitted, with the version of their rows.
        works: What the processes give back, as it comes.
    """

    cell: Cell
    frames: "_Frames"
    origins: list[date]
    asked: list[date]
    versions: dict[date, str]
    works: "Iterator[_Work]"


def _start(
    warehouse: Warehouse, settings: Settings, cell: Cell, origins: list[date], start: date, end: date, workers: int
) -> _AtWork:
    """Gives `workers` processes what is missing or stale of a cell, a single task to this one; does not wait for them."""
    frames = _Frames(warehouse, settings, cell)
    asked = [origin for origin in origins if start <= origin < end]
    versions = {origin: frames.version(origin) for origin in asked if not frames.is_done(origin)}
    random = bool(origins) and origins[-1] in asked and not frames.random_is_done(origins)
    # The latest origin also measures importance: started first, it leaves no core waiting at the end.
    tasks = [
        delayed(_work)(frames.at(origin), settings, cell, origin, origin == origins[-1])
        for origin in sorted(versions, reverse=True)
    ]
    tasks += [delayed(_contrast)(frames.scalars, settings, cell, origins)] if random else []
    works = Parallel(n_jobs=workers if len(tasks) > 1 else 1, return_as="generator_unordered")(tasks)
    return _AtWork(cell, frames, origins, asked, versions, works)


def _finish(warehouse: Warehouse, at_work: _AtWork, run_id: str, now: datetime, progress: Progress) -> None:
    """Stores what the processes give back, each by itself."""
    cell, frames = at_work.cell, at_work.frames
    progress.unchanged += len(at_work.asked) - len(at_work.versions)
    for work in at_work.works:
        progress.unavailable.update(work.result.unavailable)
        if work.random:
            made = Made(frames.random_version(at_work.origins), run_id, now)
            _store_random(warehouse, cell, work.result, made)
            continue
        origin = work.result.origin
        _store(warehouse, cell, frames.at(origin), work, Made(at_work.versions[origin], run_id, now))
        if work.result.reason:
            progress.skipped[f"{cell} at {origin}"] = work.result.reason
        else:
            progress.fitted += 1


@dataclass(frozen=True)
class _Work:
    """What a process gives back: the forecasts of one split and, where the models are kept, what is said of them."""

    result: OriginResult
    random: bool = False
    importance: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None


def _work(frame: pd.DataFrame, settings: Settings, cell: Cell, origin: date, keep: bool) -> _Work:
    """One origin; at the one whose models are kept, also what they lean on and how they grow with training rows."""
    result = run_origin(frame, settings, cell.target, cell.cutoff, origin)
    if not keep or result.reason:
        return _Work(result)
    train, test = split(frame, origin)
    label = ViralLabel.of(result.task).fit(train).label(test) if result.task.kind == "class" else None
    default = default_for(result.task)
    importance = permutation_importance(result.fitted[default], result.task, test, label, origin)
    for name in ("boosting_all", "boosting_words"):  # of their many columns, the groups say enough
        if name in result.fitted:
            groups = permutation_importance(result.fitted[name], result.task, test, label, origin, columns=False)
            importance = pd.concat([importance, groups], ignore_index=True)
    whole = result.fitted[default].forecaster
    curve = learning_curve(frame, settings, cell.target, cell.cutoff, origin, whole=whole)
    return _Work(result, importance=importance, curve=curve)


def _contrast(frame: pd.DataFrame, settings: Settings, cell: Cell, origins: Sequence[date]) -> _Work:
    """The random split beside the origins."""
    return _Work(run_random(frame, settings, cell.target, cell.cutoff, origins), random=True)


class _Frames:
    """The training frame of a cell with the content that had been fitted by each origin, and what of it was backtested."""

    def __init__(self, warehouse: Warehouse, settings: Settings, cell: Cell) -> None:
        self.warehouse, self.settings, self.cell = warehouse, settings, cell
        self.content: dict[date, pd.DataFrame] = {}
        self.fitted: dict[date, date | None] = {}
        self.names = names_for(Task.of(settings, cell.target, cell.cutoff), settings.evaluation.also)
        self.requested = {
            f"{name}:{preset_fingerprint(fixed_parameters(settings, name))}"
            for name in self.names
            if on_request(name) and not unavailable(name)
        }
        self.done = _done(warehouse, cell)

    @cached_property
    def scalars(self) -> pd.DataFrame:
        """The frame without content; read when it is asked for."""
        return load_frame(self.warehouse, self.settings, self.cell.source, self.cell.target, self.cell.cutoff)

    def at(self, origin: date, besides: Iterable[str] = ()) -> pd.DataFrame:
        """The frame as an origin sees it; without content where none of its forecasters, nor of those besides, reads it."""
        if not sees_content([*self.names, *besides]):
            return self.scalars
        if origin not in self.fitted:
            self.fitted[origin] = content_origin(self.warehouse, origin)
        fitted = self.fitted[origin]
        if fitted is None:
            return self.scalars
        if fitted not in self.content:
            self.content[fitted] = add_content(
                self.scalars,
                load_content(self.warehouse, self.settings, self.cell.source, self.cell.target, origin),
            )
        return self.content[fitted]

    def version(self, origin: date) -> str:
        """Fingerprint of the rows that an origin trains or tests on, and which forecasters were asked for by name."""
        return "+".join([self._rows_version(origin), *sorted(self.requested)])

    def is_done(self, origin: date) -> bool:
        """Whether these rows were backtested with these forecasters, or with them and more."""
        if str(origin) not in self.done:
            return False
        rows, *requested = self.done[str(origin)].split("+")
        names = {each.split(":")[0] for each in requested} & FORECASTERS.keys()
        return self.requested <= {*requested} and rows == self._rows_version(origin, names)

    def random_is_done(self, origins: Sequence[date]) -> bool:
        """Whether the random split over these origins is of these rows."""
        return "random" in self.done and self.done["random"] == self.random_version(origins)

    def random_version(self, origins: Sequence[date]) -> str:
        """Fingerprint of the rows that the random split over some origins draws from."""
        frame, end = self.scalars, pd.Timestamp(midnight(origins[-1])) + pd.Timedelta(days=7)
        seen = frame[(frame["anchor_at"] < end) & frame["value"].notna()]
        return data_version(seen.assign(origins=f"{origins[0]} {len(origins)}"))

    def _rows_version(self, origin: date, besides: Iterable[str] = ()) -> str:
        frame, start = self.at(origin, besides), pd.Timestamp(midnight(origin))
        train = (frame["as_of"] <= start) & (frame["matured_at"] <= start)
        test = frame["anchor_at"].between(start, start + pd.Timedelta(days=7), inclusive="left")
        return data_version(frame[train | (test & frame["value"].notna())])


def _done(warehouse: Warehouse, cell: Cell) -> dict[str, str]:
    with warehouse.read() as con:
        rows = con.execute(
            'SELECT partition, input_version FROM lineage.partitions WHERE "table" = ? AND starts_with(partition, ?)',
            [TABLE, f"{cell}/"],
        ).fetchall()
    return {partition.rsplit("/", 1)[1]: version for partition, version in rows}


def _store(warehouse: Warehouse, cell: Cell, frame: pd.DataFrame, work: _Work, made: Made) -> None:
    """Writes what one origin gave, in one transaction; files are complete before their rows appear."""
    result = work.result
    rows: dict[str, pd.DataFrame] = {}
    where = {"source": cell.source, "target": cell.target, "cutoff": cell.cutoff, "origin": result.origin}
    if not result.reason:
        train, _ = split(frame, result.origin)
        frozen = _freeze(warehouse, train, where, made)
        rows["evaluations.splits"], rows["evaluations.predictions"] = result.splits, result.predictions
        rows["models.training_sets"] = pd.DataFrame([frozen])
    if work.importance is not None:
        learned = [fitted for fitted in result.fitted.values() if fitted.forecaster.learned]
        versions = [_save(warehouse, fitted, result, train, frozen, made) for fitted in learned]
        rows["models.versions"], rows["evaluations.importance"] = pd.DataFrame(versions), work.importance
    arrow = {name: as_arrow(part, name) for name, part in rows.items()}
    with warehouse.write() as con:
        for name, part in arrow.items():
            columns = table(name).column_names
            own = {"split": "time"} if "split" in columns else {"made_by": BACKTEST} if "made_by" in columns else {}
            replace_rows(con, table(name), part, {**where, **own})
        if work.curve is not None:
            cell_of = {"source": cell.source, "target": cell.target, "cutoff": cell.cutoff, "slice": "n_train"}
            replace_rows(con, table("evaluations.metrics"), as_arrow(work.curve, "evaluations.metrics"), cell_of)
        _record(con, cell, str(result.origin), made, len(result.predictions))


def _freeze(warehouse: Warehouse, train: pd.DataFrame, where: dict[str, Any], made: Made) -> dict[str, Any]:
    """The row of models.training_sets for a fit's rows, whose file is written."""
    training_set_id, path = freeze(train, warehouse.home)
    return {
        **where,
        "training_set_id": training_set_id,
        "uri": str(path.relative_to(warehouse.home)),
        "bytes": path.stat().st_size,
        "rows": len(train),
        "columns": list(train.columns),
        "schema_fingerprint": Schema.of(train).fingerprint,
        "feature_fingerprint": features_fingerprint(),
        "data_version": made.version,
        "made_by": BACKTEST,
        "run_id": made.run_id,
        "created_at": made.now,
    }


def _save(
    warehouse: Warehouse,
    fitted: Fitted,
    result: OriginResult,
    train: pd.DataFrame,
    frozen: dict[str, Any],
    made: Made,
) -> dict[str, Any]:
    """The row of models.versions for a fitted forecaster, whose bundle is written."""
    manifest = save(
        warehouse.home,
        fitted,
        result.task,
        train,
        result.origin,
        feature_fingerprint=features_fingerprint(),
        data_version=made.version,
        training_set_id=frozen["training_set_id"],
        run_id=made.run_id,
    )
    columns = [column for column in table("models.versions").column_names if hasattr(manifest, column)]
    row = {column: getattr(manifest, column) for column in columns}
    kept = {"origin": result.origin, "uri": f"{FOLDER}/{manifest.version}", "created_at": made.now}
    return {**row, **kept, "made_by": BACKTEST, "alias": None, "training_id": None}


def _store_random(warehouse: Warehouse, cell: Cell, result: OriginResult, made: Made) -> None:
    where = {"source": cell.source, "target": cell.target, "cutoff": cell.cutoff, "split": "random"}
    with warehouse.write() as con:
        if not result.reason:
            replace_rows(con, table("evaluations.splits"), as_arrow(result.splits, "evaluations.splits"), where)
            replace_rows(con, table(TABLE), as_arrow(result.predictions, TABLE), where)
        _record(con, cell, "random", made, len(result.predictions))


def _record(con: duckdb.DuckDBPyConnection, cell: Cell, origin: str, made: Made, rows: int) -> None:
    record_partitions(con, TABLE, [(f"{cell}/{origin}", made.version, rows)], made.run_id, made.now)
