"""The language assets: what is said in and of videos, and what is wrong with it.

Wiring only. None is partitioned: each does what is missing, and nothing twice. No word of anybody goes into metadata.
"""

import dagster as dg

from assets.language.stale import LANGUAGE, language_version
from assets.policies import markdown, picture, stage_asset
from resources.home import Home
from warehouse.lineage import begin_stage, finish_stage

LANGUAGE_TABLES = (
    "language.transcripts",
    "language.texts",
    "language.emotions",
    "language.measures",
    "language.summaries",
    "language.courses",
    "language.course_forecasts",
)


@dg.asset(**stage_asset("language.transcripts", "raw.contents"))
def transcripts(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Takes over captions, and writes down the speech of videos without any where a model is named."""
    from assets.language.transcripts import recognise_missing, recogniser_of, refresh_captions, states

    version = language_version(home.warehouse, home.settings)
    begin_stage(home.warehouse, LANGUAGE, version, run_id=context.run_id, now=home.now())
    done = refresh_captions(home.warehouse, home.settings, home.now())
    metadata = {"captions": done.captions, "removed": done.removed}
    recogniser = recogniser_of(home.settings)
    if recogniser is not None:
        heard = recognise_missing(home.warehouse, home.settings, home.now(), recogniser, context.log.info)
        metadata |= {
            "sounds with words": heard.done,
            "to be tried again": heard.retryable,
            "without words": heard.terminal,
        }
    return dg.MaterializeResult(metadata={**metadata, "transcripts": markdown(states(home.warehouse))})


@dg.asset(**stage_asset("language.texts"))
def texts(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Notes every title, transcript and comment, and what is wrong with it."""
    from assets.language.texts import refresh_texts, states

    done = refresh_texts(home.warehouse, home.now(), context.run_id)
    return dg.MaterializeResult(metadata={**vars(done), "states": markdown(states(home.warehouse))})


@dg.asset(**stage_asset("language.emotions"))
def emotions(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Scores every valid text that the serving emotion model has not scored yet."""
    from assets.language.emotions import NO_MODEL, model_of, score_missing, shown

    warehouse, now = home.warehouse, home.now()
    model = model_of(warehouse, now)
    done = score_missing(
        warehouse,
        model,
        now=now,
        run_id=context.run_id,
        policies=home.settings.policies,
        progress=lambda at, of: context.log.info(f"{at:,} of {of:,} texts scored"),
    )
    if model is None:
        return dg.MaterializeResult(metadata={**vars(done), "why nothing": NO_MODEL})
    loaded = model.loaded
    return dg.MaterializeResult(
        metadata={
            **vars(done),
            "model": f"{loaded.name} {loaded.revision[:12]}",
            "counts from": model.usable_at.isoformat(sep=" "),
            "shown": markdown(shown(warehouse, loaded.revision)),
        }
    )


@dg.asset(**stage_asset("language.measures", "language.summaries"))
def measures(home: Home) -> dg.MaterializeResult:
    """Puts together what the words of each video tell as of each cutoff."""
    from assets.language.measures import coverage, refresh_measures

    done = refresh_measures(home.warehouse)
    return dg.MaterializeResult(metadata={**vars(done), "by cutoff": markdown(coverage(home.warehouse))})


@dg.asset(**stage_asset("language.summaries"))
def summaries(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Sums up transcripts and long descriptions that have no summary yet."""
    from assets.language.summaries import nearness, summarise_missing
    from resources.summaries.catalogue import make

    choice, warehouse = home.settings.language.summaries, home.warehouse
    summariser = make(choice.model, choice.weights)
    done = summarise_missing(
        warehouse,
        summariser,
        choice.words,
        now=home.now(),
        run_id=context.run_id,
        policies=home.settings.policies,
        progress=lambda at, of: context.log.info(f"{at:,} of {of:,} texts summed up"),
    )
    near = nearness(warehouse, summariser, choice.words, home.now())
    rouge = "not measured: no video has a reference (label `summary`)" if near is None else markdown([vars(near)])
    return dg.MaterializeResult(metadata={**vars(done), "method": summariser.name, "ROUGE-L": rouge})


@dg.asset(**stage_asset("language.courses"))
def courses(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Follows the moods of channels by week, of videos by age and by minute, and marks where their level changes."""
    from assets.language.course_charts import channel_courses
    from assets.language.course_rows import channels_to_draw, refresh_courses, turns
    from assets.language.emotions import NO_MODEL, model_of

    warehouse, now = home.warehouse, home.now()
    model = model_of(warehouse, now)
    done = refresh_courses(
        warehouse,
        home.settings,
        model,
        now,
        progress=lambda at, of: context.log.info(f"{at:,} of {of:,} transcripts read by parts"),
    )
    drawn = channel_courses(channels_to_draw(warehouse))
    chart = {} if drawn is None else {"channels with the most comments": picture(drawn)}
    why = {"why nothing": NO_MODEL} if model is None else {}
    return dg.MaterializeResult(metadata={**vars(done), "latest turns": markdown(turns(warehouse)), **chart, **why})


@dg.asset(**stage_asset("language.course_forecasts", "language.measures"))
def course_forecasts(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Says where the audiences of channels are heading, and how good that was on the latest weeks; the stage's last."""
    from assets.language.course_rows import refresh_forecasts
    from assets.language.emotions import NO_MODEL, model_of

    found = refresh_forecasts(home.warehouse, model_of(home.warehouse, home.now()), home.now())
    finish_stage(home.warehouse, LANGUAGE, run_id=context.run_id, now=home.now())
    if found is None:
        return dg.MaterializeResult(metadata={"why nothing": NO_MODEL})
    rows = [{str(name): value for name, value in row.items()} for row in found.scores.to_dict("records")]
    return dg.MaterializeResult(
        metadata={
            "board": markdown(rows),
            "the network learned from": found.learned_from,
            "weeks to come": int((found.rows["role"] == "next").sum()),
            **({"why no network": found.why_not} if found.why_not else {}),
        }
    )


assets: list[dg.AssetsDefinition] = [transcripts, texts, emotions, summaries, measures, courses, course_forecasts]
