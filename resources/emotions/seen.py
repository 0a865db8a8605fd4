"""Which texts a model was made from, as fingerprints in its bundle: a figure over texts that it has seen says nothing.

No text can be read from a fingerprint.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TRAINED, DECIDED = "trained_on.npy", "decided_on.npy"
"""What the weights learned from; what chose epoch, temperature and thresholds."""
Prints = np.ndarray[Any, np.dtype[np.uint64]]


def fingerprints(texts: Sequence[str]) -> Prints:
    """Of prepared texts, regardless of case, uint64 [n]: the first 8 bytes of their sha256."""
    digests = (hashlib.sha256(text.casefold().encode()).digest()[:8] for text in texts)
    return np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64)


def write_seen(folder: Path, trained: Sequence[str], decided: Sequence[str]) -> None:
    """Note in a bundle's folder what was trained on, and what the decisions were fitted on."""
    for name, texts in ((TRAINED, trained), (DECIDED, decided)):
        np.save(folder / name, np.unique(fingerprints(texts)))


def seen_by(folder: Path, texts: Sequence[str], name: str = TRAINED) -> "np.ndarray[Any, np.dtype[np.bool_]] | None":
    """Which of some prepared texts the model of a bundle was trained on, bool [n]; None where that was not kept.

    Args:
        folder: The bundle.
        texts: The texts.
        name: `DECIDED` asks for those that its decisions were fitted on.
    """
    if not (folder / name).is_file():
        return None
    return np.isin(fingerprints(texts), np.load(folder / name, allow_pickle=False))
