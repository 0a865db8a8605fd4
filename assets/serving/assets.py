"""The published copy of the warehouse, for readers that must never wait: notebooks, BI, an API. Wiring only."""

import dagster as dg

from assets.policies import OWNER, retry
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
