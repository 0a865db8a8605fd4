"""Terms are counted to the bit as scikit-learn's vectorisers count them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from resources.encoders.terms import CharacterTerms, Terms, WordTerms, plain

KINDS: list[tuple[type[Terms], dict[str, Any]]] = [
    (WordTerms, {"analyzer": "word", "ngram_range": (1, 2)}),
    (CharacterTerms, {"analyzer": "char_wb", "ngram_range": (3, 4)}),
]
KNOWN = ["A cat, a Ünïcödé cat", "cat cat cat sat", "日本語 テキスト 日本語", "ﬁnd ½ of\tit\n now", "a b c"]
READ = [
    *KNOWN,
    "",
    "   ",
    "a",
    "ab",
    "cat",
    "the cat unknown cat",
    "xcatx",
    "c\ud800at \0 cat",
    "日本",
    "¨ b ¨",
    "cat " * 9,
]


@pytest.mark.parametrize(("kind", "form"), KINDS)
def test_counts_are_those_of_scikit_learn(kind: type[Terms], form: dict[str, Any]) -> None:
    _assert_equal(kind, form, KNOWN, READ)


@pytest.mark.parametrize(("kind", "form"), KINDS)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from("abcé İß\u0301 \t\u00a0ﬁ日"), max_size=20), min_size=1, max_size=8))
def test_whatever_is_said(kind: type[Terms], form: dict[str, Any], texts: list[str]) -> None:
    _assert_equal(kind, form, KNOWN, texts)
    _assert_equal(kind, form, [*texts, "ab ab"], [*READ, *texts])


def _assert_equal(kind: type[Terms], form: dict[str, Any], known: list[str], read: list[str]) -> None:
    vectorizer = CountVectorizer(**form, strip_accents="unicode", dtype=np.float64).fit(known)
    expected = vectorizer.transform(read)
    found = kind(vectorizer.get_feature_names_out().tolist()).count([plain(text) for text in read])
    assert found.shape == expected.shape and found.dtype == expected.dtype
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
