"""What a scraper makes of the simulated world: snapshots at irregular ages, and everything that goes wrong with them.

Each row that is spoilt is spoilt in one way only (a falling count may come on top), and each way is counted, so that
a test can hold ingestion to the figures. Nothing here decides how views grow (`world`) or writes files (`landings`).

What ingestion should make of the planted dirt: `duplicate_in_file` and `duplicate_across_files` are duplicates,
`conflict` rows are duplicates with the reason conflict (the true row is known no later and has more views),
`broken_id`, `cut_line` and `bad_encoding` can only be set aside, `label_in_count` loses one count.
"""

from dataclasses import dataclass

import numpy as np
import pandas

from resources.simulator.world import INTERACTION_RATE, World

DAY_S = 86400
# Ages (h) at which a video is visited: the earliest and the latest moment of each visit.
VISITS_H = np.array([
    (0.0, 0.0), (0.25, 0.98), (2.0, 2.98), (4.4, 5.98), (10.0, 15.0), (21.0, 23.9),
    (40.0, 52.0), (66.0, 71.9), (86.0, 118.0), (160.0, 178.0), (312.0, 360.0), (690.0, 760.0),
])  # fmt: skip
SEEN_AT_PUBLICATION = 0.4  # share of the videos whose first snapshot is taken as they appear
MISSING, MISSING_AT_HORIZON = 0.07, 0.01  # share of visits that fail; a collector retries those at 7 and 30 days
HORIZON_VISITS = (9, 11)
REMOVED, REMOVAL_MEDIAN_H = 0.04, 240.0
NOTICES = 2  # visits that still find the note "removed"
FALLS = 0.01
SPOILT = {
    "late": 0.04,
    "duplicate_in_file": 0.012,
    "duplicate_across_files": 0.012,
    "conflict": 0.008,
    "label_in_count": 0.005,
    "broken_id": 0.002,
    "cut_line": 0.002,
    "bad_encoding": 0.001,
}  # share of the rows, each row at most once
COUNTS = ("views", *INTERACTION_RATE)


@dataclass(frozen=True)
class Collection:
    """The rows that arrived, in order of arrival.

    Attributes:
        rows: One row per line of a landing: video (position in the world's videos), collected and known (seconds since
            the start of the first day), age (seconds since publication), day (of arrival), removed, the counts (float,
            NaN where there is none), subscribers, falls (views below the observation before) and spoilt (the kind of
            damage, or "").
        planted: How many rows carry each kind of dirt, as they arrived; `missing` counts visits without a row.
    """

    rows: pandas.DataFrame
    planted: dict[str, int]


def abbreviates(day: int) -> bool:
    """Whether the collector of that day writes counts as a page shows them (541.2K)."""
    return day % 11 == 4


def collect(world: World) -> Collection:
    """Visit every video on schedule and lose, delay, repeat and spoil some of what was seen."""
    rng = world.config.stream("collection")
    rows, missing = _visits(world, rng)
    rows = _observe(world, rows)
    if world.config.dirt:
        rows = _spoil(_let_fall(rows, rng), world.config.days, rng)
    rows = rows[rows["day"] < world.config.days]
    rows = rows.sort_values(["known", "video", "collected"], kind="stable", ignore_index=True)
    return Collection(rows, {"missing": missing} | _census(rows, world.config.dirt))


def _census(rows: pandas.DataFrame, dirt: bool) -> dict[str, int]:
    whole = rows[rows["spoilt"] != "cut_line"]
    large = (whole[list(COUNTS)] >= 1000).any(axis=1)
    planted = {kind: int((rows["spoilt"] == kind).sum()) for kind in SPOILT}
    planted |= {"falling": int(whole["falls"].sum()), "removed": int(whole["removed"].sum())}
    return planted | {"abbreviated": int((large & whole["day"].map(abbreviates)).sum()) if dirt else 0}


def _visits(world: World, rng: np.random.Generator) -> tuple[pandas.DataFrame, int]:
    """Which visits took place (video, age and moment), and how many failed; ordered by video and age."""
    published = world.videos["published"].to_numpy()
    early, late = VISITS_H[:, 0] * 3600, VISITS_H[:, 1] * 3600
    shape = (len(published), len(VISITS_H))
    age = np.round(early + rng.random(shape) * (late - early)).astype(np.int64)
    happens = np.ones(shape, dtype=bool)
    happens[:, 0] = rng.random(len(published)) < SEEN_AT_PUBLICATION
    happens &= published[:, None] + age < world.config.days * DAY_S
    chance = np.full(len(VISITS_H), MISSING)
    chance[list(HORIZON_VISITS)] = MISSING_AT_HORIZON
    fails = (rng.random(shape) < chance) & happens & world.config.dirt
    gone = np.where(rng.random(len(published)) < REMOVED, 1.0, np.inf) * REMOVAL_MEDIAN_H * 3600
    gone = gone * np.exp(rng.normal(0.0, 1.0, len(published))) if world.config.dirt else np.full(len(published), np.inf)
    removed = age >= gone[:, None]
    kept = happens & ~fails & (np.cumsum(removed & happens & ~fails, axis=1) <= NOTICES)
    video, visit = np.nonzero(kept)
    rows = pandas.DataFrame({"video": video, "age": age[video, visit], "removed": removed[video, visit]})
    rows["collected"] = published[video] + rows["age"]
    return rows, int(fails.sum())


