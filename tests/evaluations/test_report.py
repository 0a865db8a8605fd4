"""The page: the same to the byte, self-contained, honest about leaks, configurations that change nothing, and names."""

import re
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assets.evaluations import report_data
from assets.evaluations import report_words as words
from assets.evaluations.report import Report, ReportError, charts, render
from assets.evaluations.report_svg import Scale, spread
from assets.evaluations.rows import as_arrow
from assets.evaluations.scoring import evaluate
from assets.models.task import Task
from resources.settings import load_settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

ORIGINS = [date(2024, 3, 4) + timedelta(days=7 * week) for week in range(3)]
PER_ORIGIN, TRAINED = 24, 30
NOISE = {"global_mean": 1.5, "ridge": 0.6, "hist_gradient_boosting": 0.4}
CLASS_NOISE = {"base_rate": 0.0, "tfidf_logistic": 1.2, "hist_gradient_boosting_classifier": 0.6}
TITLE = "<script>alert('x')</script> & more"
CELLS = tuple((target, cutoff) for target in ("log_views_7d", "viral_7d") for cutoff in ("pre", "24h"))

Tables = dict[str, pd.DataFrame]


def forecast_rows(
    source: str, target: str, cutoff: str, seed: int, split: str = "time", noise: float = 1.0
) -> pd.DataFrame:
    rng = np.random.default_rng([seed, CELLS.index((target, cutoff))])
    age = timedelta(hours=0 if cutoff == "pre" else 24)
    frames = []
    for week, origin in enumerate(ORIGINS if split == "time" else ORIGINS[-1:]):
        number = np.arange(PER_ORIGIN)
        anchor = [datetime(origin.year, origin.month, origin.day) + timedelta(hours=7 * int(hour)) for hour in number]
        value = 7 + rng.normal(0, 1.3, PER_ORIGIN)
        rows = pd.DataFrame(
            {"source": source, "target": target, "cutoff": cutoff, "split": split, "origin": origin}, index=number
        )
        rows["video_id"] = [f"t{week}-{index:02d}" for index in number]
        rows["channel_id"] = [f"c{index % 6}" for index in number]
        rows["anchor_at"], rows["as_of"] = anchor, [at + age for at in anchor]
        rows["matured_at"] = [at + timedelta(days=7) for at in anchor]
        rows["value"], rows["last_level"] = value, np.nan if cutoff == "pre" else value - 1
        rows["label"] = (value > 8).astype(int) if target == "viral_7d" else None
        rows["n_train"], rows["new_channel"] = TRAINED, 0
        rows["channel_size"], rows["duration"] = np.where(number % 2, "small", "large"), "up to 15 s"
        for name, scale in (CLASS_NOISE if target == "viral_7d" else NOISE).items():
            said = value + rng.normal(0, 1, PER_ORIGIN) * scale * noise
            frames.append(rows.assign(forecaster=name, **answers(target, said, name, scale)))
    return pd.concat(frames, ignore_index=True)


def answers(target: str, said: np.ndarray, name: str, scale: float) -> dict[str, Any]:
    if target == "viral_7d":
        return {"probability": np.full(len(said), 0.22) if name == "base_rate" else 1 / (1 + np.exp(-2 * (said - 8)))}
    bounds = {
        f"{side}_{level}": said + sign * scale * width
        for level, width in ((50, 0.67), (80, 1.28), (90, 1.64))
        for side, sign in (("lower", -1), ("upper", 1))
    }
    return {"point": said, **bounds}


def tables_of(source: str = "demo", seed: int = 0) -> Tables:
    """Rows of every table that the page reads, to be changed as one likes; only the random split of one cell."""
    return {name: frame.copy() for name, frame in _tables_of(source, seed).items()}


