"""The asset of the hyperparameter search. Wiring only; what is tried, and on what, is in the modules beside this one."""

from typing import Any

import dagster as dg

from assets.evaluations.assets import CONTENT, FEATURES
from assets.evaluations.grid import Cell
from assets.policies import describe, markdown, picture, run_guard
from resources.home import Home


class Search(dg.Config):
    """What to search.

    Attributes:
        cell: `source/target/cutoff`.
        forecaster: Name; the default of the cell's task where it is None.
        trials: How many trials the study is to have; those that it has already count.
        timeout_minutes: No trial begins after so long.
        seed: Seed of what is tried.
    """

    cell: str
    forecaster: str | None = None
    trials: int = 30
    timeout_minutes: float | None = None
    seed: int = 0


@dg.asset(
    key=["models", "trials"],
    group_name="models",
    deps=[*FEATURES, *CONTENT],
    pool="cpu",
    code_version="1",
    **describe("models.trials"),
)
def trials(context: dg.AssetExecutionContext, config: Search, home: Home) -> dg.MaterializeResult:
    """Tries a forecaster's parameters on time-ordered folds; the next training of the cell takes the best."""
    from assets.models.search.run import search_cell
    from assets.models.search.spaces import TooFewRowsError
    from resources.trainer.device import DeviceError

    parts = config.cell.split("/")
    if len(parts) != 3:
        raise dg.Failure(f"{config.cell!r} names no cell; write source/target/cutoff", allow_retries=False)
    try:
        found = search_cell(
            home.warehouse,
            home.settings,
            Cell(*parts),
            config.forecaster,
            config.trials,
            seed=config.seed,
            timeout_s=None if config.timeout_minutes is None else 60 * config.timeout_minutes,
            run_id=context.run_id,
            now=home.now,
            guard=run_guard(context),
            log=context.log.info,
        )
    except TooFewRowsError as error:
        context.log.info(str(error))
        return dg.MaterializeResult(metadata={"why nothing": str(error)})
    except (ValueError, DeviceError) as error:  # bad input, or a busy device: said once, not tried again
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(metadata=_metadata(found))


def _metadata(found: Any) -> dict[str, Any]:
    """The best parameters beside the forecaster's own, what matters among them, and every trial."""
    from assets.models.search.charts import trials_chart
    from assets.models.search.study import importance

    study, best = found.study, found.best
    title = f"{study.forecaster} {study.source} {study.target} {study.cutoff}"
    names = dict.fromkeys(name for trial in found.trials for name in trial.parameters)
    rows = [
        {"trial": trial.number, "state": trial.state, "folds": len(trial.errors), "error": trial.value}
        | {name: trial.parameters.get(name) for name in names}
        for trial in sorted(found.trials, key=lambda trial: (trial.state, trial.value or 0.0))
    ]
    shares = importance(study.forecaster, found.trials)
    return {
        "study": study.study,
        "origin": str(study.origin),
        "dagster/row_count": len(found.trials),
        "new trials": found.new,
        "pruned": sum(trial.state == "pruned" for trial in found.trials),
        "best": markdown([{"trial": best.number, "error": best.value, **best.parameters}] if best else []),
        "importance": markdown([{"parameter": name, "share": share} for name, share in shares.items()]),
        "trials": markdown(rows),
        "chart": picture(trials_chart(found.trials, title)),
    }
