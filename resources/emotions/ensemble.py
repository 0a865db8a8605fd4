"""Several emotion models with the same labels as one: the weighted mean of their calibrated probabilities.

Members keep their own temperature; thresholds and abstention are the ensemble's, fitted on dev texts like any model's.
"""

import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from resources.emotions.decisions import Decisions
from resources.emotions.model import EmotionError, EmotionModel, Manifest, read_manifest, require_labels, seal
from resources.emotions.model import load as load_bundle

MEMBERS = "members"
"""Folder of a bundle that holds a bundle per member, named by its number."""
WEIGHTS = "ensemble.json"
_ROUNDS = 200
_EDGE = 1e-6
Array = np.ndarray[Any, Any]


class Ensemble:
    """Members and their weights (`resources.emotions.model.EmotionModel`).

    Args:
        manifest: What the bundle says of itself.
        members: Models.
        weights: One per member, each above 0; scaled to a sum of 1.

    Raises:
        EmotionError: The labels of a member are others, or the weights do not fit.
    """

    def __init__(self, manifest: Manifest, members: Sequence[EmotionModel], weights: Sequence[float]) -> None:
        self.name, self.revision = manifest.name, manifest.revision
        self.labels, self.decisions = manifest.labels, manifest.decisions
        for number, member in enumerate(members):
            require_labels(member.labels, manifest.labels, f"member {number} ({member.name})")
        self.members, self.weights = tuple(members), shares(weights, len(members))

    def logits(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """float32 [n, labels]: the logit of the mean probability."""
        own = [member.decisions.probabilities(member.logits(texts)) for member in self.members]
        return mixed(np.stack(own), self.weights)


def mixed(probabilities: Array, weights: Array) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits of the weighted mean, float32 [n, labels], of probabilities [members, n, labels]."""
    mean = np.clip(np.tensordot(weights, probabilities.astype(np.float64), 1), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(mean) - np.log1p(-mean), np.float32)


def fit_weights(probabilities: Array, truth: Array) -> Array:
    """The weights under which dev labels are likeliest: expectation maximisation of a mixture with fixed members.

    Each round a member's weight becomes its mean share in the likelihood of a label (Dempster, Laird and Rubin 1977, section 4.3);
    the likelihood never falls. Starts from equal weights, so the same input gives the same weights.

    Args:
        probabilities: [members, texts, labels], calibrated.
        truth: bool [texts, labels].

    Returns:
        [members], at least 0, with a sum of 1.
    """
    likely = np.where(truth, probabilities, 1 - probabilities).astype(np.float64).reshape(len(probabilities), -1)
    likely = np.maximum(likely, _EDGE)
    weights = np.full(len(likely), 1 / len(likely))
    for _ in range(_ROUNDS):
        own = weights[:, None] * likely
        following = (own / own.sum(axis=0)).mean(axis=1)
        if np.abs(following - weights).max() < _EDGE:
            break
        weights = following
    return np.asarray(weights)


def assemble(
    folder: Path, name: str, members: Sequence[Path], weights: Sequence[float], decisions: Decisions
) -> Manifest:
    """Write an ensemble as a bundle, its members inside it.

    Args:
        folder: Becomes the bundle; must be absent.
        name: Of the ensemble.
        members: Bundles of any kind, at least two.
        weights: One per member.
        decisions: Fitted on dev texts for these weights.

    Returns:
        The manifest; the ensemble is known when the last of its members is, and at no time if one member's time is not known.

    Raises:
        EmotionError: Fewer than two members, labels that differ, weights that do not fit, or a folder that is there.
    """
    if len(members) < 2:
        raise EmotionError(f"an ensemble has at least 2 members, not {len(members)}")
    if folder.exists():
        raise EmotionError(f"{folder} is there already: name another folder for the ensemble")
    manifests = [read_manifest(member) for member in members]
    labels = manifests[0].labels
    for path, manifest in zip(members, manifests, strict=True):
        require_labels(manifest.labels, labels, str(path))
    own = shares(weights, len(members))
    (folder / MEMBERS).mkdir(parents=True)
    for number, path in enumerate(members):
        shutil.copytree(path, folder / MEMBERS / str(number))
    (folder / WEIGHTS).write_text(json.dumps({"weights": own.tolist()}))
    return seal(
        folder,
        Manifest(
            kind="ensemble",
            name=name,
            labels=labels,
            decisions=decisions,
            known_at=_latest([manifest.known_at for manifest in manifests]),
            trained_on=", ".join(dict.fromkeys(manifest.trained_on for manifest in manifests if manifest.trained_on)),
        ),
    )


def member_folders(folder: Path) -> list[Path]:
    """The bundles of an ensemble's members, in order."""
    return sorted((folder / MEMBERS).iterdir(), key=lambda path: int(path.name))


def load(folder: Path, manifest: Manifest) -> Ensemble:
    """The model of a bundle whose manifest was read.

    Raises:
        EmotionError: A member cannot be loaded, or weights and members do not fit.
    """
    try:
        weights = json.loads((folder / WEIGHTS).read_text())["weights"]
        folders = member_folders(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmotionError(f"{folder} is no whole ensemble ({error}); assemble it again") from error
    return Ensemble(manifest, [load_bundle(path) for path in folders], weights)


def shares(weights: Sequence[float], members: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weights scaled to a sum of 1, [members].

    Raises:
        EmotionError: They are not one per member, at least 0, and not all 0.
    """
    given = np.asarray(weights, np.float64)
    if given.shape != (members,) or not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise EmotionError(
            f"{members} members need {members} weights of at least 0, not all 0; given are {list(weights)}"
        )
    shares: np.ndarray[Any, np.dtype[np.float64]] = given / given.sum()
    return shares


def _latest(times: Sequence[datetime | None]) -> datetime | None:
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None
