"""The assets that follow models in use: the ledger, its scores, re-evaluations and drift.

Wiring only; what is promised, scored and measured is in `ledger`, `scored_forecasts`, `reevaluate` and `drift` of the folder above.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.evaluations.assets import CONTENT, FEATURES
from assets.evaluations.grid import Cell
from assets.policies import describe, markdown, picture, retry, run_guard
from resources.home import Home
from warehouse.lineage import begin_stage, finish_stage

if TYPE_CHECKING:
    import pandas as pd

LEDGER_TABLES = ("forecasts", "scores", "reevaluations", "drift")
MODELS = [["models", "versions"], ["models", "runs"]]


@dg.asset(
    key=["evaluations", "forecasts"],
    group_name="evaluations",
    deps=[*FEATURES, *CONTENT, *MODELS],
    retry_policy=retry,
    code_version="1",
    **describe("evaluations.forecasts"),
)
def forecasts(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Adds what the champions say of the live videos that have passed a cutoff since the last time."""
    from assets.evaluations.ledger import write_forecasts
    from assets.evaluations.stale import LEDGER, ledger_version

    begin_stage(home.warehouse, LEDGER, ledger_version(home.warehouse), run_id=context.run_id, now=home.now())
    done = write_forecasts(home.warehouse, home.settings, home.now(), context.run_id, run_guard(context))
    stored = home.warehouse.query(
        """SELECT clock, source, target, cutoff, count(*) AS forecasts, count(DISTINCT version) AS models,
                  max(made_at) AS latest FROM evaluations.forecasts GROUP BY ALL ORDER BY ALL"""
    ).to_pylist()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(row["forecasts"] for row in stored),
            "new forecasts": sum(done.made.values()),
            "champions": len(done.made) + len(done.refused),
            "new": markdown(_by_cell(done.made, "forecasts")),
            "refused": markdown(_by_cell(done.refused, "why")),
            "ledger": markdown(stored),
        }
    )


@dg.asset(
    key=["evaluations", "scores"],
    group_name="evaluations",
    deps=[["evaluations", "forecasts"], ["features", "targets"], ["models", "training_sets"]],
    retry_policy=retry,
    code_version="1",
    **describe("evaluations.scores"),
)
def scores(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Scores the ledger's forecasts whose outcome is settled."""
    from assets.evaluations.ledger_charts import draw
    from assets.evaluations.scored_forecasts import score_forecasts, weekly_scores

    done = score_forecasts(home.warehouse, home.settings, home.now(), context.run_id, run_guard(context))
    weeks = weekly_scores(home.warehouse)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": int(weeks["scored"].sum()),
            "new scores": sum(done.values()),
            "waiting": int(weeks["made"].sum() - weeks["scored"].sum()),
            "new": markdown(_by_cell(done, "scores")),
            "latest weeks": markdown(_latest_weeks(weeks)),
            **{name: picture(png) for name, png in draw(weeks).items()},
        }
    )


@dg.asset(
    key=["evaluations", "reevaluations"],
    group_name="evaluations",
    deps=[*FEATURES, *CONTENT, *MODELS, ["models", "training_sets"]],
    retry_policy=retry,
    pool="cpu",
    code_version="1",
    **describe("evaluations.reevaluations"),
)
def reevaluations(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Holds champions and challengers against the weeks since their origin that gained matured rows."""
    from assets.evaluations.reevaluate import reevaluate

    done = reevaluate(home.warehouse, home.settings, home.now(), context.run_id, run_guard(context))
    latest = home.warehouse.query(
        """SELECT r.version, v.alias, r.origin AS week, r.n_test, r.mae, r.naive_mae, r.r2, r.coverage_80, r.auroc, r.log_loss,
                  r.evaluated_at
           FROM evaluations.reevaluations r JOIN models.versions v USING (version) WHERE v.alias IS NOT NULL
           QUALIFY row_number() OVER (PARTITION BY r.version, r.origin ORDER BY r.evaluated_at DESC, r.n_test DESC) = 1
           ORDER BY r.version, r.origin DESC LIMIT 60"""
    ).to_pylist()
    return dg.MaterializeResult(
        metadata={
            "models": len(done.weeks),
            "weeks computed": sum(done.weeks.values()),
            "weeks unchanged": done.unchanged,
            "refused": markdown([{"model": name, "why": why} for name, why in done.refused.items()]),
            "latest": markdown(latest),
        }
    )


@dg.asset(
    key=["evaluations", "drift"],
    group_name="evaluations",
    deps=[
        *FEATURES,
        *CONTENT,
        *MODELS,
        ["models", "training_sets"],
        *([["evaluations", name] for name in LEDGER_TABLES[:3]]),
    ],
    retry_policy=retry,
    pool="cpu",
    code_version="1",
    **describe("evaluations.drift"),
)
def drift(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Measures how far what is seen now is from what each champion was trained on."""
    from assets.evaluations.drift import measure_drift
    from assets.evaluations.stale import LEDGER
    from assets.language.emotion_model.drift import measure_emotion_drift

    emotions = measure_emotion_drift(home.warehouse, home.settings, home.now(), context.run_id, run_guard(context))
    done = measure_drift(home.warehouse, home.settings, home.now(), context.run_id, run_guard(context))
    largest = home.warehouse.query(
        """SELECT d.source, d.target, d.cutoff, d.measure, arg_max(d.feature, (d.value, d.feature)) AS feature,
                  max(d.value) AS value, any_value(d.n_reference) AS n_reference, any_value(d.n_recent) AS n_recent
           FROM evaluations.drift d JOIN models.versions v ON v.version = d.version AND v.alias = 'champion'
           WHERE d.measured_at = (SELECT max(measured_at) FROM evaluations.drift n WHERE n.version = d.version)
           GROUP BY ALL ORDER BY ALL"""
    ).to_pylist()
    finish_stage(home.warehouse, LEDGER, run_id=context.run_id, now=home.now())
    trigger = home.settings.training.trigger
    return dg.MaterializeResult(
        metadata={
            "champions": len(done.rows),
            "measured anew": sum(rows > 0 for rows in done.rows.values()),
            "rows added": sum(done.rows.values()) + emotions,
            "rows of the emotion model": emotions,
            "refused": markdown(_by_cell(done.refused, "why")),
            "largest": markdown(largest),
            "thresholds": markdown(
                [{"measure": name, "threshold": getattr(trigger, name)} for name in ("error", "psi", "ks", "mmd")]
            ),
        }
    )


def _by_cell(values: Mapping[Cell, Any], name: str) -> list[dict[str, Any]]:
    return [{"cell": str(cell), name: value} for cell, value in sorted(values.items())]


def _latest_weeks(weeks: "pd.DataFrame") -> list[dict[str, Any]]:
    """The newest week of each cell that has scores."""
    scored = weeks[weeks["scored"] > 0].drop_duplicates(["clock", "source", "target", "cutoff"], keep="last")
    shown = ["clock", "source", "target", "cutoff", "week", "made", "scored", "error", "naive_error", "covered_80"]
    return [{str(name): value for name, value in row.items()} for row in scored[shown].to_dict("records")]
