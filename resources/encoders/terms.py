"""Counts of known terms in texts: what scikit-learn's vectorisers count one by one, found as integers in arrays.

Terms are words and pairs of words, or runs of three and four characters inside words. Weights are somebody else's, and so
is which terms are known.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Codes = np.ndarray[Any, np.dtype[np.uint64]]
Rows = np.ndarray[Any, np.dtype[np.intp]]
_WORD = re.compile(r"(?u)\b\w\w+\b")
_WORD_BITS, _CHARACTER_BITS = np.uint64(32), np.uint64(16)
_LONGEST = 4
"""Characters of a run; the others have one less."""


def plain(text: str) -> str:
    """A text in lower case and without accents, as the vectorisers with `strip_accents="unicode"` read it."""
    lower = text.lower()
    if lower.isascii():
        return lower
    return "".join(each for each in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(each))


class Terms(ABC):
    """The terms of a vocabulary, and how often they are in texts.

    Every term is a number made of the numbers of its parts, words or characters; 0 is a part that no term has.

    Args:
        vocabulary: The terms, each once.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        codes = self._codes_of(vocabulary)
        self._columns = np.argsort(codes)
        self._codes = codes[self._columns]

    def count(self, texts: Sequence[str]) -> "csr_matrix":
        """How often each of some plain texts has each term: float64 [texts, vocabulary]."""
        from scipy.sparse import coo_matrix

        rows, codes = self._found(texts)
        at = np.searchsorted(self._codes[:-1], codes)
        known = self._codes[at] == codes
        found = coo_matrix(
            (np.ones(np.count_nonzero(known)), (rows[known], self._columns[at[known]])), (len(texts), len(self._codes))
        ).tocsr()
        found.sort_indices()
        return found

    @abstractmethod
    def _codes_of(self, vocabulary: Sequence[str]) -> Codes:
        """The numbers of terms; learns those of their parts."""

    @abstractmethod
    def _found(self, texts: Sequence[str]) -> tuple[Rows, Codes]:
        """What could be a term in some texts: in which of them, and its number."""


class WordTerms(Terms):
    """Words of two characters and more, and pairs of them side by side."""

    def _codes_of(self, vocabulary: Sequence[str]) -> Codes:
        parts = [term.split(" ") for term in vocabulary]
        self._numbers = {word: number for number, word in enumerate(set(chain.from_iterable(parts)), start=1)}
        first = np.array([self._numbers[words[0]] for words in parts], np.uint64)
        second = np.array([self._numbers[words[1]] if len(words) > 1 else 0 for words in parts], np.uint64)
        return first << _WORD_BITS | second

    def _found(self, texts: Sequence[str]) -> tuple[Rows, Codes]:
        number = self._numbers.get
        read = [[number(word, 0) for word in _WORD.findall(text)] for text in texts]
        words = np.fromiter(chain.from_iterable(read), np.uint64)
        rows = np.repeat(np.arange(len(texts)), [len(each) for each in read])
        beside = np.flatnonzero((rows[:-1] == rows[1:]) & (words[1:] > 0))
        pairs = words[beside] << _WORD_BITS | words[beside + 1]
        return np.concatenate([rows, rows[beside]]), np.concatenate([words << _WORD_BITS, pairs])


class CharacterTerms(Terms):
    """Runs of three and four characters inside words; a word has a space at each end."""

    def _codes_of(self, vocabulary: Sequence[str]) -> Codes:
        self._alphabet = np.unique(_characters(vocabulary))
        lengths = np.array([len(term) for term in vocabulary])
        ends = np.cumsum(lengths)
        numbers = np.append(self._numbered(_characters(vocabulary)), np.zeros(1, np.uint64))
        codes = np.zeros(len(vocabulary), np.uint64)
        for place in range(_LONGEST):
            here = np.where(place < lengths, numbers[np.minimum(ends - lengths + place, len(numbers) - 1)], 0)
            codes = codes << _CHARACTER_BITS | here.astype(np.uint64)
        return codes

    def _numbered(self, characters: np.ndarray[Any, Any]) -> Codes:
        at = np.searchsorted(self._alphabet[:-1], characters)
        return np.where(self._alphabet[at] == characters, at + 1, 0).astype(np.uint64)

    def _found(self, texts: Sequence[str]) -> tuple[Rows, Codes]:
        # A run across two words has two spaces side by side, which no term has.
        words = ["".join(f" {word} " for word in text.split()) for text in texts]
        rows = np.repeat(np.arange(len(texts)), [len(each) for each in words])
        numbers = self._numbered(_characters(words))
        ahead = np.append(numbers, np.zeros(_LONGEST - 1, np.uint64))
        codes = np.zeros(len(numbers), np.uint64)
        for place in range(_LONGEST - 1):
            codes = codes << _CHARACTER_BITS | ahead[place : len(numbers) + place]
        short, fourth = codes << _CHARACTER_BITS, ahead[_LONGEST - 1 :]
        known = fourth > 0
        return np.concatenate([rows, rows[known]]), np.concatenate([short, (short | fourth)[known]])


def _characters(texts: Iterable[str]) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