@cache
def _tables_of(source: str, seed: int) -> Tables:
    predictions = [forecast_rows(source, target, cutoff, seed) for target, cutoff in CELLS]
    predictions.append(forecast_rows(source, "log_views_7d", "24h", seed, "random", noise=0.5))
    together = pd.concat(predictions, ignore_index=True)
    key = ["source", "target", "cutoff", "split", "origin"]
    tested = together[[*key, "video_id"]].drop_duplicates().assign(role="test")
    trained = (
        tested.drop_duplicates(key)
        .drop(columns="video_id")
        .merge(pd.DataFrame({"video_id": [f"f{index}" for index in range(TRAINED)]}), how="cross")
        .assign(role="train")
    )
    videos = pd.DataFrame({"source": source, "video_id": sorted({*tested["video_id"], *trained["video_id"]})})
    anchors = together.drop_duplicates("video_id").set_index("video_id")["anchor_at"]
    videos["anchor_at"] = videos["video_id"].map(anchors).fillna(datetime(2024, 2, 1))
    videos["anchor_day"], videos["observed_at"] = videos["anchor_at"].dt.date, videos["anchor_at"]
    return {
        "evaluations.predictions": together,
        "evaluations.splits": pd.concat([tested, trained], ignore_index=True),
        "evaluations.importance": importance_rows(source),
        "evaluations.audits": audit_rows(source),
        **feature_tables(videos),
        **raw_tables(videos),
    }


def importance_rows(source: str) -> pd.DataFrame:
    planted = {
        "column": {"planted_feature": 0.9, "duration_s": 0.2, "title_length": 0.01},
        "group": {"channel": 0.3, "content": 1.1},
    }
    rows = [
        {"level": level, "feature": name, "value": value, "lower": value * 0.9, "upper": value * 1.1}
        for level, features in planted.items()
        for name, value in features.items()
    ]
    key = {"source": source, "target": "log_views_7d", "cutoff": "24h", "forecaster": "hist_gradient_boosting"}
    return pd.DataFrame(rows).assign(**key, origin=ORIGINS[-1], repeats=3, n_test=PER_ORIGIN)


def audit_rows(source: str, equal: bool = True) -> pd.DataFrame:
    row = {"audit_id": "first", "source": source, "target": "all", "cutoff": "24h", "video_id": "t0-00", "equal": equal}
    row |= {
        "column": "none" if equal else "views_log",
        "expected": None if equal else "3.5",
        "found": None if equal else "9.9",
    }
    return pd.DataFrame([row | {"as_of": datetime(2024, 3, 5), "run_id": "run", "audited_at": datetime(2024, 5, 1)}])


def feature_tables(videos: pd.DataFrame) -> Tables:
    n = len(videos)
    content = videos.assign(
        channel_id="c0", title=TITLE, first_seen_at=videos["anchor_at"], known_at=videos["anchor_at"]
    )
    content = content.assign(
        title_length=np.arange(n) % 40, duration_s=np.where(np.arange(n) % 5 == 0, np.nan, 20.0), category="music"
    )
    each = [videos.assign(cutoff=cutoff, as_of=videos["anchor_at"]) for cutoff in ("pre", "24h")]
    at = pd.concat(each, ignore_index=True)
    engagement = at.assign(observations=np.where(at["cutoff"] == "pre", 0, 2), last_age_h=12.0, views_log=6.0)
    channel = at.assign(channel_videos=3, channel_72h_median=6.5, channel_growth_count=0)
    targets = videos.assign(target="log_views_7d", status="matured", value=7 + np.sin(np.arange(n)))
    matured = videos["anchor_at"] + timedelta(days=7)
    return {
        "features.content": content,
        "features.engagement": engagement,
        "features.channel": channel,
        "features.targets": targets.assign(observed_at=matured, matured_at=matured),
    }


def raw_tables(videos: pd.DataFrame) -> Tables:
    landing = {
        "landing_id": "a" * 64,
        "source": videos["source"].iloc[0],
        "kind": "videos",
        "names": ["day.csv"],
        "bytes": 100,
    }
    landing |= {"adapter": "demo", "contract_version": "v1", "known_at": datetime(2024, 3, 1), "time_source": "row"}
    landing |= {"received_at": datetime(2024, 3, 1), "rows_read": 12, "accepted": 9, "duplicate": 2, "quarantined": 1}
    links = ["https://videos.example/?v=1&w=2" if index % 2 else "javascript:alert(1)" for index in range(len(videos))]
    raw = videos.assign(
        known_at=videos["anchor_at"], landing_id="a", row_number=np.arange(1, len(videos) + 1), url=links
    )
    return {"raw.landings": pd.DataFrame([landing]), "raw.videos": raw}


