"""What matters comes out on top under its own name."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.backtest import OriginResult, run_origin, split
from assets.evaluations.importance import COLUMNS, feature_groups, permutation_importance
from assets.evaluations.rows import as_arrow
from assets.models.columns import Schema
from assets.models.labels import ViralLabel
from resources.settings import load_settings
from tests.models.frames import make_frame

ORIGIN = date(2024, 3, 4)


def importance_at(result: OriginResult, frame: pd.DataFrame, forecaster: str) -> pd.DataFrame:
    train, test = split(frame, ORIGIN)
    label = ViralLabel.of(result.task).fit(train).label(test) if result.task.kind == "class" else None
    return permutation_importance(result.fitted[forecaster], result.task, test, label, ORIGIN)


@pytest.mark.parametrize("planted", ["duration_s", "channel_videos", "metric_retention"])
@pytest.mark.parametrize("forecaster", ["hist_gradient_boosting", "ridge"])
def test_a_planted_feature_is_on_top_under_its_own_name(tmp_path, planted, forecaster):
    frame = make_frame(800, "pre", seed=13)
    frame[planted] = np.random.default_rng(0).normal(size=len(frame))
    frame["value"] = 7 + 3 * frame[planted] + 0.1 * frame["value"]
    result = run_origin(frame, load_settings(tmp_path), "log_views_7d", "pre", ORIGIN, [forecaster])
    table = importance_at(result, frame, forecaster)
    columns = table[table["level"] == "column"].reset_index(drop=True)
    assert columns["feature"][0] == planted
    assert columns["value"][0] > 10 * abs(columns["value"][1])
    groups = table[table["level"] == "group"].reset_index(drop=True)
    expected = {"duration_s": "content", "channel_videos": "channel", "metric_retention": "metrics"}[planted]
    assert groups["feature"][0] == expected
    assert tuple(table.columns) == COLUMNS
    assert as_arrow(table, "evaluations.importance").num_rows == len(table)


def test_order_of_columns_does_not_shift_names(tmp_path):
    frame = make_frame(800, "24h", seed=14)
    tables = []
    for columns in (list(frame.columns), list(frame.columns)[::-1]):
        result = run_origin(frame[columns], load_settings(tmp_path), "log_views_7d", "24h", ORIGIN, ["ridge"])
        tables.append(importance_at(result, frame[columns], "ridge"))
    pd.testing.assert_frame_equal(*tables)


def test_the_last_level_is_shuffled_with_the_views_it_copies(tmp_path):
    frame = make_frame(800, "24h", seed=15)
    result = run_origin(frame, load_settings(tmp_path), "log_views_7d", "24h", ORIGIN, ["hist_gradient_boosting"])
    table = importance_at(result, frame, "hist_gradient_boosting")
    top = table[table["level"] == "column"].iloc[0]
    assert top["feature"] == "views_log"
    assert top["value"] > 0.5
    assert (table["lower"] <= table["value"]).all()
    assert (table["value"] <= table["upper"]).all()


def test_class_importance(tmp_path):
    frame = make_frame(800, "24h", seed=16)
    name = "hist_gradient_boosting_classifier"
    result = run_origin(frame, load_settings(tmp_path), "viral_7d", "24h", ORIGIN, [name])
    table = importance_at(result, frame, name)
    assert table[table["level"] == "group"].iloc[0]["feature"] == "engagement"


def test_every_feature_is_in_one_group():
    schema = Schema.of(make_frame(50, "24h").assign(metric_retention=1.0, mystery=2.0))
    groups = feature_groups(schema)
    assert sorted(name for names in groups.values() for name in names) == sorted(schema.columns)
    assert groups["metrics"] == ("metric_retention",)
    assert groups["other"] == ("mystery",)
    assert groups["title"] == ("title",)
    assert "context_72h_median" in groups["context"]
    assert "title_length" in groups["content"]
