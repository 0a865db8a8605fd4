"""The model and evaluation assets: backtests per weekly origin, then figures, audit and report over all of them.

Wiring only; what is fitted, scored, audited and drawn is in the modules of `assets/models` and beside this one.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.evaluations.grid import Cell, cells
from assets.evaluations.stale import FIGURES, REPORTS, evaluated_from, record_evaluation
from assets.features.frame import sources
from assets.partitions import days, in_one_run, weekly
from assets.policies import describe, left_out, markdown, picture, retry, run_guard, upstream
from assets.raw.anchors import landed_sources, source_anchors
from resources.home import Home
from resources.settings import Settings

BACKTEST_TABLES = (
    "models.training_sets", "models.versions", "evaluations.splits", "evaluations.predictions", "evaluations.importance",
)  # fmt: skip
FEATURES = [["features", name] for name in ("content", "engagement", "channel", "context", "metrics", "targets")]

CONTENT = [
    ["embeddings", "coordinates"],
    ["embeddings", "interpretation"],
    ["embeddings", "neighbours"],
    ["clusters", "assignments"],
]


class Grid(dg.Config):
    """What to backtest; what is empty is as the settings say. `origins` 0 means as many as there are.

    `also` names forecasters besides those of the settings.
    """

    targets: list[str] = []
    cutoffs: list[str] = []
    origins: int | None = None
    also: list[str] = []


def chosen_cells(home: Home, grid: Grid) -> list[Cell]:
    """The cells that a grid asks for, over the sources that there are."""
    warehouse = home.warehouse
    return cells(home.settings, source_anchors(warehouse), sources(warehouse), grid.targets, grid.cutoffs)


def latest_origins(home: Home, grid: Grid) -> int | None:
    """How many of the latest origins a grid asks for; None for all."""
    return home.settings.evaluation.origins if grid.origins is None else grid.origins or None


def settings_of(home: Home, grid: Grid) -> Settings:
    """The settings of a home with the forecasters that a grid asks for besides."""
    return home.settings.with_also(grid.also)


@dg.multi_asset(
    name="run_backtests",
    specs=[
        dg.AssetSpec(
            name.split("."),
            group_name=name.split(".")[0],
            deps=[*FEATURES, *CONTENT],
            partitions_def=weekly,
            code_version="1",
            **describe(name),
        )
        for name in BACKTEST_TABLES
    ],
    partitions_def=weekly,
    backfill_policy=in_one_run,
    retry_policy=retry,
    pool="cpu",
)
def backtests(context: dg.AssetExecutionContext, config: Grid, home: Home) -> Iterator[dg.MaterializeResult]:
    """Fits every forecaster on what had matured by each origin and forecasts the week after it."""
    from assets.evaluations.run_cells import planned, run_cells

    start, end = days(context)
    warehouse, settings = home.warehouse, settings_of(home, config)
    plan = planned(warehouse, settings, chosen_cells(home, config), latest_origins(home, config))
    done = run_cells(
        warehouse,
        settings,
        plan,
        start,
        end,
        run_id=context.run_id,
        now=home.now(),
        log=lambda line: context.log.info(line),
    )
    facts: dict[str, Any] = {
        "cells": len(plan),
        "origins": sum(start <= origin < end for origins in plan.values() for origin in origins),
        "fitted anew": done.fitted,
        "unchanged": done.unchanged,
        "skipped": markdown([{"where": where, "why": why} for where, why in done.skipped.items()]),
        "unavailable": markdown([{"forecaster": name, "why": why} for name, why in done.unavailable.items()]),
        **left_out(home.settings, landed_sources(warehouse)),
    }
    for name in BACKTEST_TABLES:
        with warehouse.read() as con:
            counted = con.execute(
                f"SELECT count(*) FROM {name} WHERE origin >= ? AND origin < ?", [start, end]
            ).fetchone()
        assert counted is not None
        yield dg.MaterializeResult(asset_key=name.split("."), metadata={"rows": counted[0], **facts})


@dg.asset(
    key=["evaluations", "metrics"],
    group_name="evaluations",
    deps=upstream("evaluations.metrics"),
    retry_policy=retry,
    code_version="1",
    **describe("evaluations.metrics"),
)
def metrics(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Every figure, made from the stored forecasts only."""
    from assets.evaluations.report import charts
    from assets.evaluations.score_cells import score_cells, stored_leaderboard

    version = evaluated_from(home.warehouse, home.settings)
    scored = score_cells(home.warehouse, home.settings)
    record_evaluation(home.warehouse, FIGURES, version, scored, run_id=context.run_id, now=home.now())
    rows = [row for row in stored_leaderboard(home.warehouse) if row["origin"] == "all"]
    shown = (
        "source",
        "target",
        "cutoff",
        "forecaster",
        "split",
        "n_test",
        "mae",
        "r2",
        "auroc",
        "skill",
        "coverage_80",
        "champion",
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": scored,
            "champions": markdown(
                [
                    {name: row[name] for name in shown if name not in ("split", "champion")}
                    for row in rows
                    if row["champion"] and row["split"] == "time"
                ]
            ),
            "leaderboard": markdown([{name: row[name] for name in shown} for row in rows]),
            **{name.replace("_", " "): picture(png) for name, png in charts(home.warehouse).items()},
        }
    )


