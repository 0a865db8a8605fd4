"""The emotion model as assets: trained in a process of its own and registered; its figures, and whether it serves.

Wiring only. No text of anybody goes into metadata.
"""

from typing import Any

import dagster as dg

from assets.models.assets import require_done, train_asked
from assets.policies import describe, markdown, picture, retry, run_guard
from resources.home import Home


class EmotionTraining(dg.Config):
    """What to train; the settings say the rest.

    Attributes:
        fraction: Share of the texts, for development; below 1 no model becomes challenger.
        decision_id: Decision that asks for it; None where a person does.
    """

    fraction: float = 1.0
    decision_id: str | None = None


@dg.asset(
    key=["models", "emotions"],
    group_name="models",
    deps=[["raw", "texts"]],
    pool="gpu",
    code_version="1",
    **describe("models.emotions"),
)
def emotion_model(context: dg.AssetExecutionContext, config: EmotionTraining, home: Home) -> dg.MaterializeResult:
    """Trains the emotion model of the settings and the baseline beside it; the better one becomes challenger."""
    from assets.language.emotion_model.runs import describe_models, orders_for
    from assets.models.training_runs import latest_runs

    warehouse = home.warehouse
    try:
        asked = orders_for(warehouse, home.settings, now=home.now(), run_id=context.run_id, fraction=config.fraction)
    except ValueError as error:  # bad input: said once, not tried again
        raise dg.Failure(str(error), allow_retries=False) from error
    outcomes = train_asked(context, home, asked, config.decision_id)
    describe_models(warehouse, [str(one.result.version) for one in outcomes if one.result.version], home.now())
    rows = latest_runs(warehouse, [outcome.order.training_id for outcome in outcomes])
    shown = (
        "forecaster",
        "state",
        "why",
        "alias",
        "rows",
        "validation_error",
        "device",
        "precision",
        "epochs",
        "seconds",
    )
    metadata: dict[str, Any] = {
        "models": sum(outcome.result.state == "done" for outcome in outcomes),
        "trainings": markdown([{name: row[name] for name in shown} for row in rows]),
        "skipped": markdown([{"what": name, "why": why} for name, why in asked.skipped.items()]),
        "texts": 0 if asked.frozen is None else int(asked.frozen["rows"]),
    }
    require_done(outcomes, metadata)
    return dg.MaterializeResult(metadata=metadata)


@dg.asset(
    key=["evaluations", "emotions"],
    group_name="evaluations",
    deps=[["models", "emotions"], ["raw", "texts"]],
    retry_policy=retry,
    pool="cpu",
    code_version="1",
    **describe("evaluations.emotions"),
)
def emotion_evaluation(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Judges the new emotion model against the one that serves, and shows how good that is."""
    from assets.language.emotion_model.board import board, evaluation_of
    from assets.language.emotion_model.charts import draw
    from assets.language.emotion_model.gate import decide
    from assets.language.emotion_model.registry import serving

    decision = decide(home.warehouse, home.settings, home.now(), context.run_id, run_guard(context))
    champion = serving(home.warehouse)
    pictures = {} if champion is None else draw(evaluation_of(champion))
    return dg.MaterializeResult(
        metadata={
            "decided": "nothing new" if decision is None else f"{decision.outcome}: {decision.why}",
            "board": markdown(board(home.warehouse)),
            **{name: picture(png) for name, png in pictures.items()},
        }
    )


assets = [emotion_model, emotion_evaluation]
