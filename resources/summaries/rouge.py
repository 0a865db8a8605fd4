"""ROUGE-L: how much of a reference's wording a summary has, in order. Nothing here makes summaries."""

from collections.abc import Sequence
from dataclasses import dataclass

from resources.summaries.base import sentences, words_of


@dataclass(frozen=True)
class Rouge:
    """Precision, recall and their harmonic mean, each between 0 and 1."""

    precision: float
    recall: float
    f1: float


def rouge_l(summary: str, reference: str) -> Rouge:
    """ROUGE-L of Lin (2004), "ROUGE: A package for automatic evaluation of summaries", section 3.1, with beta = 1.

    Recall is LCS / words of the reference, precision LCS / words of the summary, where LCS is the length of their longest common
    subsequence of words. Words are compared in lower case, without stemming. All 0 where either has no words.
    """
    ours, theirs = words_of(summary), words_of(reference)
    if not ours or not theirs:
        return Rouge(0.0, 0.0, 0.0)
    common = longest_common_subsequence(ours, theirs)
    return Rouge(common / len(ours), common / len(theirs), 2 * common / (len(ours) + len(theirs)))


def longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bit-parallel dynamic programming (Hyyrö 2004, "Bit-parallel LCS-length
    computation revisited"): one long integer per step holds a whole row of the table.
    """
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    row = every = (1 << len(one)) - 1
    for word in other:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & every
    return len(one) - row.bit_count()


def lead(text: str, k: int) -> str:
    """The first k sentences of a text: what a summary has to beat."""
    return " ".join(sentences(text)[:k])
