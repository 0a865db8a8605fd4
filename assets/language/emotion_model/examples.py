"""Labelled texts as a model learns from them: prepared, with one column of truth per label. Where they come from is elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resources.emotions.seen import fingerprints
from resources.emotions.texts import prepared

Truth = np.ndarray[Any, np.dtype[np.bool_]]


class ExamplesError(ValueError):
    """Labelled texts cannot be used; says which line or label, and why."""


@dataclass(frozen=True)
class Examples:
    """Labelled texts.

    Attributes:
        texts: Prepared.
        truth: bool [n, labels].
        labels: Names of the columns.
    """

    texts: tuple[str, ...]
    truth: Truth
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, texts: Sequence[str], named: Sequence[Sequence[str]], labels: Sequence[str]) -> "Examples":
        """Texts with the names of their labels; those with nothing to read are left out.

        Raises:
            ExamplesError: A label is none of `labels`; names it.
        """
        ready = [prepared(text) for text in texts]
        kept = [index for index, text in enumerate(ready) if text]
        position = {label: column for column, label in enumerate(labels)}
        truth = np.zeros((len(kept), len(labels)), bool)
        for row, index in enumerate(kept):
            for name in named[index]:
                if name not in position:
                    raise ExamplesError(f"text {index + 1} has the label {name!r}; known are {', '.join(labels)}")
                truth[row, position[name]] = True
        return cls(tuple(ready[index] for index in kept), truth, tuple(labels))

    def take(self, rows: Any) -> "Examples":
        """Some of them, by position or by a mask."""
        at = np.arange(len(self))[rows]
        return Examples(tuple(self.texts[index] for index in at), self.truth[at], self.labels)

    def and_those(self, others: "Examples") -> "Examples":
        """These, then others with the same labels."""
        return Examples(self.texts + others.texts, np.vstack([self.truth, others.truth]), self.labels)

    def seen_in(self, others: "Examples") -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of them also occur among others, but for case: bool [n]."""
        return np.isin(fingerprints(self.texts), fingerprints(others.texts))
