"""The embedded summariser: the sentences that say most of what a text is about, in its own words and order. Needs no weights.

After SumBasic (Nenkova and Vanderwende 2005, "The impact of frequency on summarization"): a sentence weighs as much as its words
are probable in the text, over the root of their number, and a word that has been said counts for less. The cost grows with the
length of the text, not with its square.
"""

import hashlib
from typing import Any

import numpy as np

from resources.summaries.base import check_length, clean, sentences, trimmed, words_of

_VERSION = 1
_SHORT = 3
"""Words of so few letters (the, and, you) say nothing of what a text is about; in other alphabets every word counts."""
_AGAIN = 0.5
"""What a word counts for each time it has been said; a sentence without a new word is not said at all."""


class ExtractiveSummariser:
    """Chooses sentences (`resources.summaries.base.Summariser`); of equally good ones the earlier."""

    name = "extractive"
    revision = hashlib.sha256(f"extractive {_VERSION}".encode()).hexdigest()[:32]

    def summarise(self, text: str, words: int) -> str:
        """The sentences that say most in so many words, in the order of the text; see the protocol."""
        check_length(words)
        listed = sentences(text)
        terms = [words_of(sentence) for sentence in listed]
        lengths = np.array([len(one) for one in terms])
        if lengths.sum() <= words:
            return " ".join(clean(text).split()) if listed else ""
        contained, probability = _contained(terms)
        telling = np.sqrt(np.maximum(np.diff(contained.indptr), 1))
        if not (lengths <= words).any():
            return trimmed(listed[int(np.argmax(contained @ probability / telling))], words)
        chosen: list[int] = []
        left, unsaid = words, np.ones(len(probability))
        while (fitting := (lengths <= left) & (contained @ unsaid > 0)).any():
            at = int(np.argmax(np.where(fitting, contained @ probability / telling, -1.0)))
            chosen.append(at)
            left -= int(lengths[at])
            said = contained.indices[contained.indptr[at] : contained.indptr[at + 1]]
            unsaid[said] = 0
            probability[said] *= _AGAIN
        if not chosen:  # no sentence that fits has a telling word
            return trimmed(" ".join(listed), words)
        return " ".join(listed[at] for at in sorted(chosen))


def _contained(terms: list[list[str]]) -> tuple[Any, np.ndarray[Any, np.dtype[np.float64]]]:
    """Which telling words each sentence has, a sparse 0/1 matrix [sentences, words], and the probability of each word."""
    from scipy.sparse import csr_array

    column: dict[str, int] = {}
    found = [
        [column.setdefault(term, len(column)) for term in one if len(term) > _SHORT or not term.isascii()]
        for one in terms
    ]
    columns = np.array([each for one in found for each in one], np.int64)
    rows = np.repeat(np.arange(len(found)), [len(one) for one in found])
    counts = np.bincount(columns, minlength=len(column))
    contained = csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(terms), len(column)))
    contained.sum_duplicates()
    contained.data[:] = 1
    return contained, counts / max(len(columns), 1)
