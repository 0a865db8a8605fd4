"""Settings of collection: nothing unless asked for, and errors that name field and remedy."""

from datetime import timedelta
from pathlib import Path

import pytest

from resources.settings import CollectedSource, SettingsError, load_settings


def load(home: Path, text: str):  # type: ignore[no-untyped-def]
    (home / "upswell.yaml").write_text(text)
    return load_settings(home)


def test_nothing_is_collected_and_nobody_is_told_by_default(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.collect.sources == {} and settings.collect.feeds == {} and settings.alerts.webhook is None


def test_a_source_is_named_by_the_operator(tmp_path: Path) -> None:
    text = 'collect: {sources: {shorts: {collector: youtube_api, topics: [street food], cron: "15 */6 * * *"}}}'
    source = load(tmp_path, text).collect.sources["shorts"]
    assert (source.topics, source.parts, source.follows) == (("street food",), {"videos"}, True)
    assert source.every == timedelta(hours=6)


@pytest.mark.parametrize(
    ("cron", "minutes"),
    [("0 * * * *", 60), ("*/15 * * * *", 15), ("5,35 8-19 * * 1-5", 60), ("0 3 * * *", 1440), ("0/20 0 * * *", 480)],
)
def test_how_often_a_source_is_collected(cron: str, minutes: int) -> None:
    assert CollectedSource(collector="yt_dlp", cron=cron).every == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("collect: {sources: {a: {collector: vimeo}}}", "collect.sources.a.collector"),
        ("collect: {sources: {A-1: {collector: yt_dlp}}}", "collect.sources.A-1"),
        ('collect: {sources: {a: {collector: yt_dlp, cron: "hourly"}}}', "write five fields"),
        ('collect: {sources: {a: {collector: yt_dlp, cron: "61 * * * *"}}}', "outside 0 to 59"),
        ('collect: {sources: {a: {collector: yt_dlp, cron: "x * * * *"}}}', "no part of a cron line"),
        ("collect: {sources: {a: {collector: 'feed:own'}}}", "add collect.feeds.own"),
        ("collect: {sources: {a: {collector: youtube_rss, follow: true}}}", "leave follow out"),
        ("collect: {sources: {a: {collector: yt_dlp, parts: [likes]}}}", "collect.sources.a.parts"),
        ("collect: {feeds: {own: {url: 'ftp://x', adapter: miles}}}", "collect.feeds.own.url"),
        ("alerts: {webhook: somewhere}", "alerts.webhook"),
        ("collect: 3", "expected a mapping"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as error:
        load(tmp_path, text)
    assert str(tmp_path / "upswell.yaml") in str(error.value)
