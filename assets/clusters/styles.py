"""Styles of an origin: found, matched with the origin before, named, described and written in one transaction.

The parts are beside this module. What was fitted (reduction, centres, density) is kept as
`styles/<origin>/<sha256>.npz` below the home, named by its own content and referred to by `clusters.fits`, so that
later videos are assigned by exactly what made the styles, whatever has become known since.
Origins are fitted in order: one that is fitted before an earlier one does not know that one's ids.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.clusters import naming, performance, trends
from assets.clusters.brief import brief
from assets.clusters.fit import Fit, Labels, Matrix, Model, NoStylesError, Progress, Search, fit
from assets.clusters.identity import Matches, match
from assets.clusters.inputs import (
    WITH_VECTOR,
    Earlier,
    Videos,
    count_without_vector,
    load_earlier,
    load_measures,
    load_outcomes,
    load_unassigned,
    load_videos,
)
from assets.evaluations.rows import as_arrow
from resources.settings import Settings
from warehouse.arrow import schema_of
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.lineage import forget_partition, record_partitions
from warehouse.writer import replace_rows

EXEMPLARS = 8
TABLES = ("clusters.fits", "clusters.styles", "clusters.sizes", "clusters.assignments")


class StylesError(ValueError):
    """The styles of an origin cannot be had; says what to do."""


@dataclass(frozen=True)
class Summary:
    """What fitting an origin gave.

    Attributes:
        origin: Origin.
        fusion: Vectors that were clustered.
        reason: Why there are no styles; None where there are.
        fitted: Videos that the styles were fitted on.
        assigned: Videos that have a style.
        left_out: Videos whose vector is not finite.
        k: Styles found.
        silhouette: Of the chosen clusters.
        stability: Of the chosen clusters.
        events: How many were born, kept and died.
        lifecycles: How many are emerging, peaking, ...
    """

    origin: date
    fusion: str
    reason: str | None
    fitted: int
    assigned: int
    left_out: int
    k: int = 0
    silhouette: float | None = None
    stability: float | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    lifecycles: Mapping[str, int] = field(default_factory=dict)


Row = dict[str, Any]


def fit_styles(
    warehouse: Warehouse,
    settings: Settings,
    fusion: str,
    origin: date,
    now: datetime,
    run_id: str,
    progress: Progress = lambda line: None,
    search: Search | None = None,
) -> Summary:
    """Finds the styles of an origin and writes its rows of the four tables; the same input gives the same rows.

    Only videos anchored and known before the origin are fitted on; every other video with a vector is assigned. Where
    there is too little to find styles in, the origin is left without rows, as if it had never been made, and the summary
    says why.

    Args:
        warehouse: Warehouse of the home.
        settings: Says which targets performance may speak of.
        fusion: Which fused vectors.
        origin: Origin.
        now: Time of the run (naive UTC).
        run_id: Run that writes.
        progress: Told in one line what is being done.
        search: Which clusterings are tried.
    """
    search = search or Search()
    progress("reading fused vectors")
    videos = load_videos(warehouse, fusion)
    before = videos.before(origin)
    rows: dict[str, pa.Table]
    try:
        found = fit(videos.vectors[before], search, progress)
    except NoStylesError as error:
        rows = {name: _arrow(name, []) for name in TABLES}
        summary = Summary(origin, fusion, str(error), int(before.sum()), 0, videos.left_out)
    else:
        styles, rows = _describe(warehouse, settings, fusion, origin, videos, found, progress)
        summary = _summary(origin, fusion, videos, found, styles)
    count = rows["clusters.styles"].num_rows
    made = (origin.isoformat(), input_version(fusion, search), count)
    with warehouse.write() as con:
        for name in TABLES:
            replace_rows(con, table(name), rows[name], {"origin": origin})
        if count:
            record_partitions(con, "clusters.styles", [made], run_id, now)
        else:  # it is tried again
            forget_partition(con, "clusters.styles", origin.isoformat())
    _forget_other_models(warehouse, origin)
    return summary


def input_version(fusion: str, search: Search | None = None) -> str:
    """What the styles of an origin are made from besides its videos; another one is fitted again."""
    said = f"{_code_version()} {fusion} {json.dumps(asdict(search or Search()), sort_keys=True)}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def assign_new(warehouse: Warehouse, origin: date, progress: Progress = lambda line: None) -> int:
    """Assigns the videos that came since an origin was fitted, by the model that is kept of it; refits nothing.

    Videos that have no vector any more lose their assignment.

    Returns:
        How many were assigned.

    Raises:
        StylesError: The origin has no styles, or the file of its model is gone.
    """
    fusion, sha256 = _chosen(warehouse, origin)
    arrays = _read_model(_model_path(warehouse, origin, sha256))
    videos = load_unassigned(warehouse, fusion, origin)
    removed = count_without_vector(warehouse, fusion, origin)
    if not len(videos.rows) and not removed:
        return 0
    progress(f"assigning {len(videos.rows):,} videos, removing {removed:,}")
    model = Model.from_arrays(arrays)
    reduced = model.reduction(videos.vectors) if len(videos.rows) else np.empty((0, model.centres.shape[1]), np.float32)
    rows = _assignments(origin, videos, model, reduced, arrays["style_ids"].tolist(), np.zeros(len(reduced), bool))
    rows["outlier"] = model.density.outliers(reduced)
    with warehouse.write() as con:
        declared = table("clusters.assignments")
        chosen = con.execute("SELECT sha256 FROM clusters.fits WHERE origin = ? AND chosen", [origin]).fetchone()
        if chosen != (sha256,):
            raise StylesError(f"the styles of {origin} were fitted again meanwhile: run it again")
        there = con.execute(WITH_VECTOR, {"fusion": fusion, "origin": origin}).to_arrow_table()
        added = as_arrow(rows, declared.full_name).select(there.column_names).cast(there.schema)
        replace_rows(con, declared, pa.concat_tables([there, added]), {"origin": origin})
    return len(rows)


def _describe(
    warehouse: Warehouse,
    settings: Settings,
    fusion: str,
    origin: date,
    videos: Videos,
    found: Fit,
    progress: Progress,
) -> tuple[list[Row], dict[str, pa.Table]]:
    """The rows of all four tables."""
    before = videos.before(origin)
    known = videos.rows[before].reset_index(drop=True)
    clusters, distance = found.model.nearest(found.reduced)
    earlier = load_earlier(warehouse, origin)
    matches = match(earlier.members, known["key"].tolist(), clusters, earlier.used)
    known["style_id"] = np.asarray(matches.style_ids, dtype=object)[clusters]
    known["distance"] = distance
    sha256 = _keep_model(warehouse, origin, found.model, matches.style_ids)
    progress("naming and describing styles")
    measures = load_measures(warehouse, origin, known["key"].tolist())
    known = pd.concat([known, measures], axis=1)
    outcomes = _outcomes(warehouse, settings, origin, known)
    sizes = trends.weekly_sizes(known["style_id"].tolist(), known["anchor_at"])
    styles = _style_rows(origin, known, outcomes, sizes, matches, earlier, videos.vectors[before])
    progress("assigning all videos")
    reduced = np.empty((len(before), found.reduced.shape[1]), np.float32)
    reduced[before], reduced[~before] = found.reduced, found.model.reduction(videos.vectors[~before])
    assignments = _assignments(origin, videos, found.model, reduced, matches.style_ids, before)
    outlier = np.empty(len(before), bool)
    outlier[before], outlier[~before] = found.outlier, found.model.density.outliers(reduced[~before])
    assignments["outlier"] = outlier
    fits = [
        {"origin": origin, "fusion": fusion, "n": int(before.sum()), **asdict(candidate)}
        | {"chosen": candidate == found.chosen, "sha256": sha256 if candidate == found.chosen else None}
        for candidate in found.candidates
    ]
    return styles, {
        "clusters.fits": _arrow("clusters.fits", fits),
        "clusters.styles": _arrow("clusters.styles", styles),
        "clusters.sizes": _arrow("clusters.sizes", [{"origin": origin, **row} for row in _records(sizes)]),
        "clusters.assignments": as_arrow(assignments, "clusters.assignments"),
    }


def _outcomes(warehouse: Warehouse, settings: Settings, origin: date, known: pd.DataFrame) -> pd.DataFrame:
    """Matured outcomes of the videos with their surprise: the columns of `known`, target, value, surprise, channel."""
    targets = settings.outcomes()
    found = load_outcomes(warehouse, origin, targets).merge(known, on="key", validate="many_to_one")
    found["order"] = found["target"].map({name: position for position, name in enumerate(targets)})
    found = found.sort_values(["order", "key"], ignore_index=True)
    found["surprise"] = 0.0
    for positions in found.groupby("target").indices.values():
        found.loc[positions, "surprise"] = performance.surprises(found.iloc[positions])
    found["channel"] = performance.channels(found)
    return found


def _style_rows(
    origin: date,
    known: pd.DataFrame,
    outcomes: pd.DataFrame,
    sizes: pd.DataFrame,
    matches: Matches,
    earlier: Earlier,
    vectors: Matrix,
) -> list[Row]:
    """The rows of `clusters.styles`: those that are there, then those that died."""
    styles = known["style_id"].tolist()
    names = naming.name_styles(
        naming.telling_terms(known["title"].where(known["title"].notna(), None).tolist(), styles),
        naming.looks(known, styles),
        Counter(styles),
    )
    distances = dict(zip(matches.style_ids, matches.distances, strict=True))
    members = known.groupby("style_id").indices
    rows: list[Row] = []
    for style in matches.style_ids:
        inside = members[style]
        row: Row = {"origin": origin, "style_id": style, **asdict(names[style]), "size": len(inside)}
        row["exemplars"] = _exemplars(known.iloc[inside])
        row["centre"] = vectors[inside].mean(axis=0, dtype=np.float64).astype(np.float32).tolist()
        row["event"] = "born" if distances[style] is None else "kept"
        row["match_distance"] = distances[style]
        row |= _course(trends.trend(sizes, style, origin))
        row |= _performance(outcomes[outcomes["style_id"] == style])
        rows.append(row)
    taken = {row["name"] for row in rows}
    for style in matches.died:
        last = earlier.styles[style]
        name = naming.free_name(last["name"], style, taken)
        taken.add(name)
        rows.append(_dead(origin, {**last, "name": name}))
    return rows


def _course(trend: trends.Trend) -> Row:
    slope = trend.slope
    return {
        "lifecycle": trend.lifecycle,
        "share_slope": slope and slope.value,
        "share_slope_low": slope and slope.low,
        "share_slope_high": slope and slope.high,
    }


def _performance(outcomes: pd.DataFrame) -> Row:
    """Lift and brief of a style, on the target of which most of its videos have an outcome."""
    counts = outcomes.groupby("target", sort=False).size()
    target = str(counts.idxmax()) if len(counts) else None
    matured = outcomes[outcomes["target"] == target]
    lift = performance.lift(target, matured["surprise"].to_numpy(), matured["channel"].tolist()) if target else None
    return {
        "target": target,
        "lift": lift and lift.value,
        "lift_low": lift and lift.low,
        "lift_high": lift and lift.high,
        "matured": len(matured),
        "brief": brief(matured, target),
    }


def _dead(origin: date, last: Mapping[str, Any]) -> Row:
    """A style that is no longer found, once, with what it was called and where it was."""
    kept = {name: last[name] for name in ("style_id", "name", "description", "terms", "exemplars", "centre")}
    return {"origin": origin, "size": 0, "event": "died", "brief": "{}", **kept}


def _exemplars(members: pd.DataFrame) -> list[str]:
    """The videos nearest to the centre: those with a picture first, each title once, each channel once while others last."""
    near = members.sort_values(["pictured", "distance", "key"], ascending=[False, True, True])
    titled = near["title"].where(near["title"].notna(), near["key"])
    near = near[~titled.duplicated().to_numpy()]
    again = performance.channels(near).duplicated().to_numpy()
    near = pd.concat([near[~again], near[again]]).sort_values("pictured", ascending=False, kind="stable")
    return near["key"].tolist()[:EXEMPLARS]


def _assignments(
    origin: date, videos: Videos, model: Model, reduced: Matrix, style_ids: Sequence[str], fitted: Labels | Any
) -> pd.DataFrame:
    """Rows of `clusters.assignments` but for `outlier`."""
    clusters, distance = model.nearest(reduced)
    flat = reduced if reduced.shape[1] >= 2 else np.pad(reduced, ((0, 0), (0, 1)))  # a single component has no height
    return pd.DataFrame(
        {
            "origin": origin,
            "source": videos.rows["source"],
            "video_id": videos.rows["video_id"],
            "style_id": np.asarray(style_ids, dtype=object)[clusters],
            "distance": distance.astype(float),
            "fitted": fitted,
            "x": flat[:, 0].astype(float),
            "y": flat[:, 1].astype(float),
        }
    )


def _summary(origin: date, fusion: str, videos: Videos, found: Fit, styles: Sequence[Row]) -> Summary:
    return Summary(
        origin=origin,
        fusion=fusion,
        reason=None,
        fitted=len(found.reduced),
        assigned=len(videos.rows),
        left_out=videos.left_out,
        k=found.chosen.k,
        silhouette=found.chosen.silhouette,
        stability=found.chosen.stability,
        events=Counter(row["event"] for row in styles),
        lifecycles=Counter(row["lifecycle"] for row in styles if row.get("lifecycle")),
    )


def _model_path(warehouse: Warehouse, origin: date, sha256: str) -> Path:
    return warehouse.home / "styles" / origin.isoformat() / f"{sha256}.npz"


def _keep_model(warehouse: Warehouse, origin: date, model: Model, style_ids: Sequence[str]) -> str:
    """Writes the model to a file of its sha256, which is given back; a crash leaves no half a file under that name."""
    content = model.to_bytes(style_ids=np.asarray(style_ids, dtype=str))
    sha256 = hashlib.sha256(content).hexdigest()
    path = _model_path(warehouse, origin, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)
    return sha256


def _read_model(path: Path) -> Any:
    """The arrays of a model, its bytes checked against the name."""
    remedy = "fit the origin again"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StylesError(f"{path} is missing: {remedy}") from None
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise StylesError(f"{path} is not what was written: {remedy}")
    return np.load(BytesIO(content), allow_pickle=False)


def _forget_other_models(warehouse: Warehouse, origin: date) -> None:
    """Removes the files of an origin that no row refers to."""
    with warehouse.read() as con:
        used = {row[0] for row in con.execute("SELECT sha256 FROM clusters.fits WHERE origin = ?", [origin]).fetchall()}
    for path in (warehouse.home / "styles" / origin.isoformat()).glob("*"):
        if path.suffix != ".npz" or path.stem not in used:
            path.unlink(missing_ok=True)


def _chosen(warehouse: Warehouse, origin: date) -> tuple[str, str]:
    """Fusion and model file of an origin's styles."""
    with warehouse.read() as con:
        row = con.execute("SELECT fusion, sha256 FROM clusters.fits WHERE origin = ? AND chosen", [origin]).fetchone()
    if row is None:
        raise StylesError(f"there are no styles of {origin}: fit that origin first")
    return str(row[0]), str(row[1])


def _arrow(full_name: str, rows: Sequence[Row]) -> pa.Table:
    """Rows as a table of the declared columns and types."""
    return pa.Table.from_pylist(list(rows), schema=schema_of(table(full_name)))


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


@cache
def _code_version() -> str:
    folder = Path(__file__).parent
    files = ("fit", "identity", "inputs", "naming", "trends", "performance", "brief", "styles")
    return hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in files)).hexdigest()[:16]
