"""The simulator keeps its word: same seed same bytes, every kind of dirt as counted, curves and skill as promised."""

import csv
import gzip
import io
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score

from resources.simulator import Simulation, SimulatorConfig, simulate, truth, write_landings
from resources.simulator.collection import COUNTS, SPOILT
from resources.simulator.landings import BROKEN_IDS, HEADER, LABEL

SMALL = SimulatorConfig(seed=3, channels=30, videos_per_day=25, days=50, drift_day=35)
CUTOFFS_H = {"pre": None, "0h": 0, "1h": 1, "3h": 3, "6h": 6, "24h": 24, "72h": 72}


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(SMALL)


@pytest.fixture(scope="module")
def preset() -> Simulation:
    return simulate(SimulatorConfig())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def lines(path: Path) -> list[list[str]]:
    """Records of a landing as text, header left off, undecodable bytes kept as surrogates."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = content.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
    header, *records = csv.reader(io.StringIO(text, newline=""))
    assert header == HEADER
    return records


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    config = SimulatorConfig(seed=1, channels=10, videos_per_day=5, days=12)
    other = SimulatorConfig(seed=2, channels=10, videos_per_day=5, days=12)
    paths = write_landings(config, tmp_path / "a")
    assert [path.name[:18] for path in paths[:2]] == ["simulator_20250101", "simulator_20250102"]
    write_landings(config, tmp_path / "b")
    write_landings(other, tmp_path / "c")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert all(contents(tmp_path / "c")[path.name] != path.read_bytes() for path in paths)
    assert not set(truth(config)["video_id"]) & set(truth(other)["video_id"])


def test_one_file_per_day_holds_what_arrived_that_day_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    paths = write_landings(SMALL, tmp_path / "new" / "folder", progress=lambda done, total: told.append((done, total)))
    assert len(paths) == 50 and told == [(day + 1, 50) for day in range(50)]
    assert {path.name.partition(".")[2] for path in paths} == {"csv", "csv.gz"}
    assert any(path.read_bytes().startswith(b"\xef\xbb\xbf") for path in paths)
    for path in paths:
        day = f"{date.fromisoformat(path.name[10:18])}"
        assert all(record[-1].startswith(day) for record in lines(path) if len(record) == len(HEADER))


def test_collecting_otherwise_does_not_change_the_world() -> None:
    clean = SimulatorConfig(seed=3, channels=30, videos_per_day=25, days=50, drift_day=35, dirt=False)
    pandas.testing.assert_frame_equal(truth(SMALL), truth(clean))


def test_every_kind_of_dirt_is_in_the_files_as_often_as_it_is_counted(tmp_path: Path, small: Simulation) -> None:
    found: Counter[str] = Counter()
    originals: set[tuple[str, ...]] = set()
    seen: dict[tuple[str, str], set[str]] = {}
    for path in write_landings(SMALL, tmp_path):
        file_originals: set[tuple[str, ...]] = set()
        for record in lines(path):
            if len(record) < len(HEADER):
                found["cut_line"] += 1
                continue
            row = dict(zip(HEADER, record, strict=True))
            counts = [row[name] for name in COUNTS]
            found["broken_id"] += row["video_id"] in BROKEN_IDS
            found["label_in_count"] += LABEL in counts
            found["bad_encoding"] += "\udce9" in row["title"]
            found["removed"] += row["status"] == "removed"
            found["abbreviated"] += any(count.endswith(("K", "M")) for count in counts)
            assert (row["status"] == "live") == (row["views"] != "")
            if row["video_id"] in BROKEN_IDS:
                continue
            key = (row["video_id"], row["collected_at"])
            same = (*key, *counts)
            repeats = same in file_originals or same in originals
            found["duplicate_in_file"] += same in file_originals
            found["duplicate_across_files"] += same in originals
            found["conflict"] += key in seen and not repeats
            found["late"] += row["known_at"] > row["collected_at"] and key not in seen
            seen.setdefault(key, set()).add(row["views"])
            file_originals.add(same)
        originals |= file_originals
    assert set(small.planted) == {*SPOILT, "missing", "falling", "removed", "abbreviated"}
    assert all(count > 0 for count in small.planted.values()), small.planted
    assert dict(found) == {kind: small.planted[kind] for kind in found}
    assert len(found) == len(small.planted) - 2


def test_counts_fall_only_where_planted(small: Simulation) -> None:
    """A fall is below the view count before it; rows of the same moment that contradict are left out."""
    rows = small.rows[~small.rows["spoilt"].isin(["conflict", "duplicate_in_file", "duplicate_across_files"])]
    rows = rows.sort_values(["video", "collected"])
    falls = rows.groupby("video")["views"].diff() < 0
    assert (falls <= rows["falls"]).all()
    assert falls.sum() >= 0.9 * rows["falls"].sum() > 0


def test_a_conflict_never_beats_the_true_row(small: Simulation) -> None:
    conflicts = small.rows[small.rows["spoilt"] == "conflict"]
    others = small.rows[small.rows["spoilt"] == ""].set_index(["video", "collected"])
    true = others.loc[list(zip(conflicts["video"], conflicts["collected"], strict=True))]
    assert (conflicts["views"].to_numpy() < true["views"].to_numpy()).all()
    assert (conflicts["known"].to_numpy() >= true["known"].to_numpy()).all()


def test_a_removed_video_shows_no_counts_again(small: Simulation) -> None:
    rows = small.rows.sort_values(["video", "collected"])
    removed_before = rows.groupby("video")["removed"].cummax()
    assert (rows["removed"] == removed_before).all()
    assert rows.loc[rows["removed"], list(COUNTS)].isna().all(axis=None)


def test_without_dirt_every_visit_lands_once_on_time_and_grows() -> None:
    clean = simulate(SimulatorConfig(channels=20, videos_per_day=20, days=40, dirt=False))
    assert set(clean.planted.values()) == {0}
    assert not clean.rows.duplicated(["video", "collected"]).any()
    assert (clean.rows["known"] == clean.rows["collected"]).all()
    ordered = clean.rows.sort_values(["video", "collected"])
    for name in COUNTS:
        assert not (ordered.groupby("video")[name].diff() < 0).any()


def test_true_curves_rise_burst_early_and_saturate(preset: Simulation) -> None:
    world = preset.world
    rows = np.arange(len(world.videos))
    ages = [0.0, 0.5, 1, 3, 6, 24, 72, 168, 720, 1440]
    views = np.array([world.views(rows, np.full(len(rows), age)) for age in ages])
    assert (views >= 0).all() and (np.diff(views, axis=0) > 0).all()
    assert np.median(views[7] / views[8]) > 0.85
    assert np.median(views[9] / views[8]) < 1.05


def test_the_top_one_per_cent_has_at_least_thirty_per_cent_of_the_views() -> None:
    for seed in (1, 2, 3):
        outcome = truth(SimulatorConfig(seed=seed))
        for horizon in ("views_7d", "views_30d"):
            views = np.sort(outcome[horizon].to_numpy())[::-1]
            assert views[: len(views) // 100].sum() / views.sum() >= 0.3


def test_snapshots_per_video_and_the_horizons_are_observed(preset: Simulation) -> None:
    rows = preset.rows
    assert 9.5 < len(rows) / len(preset.world.videos) < 11.5
    published = preset.world.videos["published"].to_numpy()
    for horizon_d, tolerance_h in ((7, 24), (30, 72)):
        old = published < (120 - horizon_d - 4) * 86400
        near = rows[(rows["age"] / 3600 - horizon_d * 24).abs().le(tolerance_h) & ~rows["removed"]]
        removed = rows.loc[rows["removed"], "video"].unique()
        expected = np.setdiff1d(np.flatnonzero(old), removed)
        assert np.isin(expected, near["video"]).mean() > 0.95
    for age_h in (1, 3, 6, 24, 72):
        early = rows[(rows["known"] - published[rows["video"]]) <= age_h * 3600]
        assert early["video"].nunique() > 0.9 * len(published)


def test_styles_are_worth_something_else_after_the_drift() -> None:
    config = SimulatorConfig(channels=20, videos_per_day=50, days=40, drift_day=20)
    videos = simulate(config).world.videos
    worth = videos.groupby(["style", videos["published"] >= 20 * 86400])["latent_style"]
    assert (worth.nunique() == 1).all()
    change = worth.first().unstack()
    assert (change[True] - change[False]).abs().max() > 0.1
    still = simulate(SimulatorConfig(channels=20, videos_per_day=50, days=40, drift_day=None)).world.videos
    assert still.groupby("style")["latent_style"].nunique().max() == 1


def early_counts(simulation: Simulation, cutoff_h: float | None) -> pandas.DataFrame:
    """What the videos' own counts said by a cutoff: the last two usable observations; no columns at `pre`."""
    videos = simulation.world.videos
    if cutoff_h is None:
        return pandas.DataFrame(index=videos.index)
    rows = simulation.rows
    rows = rows[rows["spoilt"].isin(["", "late"]) & ~rows["removed"]].sort_values(["video", "collected"])
    rows = rows[rows["known"] <= videos["published"].to_numpy()[rows["video"]] + cutoff_h * 3600]
    logs = np.log1p(rows[list(COUNTS)]).assign(age=rows["age"], video=rows["video"])
    last = logs.groupby("video").tail(1).set_index("video")
    before = logs.groupby("video").nth(-2).set_index("video")[["views", "age"]].add_suffix("_before")
    return last.join(before).reindex(videos.index).dropna(axis=1, how="all")


def test_reachable_skill_is_in_range_and_rises_with_the_cutoff(preset: Simulation) -> None:
    """The booster with the true latents: trained on what had matured on day 70, tested on what came later."""
    videos = preset.world.videos
    latents = videos.filter(like="latent_")
    week = preset.world.views(np.arange(len(videos)), np.full(len(videos), 168.0))
    outcome, day = np.log1p(week), videos["published"] / 86400
    train, test = (day < 62).to_numpy(), (day >= 70).to_numpy()
    reached = {}
    for cutoff, age_h in CUTOFFS_H.items():
        known = latents.join(early_counts(preset, age_h)).to_numpy()
        booster = HistGradientBoostingRegressor(max_iter=80, random_state=0)
        booster.fit(known[train], outcome[train])
        reached[cutoff] = r2_score(outcome[test], booster.predict(known[test]))
    assert 0.3 <= reached["pre"] <= 0.6, reached
    assert 0.85 <= reached["72h"] <= 0.97, reached
    assert list(reached.values()) == sorted(reached.values()), reached


@pytest.mark.parametrize("name", ["channels", "videos_per_day", "days"])
def test_a_size_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        SimulatorConfig(**{name: 0})
