"""Whether the deep model beats boosting and boosting the naive ones, told from planted forecasts; and the criteria of system M."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.plain_answer import Answer, answers, family
from assets.evaluations.report import render
from assets.evaluations.report_data import collect
from assets.evaluations.report_plain_answer import plain_answer
from assets.evaluations.report_sections import Board, Part
from assets.evaluations.rows import as_arrow
from resources.settings import load_settings
from tests.evaluations.test_report import ORIGINS, Tables, fill, tables_of, text_of
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

DEEP, BOOSTER, NAIVE = "fusion_network", "hist_gradient_boosting", "global_mean"
WEEKS, PER_WEEK, CHANNELS = 8, 60, 24
Gain = Callable[[pd.DataFrame], Any]


def planted(cutoff: str = "24h", seed: int = 0, **gains: Gain | float) -> pd.DataFrame:
    """Losses of boosting, noisy by video, and of others that save a part of it or what a function of the rows says."""
    rng = np.random.default_rng(seed)
    week, number = np.divmod(np.arange(WEEKS * PER_WEEK), PER_WEEK)
    rows = pd.DataFrame({"cutoff": cutoff, "origin": [date(2024, 1, 1) + timedelta(weeks=int(one)) for one in week]})
    rows["video_id"] = [f"v{one}-{two}" for one, two in zip(week, number, strict=True)]
    rows["channel_id"] = [f"c{one % CHANNELS}" for one in number]
    rows["anchor_at"] = [datetime(2024, 1, 1) + timedelta(days=int(one) * 7 + int(two) % 7) for one, two in zip(week, number, strict=True)]  # fmt: skip
    loss = np.abs(rng.normal(0, 1, len(rows)))
    told = [rows.assign(forecaster=BOOSTER, loss=loss)]
    for name, gain in gains.items():
        saved = gain(rows) if callable(gain) else gain * loss
        told.append(rows.assign(forecaster=name, loss=loss - saved + rng.normal(0, 0.05, len(rows))))
    return pd.concat(told, ignore_index=True)


def only(losses: pd.DataFrame) -> Answer:
    (answer,) = answers(losses, ["24h"])
    return answer


@pytest.mark.parametrize(("gain", "says"), [(0.1, "better"), (-0.1, "worse"), (0.0, "alike")])
def test_the_deep_model_is_better_worse_or_not_to_be_told_apart(gain: float, says: str) -> None:
    losses = planted(**{DEEP: gain, NAIVE: -0.4})
    answer = only(losses)
    assert answer.deep is not None and answer.boosting is not None
    assert (answer.deep.first, answer.deep.other, answer.deep.says) == (DEEP, BOOSTER, says)
    assert (answer.boosting.first, answer.boosting.other, answer.boosting.says) == (BOOSTER, NAIVE, "better")
    wide = losses.pivot(index=["origin", "video_id"], columns="forecaster", values="loss")
    difference = answer.deep.difference
    assert difference.difference == pytest.approx((wide[BOOSTER] - wide[DEEP]).mean())
    assert (difference.rows, difference.channels, difference.time_blocks) == (WEEKS * PER_WEEK, CHANNELS, WEEKS)


def test_without_a_deep_model_only_boosting_is_told_of() -> None:
    answer = only(planted(**{NAIVE: -0.4, "ridge": 0.9, "blend": 0.9}))
    assert answer.deep is None
    assert answer.boosting is not None and answer.boosting.first == BOOSTER, "linear and mixed models are no boosters"


def test_each_is_held_against_the_best_of_the_other_kind() -> None:
    losses = planted(**{DEEP: 0.1, "lightgbm": 0.2, "boosting_all": 0.05, NAIVE: -0.4, "persistence": -0.2})
    answer = only(losses)
    assert answer.deep is not None and answer.boosting is not None
    assert (answer.deep.other, answer.deep.says) == ("lightgbm", "worse")
    assert (answer.boosting.first, answer.boosting.other) == ("lightgbm", "persistence")


def test_only_the_same_videos_are_compared_and_who_missed_an_origin_is_no_candidate() -> None:
    losses = planted(**{DEEP: 0.1, "lightgbm": 0.5, NAIVE: -0.4})
    late = losses["origin"] >= date(2024, 2, 5)
    answer = only(losses[(losses["forecaster"] != DEEP) | late])
    assert answer.deep is not None and answer.boosting is not None
    assert (answer.deep.difference.rows, answer.boosting.difference.rows) == (3 * PER_WEEK, WEEKS * PER_WEEK)
    some = only(losses[(losses["forecaster"] != "lightgbm") | late])
    assert some.deep is not None and some.deep.other == BOOSTER
    apart = only(losses[np.where(losses["forecaster"] == DEEP, late, ~late)])
    assert apart.deep is None, "no video in common"


def test_what_whole_weeks_have_in_common_is_no_proof() -> None:
    swing = {date(2024, 1, 1) + timedelta(weeks=week): (-0.5, 0.8)[week % 2] for week in range(WEEKS)}
    answer = only(planted(**{DEEP: lambda rows: rows["origin"].map(swing)}))
    assert answer.deep is not None
    difference = answer.deep.difference
    by_video = 0.65 / np.sqrt(difference.rows)  # standard error were the videos independent
    assert difference.difference > 4 * by_video
    assert answer.deep.says == "alike"


def test_pooled_over_cutoffs_a_channel_stays_one_block() -> None:
    both = pd.concat([planted("pre", 1, **{DEEP: 0.1, NAIVE: -0.2}), planted("24h", 2, **{"lightgbm": 0.2, DEEP: 0.1})])
    at_pre, at_24h, pooled = answers(both, ["pre", "24h"])
    assert pooled.cutoffs == ("pre", "24h")
    assert pooled.deep is not None and at_pre.deep is not None and at_24h.deep is not None
    assert pooled.deep.other == f"{BOOSTER} or lightgbm"
    assert pooled.deep.difference.rows == at_pre.deep.difference.rows + at_24h.deep.difference.rows
    assert pooled.deep.difference.channels == CHANNELS
    assert at_24h.boosting is None
    assert pooled.boosting is not None and pooled.boosting.cutoffs == ("pre",)


def test_videos_without_a_channel_are_blocks_of_their_own() -> None:
    answer = only(planted(**{DEEP: 0.1}).assign(channel_id=None))
    assert answer.deep is not None and answer.deep.difference.channels == WEEKS * PER_WEEK


def test_families() -> None:
    assert [family(name) for name in (DEEP, "boosting_text", "base_rate", "stack", "gone")] == [
        "deep", "boosting", "naive", None, None,
    ]  # fmt: skip


def with_deep(scale: float, at: tuple[str, ...] = ("log_views_7d", "viral_7d")) -> Tables:
    """The report's tables with networks whose errors are those of boosting times a scale, and a little noise."""
    tables = tables_of()
    stored = tables["evaluations.predictions"]
    own = stored[(stored["split"] == "time") & stored["forecaster"].str.startswith(BOOSTER) & stored["target"].isin(at)]
    deep = own.assign(forecaster=own["forecaster"].str.replace(BOOSTER, DEEP))
    noise = np.random.default_rng(5).normal(0, 0.01, len(deep))
    deep["point"] = deep["value"] + (deep["point"] - deep["value"]) * scale + noise
    deep["probability"] = (deep["label"] + (deep["probability"] - deep["label"]) * scale).astype(float).clip(0, 1)
    return {**tables, "evaluations.predictions": pd.concat([stored, deep], ignore_index=True)}


