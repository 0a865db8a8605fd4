import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.emotions.labels import EKMAN, GOEMOTIONS, SENTIMENT, grouped
from resources.emotions.texts import LONGEST, prepared


def test_every_label_but_neutral_belongs_to_exactly_one_group_of_each_mapping() -> None:
    for mapping in (EKMAN, SENTIMENT):
        members = [label for group in mapping.values() for label in group]
        assert sorted([*members, "neutral"]) == sorted(GOEMOTIONS)


def test_a_group_has_the_probability_of_its_likeliest_label() -> None:
    probabilities = np.zeros((2, 28), np.float32)
    probabilities[0, GOEMOTIONS.index("annoyance")] = 0.7
    probabilities[0, GOEMOTIONS.index("anger")] = 0.4
    probabilities[1, GOEMOTIONS.index("curiosity")] = 0.9
    ekman = grouped(probabilities, GOEMOTIONS, EKMAN)
    assert dict(zip(EKMAN, ekman[0], strict=True))["anger"] == np.float32(0.7)
    assert dict(zip(EKMAN, ekman[1], strict=True))["surprise"] == np.float32(0.9)
    assert list(grouped(probabilities, GOEMOTIONS, SENTIMENT)[1]) == [0, 0, np.float32(0.9)]
    assert grouped(probabilities[:, :1], GOEMOTIONS[:1], EKMAN).shape == (2, 6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  so\tgood\r\n\x00now ", "so good now"),
        ("\ud83d\ude02", "😂"),
        ("a\ud83db", "a�b"),
        ("\u200b \x07", "\u200b"),
        ("<b>Ã©</b>", "<b>Ã©</b>"),
        ("👩‍👩‍👧 ok", "👩‍👩‍👧 ok"),
        ("\n\t ", ""),
    ],
)
def test_what_preparation_makes_of_faults(text: str, expected: str) -> None:
    assert prepared(text) == expected


def test_a_megabyte_of_text_is_cut() -> None:
    assert len(prepared("a" * 1_000_000)) == LONGEST


@given(st.text(st.characters(), max_size=60) | st.text("\ud800\udc00\ude02 \x00a\u2028", max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_prepared_text_can_be_encoded_and_stays_as_it_is(text: str) -> None:
    once = prepared(text)
    assert prepared(once) == once
    assert json.loads(json.dumps(once.encode().decode())) == once
    assert once == once.strip() and "\n" not in once
