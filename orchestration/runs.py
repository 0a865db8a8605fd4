"""Dagster runs on a home's own instance, started from this process: what the command line and the demo use.

A refresh is the same stages as the nightly one: each asks what is missing or stale and runs only that.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from assets.embeddings.stale import content_is_stale
from assets.evaluations.assets import Grid
from assets.evaluations.stale import evaluation_is_stale, ledger_is_stale
from assets.language.stale import language_is_stale
from assets.raw.assets import report_waiting, waiting
from orchestration.definitions import build_definitions
from orchestration.errors import RunFailedError
from orchestration.instance import log_kept_open, open_instance
from resources.home import Home
from resources.settings import load_settings
from sensors.leftovers import end_leftovers, process_tag
from sensors.refresh import range_tags, stale_origins, stale_ranges


@dataclass
class Refreshed:
    """What a refresh did: one line per Dagster run, by stage."""

    runs: list[dict[str, Any]] = field(default_factory=list)


class Runs:
    """Runs jobs of a home in this process, recorded on its instance like any other run."""

    def __init__(self, folder: Path) -> None:
        load_settings(folder)
        self.home = Home(path=str(folder))
        self.folder = folder
        with open_instance(folder) as instance:
            end_leftovers(instance, folder)
            report_waiting(instance, self.home)
        self.definitions = build_definitions(resource_overrides={"home": self.home})

    def execute(self, job: str, *, tags: Mapping[str, str] | None = None, config: Any = None) -> dict[str, Any]:
        """Runs a job to its end.

        Returns:
            `job`, `run_id` and, for a range, its first and last partition.

        Raises:
            RunFailedError: A step or a blocking check failed.
        """
        # Forgetting reads the files of the event log themselves.
        quick = log_kept_open if job != "forgetting" else nullcontext
        with open_instance(self.folder) as instance, quick(instance):
            result = self.definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                tags={**(tags or {}), **process_tag()},
                run_config={"loggers": {"console": {"config": {}}}, **(config or {})},
                raise_on_error=False,
            )
        if not result.success:
            raise RunFailedError(_explain(job, result))
        return {"job": job, "run_id": result.run_id, "partitions": list((tags or {}).values())}

    def ingest_inbox(self, paths: Sequence[Path] = ()) -> list[dict[str, Any]]:
        """Ingests files of the inbox in one run: those given, else the complete ones; none, no run."""
        chosen = list(paths) or waiting(self.home.inbox)
        config = {"ops": {"landings": {"config": {"paths": [str(path) for path in chosen]}}}}
        return [self.execute("ingestion", config=config)] if chosen else []

    def collect(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Collects what somebody asks for, in the form of the configuration of `raw/collections`."""
        return self.execute("collection", config={"ops": {"raw__collections": {"config": dict(wanted)}}})

    def build_features(self) -> list[dict[str, Any]]:
        """Rebuilds the stale days of the feature tables, one run per range."""
        return [self.execute("features", tags=range_tags(*days)) for days in stale_ranges(self.home)]

    def read_language(self) -> list[dict[str, Any]]:
        """Brings what is said of texts up to date, where anything is missing or stale."""
        stale = language_is_stale(self.home.warehouse, self.home.settings)
        return [self.execute("language")] if stale else []

    def build_content(self) -> list[dict[str, Any]]:
        """Brings vectors, fusion, neighbours and styles up to date, where anything is missing or stale."""
        stale = content_is_stale(self.home.warehouse, self.home.settings, self.home.now())
        return [self.execute("content")] if stale else []

    def keep_ledger(self) -> list[dict[str, Any]]:
        """Lets the champions forecast what is due, and scores what has matured, where anything has changed."""
        return [self.execute("ledger")] if ledger_is_stale(self.home.warehouse) else []

    def backtest(self, grid: Grid) -> list[dict[str, Any]]:
        """Backtests the stale cells of a grid in one run over their origins."""
        origins = stale_origins(self.home, grid)
        if not origins:
            return []
        config = {"ops": {"run_backtests": {"config": grid.model_dump(exclude_none=True)}}}
        return [self.execute("backtests", tags=range_tags(origins[0], origins[-1]), config=config)]

    def train(self, cells: Sequence[str], forecasters: Sequence[str], fraction: float = 1.0) -> list[dict[str, Any]]:
        """Trains the forecasters of some cells (those of the settings, where none is named) and judges the challengers."""
        config = {"cells": list(cells), "forecasters": list(forecasters), "fraction": fraction}
        return [self.execute("training", config={"ops": {"models__runs": {"config": config}}})]

    def train_emotions(self, fraction: float = 1.0) -> list[dict[str, Any]]:
        """Trains the emotion model of the settings and judges it."""
        return [self.execute("emotions", config={"ops": {"models__emotions": {"config": {"fraction": fraction}}}})]

    def search(self, cell: str, forecaster: str | None, trials: int) -> dict[str, Any]:
        """Searches the parameters of a forecaster (of the default one for None) for a cell."""
        config = {"cell": cell, "trials": trials} | ({"forecaster": forecaster} if forecaster else {})
        return self.execute("search", config={"ops": {"models__trials": {"config": config}}})

    def refresh(self, grid: Grid) -> Refreshed:
        """Everything that is missing or stale, stage by stage; a second call does nothing."""
        done = Refreshed()
        done.runs += self.ingest_inbox()
        done.runs += self.build_features()
        done.runs += self.read_language()
        done.runs += self.build_content()
        done.runs += self.keep_ledger()
        done.runs += self.backtest(grid)
        if evaluation_is_stale(self.home.warehouse, self.home.settings):
            done.runs.append(self.execute("evaluation"))
        return done


def _explain(job: str, result: dg.ExecuteInProcessResult) -> str:
    """The first failure of a run as one line."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            reason = (error.message if error is not None else "failed").strip().splitlines()[0]
            return f"run {result.run_id} of job {job}: step {event.step_key}: {reason}"
        if event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
            check = event.asset_check_evaluation_data
            return f"run {result.run_id} of job {job}: check {check.check_name} of {check.asset_key.to_user_string()} failed"
    return f"run {result.run_id} of job {job} failed"
