"""The forecast ledger: what each champion says of every live video at the cutoffs that it passes, before the outcome is known.

Rows are only added. That every one of them kept the rule is proved in `ledger_proof`; what became of them is in
`scored_forecasts`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from assets.evaluations.grid import Cell
from assets.evaluations.rows import as_arrow
from assets.evaluations.served import frame_as_of, with_forecasts
from assets.models.columns import SCALARS, group_of
from assets.models.intervals import LEVELS
from assets.models.predictor import ModelError, read_manifest
from assets.models.registry import CHAMPION, aliased
from resources import clock
from resources.policy import refusal
from resources.settings import Settings, cutoff_age, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "evaluations.forecasts"
KEY = ("source", "video_id", "target", "cutoff")
SAID = ("point", "probability", *(f"{side}_{level}" for level in LEVELS for side in ("lower", "upper")))
Guard = Callable[[], None]
"""Raises where the run that is about to write has ended."""


@dataclass
class Written:
    """What a run added to the ledger.

    Attributes:
        made: Forecasts per cell that has a champion.
        refused: Why a champion made none, per cell.
    """

    made: dict[Cell, int] = field(default_factory=dict)
    refused: dict[Cell, str] = field(default_factory=dict)


def outcome_from(settings: Settings, target: str) -> timedelta | None:
    """The age from which the outcome of a target can be observed; None where its horizon varies."""
    ages = [None if part.horizon is None else part.horizon - part.tolerance for part in settings.measured(target)]
    return None if None in ages else min(age for age in ages if age is not None)


def write_forecasts(warehouse: Warehouse, settings: Settings, now: datetime, run_id: str, guard: Guard) -> Written:
    """Adds the forecasts that are due: of every cell with a champion, the live videos that have passed the cutoff.

    A video is forecast once per cell, by whoever is champion then, and only while its outcome cannot have been observed.

    Args:
        warehouse: Holds features, champions and the ledger.
        settings: Says when outcomes can be observed.
        now: The home's time (naive UTC); what was known only later is not used.
        run_id: Run that makes them.
        guard: Called before the write, inside its transaction.
    """
    written, parts = Written(), []
    for champion in aliased(warehouse, CHAMPION):
        cell = Cell(champion["source"], champion["target"], champion["cutoff"])
        if not settings.policy(cell.source).derived_metrics:
            written.refused[cell] = refusal(settings.policies, cell.source)
            continue
        try:
            rows = _due(warehouse, settings, cell, champion, now)
        except ModelError as error:
            written.refused[cell] = str(error)
            continue
        written.made[cell] = len(rows)
        if len(rows):
            rows = rows.assign(made_at=now, clock=clock.mode(warehouse.home), run_id=run_id)
            parts.append(as_arrow(rows.reindex(columns=list(table(TABLE).column_names)), TABLE))
    if parts:
        with warehouse.write() as con:
            guard()
            append_rows(con, table(TABLE), pa.concat_tables(parts))
    return written


def _due(warehouse: Warehouse, settings: Settings, cell: Cell, champion: dict[str, Any], now: datetime) -> pd.DataFrame:
    """The forecasts of one champion that are missing.

    Raises:
        ModelError: It cannot forecast these videos honestly.
    """
    opens = outcome_from(settings, cell.target)
    if opens is None:
        raise ModelError(f"{cell.target} has no fixed horizon, so its outcome may be known at any time")
    if midnight(champion["origin"]) > now:
        raise ModelError(f"{champion['version']} was fitted on what had matured by {champion['origin']}, after {now}")
    videos = _open_videos(warehouse, settings, cell, now - opens, now - cutoff_age(cell.cutoff))
    if not videos:
        return pd.DataFrame()
    frame = frame_as_of(warehouse, settings, cell, champion["origin"])
    frame = frame[frame["video_id"].isin(videos) & (frame["as_of"] <= now) & (frame["status"] == "pending")]
    frame = frame.reset_index(drop=True)
    if frame.empty:
        return pd.DataFrame()
    known = _inputs_known_at(warehouse, cell, champion["version"], frame)
    frame = frame.assign(inputs_known_at=frame["video_id"].map(known))
    frame = frame[frame["inputs_known_at"] <= now].reset_index(drop=True)
    if frame.empty:
        return pd.DataFrame()
    said = with_forecasts(warehouse, champion["version"], frame)
    kept = ["source", "video_id", "channel_id", "anchor_at", "as_of", "inputs_known_at", "last_level"]
    kept += [name for name in SAID if name in said.columns]
    return said[kept].assign(target=cell.target, cutoff=cell.cutoff, version=champion["version"])


def _open_videos(
    warehouse: Warehouse, settings: Settings, cell: Cell, after: datetime, until: datetime
) -> frozenset[str]:
    """Videos anchored in (after, until] without outcome and without a forecast in the ledger."""
    found = warehouse.query(
        f"""SELECT DISTINCT t.video_id FROM features.targets t
            WHERE t.source = $source AND list_contains($parts, t.target) AND t.status = 'pending'
              AND t.anchor_at > $after AND t.anchor_at <= $until
              AND NOT EXISTS (SELECT 1 FROM {TABLE} f WHERE f.source = t.source AND f.video_id = t.video_id
                              AND f.target = $target AND f.cutoff = $cutoff)""",
        {**vars(cell), "parts": list(settings.parts(cell.target)), "after": after, "until": until},
    )
    return frozenset(found["video_id"].to_pylist())


def _inputs_known_at(warehouse: Warehouse, cell: Cell, version: str, frame: pd.DataFrame) -> "pd.Series[Any]":
    """Per video, when the latest observation behind its inputs came to be known (see `inputs_known.sql`)."""
    of_video = "source = $source AND video_id IN (SELECT unnest($videos))"
    usable = "greatest(observed_at, known_at) AS known_at"
    counts = f"{of_video} AND $cutoff <> 'pre'"
    reads_content = any(group_of(name) not in SCALARS for name in read_manifest(warehouse.home, version).schema.columns)
    con = warehouse.extract(
        {
            "records": f"SELECT video_id, known_at FROM features.content WHERE {of_video}",
            "observations": f"""SELECT video_id, {usable} FROM raw.snapshots WHERE {counts} AND views IS NOT NULL
                UNION ALL SELECT video_id, {usable} FROM raw.metrics WHERE {counts} AND value IS NOT NULL""",
            "contents": f"""SELECT video_id, known_at FROM embeddings.contents
                WHERE {of_video} AND rank = 1 AND $reads_content""",
            "subscribers": f"""SELECT channel_id, {usable} FROM raw.channels
                WHERE source = $source AND channel_id IN (SELECT unnest($channels)) AND subscribers IS NOT NULL""",
            "levels": """SELECT channel_id, anchor_at, first_matured_at, h24_matured_at, h72_matured_at, h168_matured_at
                FROM features.levels WHERE source = $source AND channel_id IN (SELECT unnest($channels))""",
        },
        {
            "source": cell.source,
            "cutoff": cell.cutoff,
            "videos": frame["video_id"].tolist(),
            "channels": frame["channel_id"].dropna().unique().tolist(),
            "reads_content": reads_content,
        },
    )
    with con:
        asked = frame[["video_id", "channel_id", "anchor_at", "as_of"]]
        con.register("asked", pa.Table.from_pandas(asked, preserve_index=False))
        known = con.execute(Path(__file__).with_name("inputs_known.sql").read_text()).df()
    return known.set_index("video_id")["inputs_known_at"]
