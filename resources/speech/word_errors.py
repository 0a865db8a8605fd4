"""How many words of transcripts are wrong: word error rate after normalisation, with an interval.

Nothing is transcribed here.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDS = 2000
_BRACKETED = re.compile(r"[<\[][^>\]]*[>\]]|\([^)]*\)")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")


@dataclass(frozen=True)
class WordErrors:
    """Word error rate of some transcripts.

    Attributes:
        rate: Errors per word of the references; may be above 1.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        transcripts: How many there were.
        words: Words of the references.
        substitutions: Words that stand for another.
        deletions: Words that were left out.
        insertions: Words that nobody said.
    """

    rate: float
    low: float
    high: float
    transcripts: int
    words: int
    substitutions: int
    deletions: int
    insertions: int


def normalised(text: str) -> list[str]:
    """The words of a text without case, punctuation and what is in brackets; an apostrophe inside a word joins it.

    The normalisation for any language of Radford et al. 2022, "Robust speech recognition via large-scale weak
    supervision", appendix C, apart from apostrophes and combining marks (scripts of India need them); numbers stay as they
    are written.
    """
    plain = _APOSTROPHES.sub("", _BRACKETED.sub(" ", unicodedata.normalize("NFKC", text).casefold()))
    return "".join(" " if unicodedata.category(each)[0] in "SPZC" else each for each in plain).split()


def errors(reference: Sequence[str], heard: Sequence[str]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions of the fewest changes that make `heard` of `reference` (Levenshtein)."""
    # Every cell: (changes, substitutions, deletions, insertions); the least of three ways to come there.
    row = [(column, 0, 0, column) for column in range(len(heard) + 1)]
    for number, word in enumerate(reference, 1):
        before, row = row, [(number, 0, number, 0)]
        for column, other in enumerate(heard, 1):
            wrong = int(word != other)
            cost, substituted, deleted, inserted = before[column - 1]
            same = (cost + wrong, substituted + wrong, deleted, inserted)
            cost, substituted, deleted, inserted = before[column]
            left_out = (cost + 1, substituted, deleted + 1, inserted)
            cost, substituted, deleted, inserted = row[column - 1]
            row.append(min(same, left_out, (cost + 1, substituted, deleted, inserted + 1)))
    return row[-1][1:]


def word_errors(pairs: Sequence[tuple[str, str]], seed: int = 0) -> WordErrors:
    """Word error rate, (S + D + I) / N over all transcripts together, with a percentile interval of the bootstrap.

    Transcripts are drawn, not words, since words of one are not wrong independently (Bisani and Ney 2004, "Bootstrap
    estimates for confidence intervals in ASR performance evaluation").

    Args:
        pairs: What was said and what was heard, as texts.
        seed: Of the bootstrap.

    Raises:
        ValueError: There is no word in the references.
    """
    counted = np.zeros((len(pairs), 4), np.int64)
    for number, (said, heard) in enumerate(pairs):
        reference = normalised(said)
        counted[number] = (*errors(reference, normalised(heard)), len(reference))
    substitutions, deletions, insertions, words = counted.sum(axis=0).tolist()
    if not words:
        raise ValueError("the references hold no word, so no share of them can be wrong")
    rng = np.random.default_rng(seed)
    drawn = counted[rng.integers(0, len(pairs), (_ROUNDS, len(pairs)))].sum(axis=1)
    rates = drawn[:, :3].sum(axis=1) / np.maximum(drawn[:, 3], 1)
    low, high = np.quantile(rates, (0.025, 0.975)).tolist()
    rate = (substitutions + deletions + insertions) / words
    return WordErrors(rate, low, high, len(pairs), words, substitutions, deletions, insertions)
