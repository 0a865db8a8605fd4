"""Whether a cell is to be trained anew now: what is new or has drifted, held by cool-down, cap and attempts.

The rule (`choose`) is a pure function of a `State`; `should_train` reads the state and words the decision. Who asks, and who
starts the run, is for the sensor; in this module nothing is written.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from assets.evaluations.decisions import Decision, decisions, fingerprint
from assets.evaluations.grid import MIN_TRAIN, Cell
from assets.features.frame import features_fingerprint
from assets.models.registry import CHAMPION, EMOTIONS, TRAINING, registered
from resources import clock
from resources.settings import ClassTarget, Settings, Trigger, cutoff_age
from warehouse.connection import Warehouse

FIRED, WAITED = "fired", "waited"
Fate = Literal["unheard", "running", "ended", "done"]
"""What became of the run that a decision asked for: none was ever started, it runs or queues, it ended without a model, or with one."""
DISTANCES = ("psi", "ks", "mmd")


@dataclass(frozen=True)
class Try:
    """A training that a decision asked for.

    Attributes:
        decision_id: The decision.
        at: When it was decided.
        data_version: State of the data that it was decided on.
        fate: What became of it.
    """

    decision_id: str
    at: datetime
    data_version: str
    fate: Fate


@dataclass(frozen=True)
class State:
    """What the rule decides on.

    Attributes:
        data_version: Fingerprint of the labels and distances.
        champion: The model that serves.
        fitted: Training rows of the champion, else of the latest model.
        trainable: Training rows that a new model would have.
        trained: Training rows of the latest model of the cell, whether it serves or not; None before the first.
        outdated: Whether that model was made for other features than there are now.
        measures: Largest value of each measure of drift: error, psi, ks, mmd.
        features: The feature or group that has it.
        tries: Trainings that decisions asked for, oldest first.
        others: When trainings that nobody decided on (a person asked) were started.
    """

    data_version: str
    champion: str | None = None
    fitted: int = 0
    trainable: int = 0
    trained: int | None = None
    outdated: bool = False
    measures: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    tries: tuple[Try, ...] = ()
    others: tuple[datetime, ...] = ()

    @property
    def gained(self) -> int:
        """Labels that a new model would have beyond the latest one."""
        return self.trainable - (self.trained or 0)


@dataclass(frozen=True)
class Choice:
    """What the rule says.

    Attributes:
        outcome: fired or waited.
        because: The reason in one word.
        why: The reason in one sentence.
        attempt: Which try on this state of the data it is; 0 where it waits.
        again: The open decision whose run was never started, or still runs: nothing new is asked.
    """

    outcome: str
    because: str
    why: str
    attempt: int = 0
    again: str | None = None


def choose(state: State, rules: Trigger, now: datetime) -> Choice:
    """Whether to train: is there a reason, and does nothing hold it back?"""
    open_ones = [one for one in state.tries if one.fate in ("unheard", "running")]
    if open_ones:
        return Choice(FIRED, "open", "the training that was asked for is not over", again=open_ones[-1].decision_id)
    reason = _reason(state, rules)
    if reason is None:
        return Choice(WAITED, "nothing", "no measure has passed its threshold")
    because, why = reason
    if because in ("too_few", "few_labels"):
        return Choice(WAITED, because, why)
    here = [one for one in state.tries if one.data_version == state.data_version]
    if any(one.fate == "done" for one in here):
        return Choice(WAITED, "done", f"{why}, but a model was trained on this state of the data")
    if len(here) >= rules.attempts:
        return Choice(WAITED, "given_up", f"{why}, but {len(here)} trainings on this state of the data have failed")
    if hold := _hold(state, rules, now):
        return Choice(WAITED, hold[0], f"{why}, but {hold[1]}")
    return Choice(FIRED, because, why, attempt=len(here) + 1)


def _reason(state: State, rules: Trigger) -> tuple[str, str] | None:
    """Why to train, or why nothing can be decided; None where all is well."""
    if state.trainable < MIN_TRAIN:
        return "too_few", (
            f"besides the videos kept to judge it a model would have {state.trainable} training rows; {MIN_TRAIN} are needed"
        )
    if state.trained is None:
        return "first", "no champion yet"
    if state.outdated:
        return "features", "the latest model was made for other features than there are now"
    if state.gained < rules.min_matured:
        return "few_labels", f"{state.gained} newly matured labels; {rules.min_matured} are needed to decide"
    if state.champion is None:
        return "none_serves", f"no champion yet, and {state.gained} labels have matured since the last training"
    error, share = state.measures.get("error", 0.0), state.gained / max(state.fitted, 1)
    if error >= rules.error:
        return (
            "error",
            f"the champion's error on new labels is {error:.3g} times its usual one (threshold {rules.error:g})",
        )
    if share >= rules.matured_share:
        return "matured_share", (
            f"{state.gained} newly matured labels are {share:.3g} of the champion's training rows "
            f"(threshold {rules.matured_share:g})"
        )
    for measure in DISTANCES:
        value, threshold = state.measures.get(measure, 0.0), getattr(rules, measure)
        if value >= threshold:
            return measure, f"{measure} of {state.features[measure]} is {value:.3g} (threshold {threshold:g})"
    return None


def _hold(state: State, rules: Trigger, now: datetime) -> tuple[str, str] | None:
    """What keeps a training from being started now."""
    times = sorted([*(one.at for one in state.tries), *state.others])
    if times and now - times[-1] < rules.cool_down:
        return "cool_down", f"the last training was at {times[-1]:%Y-%m-%d %H:%M}, less than {rules.cool_down} ago"
    within = [time for time in times if time > now - rules.window]
    if len(within) >= rules.most:
        return "cap", f"{len(within)} trainings in {rules.window} are as many as there may be"
    return None


def never_heard(decision_id: str) -> Fate:
    """The fate of a decision for one who cannot ask the orchestrator: its run is yet to be started."""
    del decision_id
    return "unheard"


def should_train(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    now: datetime,
    fate: Callable[[str], Fate] = never_heard,
) -> Decision:
    """The decision on a cell: to be recorded by the caller and, where it fired, to be turned into a run keyed by its id.

    The same state gives the same decision. While a run that was asked for is not over, it is that decision again, so that a caller
    who died before the run was requested requests it now, under the same key.

    Args:
        warehouse: Where drift, trainings and decisions are read.
        settings: Thresholds and holds.
        cell: The cell.
        now: The home's time (naive UTC).
        fate: What became of the run of a decision that left no row in `models.runs`; asked of the orchestrator.
    """
    earlier = decisions(warehouse, cell, "training")
    state = read_state(warehouse, settings, cell, now, earlier, fate)
    choice = choose(state, settings.training.trigger, now)
    if choice.again is not None:
        return next(one for one in earlier if one.decision_id == choice.again)
    numbers: dict[str, Any] = {
        "because": choice.because,
        "attempt": choice.attempt,
        "data_version": state.data_version,
        "labels_gained": state.gained,
        "training_rows": state.trainable,
        "champion_rows": state.fitted,
        "measures": dict(state.measures),
        "features": dict(state.features),
        "trainings": len(state.tries) + len(state.others),
        "thresholds": settings.training.trigger.model_dump(mode="json"),
    }
    return Decision(
        decision_id=fingerprint(
            "training", cell, state.champion, state.data_version, choice.outcome, choice.because, choice.attempt
        ),
        kind="training",
        source=cell.source,
        target=cell.target,
        cutoff=cell.cutoff,
        outcome=choice.outcome,
        why=choice.why,
        numbers=numbers,
        clock=clock.mode(warehouse.home),
        decided_at=now,
        version=state.champion,
    )


def read_state(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    now: datetime,
    earlier: list[Decision],
    fate: Callable[[str], Fate] = never_heard,
) -> State:
    """What the rule decides on, as the warehouse has it.

    Args:
        warehouse: Where it is read.
        settings: How many videos are kept for the gate.
        cell: The cell.
        now: The home's time: labels that mature later are not counted, though a replayed home may hold them.
        earlier: The decisions on training it, oldest first.
        fate: What became of the run of a decision that left no row in `models.runs`.
    """
    with warehouse.read():  # one opening, one state
        champion, latest = registered(warehouse, cell, CHAMPION), _latest_model(warehouse, cell)
        labels, runs = _labels(warehouse, settings, cell, now), _runs(warehouse, cell)
        made_for = _made_for(cell)
        drift = _drift(warehouse, champion["version"], settings) if champion else []
    fired = [one for one in earlier if one.outcome == FIRED]
    told = [labels["matured"], labels["latest"], labels["trainable"], labels["origin"]]
    told += [row["data_version"] for row in drift[:1]]
    return State(
        data_version=hashlib.sha256(repr(told).encode()).hexdigest()[:16],
        champion=champion["version"] if champion else None,
        fitted=(champion or latest or {"n_train": 0})["n_train"],
        trainable=labels["trainable"],
        trained=latest["n_train"] if latest else None,
        outdated=latest is not None and latest["feature_fingerprint"] != made_for,
        measures={row["measure"]: row["value"] for row in drift},
        features={row["measure"]: row["feature"] for row in drift},
        tries=_tries(fired, runs, fate),
        others=_others(fired, runs),
    )


def _tries(fired: list[Decision], runs: list[dict[str, Any]], fate: Callable[[str], Fate]) -> tuple[Try, ...]:
    """The trainings that decisions asked for; the orchestrator is asked only about those that left no row."""
    done = {run["decision_id"]: run["done"] for run in runs}
    fates: dict[str, Fate] = {name: "done" if well else "ended" for name, well in done.items()}
    return tuple(
        Try(
            one.decision_id,
            one.decided_at,
            str(one.numbers["data_version"]),
            fates.get(one.decision_id) or fate(one.decision_id),
        )
        for one in fired
    )


def _others(fired: list[Decision], runs: list[dict[str, Any]]) -> tuple[datetime, ...]:
    """When trainings were started that no decision asked for."""
    asked = {one.decision_id for one in fired}
    return tuple(run["started_at"] for run in runs if run["decision_id"] not in asked)


def _labels(warehouse: Warehouse, settings: Settings, cell: Cell, now: datetime) -> dict[str, Any]:
    """The labels there are, and how many a training would have: those matured by the origin that it would choose."""
    if cell.target == EMOTIONS:
        return _labelled_texts(warehouse, settings, now)
    definition = settings.targets[cell.target]
    rows = warehouse.query(
        """WITH matured AS (
               SELECT anchor_at, anchor_at + $age AS as_of, matured_at FROM features.targets
               WHERE source = $source AND target = $measured AND status = 'matured' AND value IS NOT NULL
                 AND matured_at <= $now AND (observed_at > anchor_at + $age OR $cutoff = 'pre')),
           judged AS (
               SELECT CAST(CAST(anchor_at AS DATE) AS TIMESTAMP) AS origin FROM matured
               ORDER BY anchor_at DESC LIMIT 1 OFFSET $kept)
           SELECT count(*) AS matured, max(matured_at) AS latest, (SELECT origin FROM judged) AS origin,
                  count(*) FILTER (as_of <= (SELECT origin FROM judged) AND matured_at <= (SELECT origin FROM judged))
                      AS trainable
           FROM matured""",
        {
            "source": cell.source,
            "cutoff": cell.cutoff,
            "measured": definition.of if isinstance(definition, ClassTarget) else cell.target,
            "age": cutoff_age(cell.cutoff),
            "kept": settings.gate.rows - 1,
            "now": now,
        },
    )
    found: dict[str, Any] = rows.to_pylist()[0]
    return found


def _labelled_texts(warehouse: Warehouse, settings: Settings, now: datetime) -> dict[str, Any]:
    """The same of the emotion model, which is trained on all labelled texts and comments that are known."""
    from assets.language.emotion_model.runs import labelled_texts

    known = labelled_texts(warehouse, settings, now)["known_at"]
    return {"matured": len(known), "latest": known.max(), "origin": None, "trainable": len(known)}


def _made_for(cell: Cell) -> str:
    """What a model of a cell would be made for now: other features, or other code that prepares texts, make it outdated."""
    if cell.target == EMOTIONS:
        from assets.language.emotion_model.runs import code_fingerprint

        return code_fingerprint()
    return features_fingerprint()


def _latest_model(warehouse: Warehouse, cell: Cell) -> dict[str, Any] | None:
    """The newest model of a training run, whether it serves or not."""
    rows = warehouse.query(
        """SELECT n_train, feature_fingerprint FROM models.versions
           WHERE source = $source AND target = $target AND cutoff = $cutoff AND made_by = $made_by
           ORDER BY created_at DESC, origin DESC, n_train DESC, version LIMIT 1""",
        {**vars(cell), "made_by": TRAINING},
    ).to_pylist()
    return rows[0] if rows else None


def _runs(warehouse: Warehouse, cell: Cell) -> list[dict[str, Any]]:
    """The trainings of a cell that left rows: who asked, when they started, whether any forecaster was done."""
    runs: list[dict[str, Any]] = warehouse.query(
        """SELECT decision_id, bool_or(state = 'done') AS done, min(started_at) AS started_at FROM models.runs
           WHERE source = $source AND target = $target AND cutoff = $cutoff
           GROUP BY decision_id, CASE WHEN decision_id IS NULL THEN run_id END ORDER BY ALL""",
        vars(cell),
    ).to_pylist()
    return runs


def _drift(warehouse: Warehouse, champion: str, settings: Settings) -> list[dict[str, Any]]:
    """The largest value of each measure in the newest drift of a champion, the feature that has it, and of which data.

    An error over fewer labels than `min_matured` is noise and left out.
    """
    rows: list[dict[str, Any]] = warehouse.query(
        """WITH newest AS (
               SELECT data_version FROM evaluations.drift WHERE version = $champion AND clock = $clock
               GROUP BY data_version ORDER BY max(measured_at) DESC, max(n_recent) DESC, data_version LIMIT 1)
           SELECT data_version, measure, max(value) AS value, arg_max(feature, (value, feature)) AS feature
           FROM evaluations.drift JOIN newest USING (data_version)
           WHERE version = $champion AND measure <> 'matured' AND (measure <> 'error' OR n_recent >= $enough)
           GROUP BY ALL ORDER BY measure""",
        {
            "champion": champion,
            "clock": clock.mode(warehouse.home),
            "enough": settings.training.trigger.min_matured,
        },
    ).to_pylist()
    return rows
