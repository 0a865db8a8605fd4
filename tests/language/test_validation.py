"""What is wrong with a text by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.language.validation import LONGEST, STATES, language, look_at, state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what a lovely video", "valid"),
        ("😂😂", "valid"),
        ("это очень красиво, 素晴らしい and so on", "valid"),
        ("family 👨‍👩‍👧 flag 🏳️‍🌈", "valid"),
        ("naïve café, Ã la carte", "valid"),
        ("", "empty"),
        (" \n\t", "empty"),
        ("\x00\x07", "empty"),
        ("\u200b \u2028", "too_short"),
        ("bro\ufffdken", "encoding"),
        ("bell\x07", "encoding"),
        ("a lone \ud83d half", "encoding"),
        ("cafÃ© au lait", "mojibake"),
        ("itâ€™s so good", "mojibake"),
        ("<b>bold</b> words", "markup"),
        ("Tom &amp; Jerry", "markup"),
        ("1 < 2 and 3 > 2, me & you <3", "valid"),
        ("!", "too_short"),
        ("k", "too_short"),
        ("https://example.com/x", "spam"),
        ("message me on whatsapp +1 (555) 010-99 99", "spam"),
        ("win win win win win win win win", "spam"),
        ("lo" + "o" * 40, "spam"),
        ("watch https://example.com/x it explains everything", "valid"),
    ],
)
def test_each_fault_is_found(text: str, expected: str) -> None:
    assert state(text, "comment") == expected


def test_how_long_a_text_may_be_depends_on_the_part() -> None:
    long = "word and another " * 1000
    assert (state(long, "transcript"), state(long, "comment"), state(long, "title")) == (
        "valid",
        "too_long",
        "too_long",
    )
    assert state("ab " * LONGEST["transcript"], "transcript") == "too_long"


def test_a_title_may_be_a_link() -> None:
    assert state("https://example.com", "title") == "valid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("this is the best of them", "en"),
        ("esto es muy bueno, gracias por el video", "es"),
        ("c'est très bien pour vous", "fr"),
        ("das ist nicht mein Hund", "de"),
        ("xyzzy plugh", "latin"),
        ("これは日本語です", "ja"),
        ("这是中文", "zh"),
        ("очень", "cyrillic"),
        ("😂 123", "unknown"),
    ],
)
def test_the_language_is_guessed_from_script_and_common_words(text: str, expected: str) -> None:
    assert language(text) == expected


@given(st.text(max_size=200), st.sampled_from(sorted(LONGEST)))
def test_any_text_has_one_finding(text: str, part: str) -> None:
    found = look_at(text, part)
    assert found.state in STATES
    assert found.length == len(text)
    assert found.language
    assert (found.state == "empty") <= (not text.strip() or not text.isprintable())


def test_a_megabyte_is_looked_at() -> None:
    found = look_at("so it goes. " * 87_382, "comment")
    assert (found.state, found.length, found.language) == ("too_long", 1_048_584, "en")
