"""Words of tokens, and the path of attention through the sound."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resources.speech.alignment import token_times, warped, words_of


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode("utf-8", errors="replace")


def test_words_keep_their_spaces_and_take_punctuation_to_them() -> None:
    assert words_of(list(" Ho hum, said “Zoé”!".encode()), decode, "en") == [
        (" Ho", 3),
        (" hum,", 5),
        (" said", 5),
        (" “Zoé”!", 12),
    ]


def test_where_no_space_parts_words_a_character_is_one() -> None:
    assert words_of(list("私は、猫。".encode()), decode, "ja") == [("私", 3), ("は、", 6), ("猫。", 6)]


@given(st.binary(max_size=40))
def test_no_token_is_lost(data: bytes) -> None:
    assert sum(count for _, count in words_of(list(data), decode, "en")) == len(data)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.integers(-9, 9).map(float)))
def test_the_path_is_the_cheapest(costs: np.ndarray) -> None:
    rows, columns = warped(costs)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, costs.shape[0] - 1, costs.shape[1] - 1)
    steps = set(zip(np.diff(rows).tolist(), np.diff(columns).tolist(), strict=True))
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    assert costs[rows, columns].sum() == min(_all_paths(costs))


def test_a_token_begins_where_it_is_attended_to() -> None:
    attention = np.full((2, 7, 100), 0.001)
    edges = [0, 0, 0, 40, 70, 95, 99, 100]  # three tokens of the prompt, of which the last looks at the first word
    for token, (start, stop) in enumerate(itertools.pairwise(edges)):
        attention[:, token, start:stop] = 0.2
    times = token_times(attention, 3, 0.02)
    np.testing.assert_allclose(times, [0.0, 0.8, 1.4, 1.9], atol=0.05)


def _all_paths(costs: np.ndarray) -> list[float]:
    height, width = costs.shape
    found: list[float] = []
    for length in range(max(height, width) - 1, height + width - 1):
        for steps in itertools.product([(0, 1), (1, 0), (1, 1)], repeat=length):
            if sum(down for down, _ in steps) == height - 1 and sum(right for _, right in steps) == width - 1:
                row = column = 0
                total = costs[0, 0]
                for down, right in steps:
                    row, column = row + down, column + right
                    total += costs[row, column]
                found.append(float(total))
    return found
