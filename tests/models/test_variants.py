"""Forecasters that see one kind of input: only its columns, and only where there are any."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.backtest import fit_and_forecast
from assets.models.columns import SCALARS, Schema, SchemaError, group_of
from assets.models.forecasters import FORECASTERS, lacks, make, names_for
from assets.models.intervals import without_labels
from assets.models.task import Task
from resources.settings import load_settings
from tests.models.frames import make_frame

SETTINGS = load_settings(Path("nowhere"))
PRE = Task.of(SETTINGS, "log_views_7d", "pre")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    made = make_frame(900, "pre")
    rng = np.random.default_rng(1)
    for prefix in ("text", "image", "audio", "fused"):
        for number in range(3):
            made[f"{prefix}_{number:02d}"] = rng.normal(size=len(made))
    made["image_00"] += made["value"]  # the picture knows
    made["look_brightness"], made["sound_loudness"], made["neighbour_mean"] = 0.5, -20.0, made["value"].mean()
    made["emotion_comments_joy"], made["speech_joy"] = 0.5, 0.25
    made["style"], made["style_distance"] = np.where(made["image_00"] > 7, "s1", "s2"), 1.0
    return made


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("boosting_scalars", {"scalars"}),
        ("boosting_text", {"text", "title"}),
        ("boosting_image", {"image"}),
        ("boosting_audio", {"audio"}),
        ("hist_gradient_boosting", {"scalars", "title"}),
        ("boosting_transcript", {"transcript"}),
        ("boosting_words", {"scalars", "title", "emotions", "transcript"}),
        ("boosting_all", {"scalars", "title", "fused", "image", "audio", "style", "neighbours"}),
    ],
)
def test_a_variant_reads_its_groups_and_no_other(frame: pd.DataFrame, name: str, groups: set[str]) -> None:
    schema = Schema.of(without_labels(frame), FORECASTERS[name].sees)
    assert {group_of(column) for column in schema.columns} == groups


def test_a_variant_without_the_channel_has_no_prior(frame: pd.DataFrame) -> None:
    fitted = make("boosting_image").fit(without_labels(frame), frame["value"].to_numpy())
    assert not [column for column in fitted.matrix_.names_ if column == "channel_prior" or column.startswith("title")]
    moved = frame.assign(channel_id="other", title="other", category="other", duration_s=1.0)
    assert (fitted.predict(moved) == fitted.predict(frame)).all()


def test_the_variant_that_sees_the_signal_is_the_one_that_forecasts(frame: pd.DataFrame) -> None:
    train, test = frame.iloc[:600], frame.iloc[600:]
    error = {
        name: np.abs(
            make(name).fit(without_labels(train), train["value"].to_numpy()).predict(test) - test["value"]
        ).mean()
        for name in ("boosting_image", "boosting_audio", "boosting_all")
    }
    assert error["boosting_image"] < 0.8 * error["boosting_audio"]
    assert error["boosting_all"] < 0.8 * error["boosting_audio"]


def test_where_there_is_no_content_the_variants_say_why(frame: pd.DataFrame) -> None:
    bare = make_frame(400, "pre")
    assert {name for name in names_for(PRE) if lacks(name, bare)} == {
        *("boosting_text", "boosting_image", "boosting_audio", "boosting_video", "boosting_all"),
        *("boosting_transcript", "boosting_words"),
    }
    few = frame.assign(**{column: np.nan for column in frame.columns if group_of(str(column)) == "image"})
    few.loc[few.index[:50], "image_00"] = 1.0
    assert "image" in (lacks("boosting_image", few) or "")


def test_unseen_variants_are_listed_and_the_others_run(frame: pd.DataFrame) -> None:
    train, test = (
        make_frame(500, "pre"),
        make_frame(100, "pre", seed=3).assign(video_id=[f"t{number}" for number in range(100)]),
    )
    names = ["boosting_scalars", "boosting_image"]
    result = fit_and_forecast(PRE, train, test, date(2025, 3, 3), "time", names, 0)
    assert set(result.predictions["forecaster"]) == {"boosting_scalars"}
    assert "boosting_image" in result.unavailable


def test_modalities_alone_are_asked_before_counts_are_known_only() -> None:
    later = names_for(Task.of(SETTINGS, "log_views_7d", "24h"))
    assert {"hist_gradient_boosting", "boosting_words"} <= set(later)
    for cutoff in ("0h", "72h"):
        assert "boosting_words" not in names_for(Task.of(SETTINGS, "log_views_7d", cutoff))
    assert not {"boosting_image", "boosting_scalars", "boosting_transcript", "boosting_all"} & set(later)


def test_a_frame_without_the_columns_of_any_group_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="video"):
        Schema.of(frame, frozenset({"video"}))
    assert FORECASTERS["ridge"].sees == SCALARS
