"""ROUGE-L keeps the promises of its formula."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.summaries.rouge import lead, longest_common_subsequence, rouge_l

few = settings(max_examples=80, deadline=None)
words = st.lists(st.sampled_from("abcd"), max_size=14)


def by_table(one: list[str], other: list[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row, left in enumerate(one):
        for column, right in enumerate(other):
            longest = max(table[row][column + 1], table[row + 1][column])
            table[row + 1][column + 1] = table[row][column] + 1 if left == right else longest
    return table[-1][-1]


@few
@given(words, words)
def test_the_common_subsequence_is_that_of_the_table(one, other):
    assert longest_common_subsequence(one, other) == by_table(one, other)


@few
@given(words, words)
def test_scores_are_shares_and_change_sides_with_the_texts(one, other):
    there, back = rouge_l(" ".join(one), " ".join(other)), rouge_l(" ".join(other), " ".join(one))
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert 0 <= min(there.precision, there.recall) <= there.f1 <= max(there.precision, there.recall) <= 1


@few
@given(words.filter(bool), st.data())
def test_what_was_only_left_out_is_precise(one, data):
    kept = [word for word in one if data.draw(st.booleans())] or one
    score = rouge_l(" ".join(kept), " ".join(one))
    assert score.precision == 1 and score.recall == len(kept) / len(one)


def test_the_example_of_the_paper():
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference).f1 == pytest.approx(3 / 4)
    assert rouge_l("the gunman kill police", reference).f1 == pytest.approx(2 / 4)


def test_case_and_stops_do_not_count_and_nothing_scores_nothing():
    assert rouge_l("The Cat, sat!", "the cat sat").f1 == 1
    assert rouge_l("", "a").f1 == rouge_l("a", "").f1 == rouge_l("🙂", "🙂").f1 == 0


def test_the_lead_is_the_first_sentences():
    assert lead("One is here. Two is there! Three? Four.", 2) == "One is here. Two is there!"
