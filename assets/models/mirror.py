"""Makes MLflow equal to the warehouse: one registered model per cell, one run and version per trained model, the same aliases.

The warehouse decides and nothing is read back. Every call does what is missing and no more, so a call that was cut short or found
no server is made up for by the next one.
"""

import fcntl
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from assets.models.card import CARD, card_of, write_card
from assets.models.facts import Facts, model_facts
from assets.models.predictor import FOLDER as BUNDLES
from assets.models.pyfunc import write_pyfunc
from assets.models.registry import CHALLENGER, CHAMPION, EMOTIONS, TRAINING
from resources.settings import Settings, midnight
from resources.tracker import Figure, Record, Tracker
from resources.tracker.tracker import FOLDER
from warehouse.connection import Warehouse

ENVIRONMENT = "environment.json"
_RUN_FIGURES = (
    *(
        "validation_error",
        "rows",
        "epochs",
        "steps",
        "seconds",
        "samples_per_second",
        "peak_memory_bytes",
        "utilisation",
    ),
)
_WEEK_FIGURES = (
    *("n_test", "mae", "rmse", "r2", "spearman", "naive_mae", "auroc", "average_precision", "log_loss"),
    *("coverage_80", "interval_score_80"),
)
_RUN_TAGS = ("training_id", "decision_id", "launcher", "processes", "device", "device_name", "precision", "resumed")
_LONGEST = 5000


@dataclass
class Mirrored:
    """What a call did.

    Attributes:
        added: Models that MLflow has now and had not, or not whole.
        updated: Models of which something new is known.
        unchanged: How many were equal already.
        aliases: How many aliases were changed.
        skipped: Models that cannot be kept, with the reason.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: int = 0
    aliases: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


def mirror(warehouse: Warehouse, settings: Settings) -> Mirrored:
    """Make MLflow equal to the warehouse, and put each model's card beside its bundle.

    Raises:
        TrackerError: MLflow cannot be reached; the cards are written all the same, and the next call catches up.
    """
    trained = warehouse.query(
        "SELECT version FROM models.versions WHERE made_by = $made_by ORDER BY version", {"made_by": TRAINING}
    )["version"].to_pylist()
    done = Mirrored()
    if not trained:
        return done
    cells: dict[str, list[tuple[Facts, str]]] = {}
    for facts in model_facts(warehouse, trained):
        name = facts.version["version"]
        card = _emotion_card(warehouse.home, facts) if _reads_texts(facts) else card_of(facts, settings)
        if write_card(warehouse.home, name, card) is None:
            done.skipped[name] = f"its bundle is gone from {warehouse.home / BUNDLES}"
        cells.setdefault(registered_name(facts.version), []).append((facts, card))
    with _alone(warehouse.home):
        tracker = Tracker.open(warehouse.home, settings.tracking.uri)
        for model, members in cells.items():
            _mirror_cell(warehouse.home, tracker, model, members, done)
    return done


def _reads_texts(facts: Facts) -> bool:
    """Whether it is an emotion model, and no forecaster."""
    return bool(facts.version["target"] == EMOTIONS)


def _emotion_card(home: Path, facts: Facts) -> str:
    from assets.language.emotion_model.card import card_of as emotion_card

    gone = not (home / BUNDLES / facts.version["version"]).exists()
    return f"# {facts.version['version']}\n" if gone else emotion_card(home, facts)


def _writer(facts: Facts) -> Callable[[Path, str, dict[str, str], Path], None]:
    """What writes the bundle as an MLflow model."""
    if not _reads_texts(facts):
        return write_pyfunc
    from assets.language.emotion_model.pyfunc import write_pyfunc as write_emotions

    return write_emotions


def registered_name(cell: Mapping[str, Any]) -> str:
    """The name of a cell's registered model: only what MLflow allows, and different for different cells."""
    exact = f"{cell['source']}.{cell['target']}.{cell['cutoff']}"
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", exact)
    return safe if safe == exact else f"{safe}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def _mirror_cell(home: Path, tracker: Tracker, model: str, members: list[tuple[Facts, str]], done: Mirrored) -> None:
    kept = tracker.kept(model)
    for facts, card in members:
        name = facts.version["version"]
        if name in done.skipped:
            continue
        record, before = _record(home, model, facts, card), kept.get(name)
        if before is not None and before.fingerprint == record.fingerprint:
            done.unchanged += 1
            continue
        with tempfile.TemporaryDirectory(prefix="upswell-") as scratch:
            tracker.keep(record, Path(scratch))
        (done.updated if before is not None and before.fingerprint else done.added).append(name)
    numbers = {name: found.number for name, found in tracker.kept(model).items()}
    wanted = {facts.version["alias"]: facts.version["version"] for facts, _ in members if facts.version["alias"]}
    aliases = {alias: numbers.get(wanted.get(alias, "")) for alias in (CHAMPION, CHALLENGER)}
    done.aliases += tracker.set_aliases(model, aliases)