def section(html: str, name: str = "plain-answer") -> str:
    return unescape(html.split(f'<section id="{name}">')[1].split("</section>")[0])


def parts_of(warehouse: Warehouse) -> list[Part]:
    """The section alone."""
    settings = load_settings(warehouse.home)
    return plain_answer(warehouse, settings, Board(collect(warehouse, settings, None)))


def told(fragment: str) -> list[str]:
    return [text_of(line).strip() for line in re.findall(r"<li>(.*?)</li>", unescape(fragment), re.DOTALL)]


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("better")
    return render(fill(home, with_deep(0.3)), load_settings(home)).html


def test_the_page_says_in_one_sentence_per_target_what_beats_what_and_what_serves(better: str) -> None:
    number, viral = told(section(better))
    assert number.startswith(
        "log_views_7d at pre and 24h: the deep model beats boosting: fusion_network's mean absolute"
    )
    assert re.search(r"is [\d.]+ % smaller than that of hist_gradient_boosting \([\d.]+ against [\d.]+; ", number)
    assert re.search(r"difference [\d.]+, 95 % interval [\d.]+ to [\d.]+; 144 forecasts\)", number)
    assert "; boosting beats the best naive forecaster: hist_gradient_boosting's mean absolute error" in number
    assert number.endswith("; hist_gradient_boosting serves."), "a network serves through the gate alone"
    assert "fusion_network_classifier's Brier score is" in viral


def test_a_deep_model_that_loses_is_told_so(tmp_path: Path) -> None:
    number, viral = told(str(parts_of(fill(tmp_path, with_deep(2.0, ("log_views_7d",))))[0].fragment))
    assert "the deep model is worse than boosting" in number and " larger than that of hist_gradient_boosting" in number
    absent = "no deep model was evaluated (upswell evaluate --target viral_7d --also fusion_network_classifier does)"
    assert absent in viral and "boosting beats the best naive forecaster" in viral


