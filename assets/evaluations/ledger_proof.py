"""Proves on every row of the ledger that it kept its rule: each input's known_at <= made_at < matured_at, model origin <= made_at.

What was known when is found again in the raw tables, so that neither a feature nor the ledger can vouch for itself. That each
feature is the right value of those inputs is for the leakage audit.
"""

from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd

from assets.models.task import COUNTS
from resources.settings import ClassTarget, CompositeTarget, Settings
from warehouse.connection import Warehouse

FOREVER = timedelta(days=36500)
_OF_LEDGER = "SEMI JOIN evaluations.forecasts USING (source, video_id)"
_USABLE = "greatest(observed_at, known_at) AS usable_at"
_DERIVED = ("velocity", "engagement_rate")
"""Metrics that are made of counts: observed whenever views are."""


def broken_promises(warehouse: Warehouse, settings: Settings) -> pd.DataFrame:
    """The rows of the ledger that break its rule, one per fault.

    An input that arrived later, although its collection is stamped earlier, is no fault: the forecast did without it.

    Returns:
        Columns `source`, `video_id`, `target`, `cutoff`, `version`, `made_at`, `fault`; empty where every promise was kept.
    """
    counts = [
        f"SELECT source, video_id, '{name}' AS metric, CAST({name} AS DOUBLE) AS value, observed_at, {_USABLE} "
        f"FROM raw.snapshots {_OF_LEDGER} WHERE {name} IS NOT NULL"
        for name in sorted(COUNTS)
    ]
    counts += [
        f"SELECT source, video_id, '{name}', CAST(views AS DOUBLE), observed_at, {_USABLE} "
        f"FROM raw.snapshots {_OF_LEDGER} WHERE views IS NOT NULL"
        for name in _DERIVED
    ]
    named = [
        f"SELECT source, video_id, {name}, value, observed_at, {_USABLE} FROM raw.{of} {_OF_LEDGER} WHERE value IS NOT NULL{only}"
        for of, name, only in (("metrics", "metric", ""), ("labels", "label", " AND comment_id = ''"))
    ]
    measured = [{"target": name, "measured": _measured(settings, name)} for name in settings.targets]
    con = warehouse.extract(
        {
            "ledger": "SELECT * FROM evaluations.forecasts",
            "records": f"SELECT source, video_id, {_USABLE} FROM raw.videos {_OF_LEDGER}",
            "measures": " UNION ALL ".join([*counts, *named]),
            "outcomes": f"""SELECT t.source, t.video_id, m.target, t.matured_at
                FROM (SELECT * FROM features.targets {_OF_LEDGER}) t
                JOIN (SELECT unnest($measured, recursive := true)) m ON m.measured = t.target
                WHERE t.matured_at IS NOT NULL""",
            "origins": "SELECT version, CAST(origin AS TIMESTAMP) AS origin FROM models.versions",
        },
        {"measured": measured},
    )
    with con:
        _add_targets(con, settings)
        return con.execute(Path(__file__).with_name("ledger_proof.sql").read_text()).df()


def _measured(settings: Settings, target: str) -> str:
    """The target whose outcome a forecast of a target waits for."""
    definition = settings.targets[target]
    return definition.of if isinstance(definition, ClassTarget) else target


def _add_targets(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """When the parts of each target can be observed, and which count its last known level is of."""
    con.execute("CREATE TABLE parts (target VARCHAR, metric VARCHAR, opens INTERVAL, closes INTERVAL)")
    con.execute("CREATE TABLE levels (target VARCHAR, metric VARCHAR)")
    for name, definition in settings.targets.items():
        for part in settings.measured(name):
            opens = timedelta(0) if part.horizon is None else part.horizon - part.tolerance
            closes = FOREVER if part.horizon is None else part.horizon + part.tolerance
            con.execute("INSERT INTO parts VALUES (?, ?, ?, ?)", [name, part.metric, opens, closes])
        if not isinstance(definition, CompositeTarget):  # its last known level is of the one count that it is about
            con.execute("INSERT INTO levels VALUES (?, ?)", [name, settings.measured(name)[0].metric])
