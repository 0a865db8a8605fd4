"""features.engagement by pandas: load, `merge_asof` per cutoff, write back. Every row is known when it is observed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from warehouse.connection import Warehouse
from warehouse.contracts import table

COUNTS = ("views", "likes", "comments", "shares", "saves")


def build(warehouse: Warehouse, cutoffs: Sequence[str]) -> None:
    """Replaces the whole of features.engagement."""
    content = warehouse.query("SELECT source, video_id, anchor_day, anchor_at FROM features.content").to_pandas()
    snapshots = warehouse.query(
        f"SELECT source, video_id, observed_at, {', '.join(COUNTS)} FROM raw.snapshots WHERE views IS NOT NULL"
    ).to_pandas()
    states = _states(snapshots)
    parts = []
    for cutoff in cutoffs:
        moments = content.assign(cutoff=cutoff, as_of=content["anchor_at"] + pd.Timedelta(hours=int(cutoff[:-1])))
        joined = pd.merge_asof(
            moments.sort_values("as_of"), states, left_on="as_of", right_on="observed_at", by=["source", "video_id"]
        )
        parts.append(_features(joined[joined["n"].notna()]))
    rows = pd.concat(parts, ignore_index=True)
    with warehouse.write() as con:
        con.execute("DELETE FROM features.engagement")
        con.register("made", rows)
        con.execute("INSERT INTO features.engagement BY NAME SELECT * FROM made")
        con.unregister("made")


def _states(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Per observation, the two before it, the first one, and how many there are up to it."""
    rows = snapshots.sort_values("observed_at", kind="stable")
    groups = rows.groupby(["source", "video_id"], sort=False)
    kept = {"n": groups.cumcount() + 1}
    kept |= {f"first_{name}": groups[name].transform("first") for name in ("observed_at", "views")}
    for which in (1, 2):
        kept |= {f"{name}_{which}": groups[name].shift(which) for name in ("observed_at", "views")}
    return rows.rename(columns={name: f"{name}_0" for name in COUNTS}).assign(observed_at_0=rows["observed_at"], **kept)


def _features(rows: pd.DataFrame) -> pd.DataFrame:
    def hours(later: Any, earlier: Any) -> Any:
        return (later - earlier) / pd.Timedelta(hours=1)

    views = {which: rows[f"views_{which}"].astype(float) for which in range(3)}
    last_age = hours(rows["observed_at_0"], rows["anchor_at"])
    velocity = np.log(1 + (views[0] - views[1]).clip(lower=0) / hours(rows["observed_at_0"], rows["observed_at_1"]))
    previous = np.log(1 + (views[1] - views[2]).clip(lower=0) / hours(rows["observed_at_1"], rows["observed_at_2"]))
    logs = {f"{name}_log": np.log(1 + rows[f"{name}_0"].astype(float)) for name in COUNTS}
    rates = {f"{name[:-1]}_rate": rows[f"{name}_0"].astype(float) / views[0].where(views[0] > 0) for name in COUNTS[1:]}
    first_log = np.log(1 + rows["first_views"].astype(float))
    made = rows[["source", "video_id", "cutoff", "anchor_day", "as_of"]].assign(
        observations=rows["n"].astype("int32"),
        last_age_h=last_age,
        staleness_h=hours(rows["as_of"], rows["observed_at_0"]),
        **logs,
        first_views_log=first_log,
        first_age_h=hours(rows["first_observed_at"], rows["anchor_at"]),
        growth_log=logs["views_log"] - first_log,
        increment_log=logs["views_log"] - np.log(1 + views[1]),
        rate_log=np.log(1 + views[0] / last_age.where(last_age > 0)),
        velocity_log=velocity,
        acceleration=velocity - previous,
        **rates,
        falls=(views[0] < views[1]).astype("Int32").where(views[1].notna()),
    )
    assert set(made.columns) == set(table("features.engagement").column_names)
    return made
