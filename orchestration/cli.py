"""The command line: parses arguments, calls what the assets call, and prints for people or (`--json`) for programs.

Work happens in Dagster runs on the home's instance, or in the module that the asset calls; there is none here. Heavy imports
are inside the commands, so that `upswell --help` is quick.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape

from orchestration.console import HomeOption, JsonOption, opened, people, print_json, print_table, use_home
from orchestration.errors import RunFailedError, UsageError
from orchestration.language import language_app
from resources import clock
from resources.settings import Settings, load_settings

app = typer.Typer(
    name="upswell",
    help="Forecasts how short-form videos will perform, and proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
quarantine_app = typer.Typer(help="Records set aside: what and why, and reading them again.", no_args_is_help=True)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(language_app)


class Kind(StrEnum):
    """What the rows of a file are."""

    videos = "videos"
    metrics = "metrics"
    labels = "labels"
    channels = "channels"
    comments = "comments"
    captions = "captions"
    texts = "texts"
    media = "media"


class Compared(StrEnum):
    """The vectors that a search compares."""

    fused = "fused"
    text = "text"
    image = "image"
    audio = "audio"
    video = "video"
    titles = "titles"
    transcripts = "transcripts"
    comments = "comments"


@app.command()
def demo(
    home: HomeOption = None,
    json_: JsonOption = False,
    days: Annotated[int, typer.Option(help="Days to simulate.", min=30)] = 120,
    videos_per_day: Annotated[int, typer.Option(help="Videos a day.", min=1)] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the simulator.")] = 7,
) -> None:
    """Simulate scrapes and run the whole way: ingestion, features, backtests, report."""
    from orchestration.demo import run_demo

    folder = use_home(home)
    result = run_demo(folder, days=days, videos_per_day=videos_per_day, seed=seed, say=people.print)
    if json_:
        print_json(result)
        return
    print_leaderboard(result["leaderboard"])
    _say_where(folder, result["report"], result["grid"], result["seconds"])


def print_leaderboard(rows: Iterable[Mapping[str, Any]]) -> None:
    """The pooled figures of every forecaster, a table per target and cutoff."""
    pooled = [row for row in rows if row["origin"] == "all" and row["split"] == "time"]
    names = (
        "forecaster",
        "n_test",
        "mae",
        "r2",
        "growth_r2",
        "spearman",
        "auroc",
        "average_precision",
        "skill",
        "coverage_80",
    )
    for cell in dict.fromkeys((row["source"], row["target"], row["cutoff"]) for row in pooled):
        chosen = [row for row in pooled if (row["source"], row["target"], row["cutoff"]) == cell]
        used = [name for name in names if any(row[name] is not None for row in chosen)]
        print_table(
            [
                {name: row[name] for name in used} | {"champion": "champion" if row["champion"] else ""}
                for row in chosen
            ],
            title=" · ".join(cell),
        )


def _say_where(folder: Path, report: str, grid: str, seconds: float) -> None:
    people.print(f"[bold]Grid[/bold]       {grid}; [cyan]upswell evaluate --all[/cyan] runs the rest")
    people.print(f"[bold]Report[/bold]     {report}")
    people.print(f'[bold]Warehouse[/bold]  {folder / "warehouse.duckdb"}  (upswell sql "SHOW ALL TABLES")')
    here = "" if folder == Path("var").resolve() else f"UPSWELL_HOME={folder} "
    people.print(f"[bold]UI[/bold]         {here}make up, then http://localhost:3000")
    people.print(f"Done in {seconds:.0f} s.")


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders: every file below, in name order.")],
    source: Annotated[
        str, typer.Option(help="Adapter that reads them, or auto; with --as, the source they speak of.")
    ] = "auto",
    as_: Annotated[
        Kind | None, typer.Option("--as", help="What the rows are; else what their adapter says, or videos.")
    ] = None,
    observed_at: Annotated[
        str | None, typer.Option(help="When the rows were true (ISO, UTC), if they do not say.")
    ] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="field=column, repeatable; for auto.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="With --as media: CSV or JSON lines of path, video_id and, where known, kind.")
    ] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Keep files byte for byte and read them into the raw tables; a file that is refused does not stop the others."""
    from assets.raw.errors import IngestError
    from assets.raw.ingest import ingest_all
    from assets.raw.store import files
    from assets.raw.unreported import leave

    warehouse, settings = opened(home)
    mapping = _pairs(map_ or [], "--map")
    time = _time(observed_at, "--observed-at")
    if as_ is Kind.media:
        _ingest_media(warehouse, settings, paths, source, index, mapping, time, json_)
        return
    given = [file for path in paths for file in files(path)]
    results, refused = [], []
    ingested = ingest_all(
        warehouse,
        settings,
        given,
        source=source,
        kind=cast(Any, as_ and as_.value),
        observed_at=time,
        mapping=mapping,
        now=clock.now(warehouse.home),
    )
    for path, result in ingested:
        if isinstance(result, IngestError):
            refused.append(str(result))
            continue
        results.append(result)
        if not json_:
            people.print(_landing_line(path, result), markup=False)
    leave(warehouse.home, results)
    if json_ and (results or not refused):
        print_json([vars(result) for result in results])
    if refused:
        raise UsageError("\n".join(refused))


