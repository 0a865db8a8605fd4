"""Figures come from stored forecasts, and the leaderboard and champion from stored figures."""

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from assets.evaluations.backtest import run_origin, run_random
from assets.evaluations.leaderboard import champions_of, leaderboard
from assets.evaluations.learning_curve import learning_curve
from assets.evaluations.rows import as_arrow
from assets.evaluations.scoring import evaluate
from assets.models.task import Task
from resources.settings import Settings, load_settings
from tests.models.frames import make_frame
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_partition, replace_rows

ORIGINS = [date(2024, 2, 26), date(2024, 3, 4)]
KEYS = (
    *(
        "source",
        "target",
        "cutoff",
        "forecaster",
        "split",
        "origin",
        "n_train",
        "n_test",
        "mae",
        "rmse",
        "r2",
        "growth_r2",
    ),
    *("spearman", "auroc", "average_precision", "skill", "coverage_80", "width_80", "interval_score_80", "champion"),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    return load_settings(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(800, "24h", seed=12)


@pytest.fixture(scope="module")
def predictions(frame, settings) -> pd.DataFrame:
    names = ["global_mean", "growth_curve", "ridge", "lightgbm", "hist_gradient_boosting"]
    runs = [run_origin(frame, settings, "log_views_7d", "24h", origin, names) for origin in ORIGINS]
    runs.append(run_random(frame, settings, "log_views_7d", "24h", ORIGINS, names[:3]))
    return pd.concat([run.predictions for run in runs])


@pytest.fixture(scope="module")
def figures(predictions, settings) -> pd.DataFrame:
    return evaluate(predictions, Task.of(settings, "log_views_7d", "24h"))


def value(figures: pd.DataFrame, **where: object) -> float:
    for name, wanted in {"slice": "all", "split": "time", **where}.items():
        figures = figures[figures[name] == wanted]
    assert len(figures) == 1
    return figures["value"].iloc[0]


def test_figures_are_those_of_the_stored_forecasts(predictions, figures):
    time = predictions[(predictions["split"] == "time") & (predictions["forecaster"] == "ridge")]
    pooled = mean_absolute_error(time["value"], time["point"])
    assert value(figures, forecaster="ridge", origin="all", metric="mae") == pytest.approx(pooled)
    last = time[time["origin"] == ORIGINS[1]]
    assert value(figures, forecaster="ridge", origin="2024-03-04", metric="mae") == pytest.approx(
        mean_absolute_error(last["value"], last["point"])
    )


def test_skill_is_against_the_best_naive(figures):
    naive = min(value(figures, forecaster=name, origin="all", metric="mae") for name in ("global_mean", "growth_curve"))
    mae = value(figures, forecaster="ridge", origin="all", metric="mae")
    assert value(figures, forecaster="ridge", origin="all", metric="skill") == pytest.approx(1 - mae / naive)


def test_headline_figures_have_intervals_around_them(figures):
    headline = figures[figures["metric"].isin(["mae", "r2", "skill", "coverage_80"]) & (figures["slice"] == "all")]
    learned = headline[headline["forecaster"] == "ridge"]
    assert ((learned["lower"] <= learned["value"]) & (learned["value"] <= learned["upper"])).all()
    assert figures.loc[figures["slice"] != "all", "lower"].isna().all()


def test_slices_are_parts_of_the_whole(figures):
    for name in ("new_channel", "channel_size", "duration"):
        rows = figures[(figures["slice"] == name) & (figures["metric"] == "mae") & (figures["forecaster"] == "ridge")]
        whole = figures[(figures["slice"] == "all") & (figures["metric"] == "mae") & (figures["forecaster"] == "ridge")]
        pooled = whole[(whole["origin"] == "all") & (whole["split"] == "time")].iloc[0]
        assert rows["n_test"].sum() == pooled["n_test"]
        assert np.average(rows["value"], weights=rows["n_test"]) == pytest.approx(pooled["value"])


def test_forecasters_of_different_rows_are_not_compared(predictions, settings):
    lost = predictions[
        (predictions["forecaster"] != "ridge") | (predictions["video_id"] != predictions["video_id"].iloc[0])
    ]
    with pytest.raises(ValueError, match="ridge did not forecast the same videos"):
        evaluate(lost, Task.of(settings, "log_views_7d", "24h"))


def test_a_forecaster_that_missed_an_origin_is_pooled_over_its_own(predictions, figures, settings):
    late = predictions["origin"] == predictions["origin"].max()
    early = (predictions["forecaster"] == "ridge") & (predictions["split"] == "time") & ~late
    found = evaluate(predictions[~early], Task.of(settings, "log_views_7d", "24h"))
    last = predictions[late & (predictions["split"] == "time")]
    own = last[last["forecaster"] == "ridge"]
    loss = {name: (rows["point"] - rows["value"]).abs().mean() for name, rows in last.groupby("forecaster", sort=True)}
    naive = min(loss["global_mean"], loss["growth_curve"])
    pooled = {"forecaster": "ridge", "split": "time", "origin": "all"}
    assert value(found, **pooled, metric="mae") == pytest.approx(loss["ridge"])
    assert value(found, **pooled, metric="skill") == pytest.approx(1 - loss["ridge"] / naive)
    told = found[(found["forecaster"] == "ridge") & (found["origin"] == "all") & (found["split"] == "time")]
    assert set(told.loc[told["slice"] == "all", "n_test"]) == {len(own)}
    assert set(told.loc[told["slice"] == "all", "n_train"]) == {own["n_train"].iloc[0]}
    rows = [row for row in leaderboard(found) if row["split"] == "time" and row["origin"] == "all"]
    assert rows[-1]["forecaster"] == "ridge"
    assert rows[0]["mae"] == min(row["mae"] for row in rows[:-1])
    others = found["forecaster"] != "ridge"
    pd.testing.assert_frame_equal(
        found[others].reset_index(drop=True), figures[figures["forecaster"] != "ridge"].reset_index(drop=True)
    )


def test_leaderboard_rows(figures):
    rows = leaderboard(figures)
    assert all(tuple(row) == KEYS for row in rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert {(row["split"], row["origin"]) for row in rows} == {
        ("time", "2024-02-26"),
        ("time", "2024-03-04"),
        ("time", "all"),
        ("random", "all"),
    }
    pooled = [row for row in rows if row["split"] == "time" and row["origin"] == "all"]
    assert [row["mae"] for row in pooled] == sorted(row["mae"] for row in pooled)
    assert {row["auroc"] for row in rows} == {None}
    assert len({row["forecaster"] for row in rows if row["champion"]}) == 1


def test_leaderboard_takes_dates_and_leaves_out_slices_and_learning_curves(figures, frame, settings):
    curve = learning_curve(frame, settings, "log_views_7d", "24h", ORIGINS[1], "ridge")
    assert leaderboard(pd.concat([figures, curve])) == leaderboard(figures)


def loss(forecaster: str, origin: str, value: float, metric: str = "mae") -> dict[str, object]:
    cell = {"source": "s", "target": "t", "cutoff": "pre", "forecaster": forecaster, "split": "time", "origin": origin}
    return cell | {"slice": "all", "slice_value": "all", "metric": metric, "value": value, "n_train": 300, "n_test": 10}


def test_champion_is_not_chosen_by_the_latest_origin():
    rows = [
        loss("ridge", "2024-01-01", 0.5),
        loss("lightgbm", "2024-01-01", 0.4),
        loss("global_mean", "2024-01-01", 0.1),
    ]
    latest = [
        loss("ridge", "2024-01-08", 0.1),
        loss("lightgbm", "2024-01-08", 0.9),
        loss("global_mean", "2024-01-08", 0.1),
    ]
    assert champions_of(pd.DataFrame(rows + latest)) == {("s", "t", "pre"): "lightgbm"}


def test_champion_of_a_single_origin_is_the_default():
    rows = [loss("ridge", "2024-01-01", 0.1), loss("hist_gradient_boosting", "2024-01-01", 0.4)]
    assert champions_of(pd.DataFrame(rows)) == {("s", "t", "pre"): "hist_gradient_boosting"}


def test_what_runs_only_where_it_is_named_is_no_champion_of_the_board():
    rows = [
        loss(name, day, size)
        for day in ("2024-01-01", "2024-01-08")
        for name, size in (("fusion_network", 0.1), ("ridge", 0.5))
    ]
    assert champions_of(pd.DataFrame(rows)) == {("s", "t", "pre"): "ridge"}


def test_champion_was_there_at_every_origin():
    rows = [loss("ridge", "2024-01-01", 0.5), loss("ridge", "2024-01-08", 0.5), loss("lightgbm", "2024-01-08", 0.1)]
    rows.append(loss("ridge", "2024-01-15", 0.5))
    assert champions_of(pd.DataFrame(rows)) == {("s", "t", "pre"): "ridge"}


def test_class_figures(frame, settings):
    runs = [run_origin(frame, settings, "viral_7d", "24h", origin) for origin in ORIGINS]
    stored = pd.concat([run.predictions for run in runs])
    figures = evaluate(stored, runs[0].task)
    logistic = stored[stored["forecaster"] == "tfidf_logistic"]
    auroc = roc_auc_score(logistic["label"], logistic["probability"])
    assert value(figures, forecaster="tfidf_logistic", origin="all", metric="auroc") == pytest.approx(auroc)
    brier = {
        name: value(figures, forecaster=name, origin="all", metric="brier") for name in ("base_rate", "tfidf_logistic")
    }
    skill = value(figures, forecaster="tfidf_logistic", origin="all", metric="skill")
    assert skill == pytest.approx(1 - brier["tfidf_logistic"] / brier["base_rate"])
    rows = leaderboard(figures)
    assert {row["mae"] for row in rows} == {None}
    assert all(row["auroc"] is not None for row in rows)
    assert next(row for row in rows if row["champion"])["forecaster"] in (
        "tfidf_logistic",
        "hist_gradient_boosting_classifier",
    )


def test_shuffled_labels_leave_no_skill(frame, settings):
    shuffled = frame.assign(value=np.random.default_rng(0).permutation(frame["value"].to_numpy()), last_level=np.nan)
    result = run_origin(
        shuffled, settings, "log_views_7d", "24h", ORIGINS[1], ["global_mean", "hist_gradient_boosting"]
    )
    assert (
        value(
            evaluate(result.predictions, result.task), forecaster="hist_gradient_boosting", origin="all", metric="skill"
        )
        < 0.03
    )


def test_rows_fit_their_tables(predictions, figures, frame, settings, home):
    warehouse = Warehouse(home)
    result = run_origin(frame, settings, "log_views_7d", "24h", ORIGINS[1], ["global_mean"])
    monday = ORIGINS[1]
    with warehouse.write() as con:
        one = result.predictions
        replace_partition(
            con,
            table("evaluations.predictions"),
            as_arrow(one, "evaluations.predictions"),
            monday,
            monday + timedelta(7),
        )
        replace_partition(
            con,
            table("evaluations.splits"),
            as_arrow(result.splits, "evaluations.splits"),
            monday,
            monday + timedelta(7),
        )
        cell = {"source": "simulator", "target": "log_views_7d", "cutoff": "24h"}
        replace_rows(con, table("evaluations.metrics"), as_arrow(figures, "evaluations.metrics"), cell)
    stored = warehouse.query("SELECT * FROM evaluations.metrics").to_pandas()
    assert leaderboard(stored) == leaderboard(figures)
    again = warehouse.query("SELECT * FROM evaluations.predictions").to_pandas()
    pd.testing.assert_frame_equal(evaluate(again, result.task), evaluate(one, result.task))


def test_nothing_forecast_is_no_figure(settings, frame):
    result = run_origin(frame.head(10), settings, "log_views_7d", "24h", ORIGINS[1])
    figures = evaluate(result.predictions, result.task)
    assert figures.empty
    assert leaderboard(figures) == []
    assert as_arrow(result.predictions, "evaluations.predictions").num_rows == 0


def test_rows_of_another_shape_are_refused(figures):
    with pytest.raises(ValueError, match=r"missing \['value'\], unknown \['amount'\]"):
        as_arrow(figures.rename(columns={"value": "amount"}), "evaluations.metrics")
