"""The training asset: every cell's forecasters trained in processes of their own, and what came of them registered.

Wiring only; what is trained on what is in `training_runs`, the trainer's process in `train`. Whether a model serves is for
the gate.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.evaluations.assets import CONTENT, FEATURES
from assets.evaluations.grid import Cell, cells
from assets.features.frame import sources
from assets.policies import describe, markdown, picture, run_guard
from assets.raw.anchors import source_anchors
from resources.home import Home
from resources.trainer.launcher import launcher_for

if TYPE_CHECKING:
    from assets.models.order import Order
    from assets.models.training_runs import Asked, Outcome


class Trainings(dg.Config):
    """What to train; what is empty is as the settings say.

    Attributes:
        cells: `source/target/cutoff` each.
        forecasters: Names.
        decision_ids: Decision that asks for a cell, by cell.
        fraction: Share of the rows, for development; below 1 no model becomes challenger.
    """

    cells: list[str] = []
    forecasters: list[str] = []
    decision_ids: dict[str, str] = {}
    fraction: float = 1.0


@dg.asset(
    key=["models", "runs"],
    group_name="models",
    deps=[*FEATURES, *CONTENT],
    pool="gpu",
    code_version="1",
    **describe("models.runs"),
)
def runs(context: dg.AssetExecutionContext, config: Trainings, home: Home) -> dg.MaterializeResult:
    """Trains the forecasters of each cell; the best of a cell becomes its challenger."""
    from assets.models.training_runs import latest_runs, orders_for

    chosen = _cells(home, config)
    forecasters = config.forecasters or home.settings.training.forecasters
    trained: list[Outcome] = []
    skipped: list[dict[str, str]] = []
    for number, cell in enumerate(chosen, start=1):
        try:
            asked = orders_for(
                home.warehouse,
                home.settings,
                cell,
                forecasters,
                now=home.now(),
                run_id=context.run_id,
                fraction=config.fraction,
            )
            outcomes = train_asked(context, home, asked, config.decision_ids.get(str(cell)))
        except ValueError as error:  # bad input: said once, not tried again
            raise dg.Failure(str(error), allow_retries=False) from error
        trained += outcomes
        skipped += [{"cell": str(cell), "forecaster": name, "why": why} for name, why in asked.skipped.items()]
        context.log.info(f"training {number} of {len(chosen)}: {cell}, {len(outcomes)} models")
    rows = latest_runs(home.warehouse, [outcome.order.training_id for outcome in trained])
    metadata = _metadata(rows, trained, skipped)
    require_done(trained, metadata)
    return dg.MaterializeResult(metadata=metadata)


def _cells(home: Home, config: Trainings) -> list[Cell]:
    """The cells that are named, else those that the settings train."""
    if config.cells:
        named = [tuple(name.split("/")) for name in config.cells]
        if wrong := [name for name, parts in zip(config.cells, named, strict=True) if len(parts) != 3]:
            raise dg.Failure(f"{wrong[0]!r} names no cell; write source/target/cutoff", allow_retries=False)
        return [Cell(*parts) for parts in named]
    return training_cells(home)


def training_cells(home: Home) -> list[Cell]:
    """The cells that the settings train, over the sources that there are."""
    warehouse, training = home.warehouse, home.settings.training
    return cells(
        home.settings, source_anchors(warehouse), sources(warehouse), training.targets or (), training.cutoffs or ()
    )


def train_asked(
    context: dg.AssetExecutionContext, home: Home, asked: "Asked", decision_id: str | None
) -> "list[Outcome]":
    """Carries out the orders of a cell one after the other and registers what came of them, also what came before a cancellation."""
    from assets.models.training_runs import register

    outcomes: list[Outcome] = []
    for name, why in asked.skipped.items():
        context.log.info(f"{asked.cell}, {name}: not trained: {why}")
    try:
        for order in asked.orders:
            _carry_out(context, home, order, outcomes)
    finally:
        register(
            home.warehouse,
            asked,
            outcomes,
            decision_id=decision_id,
            run_id=context.run_id,
            now=home.now(),
            guard=run_guard(context),
        )
    return outcomes


def require_done(outcomes: "Sequence[Outcome]", metadata: dict[str, Any]) -> None:
    """Fails the step, with its metadata, where a training did not end well."""
    failed = [outcome for outcome in outcomes if outcome.result.state != "done"]
    if failed:
        why = "; ".join(f"{outcome.order.forecaster}: {outcome.result.why}" for outcome in failed)
        raise dg.Failure(
            f"{len(failed)} of {len(outcomes)} trainings did not end well: {why}",
            metadata=metadata,
            allow_retries=False,
        )


def _carry_out(context: dg.AssetExecutionContext, home: Home, order: "Order", outcomes: "list[Outcome]") -> None:
    """Has one order carried out by a trainer, unless that is done, and adds what came of it, also on a cancellation."""
    from assets.models.order import order_uses_device, result_of
    from assets.models.training_runs import outcome_of

    launcher = launcher_for(home.settings.training, uses_device=order_uses_device(order))
    started, known, ended = home.now(), result_of(order), None
    try:
        if known is None or known.state != "done":
            ended = launcher.train(context, order.write())
        else:
            context.log.info(f"{order.forecaster}: training {order.training_id} was done before: {known.version}")
    finally:
        outcomes.append(outcome_of(order, ended, launcher.name, launcher.processes, started, home.now()))


def _metadata(rows: list[dict[str, Any]], trained: "list[Outcome]", skipped: list[dict[str, str]]) -> dict[str, Any]:
    """What was trained, how good it is on its calibration block, what it cost, and its losses."""
    from assets.models.order import told
    from assets.models.training_charts import MOST, loss_curves

    shown = ("forecaster", "state", "why", "alias", "origin", "rows", "validation_error", "device", "seconds")
    table = [
        {"cell": f"{row['source']}/{row['target']}/{row['cutoff']}"}
        | {name: row[name] for name in shown}
        | {"rows per s": row["samples_per_second"], "memory MB": (row["peak_memory_bytes"] or 0) / 1e6}
        for row in rows
    ]
    pictures: dict[str, Any] = {}
    for outcome in trained:
        order = outcome.order
        title = f"{order.forecaster} {order.source} {order.task.target} {order.task.cutoff}"
        if len(pictures) < MOST and (png := loss_curves(told(order).curves, title)):
            pictures[f"losses {title}"] = picture(png)
    return {
        "models": sum(outcome.result.state == "done" for outcome in trained),
        "trainings": markdown(table),
        "skipped": markdown(skipped),
        "seconds": sum(outcome.result.seconds for outcome in trained),
        **pictures,
    }