def _ingest_media(
    warehouse: Any,
    settings: Settings,
    folders: list[Path],
    source: str,
    index: Path | None,
    mapping: Mapping[str, str],
    observed_at: datetime | None,
    json_: bool,
) -> None:
    from assets.raw.media import ingest_media

    if source == "auto":
        raise UsageError("--as media needs --source NAME: whose videos the pictures, sounds and films belong to")
    done = []
    for folder in folders:
        result = ingest_media(
            warehouse,
            settings,
            folder,
            source=source,
            index=index,
            mapping=mapping,
            now=clock.now(warehouse.home),
            observed_at=observed_at,
            progress=None if json_ else people.print,
        )
        done.append(result)
        if not json_:
            people.print(f"{folder}: " + ", ".join(f"{name} {value}" for name, value in result.items()), markup=False)
    if json_:
        print_json(done)


def _landing_line(path: Path, result: Any) -> str:
    known = " (known already)" if result.already_known else ""
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(result.reasons.items()))
    line = (
        f"{path.name}: {result.source}, {result.rows_read} read = {result.accepted} accepted + {result.duplicate} duplicate "
        f"+ {result.quarantined} quarantined{known}{'; ' + reasons if reasons else ''}"
    )
    if result.mapping:
        confidence = result.confidence or {}
        parts = [f"{field} <- {column} ({confidence.get(field, 1):.0%})" for field, column in result.mapping.items()]
        line += "\n  mapped: " + ", ".join(parts)
    return line + "".join(f"\n  {note}" for note in result.notes if note.startswith(f"{result.source} is kept by"))