def _observe(world: World, rows: pandas.DataFrame) -> pandas.DataFrame:
    video = rows["video"].to_numpy()
    views = np.floor(world.views(video, rows["age"].to_numpy() / 3600))
    rows["views"] = views
    for name in INTERACTION_RATE:
        rows[name] = np.floor(views * world.videos[f"rate_{name}"].to_numpy()[video])
    base = np.exp(world.channels["log_subscribers"].to_numpy())[world.videos["channel"].to_numpy()[video]]
    subscribers = base * (1 + 0.001 * rows["collected"].to_numpy() / DAY_S)
    unit = 10.0 ** np.maximum(np.floor(np.log10(subscribers)) - 2, 0)  # three digits, as platforms show them
    rows["subscribers"] = np.floor(subscribers / unit) * unit
    rows.loc[rows["removed"], [*COUNTS, "subscribers"]] = np.nan
    return rows.assign(known=rows["collected"], day=rows["collected"] // DAY_S, falls=False, spoilt="")


def _let_fall(rows: pandas.DataFrame, rng: np.random.Generator) -> pandas.DataFrame:
    """Lower some counts of views below the observation before, as an audit of the platform does."""
    chosen = rng.random(len(rows)) < FALLS
    factor = rng.uniform(0.9, 0.99, len(rows))
    before = rows.groupby("video")["views"].shift(1).to_numpy()
    chosen &= (before >= 20) & rows["views"].notna().to_numpy() & ~np.roll(chosen, 1)
    rows = rows.assign(views=np.where(chosen, np.floor(before * factor), rows["views"]), falls=chosen)
    return rows.assign(**{name: np.minimum(rows[name], rows["views"]) for name in INTERACTION_RATE})


def _spoil(rows: pandas.DataFrame, days: int, rng: np.random.Generator) -> pandas.DataFrame:
    """Delay, repeat, contradict and mark rows for damage; repeated and contradicting rows are added."""
    kinds = np.array([*SPOILT, ""])
    shares = [*SPOILT.values(), 1 - sum(SPOILT.values())]
    kind = rng.choice(kinds, size=len(rows), p=shares).astype(object)
    plain = ~rows["day"].map(abbreviates).to_numpy()
    able = {
        "duplicate_across_files": plain & ~(rows["day"] + 1).map(abbreviates).to_numpy() & (rows["day"] + 1 < days),
        "conflict": plain & (rows["views"] >= 50) & (rows["known"] % DAY_S < DAY_S - 1800),
        "label_in_count": ~rows["removed"],
        "bad_encoding": ~rows["removed"],
    }
    for name, rule in able.items():
        kind[(kind == name) & ~np.asarray(rule)] = ""
    delay = (600 + 3600 * np.exp(rng.normal(np.log(8.0), 1.2, len(rows)))).astype(np.int64)
    known = rows["known"] + np.where(kind == "late", delay, 0)
    added = {"duplicate_in_file", "duplicate_across_files", "conflict"}
    marked = np.where([name in added for name in kind], "", kind)
    first = rows.assign(known=known, day=known // DAY_S, spoilt=marked)
    again = rows[kind == "duplicate_in_file"].assign(spoilt="duplicate_in_file")
    resent = rows[kind == "duplicate_across_files"].assign(spoilt="duplicate_across_files")
    resent = resent.assign(known=resent["known"] + DAY_S, day=resent["day"] + 1)
    parts: list[pandas.DataFrame] = [first, again, resent, _contradict(rows[kind == "conflict"], rng)]
    return pandas.concat(parts, ignore_index=True)


def _contradict(rows: pandas.DataFrame, rng: np.random.Generator) -> pandas.DataFrame:
    """Rows of the same moment with lower counts, known at the same time or up to half an hour later."""
    factor = rng.uniform(0.9, 0.98, len(rows))
    lower = {name: np.floor(rows[name] * factor) for name in COUNTS}
    lag = np.where(rng.random(len(rows)) < 0.5, 0, rng.integers(60, 1800, len(rows)))
    return rows.assign(known=rows["known"] + lag, spoilt="conflict", **lower)
