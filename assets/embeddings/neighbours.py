"""How the most similar videos did whose outcome had matured before a video's anchor: `embeddings.neighbours`.

The neighbours of a video depend on the videos of its source that were usable by its anchor, and on nothing later. So the
days of anchors are done in order, and `lineage.partitions` keeps for each what it was made from: a chain over the days of
all that became usable up to it, and the videos of the day. A day whose mark differs is done again, and no other.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.embeddings.matrix import Matrix, normalised, read_vectors
from assets.embeddings.search import top
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.lineage import record_partitions
from warehouse.writer import replace_matching

K = 20
"""Neighbours of a video."""
TABLE = "embeddings.neighbours"
_VIDEOS = (Path(__file__).parent / "neighbours.sql").read_text()
_CODE = hashlib.sha256((_VIDEOS + Path(__file__).read_text()).encode()).hexdigest()
_ROWS_PER_WRITE = 5_000
_QUERIES = 256


def find_neighbours(
    warehouse: Warehouse, settings: Settings, fusion: str, target: str, now: datetime, k: int = K, run_id: str = ""
) -> int:
    """Finds the neighbours of every video with a fused vector, where they are missing or could be others now.

    Args:
        warehouse: Where vectors and outcomes are read.
        settings: Which targets there are.
        fusion: Which vectors are compared.
        target: Whose matured outcomes count.
        now: Outcomes and anchors later than this do not exist yet (naive UTC).
        k: Most neighbours of a video.
        run_id: Run that finds them.

    Returns:
        Videos whose neighbours were found anew.

    Raises:
        ValueError: The settings name no such target.
    """
    if target not in settings.targets:
        raise ValueError(f"there is no target {target}; the settings name {', '.join(settings.targets)}")
    with warehouse.read() as con:
        videos = con.execute(_VIDEOS, {"fusion": fusion, "target": target, "now": now}).df()
    written = 0
    _forget(warehouse, fusion, target, videos)
    for source, own in videos.groupby("source", sort=True):
        marks = _marks(own, k)
        done = _stored_marks(warehouse, fusion, target, str(source))
        stale = [day for day, mark in marks.items() if done.get(day) != mark]
        if not stale:
            continue
        search = _Search(warehouse, fusion, str(source), own.reset_index(drop=True), k)
        for days, found in _batches(search, stale):
            made = _made({day: marks[day] for day in days}, f"{fusion}/{target}/{source}", found)
            _write(warehouse, fusion, target, found, made, run_id, now)
            written += len(found)
    return written


class _Search:
    """The videos of one source: those that may be neighbours in the order in which they become usable."""

    def __init__(self, warehouse: Warehouse, fusion: str, source: str, videos: pd.DataFrame, k: int) -> None:
        self.videos = videos
        self.k = k
        query = "SELECT video_id, vector FROM embeddings.fused WHERE fusion = ? AND source = ? AND vector IS NOT NULL"
        with warehouse.read() as con:
            ids, vectors = read_vectors(con, query, [fusion, source])
        at = pd.Series(np.arange(len(ids)), index=ids)
        self.vectors = normalised(vectors)[at.loc[videos["video_id"]].to_numpy()]
        order = videos[videos["usable_at"].notna()].sort_values(["usable_at", "video_id"]).index.to_numpy()
        self.usable_at = videos["usable_at"].to_numpy()[order]
        self.value = videos["value"].to_numpy(np.float64)[order]
        self.matrix = Matrix(videos["video_id"].to_numpy(object)[order], self.vectors[order], fusion)

    def of_day(self, day: date) -> pd.DataFrame:
        """The videos anchored on a day, with how their neighbours did."""
        on_day = self.videos[self.videos["day"] == pd.Timestamp(day)]
        parts = [self._of(on_day.iloc[start : start + _QUERIES]) for start in range(0, len(on_day), _QUERIES)]
        return pd.concat(parts)

    def _of(self, asked: pd.DataFrame) -> pd.DataFrame:
        first = np.searchsorted(self.usable_at, asked["anchor_at"].to_numpy(), side="right")
        rows, cosines = top(self.matrix, self.vectors[asked.index.to_numpy()], self.k + 1, first=first)
        figures = [
            self._figures(own_rows, own_cosines, video)
            for own_rows, own_cosines, video in zip(rows, cosines, asked["video_id"], strict=True)
        ]
        columns = ["neighbours", "similarity", "outcome_mean", "outcome_spread"]
        made = pd.DataFrame(figures, index=asked.index, columns=columns)
        return asked[["source", "video_id", "anchor_at"]].join(made)

    def _figures(
        self, rows: np.ndarray[Any, Any], cosines: np.ndarray[Any, Any], video: str
    ) -> tuple[int, float | None, float | None, float | None]:
        """Number, mean cosine, mean outcome weighted by cosine, and standard deviation of outcomes; never of itself."""
        found = rows >= 0
        rows, cosines = rows[found], cosines[found].astype(np.float64)
        others = self.matrix.ids[rows] != video
        chosen, cosine = rows[others][: self.k], cosines[others][: self.k]
        if not len(chosen):
            return 0, None, None, None
        outcome = self.value[chosen]
        weight = np.maximum(cosine, 0)
        mean = np.average(outcome, weights=weight if weight.any() else None)
        return len(chosen), float(cosine.mean()), float(mean), float(outcome.std())


def _batches(search: _Search, days: list[date]) -> Iterator[tuple[list[date], pd.DataFrame]]:
    """Days in order, as many at once as make a transaction worth while, with their rows."""
    parts: list[pd.DataFrame] = []
    pending: list[date] = []
    for day in days:
        parts.append(search.of_day(day))
        pending.append(day)
        if sum(map(len, parts)) >= _ROWS_PER_WRITE:
            yield pending, pd.concat(parts)
            parts, pending = [], []
    if pending:
        yield pending, pd.concat(parts)


def _marks(videos: pd.DataFrame, k: int) -> dict[date, str]:
    """Per day of anchors, what its neighbours are made from."""
    usable = videos[videos["usable_at"].notna()].sort_values(["usable_at", "video_id"])
    became = _hashed(usable, ["video_id", "version", "value", "usable_at"], usable["usable_at"].dt.date)
    asked = _hashed(videos, ["video_id", "version", "anchor_at"], videos["day"].dt.date)
    chain, marks = hashlib.sha256(f"{_CODE} {k}".encode()).hexdigest(), {}
    for day in sorted(became.keys() | asked.keys()):
        if day in became:
            chain = hashlib.sha256(f"{chain} {became[day]}".encode()).hexdigest()
        if day in asked:
            marks[day] = hashlib.sha256(f"{chain} {asked[day]}".encode()).hexdigest()[:16]
    return marks


def _hashed(rows: pd.DataFrame, columns: list[str], days: pd.Series) -> dict[date, str]:
    """A fingerprint of the rows of each day."""
    hashes = pd.util.hash_pandas_object(rows[columns], index=False)
    found = hashes.groupby(days.astype(str).to_numpy())
    return {date.fromisoformat(str(day)): hashlib.sha256(part.to_numpy().tobytes()).hexdigest() for day, part in found}


def _stored_marks(warehouse: Warehouse, fusion: str, target: str, source: str) -> dict[date, str]:
    """What the neighbours of each day were made from, of days whose rows are all there."""
    rows = warehouse.query(
        f"""SELECT n.day, p.input_version
            FROM (SELECT CAST(anchor_at AS DATE) AS day, count(*) AS rows FROM {TABLE}
                  WHERE fusion = $fusion AND target = $target AND source = $source GROUP BY ALL) n
            JOIN lineage.partitions p ON p."table" = $table AND p.rows = n.rows
                 AND p.partition = concat_ws('/', $fusion, $target, $source, n.day)""",
        {"table": TABLE, "fusion": fusion, "target": target, "source": source},
    ).to_pylist()
    return {row["day"]: row["input_version"] for row in rows}


def _forget(warehouse: Warehouse, fusion: str, target: str, videos: pd.DataFrame) -> None:
    """Removes the rows of videos that have no vector or anchor any more, or none yet."""
    outdated = f"""FROM {TABLE} n ANTI JOIN kept USING (source, video_id, anchor_at)
                   WHERE fusion = $fusion AND target = $target"""
    known = pa.Table.from_pandas(videos[["source", "video_id", "anchor_at"]], preserve_index=False)
    parameters = {"fusion": fusion, "target": target}
    with warehouse.read() as con:
        con.register("kept", known)
        gone = con.execute(f"SELECT source, video_id {outdated}", parameters).to_arrow_table()
    if not gone.num_rows:
        return
    with warehouse.write() as con:
        con.register("outdated", gone)
        con.execute(
            f"""DELETE FROM {TABLE} n USING outdated o
                WHERE n.fusion = $fusion AND n.target = $target AND n.source = o.source AND n.video_id = o.video_id""",
            parameters,
        )
        con.unregister("outdated")


def _made(marks: dict[date, str], name: str, found: pd.DataFrame) -> list[tuple[str, str, int]]:
    """What is noted of days that were done."""
    counts = found["anchor_at"].dt.date.value_counts()
    return [(f"{name}/{day}", mark, int(counts[day])) for day, mark in marks.items()]


def _write(
    warehouse: Warehouse,
    fusion: str,
    target: str,
    found: pd.DataFrame,
    made: list[tuple[str, str, int]],
    run_id: str,
    now: datetime,
) -> None:
    """Replaces the rows of whole days and their marks, in one transaction."""
    declared = table(TABLE)
    rows = pa.Table.from_pandas(found.assign(fusion=fusion, target=target), preserve_index=False)
    with warehouse.write() as con:
        of_videos = ("fusion", "target", "source", "video_id")
        replace_matching(con, declared, rows.select(list(declared.column_names)), of_videos)
        record_partitions(con, TABLE, made, run_id, now)
