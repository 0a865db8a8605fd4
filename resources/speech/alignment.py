"""When each word of a window was said: the tokens of a word, and the path of attention through the sound.

After Whisper's own `timing.py` (Radford et al. 2022; github.com/openai/whisper), with dynamic time warping (Sakoe and
Chiba 1978). No model is run here; scipy is imported inside.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages in which no space parts words: a character counts as one."""
_SMOOTHED = 7

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def words_of(tokens: Sequence[int], decode: Callable[[list[int]], str], language: str) -> list[tuple[str, int]]:
    """The words of a text with their number of tokens; a word keeps the space before it.

    Args:
        tokens: Tokens of text, no special ones.
        decode: The text of some tokens; it holds U+FFFD where a character is not whole.
        language: ISO 639 code.
    """
    words: list[tuple[str, int]] = []
    for piece, count in _whole_characters(tokens, decode):
        begins = piece.startswith(" ") or (language in WITHOUT_SPACES and not _punctuation(piece))
        if begins or not words:
            words.append((piece, count))
        else:
            words[-1] = (words[-1][0] + piece, words[-1][1] + count)
    return words


def token_times(attention: Matrix, prompt: int, seconds_per_frame: float) -> Matrix:
    """The second at which each token begins, and that at which the last one ends.

    Args:
        attention: [heads, tokens, frames]: what the alignment heads attended to, of the prompt, the text and the end token.
        prompt: Tokens of the prompt.
        seconds_per_frame: Of the encoder's output.

    Returns:
        float64 [tokens of the text + 1], rising.
    """
    from scipy.ndimage import median_filter

    spread = attention.std(axis=1, keepdims=True)
    even = (attention - attention.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    smooth = median_filter(even, size=(1, 1, _SMOOTHED), mode="reflect").mean(axis=0)
    # What a token attends to is what the next one is made of.
    rows, columns = warped(-smooth[prompt - 1 : -1])
    first = np.concatenate([[True], np.diff(rows) > 0])
    return np.asarray(columns[first] * seconds_per_frame, np.float64)


def warped(costs: Matrix) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows and columns of the cheapest path from the first cell to the last, by steps to the right, down or both."""
    total = np.empty_like(costs)
    total[0] = np.cumsum(costs[0])
    for row in range(1, len(costs)):
        above = np.minimum(total[row - 1], np.concatenate([[np.inf], total[row - 1, :-1]]))
        along = np.cumsum(costs[row])
        # Entered from above at the best column so far, then along the row.
        total[row] = along + np.minimum.accumulate(above - along + costs[row])
    row, column = len(costs) - 1, costs.shape[1] - 1
    path = [(row, column)]
    while row or column:
        steps = [(row - 1, column - 1), (row - 1, column), (row, column - 1)]
        row, column = min((step for step in steps if min(step) >= 0), key=lambda step: total[step])
        path.append((row, column))
    rows, columns = np.array(path[::-1]).T
    return rows, columns


def _whole_characters(tokens: Sequence[int], decode: Callable[[list[int]], str]) -> list[tuple[str, int]]:
    """The text by the fewest tokens that make whole characters."""
    found, current = [], list[int]()
    for token in tokens:
        current.append(token)
        text = decode(current)
        if "�" not in text:
            found.append((text, len(current)))
            current = []
    return [*found, (decode(current), len(current))] if current else found


def _punctuation(text: str) -> bool:
    return all(unicodedata.category(each).startswith("P") for each in text)
