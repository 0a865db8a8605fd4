"""The embedded summariser: length, order, repeatability, and texts that are no texts."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.summaries.base import LONGEST, Summariser, SummaryError, sentences, words_of
from resources.summaries.catalogue import make
from resources.summaries.extractive import ExtractiveSummariser
from resources.summaries.rouge import lead, rouge_l

SUMMARISER = ExtractiveSummariser()
TALK = (
    "Hello everyone and welcome back. Before we begin please like and subscribe. Today we bake sourdough bread at home. "
    "My neighbour says hello by the way. The sourdough starter needs flour and water for five days. It rained all week here. "
    "Bake the sourdough bread in a hot oven with steam. That was my week. The bread is done when the sourdough crust is brown. "
    "See you next time."
)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.integers(1, 30))
def test_any_text_gives_at_most_so_many_words_and_the_same_again(text, words):
    summary = SUMMARISER.summarise(text, words)
    assert len(words_of(summary)) <= words
    assert summary == SUMMARISER.summarise(text, words)
    assert bool(summary) == bool(words_of(text)) or not words_of(text)
    summary.encode()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["cats chase mice", "dogs chase cats", "it rains", "mice eat cheese here"]), min_size=1),
    st.integers(4, 12),
)
def test_a_summary_is_made_of_the_sentences_of_the_text_in_their_order(listed, words):
    summary = SUMMARISER.summarise(". ".join(listed) + ".", words)
    at = 0
    for sentence in sentences(summary):
        at = listed.index(sentence.strip("."), at) + 1


def test_the_central_sentences_are_told_and_not_the_first_ones():
    key = "Today we bake sourdough bread at home. Bake the sourdough bread in a hot oven with steam."
    summary = SUMMARISER.summarise(TALK, 20)
    assert "sourdough" in summary and "subscribe" not in summary
    assert rouge_l(summary, key).f1 > rouge_l(lead(TALK, 2), key).f1 + 0.3


def test_a_short_text_is_its_own_summary_and_more_words_tell_more():
    assert SUMMARISER.summarise("  Short\n and  sweet 🙂", 10) == "Short and sweet 🙂"
    lengths = [len(words_of(SUMMARISER.summarise(TALK, words))) for words in (5, 15, 30, 60, 500)]
    assert lengths == sorted(lengths) and lengths[0] == 5 and lengths[-1] == len(words_of(TALK))


def test_what_was_said_is_not_said_again():
    text = "The bread is baked in the oven. " * 5 + "Flour and water make the dough of bread. It rained."
    assert SUMMARISER.summarise(text, 16).count("baked in the oven") == 1


@pytest.mark.parametrize("text", ["", "   \n", "🙂🙂🎉 " * 50, "...!!!", "\ud800\udfff\ud83d", "\x00\x07\x1b"])
def test_a_text_without_words_has_no_summary(text):
    assert SUMMARISER.summarise(text, 5) == ""


def test_scripts_are_counted_as_they_are_written():
    mixed = "你好世界。今天我们做面包。 Привет, это хлеб! Hello, this is bread. สวัสดีครับ"
    assert words_of("面包 bread хлеб") == ["面", "包", "bread", "хлеб"]
    assert sentences(mixed)[:2] == ["你好世界。", "今天我们做面包。"]
    assert 1 <= len(words_of(SUMMARISER.summarise(mixed, 8))) <= 8


def test_control_characters_and_lone_surrogates_are_left_out():
    summary = SUMMARISER.summarise("A\x00 word\ud800 here\x1b[0m and there.\x85" * 9, 8)
    summary.encode()
    assert not set(summary) & set("\x00\x1b\x85")


def test_sentences_end_at_stops_and_not_at_abbreviations_and_have_a_longest_length():
    assert sentences("Dr. Smith ran 3.5 km. hey guys. ok") == ["Dr. Smith ran 3.5 km.", "hey guys.", "ok"]
    spoken = sentences("so we go " * 50)
    assert max(len(words_of(one)) for one in spoken) <= LONGEST and sum(len(words_of(one)) for one in spoken) == 150


@pytest.mark.parametrize(
    "text",
    ["word " * 200_000, "x" * 1_000_000, "字" * 350_000, (TALK + "\n") * 2200],
    ids=["words", "one", "signs", "talk"],
)
def test_a_megabyte_takes_seconds(text):
    began = time.process_time()
    assert 1 <= len(words_of(SUMMARISER.summarise(text, 40))) <= 40
    assert time.process_time() - began < 8


def test_names_and_errors_say_the_way_out():
    assert isinstance(make("extractive"), Summariser)
    with pytest.raises(SummaryError, match="ask for at least 1"):
        SUMMARISER.summarise("text", 0)
    with pytest.raises(SummaryError, match="there is no summariser gpt: choose extractive or t5"):
        make("gpt")
    with pytest.raises(SummaryError, match="reads no weights"):
        make("extractive", "folder")
