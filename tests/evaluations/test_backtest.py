"""Who is fitted on and who is tested on, and that no forecast saw what came after its origin."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.backtest import (
    MIN_TRAIN,
    PREDICTION_COLUMNS,
    LeakError,
    channel_size,
    duration_bucket,
    refuse_overlap,
    run_origin,
    run_random,
    split,
    weekly_origins,
)
from assets.evaluations.learning_curve import learning_curve
from resources.settings import Settings, load_settings
from tests.models.frames import make_frame

ORIGIN = date(2024, 3, 4)
FAST = ["global_mean", "growth_curve", "ridge"]


@pytest.fixture
def settings(tmp_path) -> Settings:
    return load_settings(tmp_path)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(700, "24h", seed=6)


def test_origins_are_mondays_whose_test_week_has_matured():
    week = timedelta(days=7)
    assert weekly_origins(date(2024, 1, 1), datetime(2024, 1, 29), week) == [date(2024, 1, day) for day in (1, 8, 15)]
    assert weekly_origins(date(2024, 1, 1), datetime(2024, 1, 28, 23), week) == [date(2024, 1, 1), date(2024, 1, 8)]
    assert weekly_origins(date(2024, 1, 1), datetime(2024, 1, 29), week, latest=1) == [date(2024, 1, 15)]
    assert weekly_origins(date(2024, 1, 1), datetime(2023, 6, 1), week) == []
    with pytest.raises(ValueError, match="2024-01-02 is none"):
        weekly_origins(date(2024, 1, 2), datetime(2024, 2, 1), week)


def row(anchor: str, matured: str | None, **more: object) -> dict[str, object]:
    moment = pd.Timestamp(anchor)
    known = {"status": "matured", "value": 1.0} if matured else {"status": "pending", "value": np.nan}
    return {
        "anchor_at": moment,
        "as_of": moment + pd.Timedelta(hours=24),
        "matured_at": pd.Timestamp(matured),
        **known,
        **more,
    }


def test_split_by_maturity_and_week():
    rows = {
        "train": row("2024-02-20", "2024-03-04"),
        "matured one second late": row("2024-02-20", "2024-03-04 00:00:01"),
        "pending": row("2024-02-01", None),
        "as of after the origin": row("2024-03-03 12:00", "2024-03-03 13:00"),
        "first of the week": row("2024-03-04", "2024-03-12"),
        "last of the week": row("2024-03-10 23:59:59", "2024-05-01"),
        "week after": row("2024-03-11", "2024-03-20"),
        "not matured in the test week": row("2024-03-05", None),
        "censored": row("2024-03-05", "2024-03-20") | {"status": "censored", "value": np.nan},
    }
    frame = pd.DataFrame(rows.values()).assign(video_id=list(rows))
    train, test = split(frame, ORIGIN)
    assert train["video_id"].tolist() == ["train"]
    assert test["video_id"].tolist() == ["first of the week", "last of the week"]


def test_result_has_every_forecaster_on_the_same_rows(frame, settings):
    result = run_origin(frame, settings, "log_views_7d", "24h", ORIGIN)
    assert tuple(result.predictions.columns) == PREDICTION_COLUMNS
    per_forecaster = result.predictions.groupby("forecaster")["video_id"].agg(tuple)
    assert len(per_forecaster) == 9 - len(result.unavailable)
    assert per_forecaster.nunique() == 1
    assert result.predictions[["point", "lower_50", "upper_90"]].notna().all(axis=None)
    assert result.predictions["probability"].isna().all()
    roles = result.splits.groupby("role")["video_id"].agg(set)
    assert roles["test"] == set(per_forecaster.iloc[0])
    assert not roles["test"] & roles["train"]
    assert len(roles["train"]) == result.predictions["n_train"].iloc[0]


def test_nothing_after_the_origin_changes_a_forecast(frame, settings):
    before = run_origin(frame, settings, "log_views_7d", "24h", ORIGIN, FAST)
    start = pd.Timestamp(ORIGIN)
    _, test = split(frame, ORIGIN)
    changed = frame.copy()
    later = changed["matured_at"] > start
    changed.loc[later, "value"] = 99.0
    others = (changed["as_of"] > start) & ~changed["video_id"].isin(test["video_id"])
    changed.loc[others, ["views_log", "duration_s", "last_level"]] = 77.0
    changed.loc[others, "title"] = "zebra"
    after = run_origin(changed, settings, "log_views_7d", "24h", ORIGIN, FAST)
    columns = ["forecaster", "video_id", "point", "lower_80", "upper_80", "channel_size", "new_channel"]
    pd.testing.assert_frame_equal(before.predictions[columns], after.predictions[columns])


def test_class_threshold_is_that_of_the_training_rows(frame, settings):
    result = run_origin(frame, settings, "viral_7d", "24h", ORIGIN)
    train, test = split(frame, ORIGIN)
    assert result.predictions["threshold"].unique().tolist() == [np.percentile(train["value"], 80)]
    one = result.predictions[result.predictions["forecaster"] == "base_rate"]
    assert one["label"].tolist() == (test["value"] >= np.percentile(train["value"], 80)).astype(int).tolist()
    assert result.predictions["probability"].between(0, 1).all()
    assert result.predictions["point"].isna().all()


def test_same_seed_same_forecasts(frame, settings):
    runs = [run_origin(frame, settings, "log_views_7d", "24h", ORIGIN, seed=3).predictions for _ in range(2)]
    pd.testing.assert_frame_equal(*runs)


def test_too_little_is_said(frame, settings):
    early = run_origin(frame, settings, "log_views_7d", "24h", date(2024, 1, 15))
    assert early.predictions.empty
    assert f"{MIN_TRAIN} are needed" in (early.reason or "")
    late = run_origin(frame, settings, "log_views_7d", "24h", date(2024, 6, 3))
    assert late.predictions.empty
    assert late.reason == "no matured video in the test week"
    assert tuple(late.predictions.columns) == PREDICTION_COLUMNS


def test_test_rows_in_the_fit_are_an_error():
    rows = pd.DataFrame({"video_id": ["a", "b"]})
    with pytest.raises(LeakError, match=r"1 test rows are in the fit, e\.g\. b"):
        refuse_overlap(rows, pd.DataFrame({"video_id": ["b", "c"]}))


def test_new_channels_and_sizes_are_judged_by_training_rows(frame, settings):
    train, _ = split(frame, ORIGIN)
    gone = train["channel_id"].iloc[0]
    smaller = frame[~((frame["channel_id"] == gone) & (frame["as_of"] <= pd.Timestamp(ORIGIN)))]
    result = run_origin(smaller, settings, "log_views_7d", "24h", ORIGIN, ["global_mean"])
    new = result.predictions.set_index("channel_id")["new_channel"]
    assert new.loc[[gone]].eq(1).all()
    assert new.drop(gone).eq(0).mean() > 0.9
    sizes = pd.Series([1.0, 2, 3, 4, 5, 6])
    known = pd.DataFrame({"channel_subscribers_log": sizes})
    probe = pd.DataFrame({"channel_subscribers_log": [-9.0, 3.0, 99.0, np.nan]})
    assert channel_size(known, probe).tolist() == ["small", "medium", "large", "unknown"]
    assert channel_size(pd.DataFrame({"x": sizes}), probe).tolist() == ["unknown"] * 4


def test_duration_buckets():
    seconds = pd.DataFrame({"duration_s": [5.0, 15.0, 16.0, 180.0, 181.0, np.nan]})
    expected = ["up to 15 s", "up to 15 s", "15 to 60 s", "60 to 180 s", "over 180 s", "unknown"]
    assert duration_bucket(seconds).tolist() == expected


def test_random_split_has_the_same_numbers_of_rows(settings):
    frame = make_frame(900, "pre", seed=8)
    origins = [ORIGIN, ORIGIN + timedelta(days=7)]
    time = [run_origin(frame, settings, "log_views_7d", "pre", origin, ["global_mean"]) for origin in origins]
    result = run_random(frame, settings, "log_views_7d", "pre", origins, ["global_mean", "ridge"])
    assert set(result.predictions["split"]) == {"random"}
    assert set(result.predictions["origin"]) == {origins[-1]}
    assert (result.splits["role"] == "test").sum() == sum(len(part.predictions) for part in time)
    trained = [part.predictions["n_train"].iloc[0] for part in time]
    assert result.predictions["n_train"].iloc[0] == round(np.mean(trained))
    assert not set(result.splits.query("role == 'test'")["video_id"]) & set(
        result.splits.query("role == 'train'")["video_id"]
    )


def test_random_split_flatters_where_time_matters(settings):
    frame = make_frame(1200, "pre", seed=9)
    drift = (frame["anchor_at"] - frame["anchor_at"].min()).dt.days.to_numpy() * 0.08
    frame["value"] += drift
    frame["context_72h_median"] = drift  # it says the date, which only helps between known dates
    origins = [ORIGIN, ORIGIN + timedelta(days=7)]
    time = [
        run_origin(frame, settings, "log_views_7d", "pre", origin, ["hist_gradient_boosting"]) for origin in origins
    ]
    rows = pd.concat([part.predictions for part in time])
    random = run_random(frame, settings, "log_views_7d", "pre", origins, ["hist_gradient_boosting"]).predictions
    assert (rows["value"] - rows["point"]).abs().mean() > 1.1 * (random["value"] - random["point"]).abs().mean()


def test_learning_curve_gets_better_with_more_rows(settings):
    frame = make_frame(2200, "pre", seed=10)
    curve = learning_curve(frame, settings, "log_views_7d", "pre", ORIGIN, "ridge")
    mae = curve[curve["metric"] == "mae"]
    assert mae["slice"].eq("n_train").all()
    assert mae["n_train"].tolist() == [381, 762, 1525]
    assert mae["slice_value"].tolist() == mae["n_train"].astype(str).tolist()
    assert mae["value"].iloc[-1] < mae["value"].iloc[0]
    viral = learning_curve(frame, settings, "viral_7d", "pre", ORIGIN, "tfidf_logistic", shares=(1.0,))
    assert set(viral["metric"]) == {"auroc", "brier"}


def test_learning_curve_of_too_few_rows_is_empty(frame, settings):
    assert learning_curve(frame, settings, "log_views_7d", "24h", date(2024, 1, 15)).empty
