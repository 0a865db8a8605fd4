"""Settings are checked before they are used: defaults, overrides key by key, and errors that name file and field."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from resources.settings import (
    ClassTarget,
    CompositeTarget,
    MeasuredTarget,
    SettingsError,
    cutoff_age,
    default_home,
    load_settings,
    midnight,
    parse_duration,
)


def write(home: Path, text: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "upswell.yaml").write_text(text)
    return home


@pytest.mark.parametrize(("text", "hours"), [("0h", 0), ("36h", 36), ("7d", 168), ("030d", 720)])
def test_durations(text: str, hours: int) -> None:
    assert parse_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "7", "h", "1.5h", "-3h", "7 d", "7D", "1w", "1h30", "variable"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write hours or days"):
        parse_duration(text)


def test_pre_and_zero_hours_fall_on_the_anchor() -> None:
    assert cutoff_age("pre") == cutoff_age("0h") == timedelta(0)
    assert cutoff_age("72h") == timedelta(days=3)
    with pytest.raises(ValueError, match="length of time"):
        cutoff_age("post")


def test_the_shipped_settings(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.start <= settings.first_origin and settings.first_origin.weekday() == 0
    assert settings.cutoffs == ("pre", "0h", "1h", "3h", "6h", "24h", "72h")
    assert set(settings.targets) == {
        "log_views_7d", "log_views_30d", "log_views_3d_after_first_seen", "log_views_last_seen", "likes_7d",
        "velocity_7d", "engagement_rate_7d", "viral_7d", "viral_vs_channel_7d", "success_7d",
    }  # fmt: skip
    week = settings.targets["log_views_7d"]
    assert isinstance(week, MeasuredTarget)
    assert (week.metric, week.anchor, week.horizon, week.tolerance, week.transform) == (
        "views", "published_at", timedelta(days=7), timedelta(hours=24), "log",
    )  # fmt: skip
    viral = settings.targets["viral_vs_channel_7d"]
    assert isinstance(viral, ClassTarget) and viral.relative_to == "channel"
    assert isinstance(settings.targets["success_7d"], CompositeTarget)
    last = settings.targets["log_views_last_seen"]
    assert isinstance(last, MeasuredTarget)
    assert last.horizon is None and last.sources == ("youtube_trending", "tiktok_panel")


def test_parts_lead_to_what_is_measured(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.parts("log_views_7d") == ("log_views_7d",)
    assert settings.parts("viral_7d") == ("log_views_7d",)
    assert settings.parts("success_7d") == ("log_views_7d", "likes_7d")
    assert [target.metric for target in settings.measured("success_7d")] == ["views", "likes"]


def test_outcomes_are_what_the_evaluation_is_made_of(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    evaluation = settings.evaluation.model_copy(update={"targets": ("viral_7d", "log_views_7d", "success_7d")})
    assert settings.model_copy(update={"evaluation": evaluation}).outcomes() == ["log_views_7d", "likes_7d"]


def test_a_home_overrides_key_by_key(tmp_path: Path) -> None:
    home = write(tmp_path, "start: 2024-05-06\nfirst_origin: 2024-05-06\nevaluation: {cutoffs: [pre]}\n")
    settings, shipped = load_settings(home), load_settings(tmp_path / "absent")
    assert settings.start == settings.first_origin == date(2024, 5, 6)
    assert settings.evaluation.cutoffs == ("pre",)
    assert settings.evaluation.targets == shipped.evaluation.targets
    assert (settings.targets, settings.cutoffs) == (shipped.targets, shipped.cutoffs)


def test_a_target_applies_to_the_sources_that_have_its_anchor(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.applies("log_views_7d", "simulator", "published_at")
    assert not settings.applies("log_views_7d", "youtube_trending", "first_seen_at")
    assert settings.applies("viral_7d", "simulator", "published_at")
    assert not settings.applies("success_7d", "youtube_trending", "first_seen_at")
    assert settings.applies("log_views_last_seen", "youtube_trending", "first_seen_at")
    assert not settings.applies("log_views_last_seen", "simulator", "published_at")


def test_a_home_adds_changes_and_drops_targets(tmp_path: Path) -> None:
    home = write(
        tmp_path,
        "targets:\n"
        "  retention: {metric: retention_30s, horizon: 2d, transform: none}\n"
        "  likes_7d: {metric: likes, horizon: 7d, tolerance: 6h}\n"
        "  engagement_rate_7d: null\n",
    )
    settings = load_settings(home)
    retention = settings.targets["retention"]
    assert isinstance(retention, MeasuredTarget)
    assert (retention.anchor, retention.tolerance, retention.transform) == ("any", timedelta(hours=12), "none")
    likes = settings.targets["likes_7d"]
    assert isinstance(likes, MeasuredTarget) and likes.tolerance == timedelta(hours=6)
    assert "engagement_rate_7d" not in settings.targets and "log_views_7d" in settings.targets


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "# nothing\n")) == load_settings(tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("strat: 2024-01-01", "strat"),
        ("start: soon", "start"),
        ("cutoffs: []", "cutoffs"),
        ("cutoffs: [pre, 90m]", "'90m'"),
        ("max_record_bytes: 0", "max_record_bytes"),
        ("first_origin: 2023-01-03", "must be a Monday"),
        ("start: 2024-01-01", "on or after start"),
        ("evaluation: {targets: [nothing]}", "evaluation names nothing"),
        ("evaluation: {cutoffs: [5h]}", "evaluation names 5h"),
        ("evaluation: {origins: 0}", "evaluation.origins"),
        ("targets: {x: {metric: views, horizon: 7}}", "targets.x"),
        ("targets: {x: {metric: views, horizon: 2d, tolerance: 48h}}", "tolerance must be shorter"),
        ("targets: {x: {metric: views, horizon: 7d, transfrom: log}}", "transfrom"),
        ("targets: {x: {of: log_views_7d, percentile: 100}}", "percentile"),
        ("targets: {x: {of: nothing, percentile: 80}}", "'nothing' is not a measured target"),
        ("targets: {x: {of: viral_7d, percentile: 80}}", "'viral_7d' is not a measured target"),
        ("targets: {x: {weights: {}}}", "weights"),
        ("targets: {x: {weights: {nothing: 1.0}}}", "'nothing' is not a measured target"),
        ("targets: {likes_7d: null}", "'likes_7d' is not a measured target"),
    ],
)
def test_errors_name_the_file_and_the_field(tmp_path: Path, text: str, field: str) -> None:
    home = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(home)
    assert str(home / "upswell.yaml") in str(caught.value) and field in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "start: [",
        "- a\n- b",
        "just text",
        "targets: [a]",
        "evaluation: all",
        "training: {trigger: 5}",
        "cutoffs: 5",
        "start: 2025-13-01",
    ],
)
def test_a_file_of_another_form_is_a_settings_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"upswell\.yaml"):
        load_settings(write(tmp_path, text))


def test_what_is_no_text_or_no_file_is_a_settings_error(tmp_path: Path) -> None:
    own = tmp_path / "upswell.yaml"
    own.write_bytes(b"start: \xff\xfe")
    with pytest.raises(SettingsError, match=r"upswell\.yaml"):
        load_settings(tmp_path)
    own.unlink()
    own.mkdir()
    with pytest.raises(SettingsError, match=r"upswell\.yaml"):
        load_settings(tmp_path)


def test_an_error_of_all_settings_does_not_repeat_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, "evaluation: {cutoffs: [5h]}"))
    assert "(got" not in str(caught.value)


def test_a_cutoff_that_reaches_the_horizon_is_refused(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "targets:\n  day: {metric: views, horizon: 24h, tolerance: 6h}\n"))
    assert settings.refusal("day", "6h") is None
    for cutoff in ("18h", "24h", "72h"):
        assert "reaches the horizon" in (settings.refusal("day", cutoff) or "")
    assert settings.refusal("log_views_7d", "72h") is None
    assert settings.refusal("log_views_3d_after_first_seen", "72h") is not None
    assert settings.refusal("log_views_last_seen", "72h") is None
    assert settings.refusal("success_7d", "144h") is not None


def test_the_fingerprint_follows_the_values_not_their_form(tmp_path: Path) -> None:
    shipped = load_settings(tmp_path / "absent").fingerprint()
    assert load_settings(write(tmp_path / "same", "evaluation: {origins: 1}")).fingerprint() == shipped
    assert load_settings(write(tmp_path / "other", "cutoffs: [pre, 0h, 24h, 72h]")).fingerprint() != shipped


def test_the_home_is_one_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("UPSWELL_HOME", str(tmp_path / "link"))
    assert default_home() == (tmp_path / "real").resolve()
    monkeypatch.setenv("UPSWELL_HOME", "")
    monkeypatch.chdir(tmp_path)
    assert default_home() == (tmp_path / "var").resolve()


def test_midnight_starts_the_day() -> None:
    assert midnight(date(2025, 3, 1)) == datetime(2025, 3, 1)


def test_language_is_overridden_choice_by_choice(tmp_path: Path) -> None:
    (tmp_path / "upswell.yaml").write_text("language: {summaries: {words: 20}, emotions: {model: minilm}}\n")
    language = load_settings(tmp_path).language
    assert (language.summaries.words, language.summaries.model) == (20, "extractive")
    assert (language.emotions.model, language.emotions.head, language.transcripts.model) == (
        "minilm",
        "fine_tuned",
        None,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("language: {emotions: {model: transformers}}", "needs weights"),
        ("language: {transcripts: {model: whisper}}", "model whisper needs weights"),
        ("language: {summaries: {model: t5}}", "model t5 needs weights"),
        ("language: {summaries: {words: 0}}", "language.summaries.words"),
        ("language: {emotions: tfidf}", "language.emotions: expected a mapping"),
        ("language: {feelings: {}}", "language.feelings"),
    ],
)
def test_a_wrong_choice_of_language_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "upswell.yaml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_settings(tmp_path)
