"""Whether a new emotion model serves: it and the one that does, on dev texts that neither was trained on.

Both are judged by the same folds with thresholds fitted outside each text's fold, so that neither gains from thresholds that it was
given on these texts. Better means by more than the noise over texts drawn again. Nothing is fitted anew that would serve.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from assets.evaluations.decisions import Decision, decisions, fingerprint, record
from assets.language.emotion_model.decide import cross_fitted
from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.fit import MIN_DEV
from assets.language.emotion_model.metrics import f1_of, macro_difference
from assets.language.emotion_model.registry import CELL
from assets.language.emotion_model.runs import examples_of, labelled_texts
from assets.models.registry import CHALLENGER, CHAMPION, registered, set_alias
from resources import clock
from resources.emotions.labels import GOEMOTIONS
from resources.emotions.model import EmotionError, load, require_labels
from resources.emotions.seen import seen_by
from resources.settings import Settings
from warehouse.connection import Warehouse

Array = np.ndarray[Any, Any]
Row = dict[str, Any]


def decide(
    warehouse: Warehouse,
    settings: Settings,
    now: datetime,
    run_id: str | None,
    guard: Callable[[], None] = lambda: None,
) -> Decision | None:
    """Judge the challenger against what serves, once, and let it serve if it passes.

    Where nothing serves, or what serves cannot be asked, it has to be better than giving every label to every text.

    Args:
        warehouse: Where models and texts are read and the decision is written.
        settings: Says which sources may be used.
        now: Home's time: texts known by then count.
        run_id: Dagster run.
        guard: Raises where that run has ended; called before anything is written.

    Returns:
        The decision; None where there is no challenger, it was judged already, or too few dev texts are there.
    """
    challenger, champion = (registered(warehouse, CELL, alias) for alias in (CHALLENGER, CHAMPION))
    if challenger is None or _was_judged(warehouse, challenger, champion):
        return None
    dev = examples_of(labelled_texts(warehouse, settings, now), "dev")
    usable = [row for row in (challenger, champion) if row is not None]
    for row in usable:
        seen = seen_by(warehouse.home / row["uri"], dev.texts)
        dev = dev if seen is None else dev.take(~seen)
    if len(dev) < MIN_DEV:
        return None
    said = [_said(warehouse, row, dev) for row in usable]
    made = _verdict(said[0], said[1] if champion is not None else None, dev, challenger, champion)
    decision = Decision(
        decision_id=fingerprint("gate", CELL, challenger["version"], _name(champion)),
        kind="gate",
        **asdict(CELL),
        clock=clock.mode(warehouse.home),
        decided_at=now,
        version=challenger["version"],
        against=_name(champion),
        run_id=run_id,
        **made,
    )
    with warehouse.write() as con:
        guard()
        if record(con, decision) and decision.outcome in ("first", "promoted"):
            set_alias(con, CELL, challenger["version"], CHAMPION)
    return decision


def _verdict(
    own: Array | str, other: Array | str | None, dev: Examples, challenger: Row, champion: Row | None
) -> dict[str, Any]:
    """Outcome, reason and numbers; `own` and `other` are decisions, or why there are none."""
    if isinstance(own, str):
        return {"outcome": "kept", "why": own, "numbers": {"texts": len(dev)}}
    fault = other if isinstance(other, str) else None
    against = other if isinstance(other, np.ndarray) else np.ones_like(own)
    gap, bounds = macro_difference(own, against, dev.truth)
    numbers = {
        "texts": len(dev),
        "macro_f1": f1_of(own, dev.truth).macro,
        "macro_f1_against": f1_of(against, dev.truth).macro,
        "difference": gap,
        "lower": None if bounds is None else bounds[0],
        "upper": None if bounds is None else bounds[1],
    }
    better = bounds is not None and bounds[0] > 0
    name = (
        str(champion["version"]) if isinstance(other, np.ndarray) and champion else "giving every label to every text"
    )
    shown = "" if bounds is None else f" ({bounds[0]:+.4f} to {bounds[1]:+.4f})"
    why = (
        f"macro-F1 {numbers['macro_f1']:.4f} against {numbers['macro_f1_against']:.4f} of {name} on {len(dev)} dev texts: "
        f"{gap:+.4f}{shown}, {'more' if better else 'no more'} than the noise"
    )
    if fault:
        why = f"{fault}; {why}"
    first = "promoted" if isinstance(other, np.ndarray) else "first"
    return {"outcome": first if better else "kept", "why": why, "numbers": numbers}


def _said(warehouse: Warehouse, row: Row, dev: Examples) -> Array | str:
    """What a model decides of dev, by folds; or why it cannot be asked."""
    try:
        model = load(warehouse.home / row["uri"])
        require_labels(model.labels, GOEMOTIONS, row["version"])
    except EmotionError as error:
        return f"{row['version']} cannot be asked: {error}"
    return cross_fitted(model.logits(dev.texts)[None], dev.truth).decided


def _was_judged(warehouse: Warehouse, challenger: Row, champion: Row | None) -> bool:
    if champion is not None and champion["version"] == challenger["version"]:
        return True
    return any(
        decision.version == challenger["version"] and decision.against == _name(champion)
        for decision in decisions(warehouse, CELL, "gate")
    )


def _name(row: Row | None) -> str | None:
    return None if row is None else str(row["version"])