def figures_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """What the forecasts give; figures of the same forecasts are made once."""
    print_of = int(
        pd.util.hash_pandas_object(
            predictions.sort_values(["source", "target", "cutoff", "split", "forecaster", "video_id"]), index=False
        ).sum()
    )
    if print_of not in _figures:
        cells = predictions.groupby(["source", "target", "cutoff"], sort=True)
        settings = load_settings(Path("none"))
        _figures[print_of] = pd.concat(
            [evaluate(rows, Task.of(settings, *cell[1:])) for cell, rows in cells], ignore_index=True
        )
    return _figures[print_of]


_figures: dict[int, pd.DataFrame] = {}


def fill(home: Path, tables: Tables, *, figures: pd.DataFrame | None = None) -> Warehouse:
    """A warehouse with these rows, and the figures that the forecasts give."""
    warehouse = Warehouse(home)
    if figures is None:
        figures = figures_of(tables["evaluations.predictions"])
    with warehouse.write() as con:
        for name, frame in {**tables, "evaluations.metrics": figures}.items():
            declared = table(name)
            rows = frame.reindex(columns=list(declared.column_names))
            for column in declared.columns:
                if column.type in ("INTEGER", "BIGINT"):
                    rows[column.name] = rows[column.name].astype("Int64")
                elif rows[column.name].isna().all():
                    rows[column.name] = pd.Series([None] * len(rows), dtype=object)
            replace_rows(con, declared, as_arrow(rows, name), {})
    return warehouse


def report_of(home: Path, tables: Tables, **options: Any) -> Report:
    return render(fill(home, tables, figures=options.pop("figures", None)), load_settings(home), **options)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_of(tmp_path_factory.mktemp("home"), tables_of())


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>", "", html)))


def test_the_same_rows_in_another_order_give_the_same_bytes(page: Report, tmp_path: Path) -> None:
    turned = {name: frame.iloc[::-1].reset_index(drop=True) for name, frame in tables_of().items()}
    again = report_of(tmp_path, turned)
    assert again.html == page.html
    assert (again.sha256, again.made_from, again.data_version) == (page.sha256, page.made_from, page.data_version)


