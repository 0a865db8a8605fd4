"""Whether a model still decides as the one that it was made from: the figures, and the bounds that an export has to keep.

Needs neither torch nor a model's files; how an export is made is in `export`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resources.emotions.model import EmotionError, EmotionModel, require_labels
from resources.emotions.scoring import score
from resources.emotions.texts import prepared

F1_LOSS = 0.005
"""Macro-F1 that an export may lose."""
EQUAL = {"fp32": 0.999, "int8": 0.9}
"""Least share of texts whose labels are all the same as before, by precision."""
ENOUGH = 50
"""Labelled texts without which no export is judged."""
Labels = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Labelled:
    """Texts whose labels are known: dev texts, which the model was not fitted on.

    Attributes:
        texts: The texts.
        truth: bool [texts, labels], the columns in the order of the model.
    """

    texts: Sequence[str]
    truth: Labels


@dataclass(frozen=True)
class Parity:
    """Two models on the same texts.

    Attributes:
        texts: How many.
        equal: Share of texts that get the same labels, or are abstained from, in both.
        logits: Largest difference of two logits.
        f1: Macro-F1 of the first.
        f1_after: Macro-F1 of the second.
    """

    texts: int
    equal: float
    logits: float
    f1: float
    f1_after: float

    @property
    def loss(self) -> float:
        """Macro-F1 lost; negative where it was gained."""
        return self.f1 - self.f1_after


def macro_f1(truth: Labels, decided: Labels) -> float:
    """Mean of 2 TP / (2 TP + FP + FN) over the labels that some text has.

    Args:
        truth: bool [texts, labels].
        decided: bool [texts, labels].
    """
    both = (truth & decided).sum(axis=0)
    either = truth.sum(axis=0) + decided.sum(axis=0)
    there = truth.any(axis=0)
    return float(np.mean(2 * both[there] / either[there])) if there.any() else 0.0


def compare(before: EmotionModel, after: EmotionModel, labelled: Labelled) -> Parity:
    """Both models on the same texts, each with the decisions that it comes with.

    Raises:
        EmotionError: Their labels are not the same, or the truth has others.
    """
    require_labels(after.labels, before.labels, after.name)
    if labelled.truth.shape != (len(labelled.texts), len(before.labels)):
        raise EmotionError(
            f"{len(labelled.texts)} texts and {len(before.labels)} labels, but their truth has the shape {labelled.truth.shape}"
        )
    if len(labelled.texts) < ENOUGH:
        raise EmotionError(f"{len(labelled.texts)} labelled texts are too few to judge an export: at least {ENOUGH}")
    own, other = score(before, labelled.texts), score(after, labelled.texts)
    same = (own.decided == other.decided).all(axis=1) & (own.abstained == other.abstained)
    some = [text for text in map(prepared, labelled.texts[:ENOUGH]) if text]
    return Parity(
        texts=len(labelled.texts),
        equal=float(same.mean()),
        logits=float(np.abs(before.logits(some) - after.logits(some)).max(initial=0.0)),
        f1=macro_f1(labelled.truth, own.decided),
        f1_after=macro_f1(labelled.truth, other.decided),
    )


def require_parity(found: Parity, precision: str) -> None:
    """Refuse a model that decides otherwise than the one it was made from.

    Raises:
        EmotionError: A bound is broken; says by what.
    """
    broken = []
    if not found.equal >= EQUAL[precision]:
        broken.append(f"{found.equal:.4f} of the texts get the same labels, at least {EQUAL[precision]} must")
    if not found.loss <= F1_LOSS:
        broken.append(f"macro-F1 falls from {found.f1:.4f} to {found.f1_after:.4f}, at most {F1_LOSS} may be lost")
    if broken:
        raise EmotionError(f"the {precision} export is refused: on {found.texts} labelled texts {'; '.join(broken)}")


def told(found: Parity) -> dict[str, float | int]:
    """The figures as they are kept beside an export."""
    return {**asdict(found), "loss": found.loss}