@dg.asset(
    key=["evaluations", "decisions"],
    group_name="evaluations",
    deps=[["models", "runs"], ["features", "targets"], ["evaluations", "scores"]],
    retry_policy=retry,
    code_version="1",
    **describe("evaluations.decisions"),
)
def decisions(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Judges every challenger on the videos that came after it, and every champion by its ledger."""
    from assets.evaluations.backtest import LeakError
    from assets.evaluations.decisions import decisions as stored
    from assets.evaluations.decisions import told
    from assets.evaluations.promotion import decide, roll_back_if_worse
    from assets.models.registry import CHALLENGER, CHAMPION, aliased

    warehouse, settings, guard, now = home.warehouse, home.settings, run_guard(context), home.now()

    def log(line: str) -> None:
        context.log.info(line)

    registered = aliased(warehouse, CHAMPION, CHALLENGER)
    found, leaks = [], []
    for cell in sorted({Cell(row["source"], row["target"], row["cutoff"]) for row in registered}):
        try:
            found.append(decide(warehouse, settings, cell, now, context.run_id, guard, log))
        except LeakError as error:  # its challenger is kept back; the other cells are decided all the same
            leaks.append(f"{cell}: {error}")
        found.append(roll_back_if_worse(warehouse, settings, cell, now, context.run_id, guard, log))
    made = [decision for decision in found if decision is not None]
    serving = [
        {name: row[name] for name in ("source", "target", "cutoff", "forecaster", "origin", "version")}
        for row in aliased(warehouse, CHAMPION)
    ]
    metadata: dict[str, Any] = {
        "decided": markdown([told(decision) for decision in made]),
        "serving": markdown(serving),
        "dagster/row_count": len(stored(warehouse)),
    }
    if leaks:
        raise dg.Failure("; ".join(leaks), metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


@dg.asset(
    key=["evaluations", "audits"],
    group_name="evaluations",
    deps=[*FEATURES, ["raw", "snapshots"], ["raw", "videos"]],
    retry_policy=retry,
    code_version="1",
    **describe("evaluations.audits"),
)
def audits(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Feature rows made again in a second home that holds only what was known at their cutoff."""
    from assets.evaluations.audit_records import record_audit

    result = record_audit(
        home.warehouse, home.settings, source_anchors(home.warehouse), samples=25, run_id=context.run_id, now=home.now()
    )
    return dg.MaterializeResult(
        metadata={
            "rows audited": result.sampled,
            "values compared": result.compared_values,
            "differences": len(result.differences),
        }
    )


@dg.asset(
    key=["evaluations", "reports"],
    group_name="evaluations",
    deps=[
        ["evaluations", "metrics"],
        ["evaluations", "audits"],
        ["evaluations", "importance"],
        ["clusters", "styles"],
        ["clusters", "sizes"],
    ],
    retry_policy=retry,
    code_version="1",
    **describe("evaluations.reports"),
)
def reports(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """One self-contained page of everything that the evaluation shows."""
    from assets.evaluations.report_pages import write_report

    page = write_report(home.warehouse, home.settings, home.reports, run_id=context.run_id, now=home.now())
    record_evaluation(home.warehouse, REPORTS, None, 1, run_id=context.run_id, now=home.now())
    return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(str(page)), "bytes": page.stat().st_size})
