"""What others read: the published copy of the warehouse, for readers that must never wait, and MLflow. Wiring only."""

import dagster as dg

from assets.policies import OWNER, markdown, retry
from resources.home import Home


@dg.asset(
    key=["serving", "snapshot"],
    group_name="serving",
    deps=[["raw", "landings"], ["evaluations", "metrics"], ["evaluations", "reports"]],
    description="A copy of the whole warehouse that is never locked, replaced at once after ingestion and after evaluation.",
    kinds={"duckdb"},
    owners=[OWNER],
    code_version="1",
    retry_policy=retry,
)
def published_snapshot(home: Home) -> dg.MaterializeResult:
    """Copies the warehouse under its lock and puts the copy in place."""
    from warehouse.snapshot import publish

    path = publish(home.warehouse)
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size})


@dg.asset(
    key=["serving", "mlflow"],
    group_name="serving",
    deps=[
        ["models", "runs"],
        ["evaluations", "decisions"],
        ["evaluations", "reevaluations"],
        ["evaluations", "emotions"],
    ],
    description="Every trained model in MLflow with its parameters, figures, curves, card and alias, as the warehouse has them.",
    kinds={"mlflow"},
    owners=[OWNER],
    code_version="1",
)
def mlflow(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Makes MLflow equal to the warehouse; where it cannot be reached, the next run catches up."""
    from assets.models.mirror import mirror
    from resources.tracker.tracker import TrackerError

    try:
        done = mirror(home.warehouse, home.settings)
    except TrackerError as error:
        context.log.warning(str(error))
        return dg.MaterializeResult(metadata={"not reached": str(error)})
    skipped = [{"version": version, "why": why} for version, why in done.skipped.items()]
    return dg.MaterializeResult(
        metadata={
            "added": len(done.added),
            "updated": len(done.updated),
            "unchanged": done.unchanged,
            "aliases changed": done.aliases,
            "skipped": markdown(skipped),
        }
    )
