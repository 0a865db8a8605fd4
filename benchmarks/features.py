"""Feature tables for 200,000 videos x 6 cutoffs over 5,000,000 snapshots, against plain SQL and against pandas.

The references do the work of `features.engagement` and are asserted equal to it. Timed from raw rows in a warehouse file to
rows in a warehouse file.
"""

import tempfile
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from assets.features.build import build
from benchmarks.reference import merge_asof
from resources.settings import load_settings, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_partition

START, END, NOW = date(2025, 1, 1), date(2025, 4, 11), datetime(2026, 1, 1)
CUTOFFS = ("0h", "1h", "3h", "6h", "24h", "72h")
REFERENCE = Path(__file__).parent / "reference" / "engagement.sql"


def fill(warehouse: Warehouse, videos: int, snapshots_each: int) -> None:
    """Videos over 100 days, each with snapshots at growing ages, known when they were observed."""
    with warehouse.write() as con:
        con.execute(
            f"""CREATE TEMP TABLE video AS
                SELECT 'bench' AS source, 'v' || i AS video_id, 'c' || (i % {max(videos // 20, 1)}) AS channel_id,
                       TIMESTAMP '2025-01-01' + to_seconds((i * 4001) % (86400 * 100)) AS anchor_at
                FROM range({videos}) t(i)"""
        )
        con.execute(
            f"""INSERT INTO raw.snapshots BY NAME
                SELECT source, video_id, observed_at, observed_at AS known_at,
                       (hash(video_id) % 1000 * j)::BIGINT AS views, (hash(video_id) % 50 * j)::BIGINT AS likes,
                       j::BIGINT AS "comments", NULL::BIGINT AS shares, (j // 2)::BIGINT AS saves,
                       'bench' AS landing_id, row_number() OVER () AS row_number, NULL::VARCHAR[] AS flags
                FROM (SELECT *, anchor_at + to_seconds((power(j, 2.4) * 300)::BIGINT) AS observed_at
                      FROM video, range(1, {snapshots_each + 1}) r(j))"""
        )
        con.execute(
            """INSERT INTO features.content BY NAME
               SELECT source, video_id, CAST(anchor_at AS DATE) AS anchor_day, anchor_at, anchor_at AS first_seen_at,
                      anchor_at AS known_at, channel_id FROM video"""
        )


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Ours against the references, medians of three runs that take turns."""
    videos, each = (10_000, 25) if quick else (200_000, 25)
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        settings = load_settings(Path(folder)).model_copy(update={"cutoffs": ("pre", *CUTOFFS)})
        fill(warehouse, videos, each)
        ours, plain, pandas = [], [], []
        for _ in range(3):
            ours.append(_timed(lambda: _ours(warehouse, settings)))
            kept = _engagement(warehouse)
            plain.append(_timed(lambda: _plain(warehouse)))
            pd.testing.assert_frame_equal(kept, _engagement(warehouse))
            pandas.append(_timed(lambda: merge_asof.build(warehouse, CUTOFFS)))
            pd.testing.assert_frame_equal(kept, _engagement(warehouse), rtol=1e-12, atol=1e-9)
    value, reference, slow = (sorted(times)[1] for times in (ours, plain, pandas))
    what = f"engagement features of {videos:,} videos x {len(CUTOFFS)} cutoffs over {videos * each:,} snapshots"
    common = {"benchmark": "features", "unit": "s", "value": value}
    return [
        {**common, "figure": f"{what}, against plain SQL", "reference": reference, "ratio": value / reference,
         "target": "at most 1.5 times", "ok": value <= 1.5 * reference},
        {**common, "figure": f"{what}, against pandas merge_asof", "reference": slow, "ratio": slow / value,
         "target": "at least 3 times faster", "ok": slow >= 3 * value},
    ]  # fmt: skip


def _ours(warehouse: Warehouse, settings: Any) -> None:
    rows = build("engagement", warehouse, settings, {"bench": "published_at"}, START, END, NOW)
    with warehouse.write() as con:
        replace_partition(con, table("features.engagement"), rows, START, END)


def _plain(warehouse: Warehouse) -> None:
    """One hand-written statement on the file, in one transaction, without contract checks."""
    with warehouse.write() as con:
        con.execute("DELETE FROM features.engagement WHERE anchor_day >= ? AND anchor_day < ?", [START, END])
        con.execute(REFERENCE.read_text(), {"start": midnight(START), "end": midnight(END)})


def _engagement(warehouse: Warehouse) -> pd.DataFrame:
    rows = warehouse.query("SELECT * FROM features.engagement").to_pandas()
    return rows.sort_values(["source", "video_id", "cutoff"], ignore_index=True)


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
