"""The feature assets: one per table, partitioned by the day of the anchor.

Wiring only; the SQL is in the files beside this one, what is stale in `stale.py`.
"""

from typing import Any

import dagster as dg

from assets.features.build import TABLES, code_version
from assets.features.stale import rebuild
from assets.partitions import daily, days, in_one_run
from assets.policies import describe, left_out, markdown, retry, upstream
from assets.raw.anchors import landed_sources, source_anchors
from resources.home import Home


def _feature_asset(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["features", name],
        group_name="features",
        deps=upstream(f"features.{name}"),
        partitions_def=daily,
        backfill_policy=in_one_run,
        retry_policy=retry,
        code_version=code_version(name),
        pool="warehouse",
        **describe(f"features.{name}"),
    )
    def feature_table(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
        start, end = days(context)
        warehouse = home.warehouse
        made = rebuild(
            name, warehouse, home.settings, source_anchors(warehouse), start, end, home.now(), context.run_id
        )
        return dg.MaterializeResult(
            metadata={
                "rows": sum(made.rows.values()),
                **_describe_rows(home, name, start, end),
                **left_out(home.settings, landed_sources(warehouse)),
            }
        )

    return feature_table


def _describe_rows(home: Home, name: str, start: object, end: object) -> dict[str, Any]:
    partition = "day" if name == "context" else "anchor_day"
    by = {"targets": "target, status", "engagement": "source, cutoff", "channel": "source, cutoff"}.get(name, "source")
    with home.warehouse.read() as con:
        found = con.execute(
            f"""SELECT {by}, count(*) AS "rows" FROM features.{name} WHERE {partition} >= ? AND {partition} < ?
                GROUP BY ALL ORDER BY ALL LIMIT 60""",
            [start, end],
        )
        names = [column[0] for column in found.description or []]
        return {"by group": markdown([dict(zip(names, row, strict=True)) for row in found.fetchall()])}


assets: list[dg.AssetsDefinition] = [_feature_asset(name) for name in TABLES]
