"""Word error rate: normalisation, counting, interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.speech.word_errors import errors, normalised, word_errors

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("THE Child, almost: hurt!", ["the", "child", "almost", "hurt"]),
        ("It's  [music] fine (laughs)", ["its", "fine"]),
        ("Straße – ＡＢＣ", ["strasse", "abc"]),
        ("नमस्ते दुनिया।", ["नमस्ते", "दुनिया"]),
        ("...", []),
    ],
)
def test_case_punctuation_and_brackets_do_not_count(text: str, expected: list[str]) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ("a b c", "a b c", (0, 0, 0)),
        ("a b c", "a x c", (1, 0, 0)),
        ("a b c", "a c", (0, 1, 0)),
        ("a", "x a", (0, 0, 1)),
    ],
)
def test_what_is_wrong_with_a_word(said: str, heard: str, expected: tuple[int, int, int]) -> None:
    assert errors(said.split(), heard.split()) == expected


@given(words, words)
def test_the_number_of_errors_is_a_distance(said: list[str], heard: list[str]) -> None:
    substituted, deleted, inserted = errors(said, heard)
    assert sum(errors(heard, said)) == substituted + deleted + inserted
    assert len(said) - deleted + inserted == len(heard)
    assert (substituted + deleted + inserted == 0) == (said == heard)
    assert substituted + deleted + inserted <= max(len(said), len(heard))


def test_the_rate_is_over_all_words_and_its_interval_over_transcripts() -> None:
    pairs = [("one two three four", "one two three four")] * 15 + [("one two", "x y z")] * 5
    found = word_errors(pairs)
    assert (found.words, found.transcripts) == (70, 20)
    assert (found.substitutions, found.deletions, found.insertions) == (10, 0, 5)
    assert found.rate == pytest.approx(15 / 70)
    assert 0.03 < found.low < found.rate < found.high < 0.6
    assert word_errors(pairs) == found


def test_references_without_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="no word"):
        word_errors([("...", "one")])
