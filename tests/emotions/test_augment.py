"""Twins stay on their side of the split."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.language.emotion_model.augment import back_translation, rewrites_of, token_noise, with_twins
from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.recipe import Recipe
from resources.emotions.model import EmotionError
from tests.summaries.tiny_t5 import save_t5

WORDS = st.lists(st.sampled_from(["good", "Good", "bad", "so", "very", "[NAME]", "😂"]), min_size=1, max_size=4)
TEXTS = st.lists(WORDS.map(" ".join), min_size=1, max_size=12)


def of(texts: list[str]) -> Examples:
    return Examples(tuple(texts), np.zeros((len(texts), 2), bool), ("joy", "anger"))


@given(TEXTS, TEXTS, TEXTS, st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_no_twin_is_a_text_of_another_side(train: list[str], dev: list[str], test: list[str], seed: int) -> None:
    whole = with_twins(of(train), [of(dev), of(test)], [token_noise, token_noise], seed)
    assert whole.texts[: len(train)] == tuple(train)
    apart = {text.casefold() for text in dev + test}
    twins = whole.texts[len(train) :]
    assert not {twin.casefold() for twin in twins} & apart
    known = {word for text in train for word in text.split()}
    assert all(set(twin.split()) <= known for twin in twins), "a twin is made of training texts only"
    assert not {twin.casefold() for twin in twins} & {text.casefold() for text in train}


def test_a_twin_has_the_labels_of_its_text_and_the_same_seed_gives_the_same_twins() -> None:
    train = Examples(("one two three four five six", "seven eight nine ten"), np.eye(2, dtype=bool), ("joy", "anger"))
    whole = with_twins(train, [], [token_noise] * 3, 0)
    for text, truth in zip(whole.texts[2:], whole.truth[2:], strict=True):
        assert truth.tolist() == ([True, False] if set(text.split()) & set(train.texts[0].split()) else [False, True])
    assert len(whole) > 4
    assert whole.texts == with_twins(train, [], [token_noise] * 3, 0).texts
    assert token_noise(["word", ""], 1) == ["word", ""]


def test_back_translation_goes_there_and_back(tmp_path: Path) -> None:
    folder = str(save_t5(tmp_path))
    said = back_translation(folder, folder)(["the cat sat", "a dog ran away"], 0)
    assert len(said) == 2 and all(isinstance(text, str) for text in said)
    assert said == back_translation(folder, folder)(["the cat sat", "a dog ran away"], 0)
    assert len(rewrites_of(Recipe(token_noise=2, back_translation=(folder, folder)))) == 3
    with pytest.raises(EmotionError, match="or use token_noise"):
        back_translation(str(tmp_path / "none"), folder)