def test_what_the_gate_promoted_serves(tmp_path: Path) -> None:
    warehouse = fill(tmp_path, with_deep(0.3))
    serve(warehouse, DEEP, "24h")
    number, _ = told(str(parts_of(warehouse)[0].fragment))
    assert number.endswith("; hist_gradient_boosting serves at pre, fusion_network serves at 24h.")


def serve(warehouse: Warehouse, forecaster: str, cutoff: str) -> None:
    """A champion of a training run, and how it learned."""
    version = dict.fromkeys(table("models.versions").column_names, "x") | {"made_by": "training", "alias": "champion"}
    version |= {"source": "demo", "target": "log_views_7d", "cutoff": cutoff, "forecaster": forecaster}
    version |= {"origin": ORIGINS[0], "n_train": 9, "created_at": datetime(2024, 4, 1), "training_id": "t"}
    curve = [
        {"training_id": "t", "fit": fit, "metric": metric, "step": 10 * epoch, "epoch": epoch, "value": height / (1 + epoch)}
        for fit in ("final", "calibration")
        for metric, height in (("train_loss", 1.0), ("validation_loss", 1.2), ("mae", 0.9), ("learning_rate", 0.1))
        for epoch in range(4)
    ]  # fmt: skip
    with warehouse.write() as con:
        for name, rows in (("models.versions", [version]), ("models.curves", curve)):
            append_rows(con, table(name), as_arrow(pd.DataFrame(rows), name))


def test_curves_of_what_serves_are_drawn_and_the_page_is_the_same_to_the_byte(tmp_path: Path) -> None:
    turned = {name: rows.iloc[::-1].reset_index(drop=True) for name, rows in with_deep(0.3).items()}
    homes = []
    for name, tables in (("one", with_deep(0.3)), ("two", turned)):
        (tmp_path / name).mkdir()
        warehouse = fill(tmp_path / name, tables)
        serve(warehouse, DEEP, "24h")
        homes.append(render(warehouse, load_settings(tmp_path)))
    assert homes[0].html == homes[1].html
    decided = section(homes[0].html, "decisions")
    heading = "Learning curves: demo/log_views_7d/24h, fusion_network (champion, origin 2024-03-04)"
    assert heading in text_of(decided)
    drawn = decided.split("Learning curves")[1]
    assert drawn.count("<svg") == 2 and drawn.count('class="line"') == 3
    assert {"train", "validation", "MAE"} <= set(
        re.findall(r"(?:class=\"name\"[^>]*|class=\"heading\")>([^<]+)</text>", drawn)
    )
    assert "learning rate" not in drawn


def test_criteria_are_stored_figures_with_their_split_or_say_why_not(better: str) -> None:
    rows = [text_of(row).strip() for row in re.findall(r"<tr>(.*?)</tr>", section(better).split("The criteria")[1])]
    baseline = [row for row in rows if row.startswith("text baseline")]
    assert len(baseline) == 2
    for row in baseline:
        assert re.search(r"AUROC at least 0\.65 0\.\d{3} 0\.\d{3} to [01]\.\d{3} (yes|no)(, within the noise)? ", row)
        assert re.search(r"tfidf_logistic viral_7d at (pre|24h) time 3 origins 30 72$", row)
    (network,) = (row for row in rows if row.startswith("multimodal"))
    assert "not measured: the network's training rows hold no vectors of content" in network
    (velocity,) = (row for row in rows if row.startswith("velocity"))
    assert "MAE at most 0.30" in velocity
    assert "not evaluated; upswell evaluate --target velocity_7d --cutoff 24h does" in velocity
    (inference,) = (row for row in rows if row.startswith("inference"))
    assert "not measured; python -m benchmarks forecast does" in inference


def test_the_multimodal_criterion_needs_vectors_of_content(tmp_path: Path) -> None:
    warehouse = fill(tmp_path, with_deep(0.3))
    kept = dict.fromkeys(table("models.training_sets").column_names, "x") | {"made_by": "backtest", "source": "demo"}
    kept |= {"target": "viral_7d", "cutoff": "pre", "bytes": 1, "rows": 1, "created_at": datetime(2024, 4, 1)}
    sets = [
        kept | {"origin": origin, "columns": ["duration_s", *columns]}
        for origin, columns in zip(ORIGINS, ([], ["image_00"], ["text_00", "image_00"]), strict=True)
    ]
    with warehouse.write() as con:
        append_rows(con, table("models.training_sets"), as_arrow(pd.DataFrame(sets), "models.training_sets"))
    (grid,) = parts_of(warehouse)[-1].grids
    (row,) = (cells for _, cells in grid.rows if cells[0].text.startswith("multimodal"))
    assert row[0].note == "vectors of text, image"
    assert (row[4].text, row[4].note) == ("fusion_network_classifier", "viral_7d at pre")
