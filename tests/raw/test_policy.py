"""The rules of the sources: shipped classes, what an operator may state, and which targets a retention makes impossible."""

from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.status import diagnose
from resources.policy import derivable, forbidden
from resources.settings import Settings, SettingsError, load_settings
from tests.raw.conftest import NOW, House

REPLY = (
    '{"collected_at": "2025-11-10T00:00:00Z", "reply": {"items": [{"id": "abcdefghij1", "snippet": {"title": "Of the API", '
    '"channelId": "UC1234567890123456789012", "publishedAt": "2025-11-09T00:00:00Z"}, "statistics": {"viewCount": "7"}}]}}\n'
)


def stated(home: Path, text: str) -> Settings:
    home.mkdir(exist_ok=True)
    (home / "upswell.yaml").write_text(f"policies: {text}\n")
    return load_settings(home)


def test_youtube_keeps_30_days_and_makes_no_figures_unless_permitted(tmp_path: Path) -> None:
    policy = load_settings(tmp_path).policy("youtube")
    assert (policy.statistics, policy.text, policy.refresh_or_delete) == (timedelta(days=30),) * 3
    assert not policy.derived_metrics
    assert policy.published is not None
    assert "developers.google.com" in policy.published


@pytest.mark.parametrize("source", ["simulator", "youtube_trending", "anything_else"])
def test_archives_and_own_files_have_no_limit(tmp_path: Path, source: str) -> None:
    policy = load_settings(tmp_path).policy(source)
    assert policy.derived_metrics
    assert not policy.limited


def test_a_permission_lifts_the_rule(tmp_path: Path) -> None:
    settings = stated(
        tmp_path, '{youtube: {authorised: "granted in writing", derived_metrics: true, statistics: null}}'
    )
    policy = settings.policy("youtube")
    assert policy.derived_metrics
    assert policy.statistics is None
    assert policy.text == timedelta(days=30)
    assert "granted in writing" in policy.describe()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{youtube: {derived_metrics: true}}", "permission"),
        ("{youtube: {statistics: 60d}}", "statistics"),
        ("{youtube: {policy: own}}", "refresh_or_delete"),
        ("{youtube: {policy: nobodys}}", "nobodys"),
        ("{youtube: {texts: 3d}}", "texts"),
        ('{youtube: {authorised: " ", statistics: null}}', "permission"),
    ],
)
def test_what_is_looser_needs_the_words_of_the_permission(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        stated(tmp_path, text)


def test_a_stricter_rule_needs_none(tmp_path: Path) -> None:
    settings = stated(tmp_path, "{youtube: {statistics: 7d}, simulator: {policy: youtube_api}}")
    assert settings.policy("youtube").statistics == timedelta(days=7)
    assert forbidden(settings.policies, ["simulator", "other"]) == ["simulator"]
    assert derivable(settings.policies, {"simulator": "published_at", "other": "any"}) == {"other": "any"}


def test_targets_that_a_retention_makes_impossible(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.beyond_retention("log_views_30d", "youtube") is not None
    assert settings.beyond_retention("log_views_7d", "youtube") is None
    assert settings.beyond_retention("log_views_30d", "simulator") is None
    assert settings.history_left("log_views_7d", "youtube") == "log_views_7d: videos published in 22d"
    assert settings.history_left("log_views_30d", "youtube") is None


def findings(home: Path) -> dict[str, str]:
    return {row["what"]: f"{row['found']} {row['remedy']}" for row in diagnose(home)}


def test_doctor_names_the_rule_its_way_out_and_the_impossible_targets(house: House) -> None:
    result = house.take("api.jsonl", REPLY, source="youtube_api")
    assert any("30d" in note and "policies" in note for note in result.notes)
    said = findings(house.home)
    assert "derived metrics are not allowed" in said[f"rule of {result.source}"]
    assert "authorised" in said[f"rule of {result.source}"]
    stated(house.home, f'{{{result.source}: {{authorised: "granted", derived_metrics: true}}}}')
    said = findings(house.home)
    assert "log_views_30d" in said[f"impossible targets of {result.source}"]
    assert "22d" in said[f"training on {result.source}"]


def test_features_of_a_forbidden_source_wait_for_the_permission(house: House) -> None:
    from assets.features.stale import rebuild, stale_days
    from assets.raw.anchors import source_anchors

    source = house.take("api.jsonl", REPLY, source="youtube_api").source
    anchors = source_anchors(house.warehouse)
    assert stale_days(house.warehouse, house.settings, anchors, NOW) == []
    permitted = stated(house.home, f'{{{source}: {{authorised: "granted", derived_metrics: true}}}}')
    days = stale_days(house.warehouse, permitted, anchors, NOW)
    assert days
    for name in ("content", "levels"):
        rebuild(name, house.warehouse, permitted, anchors, days[0], days[-1] + timedelta(days=1), NOW, "r")
    assert house.rows("SELECT source FROM features.content") == [(source,)]