def test_nothing_is_loaded_from_elsewhere(page: Report, tmp_path: Path) -> None:
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|url\(|@import", page.html)
    assert all(link.startswith(("#", "https://videos.example/")) for link in re.findall(r'href="([^"]*)"', page.html))
    assert str(tmp_path.parent) not in page.html


def test_titles_are_escaped_and_only_web_links_are_links(page: Report) -> None:
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more" in page.html
    assert 'href="https://videos.example/?v=1&amp;w=2"' in page.html
    assert "javascript:" not in page.html


def test_every_section_has_content_and_no_number_is_missing_by_accident(page: Report) -> None:
    empty = re.findall(r'<section id="([\w-]+)">(?:(?!</section>).)*Nothing is stored', page.html, re.DOTALL)
    assert empty == ["decisions", "ledger", "training-size", "content", "language", "styles"]
    assert not re.search(r"\b(nan|None|NaT|inf)\b", text_of(page.html))


def test_a_page_without_flaws_has_no_findings(page: Report) -> None:
    assert page.findings == ()
    assert "Does not hold" not in page.html


def test_importance_keeps_each_name_with_its_value_in_order(page: Report) -> None:
    section = page.html.split('<section id="importance">')[1].split("</section>")[0]
    drawn = re.findall(r'class="name"[^>]*>([\w ]+)</text>.*?class="tick">([\d.]+)</text>', section)
    assert drawn == [
        ("content", "1.100"),
        ("channel", "0.300"),
        ("planted_feature", "0.900"),
        ("duration_s", "0.200"),
        ("title_length", "0.010"),
    ]


def test_figures_on_the_page_are_the_stored_ones(tmp_path: Path) -> None:
    warehouse = fill(tmp_path, tables_of())
    html = render(warehouse, load_settings(tmp_path)).html
    stored = warehouse.query(
        """SELECT metric, value, lower, upper FROM evaluations.metrics WHERE target = 'log_views_7d' AND cutoff = '24h'
           AND forecaster = 'hist_gradient_boosting' AND split = 'time' AND origin = 'all' AND slice = 'all'"""
    ).to_pylist()
    row = re.search(r'<tr class="champion">.*?</tr>', html.split("24h · time split")[1], re.DOTALL)
    assert row is not None
    shown = text_of(row[0])
    for figure in stored:
        if figure["metric"] in ("mae", "skill", "r2", "coverage_80"):
            assert words.written(figure["metric"], figure["value"]) in shown
            assert words.between(figure["metric"], figure["lower"], figure["upper"]) in shown


def test_the_random_split_stands_beside_the_time_split_with_the_gap(tmp_path: Path) -> None:
    warehouse = fill(tmp_path, tables_of())
    losses = warehouse.query(
        """SELECT split, value FROM evaluations.metrics WHERE metric = 'mae' AND cutoff = '24h' AND origin = 'all'
           AND forecaster = 'ridge' AND slice = 'all' ORDER BY split"""
    ).to_pylist()
    random, time = (row["value"] for row in losses)
    table_text = text_of(
        render(warehouse, load_settings(tmp_path)).html.split("24h · time split")[1].split("</table>")[0]
    )
    ridge = table_text.split(" ridge ")[1]
    assert f" {words.written('mae', random)} " in ridge
    assert f" {words.written('gap', 1 - random / time)} " in ridge


def test_confusion_matrix_counts_the_champions_calls(page: Report) -> None:
    rows = forecast_rows("demo", "viral_7d", "24h", 0)
    champion = rows[rows["forecaster"] == "hist_gradient_boosting_classifier"]
    found = int(((champion["label"] == 1) & (champion["probability"] >= 0.5)).sum())
    missed = int(((champion["label"] == 1) & (champion["probability"] < 0.5)).sum())
    section = text_of(page.html.split("viral_7d at 24h: hist_gradient_boosting_classifier")[1].split("</table>")[0])
    matrix = re.search(r"positive (\d+) [\d.]+ % (\d+) [\d.]+ % (\d+)", section)
    assert matrix is not None
    assert [int(number) for number in matrix.groups()] == [found, missed, found + missed]


def test_worst_misses_are_the_largest_errors_with_what_was_known(page: Report) -> None:
    rows = forecast_rows("demo", "log_views_7d", "24h", 0)
    champion = rows[rows["forecaster"] == "hist_gradient_boosting"].assign(
        error=lambda rows: rows["point"] - rows["value"]
    )
    worst = champion.sort_values("error").iloc[0]
    section = page.html.split('<section id="examples">')[1].split("log_views_7d at 24h")[1].split("</table>")[0]
    first = next(row for row in re.findall(r"(?s)<tr>.*?</tr>", section) if "too low" in row)
    shown = text_of(first)
    assert words.raw_count(worst["point"]) in shown
    assert words.raw_count(worst["value"]) in shown
    assert f"× {words.number(float(np.exp(-worst['error'])), 2)}" in shown
    assert "402 views at 12 h (2 observations); a channel with 3 earlier videos, median 664 views at 72 h" in shown
    examples = page.html.split('<section id="examples">')[1]
    assert "no count of its own" in text_of(examples.split("log_views_7d at pre")[1].split("</table>")[0])


def test_conservation_is_shown_per_source(page: Report, tmp_path: Path) -> None:
    assert re.search(r"demo 1 12 9 2 1 yes", text_of(page.html))
    tables = tables_of()
    tables["raw.landings"] = tables["raw.landings"].assign(accepted=8)
    assert re.search(r"demo 1 12 8 2 1 no: 1 landing", text_of(report_of(tmp_path, tables).html))


def test_a_withdrawn_training_set_is_shown_with_its_models(page: Report, tmp_path: Path) -> None:
    assert "Withdrawn training sets" not in page.html
    cell = {"source": "demo", "target": "log_views_7d", "cutoff": "24h", "origin": ORIGINS[-1], "made_by": "backtest"}
    sizes = {"training_set_id": "5e7" * 4, "uri": "sets/5e7.parquet", "bytes": 9, "rows": 3, "columns": [["title"]]}
    prints = {"schema_fingerprint": "s", "feature_fingerprint": "f", "data_version": "d"}
    made = {"run_id": "run", "created_at": datetime(2024, 4, 1)}
    withdrawal = {
        "training_set_id": "5e7" * 4,
        "why": "asked to",
        "task_id": "task",
        "withdrawn_at": datetime(2024, 5, 1),
    }
    tables = tables_of() | {
        "models.training_sets": pd.DataFrame(cell | sizes | prints | made),
        "raw.withdrawn": pd.DataFrame([withdrawal | {"version": version} for version in ("", "boosting-7", "ridge-2")]),
    }
    told = text_of(report_of(tmp_path, tables).html)
    assert "demo/log_views_7d/24h" in told
    assert "5e75e75e75e7 asked to boosting-7, ridge-2 2024-05-01" in told


def test_refuses_where_a_test_row_is_in_the_fit(tmp_path: Path) -> None:
    tables = tables_of()
    splits = tables["evaluations.splits"]
    leak = (
        (splits["video_id"] == "t1-03")
        & (splits["cutoff"] == "24h")
        & (splits["target"] == "log_views_7d")
        & (splits["split"] == "time")
    )
    splits.loc[leak, "role"] = "train"
    with pytest.raises(
        ReportError,
        match=r"in their fit in 1 split \(demo / log_views_7d / 24h / time split / 2024-03-11: 1, e\.g\. t1-03",
    ):
        report_of(tmp_path, tables)


def test_refuses_forecasts_without_a_row_in_the_split(tmp_path: Path) -> None:
    tables = tables_of()
    splits = tables["evaluations.splits"]
    tables["evaluations.splits"] = splits[(splits["video_id"] != "t2-07") | (splits["target"] != "viral_7d")]
    with pytest.raises(ReportError, match=r"forecasts without a row in the split in 2 splits .*t2-07"):
        report_of(tmp_path, tables)


def test_refuses_an_empty_warehouse(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no figures to report"):
        render(Warehouse(tmp_path), load_settings(tmp_path))
    assert charts(Warehouse(tmp_path)) == {}


def answers_of(predictions: pd.DataFrame, forecaster: str, target: str, cutoff: str) -> tuple[pd.Series, list[str]]:
    chosen = (
        (predictions["forecaster"] == forecaster)
        & (predictions["target"] == target)
        & (predictions["cutoff"] == cutoff)
    )
    return chosen & (predictions["split"] == "time"), ["point", "value", "lower_80", "upper_80"]


def test_two_learned_forecasters_that_say_the_same_are_a_finding(tmp_path: Path) -> None:
    tables = tables_of()
    predictions = tables["evaluations.predictions"]
    one, columns = answers_of(predictions, "ridge", "log_views_7d", "24h")
    other, _ = answers_of(predictions, "hist_gradient_boosting", "log_views_7d", "24h")
    predictions.loc[one, columns] = predictions.loc[other, columns].to_numpy()
    report = report_of(tmp_path, tables)
    assert report.findings == (
        "hist_gradient_boosting on log_views_7d at 24h and ridge on log_views_7d at 24h (demo, time split) give identical forecasts",
    )
    assert "Does not hold: configurations that should differ do differ" in report.html
    assert report.findings[0] in report.html


def same_at_both_cutoffs(forecasters: list[str]) -> Tables:
    tables = tables_of()
    predictions = tables["evaluations.predictions"]
    for forecaster in [*NOISE]:  # the outcomes agree, so that the losses may
        early, columns = answers_of(predictions, forecaster, "log_views_7d", "pre")
        late, _ = answers_of(predictions, forecaster, "log_views_7d", "24h")
        copied = columns if forecaster in forecasters else ["value"]
        predictions.loc[early, copied] = predictions.loc[late, copied].to_numpy()
    return tables


def test_a_learned_forecaster_that_says_the_same_at_two_cutoffs_is_a_finding_a_naive_one_is_not(tmp_path: Path) -> None:
    assert report_of(tmp_path / "naive", same_at_both_cutoffs(["global_mean"])).findings == ()
    findings = report_of(tmp_path / "learned", same_at_both_cutoffs(["ridge"])).findings
    assert findings == (
        "ridge on log_views_7d at pre and ridge on log_views_7d at 24h (demo, time split) give identical forecasts",
    )


def test_pre_and_0h_may_agree_where_no_video_has_a_count_yet(tmp_path: Path) -> None:
    tables = same_at_both_cutoffs(["ridge"])
    for name in (
        "evaluations.predictions",
        "evaluations.splits",
        "evaluations.importance",
        "features.engagement",
        "features.channel",
    ):
        tables[name] = tables[name].assign(cutoff=tables[name]["cutoff"].replace("24h", "0h"))
    tables["features.engagement"] = tables["features.engagement"].assign(observations=0)
    assert report_of(tmp_path / "none", tables).findings == ()
    tables["features.engagement"] = tables["features.engagement"].assign(observations=1)
    assert len(report_of(tmp_path / "some", tables).findings) == 1


def test_figures_that_the_forecasts_do_not_give_are_a_finding(tmp_path: Path) -> None:
    tables = tables_of()
    figures = fill(tmp_path / "first", tables).query("SELECT * FROM evaluations.metrics").to_pandas()
    chosen = (
        (figures["metric"] == "mae")
        & (figures["forecaster"] == "ridge")
        & (figures["cutoff"] == "pre")
        & (figures["origin"] == "all")
    )
    figures.loc[chosen & (figures["slice"] == "all"), "value"] = 0.001
    (finding,) = report_of(tmp_path / "second", tables, figures=figures).findings
    assert finding.startswith(
        "demo / log_views_7d / pre / time split: ridge is stored with loss 0.001000; its forecasts give 0."
    )


def test_outcomes_in_a_fit_that_matured_after_the_origin_are_a_finding(tmp_path: Path) -> None:
    tables = tables_of()
    targets = tables["features.targets"]
    targets.loc[targets["video_id"] == "f7", "matured_at"] = datetime(2024, 3, 12)
    findings = report_of(tmp_path, tables).findings
    assert len(findings) == len(CELLS) * 2  # the first two origins of each cell
    assert findings[0] == "demo / log_views_7d / 24h / 2024-03-04: 1 training row matured after the origin, e.g. f7"


def test_test_rows_that_a_forecaster_left_out_are_a_finding(tmp_path: Path) -> None:
    tables = tables_of()
    extra = tables["evaluations.splits"].query("role == 'test' and target == 'viral_7d' and cutoff == 'pre'").iloc[[0]]
    tables["evaluations.splits"] = pd.concat(
        [tables["evaluations.splits"], extra.assign(video_id="left-out")], ignore_index=True
    )
    findings = report_of(tmp_path, tables).findings
    assert len(findings) == len(CLASS_NOISE)
    assert findings[0].endswith("base_rate forecast 24 of 25 test rows")


def test_rows_outside_their_week_are_a_finding(tmp_path: Path) -> None:
    tables = tables_of()
    predictions = tables["evaluations.predictions"]
    early = (
        (predictions["video_id"] == "t0-00") & (predictions["target"] == "viral_7d") & (predictions["cutoff"] == "pre")
    )
    predictions.loc[early, "anchor_at"] = datetime(2024, 3, 1)
    findings = report_of(tmp_path, tables).findings
    assert len(findings) == len(CLASS_NOISE)
    assert "1 rows outside the week after their origin" in findings[0]


def audit_section(home: Path, audits: pd.DataFrame, **options: Any) -> str:
    report = report_of(home, {**tables_of(), "evaluations.audits": audits}, **options)
    return text_of(report.html.split('<section id="audit">')[1].split("</section>")[0])


def test_an_audit_that_differs_names_the_column(tmp_path: Path) -> None:
    section = audit_section(tmp_path, audit_rows("demo", equal=False))
    assert "demo all 24h 1 row 1" in section
    assert "views_log demo / all / 24h 1 t0-00 3.5 9.9" in section


def test_only_the_latest_audit_counts_and_one_of_all_sources_says_what_it_compared(tmp_path: Path) -> None:
    clean = audit_rows("all").assign(
        audit_id="later", cutoff="all", video_id="", found="90 values of 3 rows", audited_at=datetime(2024, 6, 1)
    )
    audits = pd.concat([audit_rows("demo", equal=False), clean], ignore_index=True)
    section = audit_section(tmp_path, audits, source="demo")
    assert "all all all 90 values of 3 rows 0" in section
    assert "views_log" not in section


def test_made_from_follows_the_rows_and_not_the_run(page: Report, tmp_path: Path) -> None:
    tables = tables_of()
    tables["evaluations.audits"] = tables["evaluations.audits"].assign(
        audit_id="next", run_id="another", audited_at=datetime(2025, 1, 1)
    )
    same = report_of(tmp_path / "run", tables)
    assert (same.made_from, same.html) == (page.made_from, page.html)
    tables["raw.landings"] = tables["raw.landings"].assign(contract_version="v2")
    other = report_of(tmp_path / "contract", tables)
    assert other.made_from != page.made_from
    assert other.data_version != page.data_version


def test_one_source_of_two(tmp_path: Path) -> None:
    both = {
        name: pd.concat([frame, tables_of("other", 1)[name]], ignore_index=True) for name, frame in tables_of().items()
    }
    both["raw.landings"]["landing_id"] = ["a" * 64, "b" * 64]
    warehouse = fill(tmp_path, both)
    settings = load_settings(tmp_path)
    assert "log_views_7d (other)" in render(warehouse, settings).html
    alone = render(warehouse, settings, source="demo")
    assert not re.search(
        r"\bother\b", text_of(alone.html.split('<section id="methods">')[0]).replace("other forecasters", "")
    )


def test_large_cells_are_sampled_the_same_way_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_data, "SAMPLE", 20)
    warehouse = fill(tmp_path, tables_of())
    evidence = report_data.collect(warehouse, load_settings(tmp_path), None)
    sizes = evidence.tables["forecasts"].groupby(["target", "cutoff"]).size()
    assert set(sizes) == {20}
    again = report_data.collect(warehouse, load_settings(tmp_path), None)
    pd.testing.assert_frame_equal(evidence.tables["forecasts"], again.tables["forecasts"])


def test_charts_are_small_pictures(tmp_path: Path) -> None:
    drawn = charts(fill(tmp_path, tables_of()))
    assert sorted(drawn) == ["accuracy_against_cutoff", "leaderboard_skill"]
    for png in drawn.values():
        assert png.startswith(b"\x89PNG")
        assert len(png) < 200_000


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mae", 0.12345, "0.123"),
        ("mae", -0.0001, "0.000"),
        ("growth_r2", -1.5, "−1.500"),
        ("growth_r2", -28.5872, "−28.6"),
        ("skill", 0.3614, "36.1 %"),
        ("skill", -7.541, "−754 %"),
        ("coverage_80", 1.0, "100 %"),
        ("lift_10", 4.5, "4.50×"),
        ("mae", float("nan"), "–"),
        ("mae", None, "–"),
    ],
)
def test_a_figure_is_written_one_way(name: str, value: float | None, text: str) -> None:
    assert words.written(name, value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (12_345, "12.3k"), (999_960, "1M"), (2_500_000, "2.5M"), (-0.25, "−0.25")],
)
def test_short_numbers(value: float, text: str) -> None:
    assert words.short(value) == text


def test_ticks_are_round_and_inside() -> None:
    assert [text for _, text in Scale(0.03, 0.27, 0, 100).ticks()] == ["0.05", "0.10", "0.15", "0.20", "0.25"]
    assert [text for _, text in Scale(0.15, 2.4, 0, 100, log=True).ticks()] == ["0.2", "0.5", "1", "2"]


def test_labels_are_spread_without_leaving_the_panel() -> None:
    assert spread([50, 50, 10], 10, 0, 52) == [42, 52, 10]
