"""Writes what was collected as landing files, one per day of arrival, as a scraper would leave them.

Most files are plain CSV; some are gzipped, some start with a byte order mark, some show counts as `541.2K`. The same
configuration gives the same bytes. A file appears under its name only when it is whole.
"""

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas

from resources.simulator.collection import COUNTS, abbreviates, collect
from resources.simulator.world import SimulatorConfig, World, make_world

DESCRIBED = ["channel_name", "subscribers", "title", "description", "tags", "duration", "published_at"]
HEADER = ["video_id", "channel_id", *DESCRIBED, "collected_at", *COUNTS, "status", "known_at"]
BROKEN_IDS = ("", "#NAME?", "7.52E+18")
LABEL = "Share"
_SHARES = HEADER.index("shares")


def write_landings(
    config: SimulatorConfig, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Simulate and write one landing file per day.

    Args:
        config: What to simulate.
        folder: Where the files go; made if absent, files of the same names are replaced.
        progress: Called with (files written, files in all) after each file.

    Returns:
        The files in order of their days, `simulator_YYYYMMDD.csv` or `.csv.gz`.
    """
    world = make_world(config)
    return write_collected(world, collect(world).rows, folder, progress=progress)


def write_collected(
    world: World, rows: pandas.DataFrame, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write the rows of a `Collection` of `world`; see `write_landings`."""
    config = world.config
    folder.mkdir(parents=True, exist_ok=True)
    about = _descriptions_of(world)
    edges = np.searchsorted(rows["day"].to_numpy(), np.arange(config.days + 1))
    paths = []
    for day in range(config.days):
        records = _records(rows.iloc[edges[day] : edges[day + 1]], about, config, config.dirt and abbreviates(day))
        paths.append(_write(folder, config.start + timedelta(days=day), day, records))
        if progress:
            progress(day + 1, config.days)
    return paths


def _descriptions_of(world: World) -> list[tuple[str, ...]]:
    """video_id, channel_id, channel_name, title, description, tags, duration and published_at of each video."""
    videos = world.videos
    names = world.channels["name"].to_numpy()[videos["channel"].to_numpy()]
    columns = (
        videos["video_id"],
        videos["channel_id"],
        names,
        videos["title"],
        videos["description"],
        [json.dumps(tags) for tags in videos["tags"]],
        [
            f"PT{seconds // 60}M{seconds % 60}S" if seconds >= 60 else f"PT{seconds}S"
            for seconds in videos["duration_s"]
        ],
        _times(world.config.start, videos["published"]),
    )
    return list(zip(*columns, strict=True))


def _records(
    rows: pandas.DataFrame, about: list[tuple[str, ...]], config: SimulatorConfig, abbreviated: bool
) -> list[list[str]]:
    write = _abbreviate if abbreviated else _exact
    counts = [[write(value) for value in rows[name].tolist()] for name in COUNTS]
    subscribers = [_exact(value) for value in rows["subscribers"].tolist()]
    fixed = (rows["video"].tolist(), rows["removed"].tolist(), rows["spoilt"].tolist(), subscribers)
    times = (_times(config.start, rows["collected"]), _times(config.start, rows["known"]))
    records = []
    for video, removed, spoilt, followers, collected, known, *numbers in zip(*fixed, *times, *counts, strict=True):
        video_id, channel_id, name, title, description, tags, duration, published = about[video]
        if removed:
            title = description = tags = duration = ""
        record = [video_id, channel_id, name, followers, title, description, tags, duration, published, collected]
        record += [*numbers, "removed" if removed else "live", known]
        records.append(_damage(record, spoilt, video) if spoilt else record)
    return records


def _damage(record: list[str], kind: str, video: int) -> list[str]:
    """The record with its planted fault; `video` picks among the variants."""
    if kind == "broken_id":
        return [BROKEN_IDS[video % len(BROKEN_IDS)], *record[1:]]
    if kind == "cut_line":
        return [record[0], record[1][: 2 + video % 18]]
    if kind == "label_in_count":
        return [*record[:_SHARES], LABEL, *record[_SHARES + 1 :]]
    if kind == "bad_encoding":
        return [*record[:4], record[4] + " caf\udce9", *record[5:]]  # a lone byte E9: Latin-1, no UTF-8
    return record


def _exact(value: float) -> str:
    return "" if math.isnan(value) else str(int(value))


def _abbreviate(value: float) -> str:
    if math.isnan(value) or value < 1000:
        return _exact(value)
    return f"{value / 1e6:.1f}M" if value >= 999_950 else f"{value / 1e3:.1f}K"


def _times(start: date, seconds: pandas.Series) -> list[str]:
    moments = np.datetime64(start, "s") + seconds.to_numpy().astype("timedelta64[s]")
    return [f"{moment}Z" for moment in np.datetime_as_string(moments, unit="s").tolist()]


def _write(folder: Path, today: date, day: int, records: list[list[str]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(records)
    content = text.getvalue().encode("utf-8", errors="surrogateescape")
    if day % 7 == 2:
        content = b"\xef\xbb\xbf" + content
    path = folder / f"simulator_{today:%Y%m%d}.csv"
    if day % 5 == 3:
        content, path = gzip.compress(content, compresslevel=6, mtime=0), path.with_suffix(".csv.gz")
    scratch = folder / f".{path.name}.{os.getpid()}"
    scratch.write_bytes(content)
    os.replace(scratch, path)
    return path