@app.command()
def collect(
    link: Annotated[list[str] | None, typer.Argument(help="Links to videos or channels, in any form, or ids.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="What to search for, repeatable.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Channel (id, @handle or link), repeatable.")] = None,
    source: Annotated[
        str | None, typer.Option(help="A source of upswell.yaml: what its schedule would do now.")
    ] = None,
    collector: Annotated[
        str | None,
        typer.Option(help="youtube_api, yt_dlp, tiktok or youtube_rss; else the one of the settings, or yt-dlp."),
    ] = None,
    parts: Annotated[
        str, typer.Option(help="What is wanted, comma between: videos, channels, comments, captions, media.")
    ] = "videos,channels",
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Collect now: a topic, a channel, links, or what a source of the settings has due."""
    from orchestration.collection import orders
    from orchestration.runs import Runs

    folder = use_home(home)
    settings = load_settings(folder)
    configs = orders(settings, link or [], channel or [], topic or [], source, collector, parts)
    if not configs:
        raise UsageError(
            "nothing is asked for: name a link, --topic, --channel or --source; see upswell collect --help"
        )
    runs = Runs(folder)
    ids = [runs.collect(config)["run_id"] for config in configs]
    names = ("collector", "state", "asked", "fetched", "live", "private", "removed", "unavailable")
    rows = runs.home.warehouse.query(
        f"""SELECT {", ".join(names)}, len(missed) AS missed, detail, misses, landings, run_id FROM raw.collections
            WHERE list_contains($ids, run_id)""",
        {"ids": ids},
    ).to_pylist()
    if json_:
        print_json(rows)
    else:
        print_table([{name: row[name] for name in (*names, "missed")} for row in rows])
        for row in rows:
            said = [row["detail"], *(row["misses"] or []), *(f"landing {name}" for name in row["landings"] or [])]
            people.print("\n".join(f"{row['collector']}: {line}" for line in said if line), markup=False)
    if not any(row["fetched"] for row in rows) and any(row["misses"] for row in rows):
        reasons = sorted({line.split(": ")[1] for row in rows for line in row["misses"] or ()})
        raise RunFailedError(f"nothing of what was asked for came ({', '.join(reasons)})")


@app.command()
def plan(
    n: Annotated[int, typer.Option("-n", help="Videos to list per source.", min=0)] = 10,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """What the sources of the settings will be asked for next, and why; asks nobody."""
    from orchestration.collection import intentions

    warehouse, settings = opened(home)
    found = intentions(warehouse, settings, n)
    if json_:
        print_json(found)
        return
    if not found:
        people.print("nothing is collected: collect.sources of upswell.yaml names no source")
    for one in found:
        _print_intention(one)


def _print_intention(one: Mapping[str, Any]) -> None:
    held = f" · [red]{one['held']}[/red]" if one["held"] else ""
    Console(soft_wrap=True).print(
        f"[bold]{one['source']}[/bold] ({one['collector']}), next run {one['next_run']:%Y-%m-%d %H:%M} UTC{held}\n"
        f"  topics: {', '.join(one['topics']) or 'none'} · channels: {', '.join(one['channels']) or 'none'}\n"
        f"  {one['due']:,} videos are due, {one['asked']:,} fit into this run"
    )
    if one["quota"]:
        print_table(one["quota"], title="Quota, units")
    if one["videos"]:
        print_table(one["videos"], title="Due, the most telling first")


@app.command()
def run(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Whatever is missing, or whose inputs, settings or code have changed; a second call does nothing."""
    from assets.evaluations.assets import Grid
    from orchestration.runs import Runs

    runs = Runs(use_home(home)).refresh(Grid()).runs
    if json_:
        print_json(runs)
    else:
        print_table(runs, title="Dagster runs")


@app.command()
def evaluate(
    target: Annotated[list[str] | None, typer.Option(help="Target, repeatable.")] = None,
    cutoff: Annotated[list[str] | None, typer.Option(help="Cutoff, repeatable.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every target, cutoff and origin.")] = False,
    origins: Annotated[int | None, typer.Option(help="Latest weekly origins; 0 for all.", min=0)] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="A forecaster that runs only where named, such as fusion_network; repeatable."),
    ] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Backtest what is stale of a grid and print the leaderboard."""
    from assets.evaluations.assets import Grid, chosen_cells
    from assets.evaluations.score_cells import stored_leaderboard
    from assets.models.forecasters import refuse_unknown
    from orchestration.runs import Runs

    runs = Runs(use_home(home))
    settings = runs.home.settings
    refuse_unknown(also or [])
    grid = Grid(
        targets=list(settings.targets) if all_ else target or [],
        cutoffs=list(settings.cutoffs) if all_ else cutoff or [],
        origins=0 if all_ and origins is None else origins,
        also=also or [],
    )
    runs.refresh(grid)
    chosen = {(cell.source, cell.target, cell.cutoff) for cell in chosen_cells(runs.home, grid)}
    rows = [
        row
        for row in stored_leaderboard(runs.home.warehouse)
        if (row["source"], row["target"], row["cutoff"]) in chosen
    ]
    if not rows:
        raise UsageError(
            "nothing could be backtested: too little has matured, or no source has such a target; see upswell status"
        )
    if json_:
        print_json(rows)
    else:
        print_leaderboard(rows)


@app.command()
def predict(
    video_id: Annotated[list[str], typer.Argument(help="Videos.")],
    target: Annotated[str, typer.Option(help="Target.")] = "log_views_7d",
    cutoff: Annotated[str, typer.Option(help="Cutoff.")] = "24h",
    source: Annotated[str | None, typer.Option(help="Source; needed where there are several.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="feature=value, repeatable.")] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Forecast videos with the champion, from what was known of them at the cutoff."""
    from assets.evaluations.champion import champion_predictor

    warehouse, settings = opened(home)
    predictor = champion_predictor(warehouse, settings, source, target, cutoff)
    extra: dict[str, Any] = {name: _number_or_text(value) for name, value in _pairs(set_ or [], "--set").items()}
    replies = [predictor.predict_score(video, extra or None) for video in video_id]
    if json_:
        print_json(replies)
    else:
        print_table(replies)


@app.command()
def train(
    cell: Annotated[
        list[str] | None,
        typer.Argument(help="source/target/cutoff; none means those of the settings. `emotions` is the emotion model."),
    ] = None,
    forecaster: Annotated[
        list[str] | None, typer.Option(help="Forecaster, repeatable; else those of the settings.")
    ] = None,
    fraction: Annotated[float, typer.Option(help="Share of the rows, to try things out.", min=0.01, max=1.0)] = 1.0,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Train challengers now, and judge each on the videos that came after its training rows."""
    from assets.evaluations.decisions import decisions, told
    from assets.models.registry import EMOTIONS
    from orchestration.runs import Runs

    runs = Runs(use_home(home))
    if cell == [EMOTIONS]:
        if forecaster:
            raise UsageError(
                "which emotion model is trained is said by language.emotions in upswell.yaml, not by --forecaster"
            )
        [run] = runs.train_emotions(fraction)
    else:
        [run] = runs.train(cell or [], forecaster or [], fraction)
    warehouse = runs.home.warehouse
    trained = warehouse.query(
        """SELECT r.source, r.target, r.cutoff, r.forecaster, r.state, r.origin, r.rows, r.validation_error, r.device, r.seconds,
                  v.alias, r.version, r.why FROM models.runs r LEFT JOIN models.versions v USING (version)
           WHERE r.run_id = $run_id ORDER BY ALL""",
        {"run_id": run["run_id"]},
    ).to_pylist()
    judged = [told(decision) for decision in decisions(warehouse) if decision.run_id == run["run_id"]]
    if json_:
        print_json({"trained": trained, "decided": judged})
    else:
        print_table(trained, title="Trained")
        print_table(judged, title="Decided")


@app.command()
def search(
    cell: Annotated[str, typer.Argument(help="source/target/cutoff.")],
    forecaster: Annotated[str | None, typer.Option(help="Forecaster; else the default one.")] = None,
    trials: Annotated[int, typer.Option(help="Trials that the study is to have in all.", min=1)] = 30,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Search a forecaster's parameters on time-ordered folds; the next training takes the best."""
    from orchestration.runs import Runs

    runs = Runs(use_home(home))
    run = runs.search(cell, forecaster, trials)
    rows = runs.home.warehouse.query(
        """SELECT number, state, value, folds, parameters FROM models.trials
           WHERE study = (SELECT arg_max(study, ended_at) FROM models.trials
                          WHERE concat_ws('/', source, target, cutoff) = $cell
                            AND ($forecaster IS NULL OR forecaster = $forecaster))
           ORDER BY value NULLS LAST, number""",
        {"cell": cell, "forecaster": forecaster},
    ).to_pylist()
    if not rows:
        raise UsageError(
            f"{cell}: too little has matured to search yet; the run {run['run_id']} says how much is needed"
        )
    print_json(rows) if json_ else print_table(rows, title="Trials, best first")


@app.command()
def models(home: HomeOption = None, json_: JsonOption = False) -> None:
    """List the models that training runs registered: which serves, which wants to."""
    warehouse, _ = opened(home)
    rows = warehouse.query(
        """SELECT source, target, cutoff, alias, forecaster, origin, n_train, created_at, version FROM models.versions
           WHERE made_by = 'training' ORDER BY source, target, cutoff, alias NULLS LAST, created_at DESC"""
    ).to_pylist()
    if not rows and not json_:
        raise UsageError(
            "no training run has registered a model yet; `upswell train` starts one, `upswell up` goes on by itself"
        )
    print_json(rows) if json_ else print_table(rows)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A model that a training run registered.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "no reason given",
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Let a registered model serve its cell, whatever the gate said of it."""
    from assets.evaluations.promotion import promote as promote_by_hand

    warehouse, _ = opened(home)
    _print_decision(promote_by_hand(warehouse, version, reason), json_)


@app.command()
def rollback(
    source: Annotated[str, typer.Option(help="Source.")],
    target: Annotated[str, typer.Option(help="Target.")],
    cutoff: Annotated[str, typer.Option(help="Cutoff.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "no reason given",
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Let the champion before this one serve again."""
    from assets.evaluations.grid import Cell
    from assets.evaluations.promotion import rollback as roll_back_by_hand

    warehouse, _ = opened(home)
    _print_decision(roll_back_by_hand(warehouse, Cell(source, target, cutoff), reason), json_)


def _print_decision(decision: Any, json_: bool) -> None:
    from assets.evaluations.decisions import told

    print_json(vars(decision)) if json_ else print_table([told(decision)])


@app.command()
def similar(
    query: Annotated[str, typer.Argument(help="A video (id, or source/id), a text, or the path of a picture.")],
    modality: Annotated[
        Compared | None, typer.Option("--in", help="What is compared; else what fits the query.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only what was known before this time (ISO, UTC).")] = None,
    after: Annotated[
        str | None, typer.Option(help="Of titles, transcripts, comments: written at this time or later (ISO, UTC).")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.", min=1)] = 10,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """The videos most like one, a text or a picture, or what is said most like a text: exact cosine, nearest first."""
    from assets.embeddings.search import similar as search
    from assets.embeddings.search import similar_texts

    warehouse, settings = opened(home)
    end, start = _time(before, "--before"), _time(after, "--after")
    query = query.encode("utf-8", "replace").decode()  # an argument may hold bytes that are no UTF-8
    if modality in (Compared.titles, Compared.transcripts, Compared.comments):
        part = cast(Any, modality.value.removesuffix("s"))
        texts = similar_texts(warehouse, warehouse.home, settings, query, part, k=k, before=end, after=start)
        told = [vars(row) for row in texts]
        print_json(told) if json_ else print_table([{**row, "text": _beginning(row["text"])} for row in told])
        return
    if start is not None:
        raise UsageError("--after is for --in titles, transcripts or comments")
    found = search(
        warehouse,
        warehouse.home,
        settings,
        query,
        modality=None if modality is None else cast(Any, modality.value),
        k=k,
        before=end,
    )
    rows = [vars(row) for row in found]
    print_json(rows) if json_ else print_table(rows)


@app.command()
def styles(home: HomeOption = None, json_: JsonOption = False) -> None:
    """The styles of the latest origin: name, size, course and performance."""
    from assets.clusters.follow import latest_styles

    warehouse, _ = opened(home)
    rows = latest_styles(warehouse)
    if json_:
        print_json(rows)
        return
    shown = ("style_id", "name", "size", "event", "lifecycle", "share_slope", "lift", "lift_low", "lift_high")
    title = f"Styles of {rows[0]['origin']}, lift on {rows[0]['target']}" if rows else "Styles"
    print_table(
        [{**{name: row[name] for name in shown}, "terms": ", ".join(row["terms"][:4])} for row in rows], title=title
    )


@app.command()
def report(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Figures and report anew from the stored forecasts."""
    from orchestration.runs import Runs

    runs = Runs(use_home(home))
    if not runs.home.warehouse.query("SELECT 1 FROM evaluations.predictions LIMIT 1").num_rows:
        raise UsageError("there are no forecasts to report on yet; run upswell run, or upswell evaluate")
    runs.execute("evaluation")
    path = latest_report(runs.home.warehouse)
    print_json({"report": path}) if json_ else typer.echo(path)


def latest_report(warehouse: Any) -> str:
    """Path of the newest report page."""
    rows = warehouse.query(
        "SELECT uri FROM evaluations.reports ORDER BY created_at DESC, report_id LIMIT 1"
    ).to_pylist()
    if not rows:
        raise UsageError("there is no report yet; run upswell run")
    return str(warehouse.home / rows[0]["uri"])


@quarantine_app.command("list")
def quarantine_list(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many records.", min=1)] = 50,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Records that were set aside, with the reason, field and value."""
    warehouse, _ = opened(home)
    rows = warehouse.query(
        """SELECT q.landing_id, l.names[1] AS file, q.row_number, q.source, q.kind, q.reason, q.field, q.value, q.observed_at,
                  q.record, q.contract_version
           FROM raw.quarantine q JOIN raw.landings l USING (landing_id)
           WHERE ($source IS NULL OR q.source = $source) AND ($reason IS NULL OR q.reason = $reason)
           ORDER BY q.source, q.reason, q.landing_id, q.row_number LIMIT $limit""",
        {"source": source, "reason": reason, "limit": limit},
    ).to_pylist()
    if json_:
        print_json(rows)
        return
    shown = ("source", "file", "row_number", "reason", "field", "value", "record")
    print_table([{name: str(row[name])[:60] if name == "record" else row[name] for name in shown} for row in rows])


@quarantine_app.command("replay")
def quarantine_replay(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    landing: Annotated[str | None, typer.Option(help="Only of this landing.")] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Read the landings of quarantined records again with the adapters as they are now."""
    from assets.raw.ingest import replay

    warehouse, settings = opened(home)
    results = replay(
        warehouse, settings, source=source, reason=reason, landing_id=landing, now=clock.now(warehouse.home)
    )
    if not results and (source or reason or landing):
        raise UsageError(f"no quarantined record of {landing or source or reason}; see upswell quarantine list")
    if json_:
        print_json([vars(result) for result in results])
    else:
        for result in results:
            people.print(_landing_line(Path(result.names[0]), result), markup=False)


@app.command()
def audit(
    samples: Annotated[int, typer.Option(help="Forecasts to make again.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Make sampled feature rows again from only what was known at their cutoff, and compare them bit for bit."""
    from assets.evaluations.audit_records import record_audit
    from assets.raw.anchors import source_anchors

    warehouse, settings = opened(home)
    result = record_audit(
        warehouse,
        settings,
        source_anchors(warehouse),
        samples=samples,
        seed=seed,
        run_id="cli",
        now=clock.now(warehouse.home),
    )
    differences = [vars(difference) for difference in result.differences]
    if json_:
        print_json({"sampled": result.sampled, "values": result.compared_values, "differences": differences})
    else:
        print_table(differences[:50], title=f"{result.sampled} rows, {result.compared_values:,} values; differences")
    if differences:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A query; the warehouse is open for reading only.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV and nothing else.")] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Query the warehouse."""
    import duckdb
    import pyarrow.csv

    warehouse, _ = opened(home)
    if not duckdb.extract_statements(query):
        raise UsageError("there is no query in it; write one, such as SELECT count(*) FROM raw.snapshots")
    result = warehouse.query(query)
    result = result.rename_columns(_told_apart(result.column_names))
    if json_:
        print_json(result.to_pylist())
    elif csv:
        pyarrow.csv.write_csv(result, sys.stdout.buffer)
    else:
        print_table(result.to_pylist())


def _told_apart(names: list[str]) -> list[str]:
    """Names of columns, each once: those of a row object may not hide each other."""
    apart: list[str] = []
    for position, name in enumerate(names, 1):
        apart.append(f"{name}_{position}" if name in apart else name)
    return apart


@app.command()
def status(home: HomeOption = None, json_: JsonOption = False) -> None:
    """What the home holds, what is stale, and who is champion."""
    from orchestration.status import describe_home

    warehouse, settings = opened(home)
    found = describe_home(warehouse, settings)
    if json_:
        print_json(found)
        return
    for title, rows in found.items():
        print_table(rows, title=title)


@app.command()
def doctor(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Check the machine, the packages, the settings and the home; each trouble with its remedy."""
    from orchestration.status import diagnose

    findings = diagnose(use_home(home))
    if json_:
        print_json(findings)
    else:
        print_table(findings)
    if any(finding["state"] == "wrong" for finding in findings):
        raise typer.Exit(1)


@app.command()
def forget(
    subject: Annotated[str | None, typer.Argument(help="Id of a channel or of a video.")] = None,
    source: Annotated[str | None, typer.Option(help="Only in this source; else in every one that has it.")] = None,
    why: Annotated[str, typer.Option(help="The reason; kept in the tombstones.")] = "asked for",
    finish: Annotated[bool, typer.Option("--finish", help="Only complete what was interrupted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Forget a channel or a video: it leaves tables, landings, models and files, and a search over the home proves it."""
    from assets.forgetting import run as forgetting
    from orchestration.instance import refuse_while_running

    warehouse, settings = opened(home)
    if subject is None and not finish:
        raise UsageError("name a channel or a video, or say --finish to complete what was interrupted")
    now = clock.now(warehouse.home)
    refuse_while_running(warehouse.home)
    tasks = forgetting.unfinished(warehouse.home)
    if subject is not None:
        found = forgetting.find_subject(warehouse, subject, source, why, now)
        told = f"{found.kind} in {', '.join(found.sources)}: {len(found.videos)} videos, {len(found.records)} landings"
        if not yes and not typer.confirm(f"Forget this {told}? There is no way back", err=True):
            raise UsageError("nothing was forgotten")
        tasks = [*tasks, forgetting.begin(warehouse, found)]
    say = (lambda line: None) if json_ else people.print
    results = [forgetting.complete(warehouse, settings, task, now, say) for task in tasks]
    if json_:
        print_json(results)
    else:
        for result in results:
            _say_forgotten(result)
    if any(result["found"] for result in results):
        raise typer.Exit(1)


def _say_forgotten(result: Mapping[str, Any]) -> None:
    names = ("kind", "videos", "records", "landings", "rows", "files")
    print_table([{name: result[name] for name in names}], title="Forgotten")
    models = result["models_made_from_them"]
    if models:
        people.print(
            f"{len(models)} models learned from a training set that is withdrawn now; they keep what they learned until they "
            f"are trained anew: {', '.join(models)}"
        )
    for landing, why in result["unread_landings"].items():
        people.print(f"landing {landing[:12]} is rewritten, but cannot be read again: {why}")
    looked = f"{result['searched_files']} files searched as bytes and as what they say"
    places = result["places_found"]
    people.print(f"{looked}: nothing is left" if not places else f"{looked}: still found in {', '.join(places)}")


@app.command()
def up(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address of the UI.")] = "127.0.0.1",
) -> None:
    """Start the UI, the daemon, schedules and sensors on the home, until interrupted."""
    from orchestration.instance import open_instance
    from sensors.leftovers import end_leftovers, hold_up

    folder = use_home(home)
    load_settings(folder)
    (folder / "inbox").mkdir(exist_ok=True)
    if hold_up(folder) is None:
        raise UsageError(f"{folder} is up already; stop the other upswell up first, or choose another --home")
    with open_instance(folder) as instance:
        end_leftovers(instance, folder, restarted=True)
    people.print(f"UI http://{host}:{port} · home {folder} · drop files into {folder / 'inbox'}")
    command = [
        "dagster",
        "dev",
        "-m",
        "orchestration.definitions",
        "-h",
        host,
        "-p",
        str(port),
        "--log-level",
        "warning",
    ]
    os.execv(str(Path(sys.executable).with_name("dagster")), command)


def _pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {text}: write name=value")
        pairs[name] = value
    return pairs


def _beginning(text: str) -> str:
    line = escape(" ".join(text.split()))
    return line if len(line) <= 160 else f"{line[:159]}…"


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: write an ISO time (UTC), such as 2025-03-01T12:00:00") from error
    return clock.naive_utc(time)


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def main() -> None:
    """Runs a command; what a user can mend is one line on standard error and exit code 2."""
    import duckdb

    from warehouse.errors import WarehouseError

    try:
        app()
    except (UsageError, RunFailedError, ValueError, KeyError, WarehouseError, duckdb.Error, OSError) as error:
        if os.environ.get("UPSWELL_DEBUG"):
            raise
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        lines = text.splitlines() if isinstance(error, UsageError) else [" ".join(text.split())]
        sys.stderr.writelines(f"upswell: {line}\n" for line in lines)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
