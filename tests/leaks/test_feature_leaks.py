"""Leaks planted in feature tables: the audit catches each and names its column."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.features import build
from tests.leaks.plant import audited, leak, raw_home
from warehouse import point_in_time

LAST_SNAPSHOT = """FROM snapshots s WHERE s.source = r.source AND s.video_id = r.video_id AND s.views IS NOT NULL"""
OWN_CHANNEL = """FROM levels l WHERE l.source = r.source
    AND l.channel_id = (SELECT channel_id FROM content c WHERE c.source = r.source AND c.video_id = r.video_id)"""
ANCHOR = "(SELECT anchor_at FROM content c WHERE c.source = r.source AND c.video_id = r.video_id)"
PUBLISHED = "(SELECT min(v.published_at) FROM videos v WHERE v.source = r.source AND v.video_id = r.video_id)"

LEAKS: dict[str, tuple[str, str, str]] = {
    "a count that became known after the cutoff": (
        "engagement",
        "views_log",
        f"SELECT arg_max(ln(1 + s.views), s.observed_at) {LAST_SNAPSHOT} AND s.observed_at <= r.as_of",
    ),
    "the most views ever": ("engagement", "rate_log", f"SELECT ln(1 + max(s.views)) {LAST_SNAPSHOT}"),
    "how often the video was ever seen": ("engagement", "observations", f"SELECT count(*) {LAST_SNAPSHOT}"),
    "when the video was last seen": (
        "engagement",
        "staleness_h",
        f"SELECT epoch_us(max(s.observed_at) - r.as_of) / 3.6e9 {LAST_SNAPSHOT}",
    ),
    "the label": (
        "engagement",
        "growth_log",
        f"SELECT arg_min(ln(1 + s.views), abs(epoch_us(s.observed_at - {PUBLISHED}) - 168 * 3600000000)) {LAST_SNAPSHOT}",
    ),
    "a fall that comes later": (
        "engagement",
        "falls",
        f"SELECT (max(s.views) > arg_max(s.views, s.observed_at))::INTEGER {LAST_SNAPSHOT}",
    ),
    "all videos that the channel will ever have": ("channel", "channel_videos", f"SELECT count(*) {OWN_CHANNEL}"),
    "the channel's median over all time": (
        "channel",
        "channel_72h_median",
        f"SELECT median(l.h72_log) {OWN_CHANNEL} AND l.video_id <> r.video_id",
    ),
    "the video's own views in the channel's median": (
        "channel",
        "channel_24h_median",
        f"SELECT median(l.h24_log) {OWN_CHANNEL} AND (l.h24_matured_at <= r.as_of OR l.video_id = r.video_id)",
    ),
    "levels that mature later": (
        "channel",
        "channel_168h_median",
        f"SELECT median(l.h168_log) {OWN_CHANNEL} AND l.anchor_at < {ANCHOR}",
    ),
    "videos published around the same time, before and after": (
        "channel",
        "channel_first_median",
        f"SELECT median(l.first_log) {OWN_CHANNEL} AND abs(epoch(l.anchor_at - {ANCHOR})) < 3 * 86400",
    ),
    "days to the nearest upload, which may be a later one": (
        "channel",
        "channel_days_since_last",
        f"SELECT min(abs(epoch_us(l.anchor_at - {ANCHOR}))) / 8.64e10 {OWN_CHANNEL} AND l.video_id <> r.video_id",
    ),
    "subscribers at the time of the last scrape": (
        "channel",
        "channel_subscribers_log",
        """SELECT arg_max(ln(1 + h.subscribers), h.observed_at) FROM channels h WHERE h.source = r.source
           AND h.channel_id = (SELECT channel_id FROM content c WHERE c.source = r.source AND c.video_id = r.video_id)""",
    ),
    "the context of the same day": (
        "context",
        "context_videos",
        """SELECT count(*) FROM levels l WHERE l.source = r.source
           AND l.first_matured_at BETWEEN r.day - INTERVAL 7 DAY AND r.day + INTERVAL 1 DAY""",
    ),
    "the context of the week to come": (
        "context",
        "context_first_median",
        """SELECT median(l.first_log) FROM levels l WHERE l.source = r.source
           AND l.first_matured_at BETWEEN r.day AND r.day + INTERVAL 7 DAY""",
    ),
    "a title that was edited later": (
        "content",
        "title",
        "SELECT arg_max(v.title, v.observed_at) FROM videos v WHERE v.source = r.source AND v.video_id = r.video_id",
    ),
    "a duration filled in from a later record": (
        "content",
        "duration_s",
        """SELECT coalesce(r.duration_s, max(v.duration_s)) FROM videos v
           WHERE v.source = r.source AND v.video_id = r.video_id""",
    ),
    "what a view was when the video was last seen": (
        "content",
        "view_regime",
        """SELECT CASE WHEN max(s.observed_at) >= TIMESTAMP '2024-01-12' THEN 'started' ELSE 'watched' END FROM snapshots s
           WHERE s.source = r.source AND s.video_id = r.video_id""",
    ),
    "a removal that was found later": (
        "content",
        "is_short",
        "SELECT count(*) FROM availability a WHERE a.source = r.source AND a.video_id = r.video_id AND a.status <> 'live'",
    ),
    "the order of ids": (
        "content",
        "title_mentions",
        "SELECT count(DISTINCT v.video_id) FROM videos v WHERE v.source = r.source AND v.video_id < r.video_id",
    ),
    "the position in a search result of a later scrape": (
        "content",
        "tags_count",
        "SELECT max(v.row_number) FROM videos v WHERE v.source = r.source AND v.video_id = r.video_id",
    ),
    "a measure as it was last seen": (
        "metrics",
        "value",
        """SELECT arg_max(m.value, m.observed_at) FROM metrics m
           WHERE m.source = r.source AND m.video_id = r.video_id AND m.value IS NOT NULL""",
    ),
    "an outcome that depends on when it is asked": (
        "targets",
        "value",
        "r.value / epoch_us(now()::TIMESTAMP - r.anchor_at)",
    ),
    "an outcome taken at the peak of all observations": (
        "targets",
        "value",
        f"SELECT CASE WHEN r.status = 'matured' THEN ln(1 + max(s.views)) END {LAST_SNAPSHOT}",
    ),
    "an outcome that is said to be known when it was observed": (
        "targets",
        "matured_at",
        "r.observed_at",
    ),
}
NAMED = {"a measure as it was last seen": "features.metrics.metric_watch_time"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return raw_home(tmp_path_factory.mktemp("leaks") / "home")


@pytest.fixture(scope="module")
def found(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Per leak, the columns that an audit names. Leaks of one column cannot be planted together, all others are."""
    batches: list[dict[str, str]] = []
    for what in LEAKS:
        batch = next((batch for batch in batches if column_of(what) not in batch), None)
        if batch is None:
            batches.append(batch := {})
        batch[column_of(what)] = what
    columns = {}
    for batch in batches:
        with pytest.MonkeyPatch.context() as monkeypatch:
            for what in batch.values():
                leak(monkeypatch, *LEAKS[what])
            named = audited(raw, tmp_path_factory.mktemp("batch")).columns
        columns.update(dict.fromkeys(batch.values(), named))
        innocent = [column for column in named if column not in batch and not column.startswith("features.targets.")]
        assert innocent == [], "columns without a leak are named"
    return columns


