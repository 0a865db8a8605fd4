"""Emotion models brought together and out: weights and decisions of an ensemble fitted on dev, then its export under the checks.

What an ensemble is, and how an export is made and judged, is in `resources/emotions`.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assets.language.emotion_model.decide import fit_decisions
from assets.language.emotion_model.examples import Examples
from resources.emotions.ensemble import assemble, fit_weights, mixed, shares
from resources.emotions.export import Exported, Precision, export
from resources.emotions.model import load, require_labels
from resources.emotions.parity import Labelled

NAME = "ensemble"


def combine(members: Sequence[Path], folder: Path, dev: Examples, weights: Sequence[float] | None = None) -> None:
    """Make an ensemble of some bundles.

    Args:
        members: Bundles with the same labels, at least two.
        folder: Becomes the ensemble's bundle; must be absent.
        dev: Labelled texts that no member was fitted on: temperature and thresholds are fitted on them, and the weights too,
            unless given.
        weights: One per member.

    Raises:
        EmotionError: The labels of two members differ, or the weights do not fit.
    """
    loaded = [load(member) for member in members]
    for member, model in zip(members, loaded, strict=True):
        require_labels(model.labels, dev.labels, str(member))
    probabilities = np.stack([model.decisions.probabilities(model.logits(dev.texts)) for model in loaded])
    chosen = shares(weights if weights is not None else fit_weights(probabilities, dev.truth).tolist(), len(members))
    abstain_below = min(model.decisions.abstain_below for model in loaded)
    decisions = fit_decisions(mixed(probabilities, chosen), dev.truth, abstain_below)
    assemble(folder, NAME, members, chosen.tolist(), decisions)


def export_together(members: Sequence[Path], folder: Path, precision: Precision, dev: Examples) -> Exported:
    """Export a model, or the ensemble of several, judged on dev texts.

    Raises:
        EmotionError: As `combine` and `resources.emotions.export.export`.
    """
    labelled = Labelled(dev.texts, dev.truth)
    if len(members) == 1:
        return export(members[0], folder, precision, labelled)
    with tempfile.TemporaryDirectory() as workplace:
        together = Path(workplace) / NAME
        combine(members, together, dev)
        return export(together, folder, precision, labelled)