def _record(home: Path, model: str, facts: Facts, card: str) -> Record:
    """What MLflow is to know of a model."""
    version, run = facts.version, facts.run or {}
    parameters, tags, figures = _parameters(facts), _tags(facts), _figures(facts)
    texts = {CARD: card, ENVIRONMENT: json.dumps(facts.provenance, indent=1)}
    stated = [parameters, tags, [[*vars(figure).values()] for figure in figures], texts]
    return Record(
        identity=version["version"],
        model=model,
        fingerprint=hashlib.sha256(json.dumps(stated, default=str, sort_keys=True).encode()).hexdigest(),
        description=(
            f"{version['forecaster']} on {version['n_train']} rows that had matured by {version['origin']}; "
            f"the run's {CARD} says how good it is and what it is not for"
        ),
        parameters=parameters,
        tags=tags,
        figures=figures,
        texts=texts,
        write_model=partial(_writer(facts), home, version["version"], (facts.provenance or {}).get("packages", {})),
        started_at=run.get("started_at") or version["created_at"],
        ended_at=run.get("ended_at") or version["created_at"],
    )


def _parameters(facts: Facts) -> dict[str, str]:
    """The forecaster's own parameters, and the split: what it was fitted on, and up to when."""
    own = (facts.provenance or {}).get("parameters", {})
    split = {name: facts.version[name] for name in ("forecaster", "origin", "n_train", "training_set_id")}
    return {name: str(value)[:_LONGEST] for name, value in {**own, **split}.items()}


def _tags(facts: Facts) -> dict[str, str]:
    """Where it comes from and what was decided of it, as far as it is known; its alias is MLflow's own."""
    version, made = facts.version, facts.provenance or {}
    tags = {f"upswell.{name}": value for name, value in version.items() if name not in ("version", "alias", "n_train")}
    tags |= {f"upswell.{name}": (facts.run or {}).get(name) for name in _RUN_TAGS}
    tags |= {f"upswell.{name}": made.get(name) for name in ("code", "python", "platform")}
    tags["mlflow.source.git.commit"] = str(made.get("code", "")).split("+")[0] if made else None
    judged = [row for row in facts.decisions if row["kind"] != "training"]
    if judged:
        tags["upswell.decision"] = f"{judged[-1]['kind']}: {judged[-1]['outcome']}: {judged[-1]['why']}"
    return {name: str(value)[:_LONGEST] for name, value in tags.items() if value is not None}


def _figures(facts: Facts) -> list[Figure]:
    """What was measured of a model: by its training run, step by step, and on each week since."""
    version, run = facts.version, facts.run
    trained_at: datetime = run["ended_at"] if run else version["created_at"]
    figures = [
        Figure(f"training.{name}", run[name], 0, trained_at) for name in _RUN_FIGURES if run and run[name] is not None
    ]
    figures += [Figure(f"{row['fit']}.{row['metric']}", row["value"], row["step"], trained_at) for row in facts.curves]
    for row in facts.reevaluations:
        days = (midnight(row["origin"]) - midnight(version["origin"])).days
        figures += [
            Figure(f"reevaluation.{name}", row[name], days, row["evaluated_at"])
            for name in _WEEK_FIGURES
            if row[name] is not None
        ]
    return figures


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One mirror of a home at a time: two would each find nothing and both create it."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "mirror.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