def column_of(what: str) -> str:
    name, column, _ = LEAKS[what]
    return NAMED.get(what, f"features.{name}.{column}")


def test_without_a_leak_nothing_is_found(raw: Path, tmp_path: Path) -> None:
    result = audited(raw, tmp_path, samples=150)
    assert result.differences == []
    assert (result.sampled, result.compared_values > 8000) == (150, True)


@pytest.mark.parametrize("what", LEAKS)
def test_a_planted_leak_is_caught_and_named(what: str, found: dict[str, list[str]]) -> None:
    assert column_of(what) in found[what]


def test_a_read_that_ignores_when_a_fact_was_known_is_caught(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "latest_usable", _without(" AND f.known_at <= m.as_of"))
    found = audited(raw, tmp_path).columns
    assert {"features.engagement.views_log", "features.engagement.observations"} <= set(found)
    assert "features.channel.channel_subscribers_log" not in found


def test_an_as_of_join_that_ignores_when_a_fact_was_known_is_caught(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "latest_usable", _without("greatest(f.observed_at, f.known_at)", "f.observed_at"))
    assert "features.channel.channel_subscribers_log" in audited(raw, tmp_path).columns


def test_a_moment_later_than_the_cutoff_says_is_caught(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = build.cutoff_age
    monkeypatch.setattr(build, "cutoff_age", lambda cutoff: honest(cutoff) + timedelta(hours=5))
    found = audited(raw, tmp_path).columns
    assert {"features.channel.as_of", "features.engagement.views_log"} <= set(found)


def _without(condition: str, instead: str = "") -> Callable[..., str]:
    def leaky(*arguments: Any, **options: Any) -> str:
        query = point_in_time.latest_usable(*arguments, **options)
        return query.replace(condition, instead)

    return leaky
