"""The protocol that every summariser follows, and the words and sentences that all of them count by. No summariser is here."""

import re
from itertools import pairwise
from typing import Protocol, runtime_checkable

# A character of a script without spaces is a word of its own; else a word is a run of at most 64 letters and digits.
_UNSPACED = "぀-ヿ㐀-䶿一-鿿豈-﫿฀-๿\U00020000-\U0003134f"
WORD = re.compile(
    rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_]){{1,64}}(?:['’\-](?:(?![{_UNSPACED}])[^\W_]){{1,64}}){{0,4}}"
)
_BREAK = re.compile("\r\n?|[\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])\s*|\s*\n+\s*")
_ABBREVIATED = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|Vol|approx)\.$")
LONGEST = 40
"""Words of the longest sentence; what runs on without a stop, as speech without punctuation does, is cut into pieces of half of it."""


class SummaryError(ValueError):
    """A summariser cannot be had or is asked for the impossible; says the way out."""


@runtime_checkable
class Summariser(Protocol):
    """Makes short texts of long ones.

    Attributes:
        name: As the settings write it.
        revision: Fingerprint of all that decides a summary besides the text and the length asked for.
    """

    name: str
    revision: str

    def summarise(self, text: str, words: int) -> str:
        """The summary of a text, the same each time.

        Args:
            text: Any text.
            words: The most words that the summary may have, at least 1.

        Returns:
            At most that many words; the text itself (its whitespace made single) where it is no longer. "" for a text without words.

        Raises:
            SummaryError: `words` is less than 1.
        """


def clean(text: str) -> str:
    """A text that can be encoded, line breaks as they are: halves of pairs become U+FFFD, control characters a space."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub(" ", _BREAK.sub("\n", whole))


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: what lengths are counted in and ROUGE compares."""
    return [found.group().casefold() for found in WORD.finditer(text)]


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, each with at least one word and at most `LONGEST`."""
    pieces: list[str] = []
    for found in _END.split(clean(text)):
        piece = " ".join(found.split())
        if not piece:
            continue
        if pieces and _ABBREVIATED.search(pieces[-1]):
            pieces[-1] += f" {piece}"
        else:
            pieces.append(piece)
    return [short for piece in pieces for short in _shortened(piece)]


def trimmed(text: str, words: int) -> str:
    """The first words of a text, with an ellipsis where more would follow."""
    found = list(WORD.finditer(text))
    if len(found) <= words:
        return text
    return text[: found[words - 1].end()] + "…"


def check_length(words: int) -> None:
    """Refuses a length that no summary can have.

    Raises:
        SummaryError: It is less than 1.
    """
    if words < 1:
        raise SummaryError(f"a summary of {words} words cannot be made: ask for at least 1")


def _shortened(sentence: str) -> list[str]:
    found = list(WORD.finditer(sentence))
    if not found:
        return []
    if len(found) <= LONGEST:
        return [sentence]
    step = LONGEST // 2
    starts = [0, *(found[at].start() for at in range(step, len(found), step)), len(sentence)]
    return [sentence[one:other].strip() for one, other in pairwise(starts)]
