"""Checks on the tables: one generated from every declared contract, the law of conservation, and freshness by event time.

The leakage audit's check is with the audit. Nothing here writes.
"""

from datetime import timedelta

import dagster as dg

from assets.policies import markdown
from assets.raw.assets import DAILY_TABLES
from resources.home import Home
from warehouse.contracts import Table, table

STALE_AFTER = timedelta(hours=48)
INGESTED = tuple(f"raw.{name}" for name in DAILY_TABLES)
BESIDE = {
    "raw.landing_days": "raw.landings",
    "raw.forgettings": "raw.forgotten",
    "raw.rewritten": "raw.forgotten",
    "raw.withdrawn": "raw.forgotten",
    "raw.duplicates": "raw.landings",
    "raw.quota": "raw.collections",
    "embeddings.failures": "embeddings.encoders",
    "embeddings.fusions": "embeddings.fused",
    "models.curves": "models.runs",
    "language.course_scores": "language.course_forecasts",
    "lineage.partitions": "lineage.columns",
}
"""Tables that are no asset of their own, each with the asset that stands for them."""


def contract_check(full_name: str, on: str | None = None) -> dg.AssetChecksDefinition:
    """The blocking check that a table's rows keep its contract: key, required columns, minima.

    A table that is no asset of its own is checked on the asset that writes it, `on`.
    """
    declared = table(full_name)

    @dg.asset_check(
        asset=dg.AssetKey((on or full_name).split(".")),
        name=f"{declared.name}_contract" if on else "contract",
        additional_deps=_written_by_landings(on or full_name),
        blocking=True,
        description=f"Unique by {', '.join(declared.key)}; required columns are filled; counts are not negative.",
    )
    def contract(home: Home) -> dg.AssetCheckResult:
        rows, broken = violations(home, declared)
        return dg.AssetCheckResult(passed=not any(broken.values()), metadata={"rows": rows, **broken})

    return contract


def _written_by_landings(full_name: str) -> list[dg.AssetKey]:
    """Ingestion and collection write the raw days without being their asset: where they run, their checks come after them."""
    writers = [dg.AssetKey(["raw", "landings"]), dg.AssetKey(["raw", "collections"])]
    return writers if full_name in INGESTED else []


def violations(home: Home, declared: Table) -> tuple[int, dict[str, int]]:
    """How many rows a table has, and how many break each clause of its contract."""
    clauses = {
        f"{column.name} is missing": f'"{column.name}" IS NULL' for column in declared.columns if column.required
    }
    clauses |= {
        f"{column.name} below {column.minimum:g}": f'"{column.name}" < {column.minimum}'
        for column in declared.columns
        if column.minimum is not None
    }
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in clauses.values())
    key = ", ".join(f'"{name}"' for name in declared.key)
    with home.warehouse.read() as con:
        row = con.execute(f"SELECT count(*){', ' + counts if counts else ''} FROM {declared.identifier}").fetchone()
        repeated = con.execute(
            f"SELECT count(*) FROM (SELECT {key} FROM {declared.identifier} GROUP BY ALL HAVING count(*) > 1)"
        ).fetchone()
    assert row is not None and repeated is not None
    return row[0], {**dict(zip(clauses, row[1:], strict=True)), "repeated keys": repeated[0]}


@dg.asset_check(
    asset=["raw", "landings"],
    blocking=True,
    description="Per landing: records read = accepted + duplicate + quarantined, and the tables hold just those rows.",
)
def conservation(home: Home) -> dg.AssetCheckResult:
    """Nothing is lost between a landing and the raw tables."""
    accepted = " UNION ALL ".join(f"SELECT landing_id, row_number FROM {name}" for name in (*INGESTED, "raw.media"))
    with home.warehouse.read() as con:
        rows = con.execute(
            f"""
            WITH kept AS (
                SELECT landing_id, count(DISTINCT row_number) AS accepted FROM (
                    {accepted}) WHERE row_number IS NOT NULL GROUP BY ALL),
            doubled AS (SELECT landing_id, count(*) AS duplicate FROM raw.duplicates GROUP BY ALL),
            aside AS (SELECT landing_id, count(*) AS quarantined FROM raw.quarantine GROUP BY ALL)
            SELECT l.landing_id[:12] AS landing, l.source, l.names[1] AS file, l.rows_read, l.accepted, l.duplicate, l.quarantined,
                   coalesce(k.accepted, 0) AS "rows in the tables", coalesce(d.duplicate, 0) AS "rows in raw.duplicates",
                   coalesce(a.quarantined, 0) AS "rows in raw.quarantine"
            FROM raw.landings l LEFT JOIN kept k USING (landing_id) LEFT JOIN doubled d USING (landing_id)
            LEFT JOIN aside a USING (landing_id)
            WHERE l.rows_read <> l.accepted + l.duplicate + l.quarantined OR l.accepted <> coalesce(k.accepted, 0)
               OR l.duplicate <> coalesce(d.duplicate, 0) OR l.quarantined <> coalesce(a.quarantined, 0)
            ORDER BY l.landing_id LIMIT 20"""
        )
        names = [column[0] for column in rows.description or []]
        broken = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
        landings = con.execute("SELECT count(*) FROM raw.landings").fetchone()
    assert landings is not None
    return dg.AssetCheckResult(
        passed=not broken, metadata={"landings": landings[0], "landings that do not add up": markdown(broken)}
    )


@dg.asset_check(
    asset=["raw", "snapshots"],
    additional_deps=_written_by_landings("raw.snapshots"),
    description=f"The newest observation of each source is at most {STALE_AFTER // timedelta(hours=1)} h old; a warning otherwise.",
)
def fresh_by_event_time(home: Home) -> dg.AssetCheckResult:
    """Whether observations, rather than runs, are recent."""
    now = home.now()
    with home.warehouse.read() as con:
        newest = con.execute("SELECT source, max(observed_at) FROM raw.snapshots GROUP BY ALL ORDER BY ALL").fetchall()
    rows = [
        {"source": source, "newest observation": at, "age (days)": (now - at) / timedelta(days=1)}
        for source, at in newest
    ]
    return dg.AssetCheckResult(
        passed=all(now - at <= STALE_AFTER for _, at in newest),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"sources": markdown(rows)},
    )


def table_checks(tables: list[str]) -> list[dg.AssetChecksDefinition]:
    """All checks on tables: the contract of each, conservation and freshness."""
    own = [contract_check(name) for name in tables]
    beside = [contract_check(name, on) for name, on in BESIDE.items()]
    return [*own, *beside, conservation, fresh_by_event_time]
