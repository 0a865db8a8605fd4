"""Twins of training texts that say the same in other words: noise on words, or a translation there and back.

A twin has no side of its own: it is made of a training text after the split, and one that is the same as a text that is kept
apart is left out. So nothing that judges a model can be in what it learned from by way of a twin.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.recipe import Recipe
from resources.emotions.texts import prepared

Rewrite = Callable[[Sequence[str], int], list[str]]
"""Other words for some texts, one each, drawn with a seed."""
_LEFT_OUT, _DOUBLED, _SWAPPED = 0.1, 0.05, 0.05


def with_twins(train: Examples, apart: Sequence[Examples], rewrites: Sequence[Rewrite], seed: int) -> Examples:
    """Training texts, followed by a twin of each by every rewrite; what says nothing new is left out.

    Args:
        train: The side that twins are made of and belong to.
        apart: All other sides: no twin is one of their texts.
        rewrites: How twins are made.
        seed: Seed.
    """
    whole = train
    for number, rewrite in enumerate(rewrites):
        said = tuple(prepared(text) for text in rewrite(train.texts, seed + number))
        twins = Examples(said, train.truth, train.labels)
        useless = np.array([not text for text in said], bool) | twins.seen_in(whole)
        for others in apart:
            useless |= twins.seen_in(others)
        whole = whole.and_those(twins.take(~useless))
    return whole


def token_noise(texts: Sequence[str], seed: int) -> list[str]:
    """Texts with a tenth of the words left out, and a twentieth each doubled and swapped with the next; never none left."""
    rng = np.random.default_rng(seed)
    return [_noisy(text.split(), rng) for text in texts]


def back_translation(there: str, back: str) -> Rewrite:
    """Translation into another language and back.

    Args:
        there: Folder of a sequence-to-sequence model with its tokenizer.
        back: The same for the way back.

    Raises:
        EmotionError: A folder holds no such model.
    """
    from resources.emotions.translation import Translator

    first, second = Translator(there), Translator(back)
    return lambda texts, seed: second.translate(first.translate(texts, seed), seed)


def rewrites_of(recipe: Recipe) -> list[Rewrite]:
    """The rewrites that a recipe asks for.

    Raises:
        EmotionError: A model of the back-translation cannot be had.
    """
    found: list[Rewrite] = [token_noise] * recipe.token_noise
    return [*found, back_translation(*recipe.back_translation)] if recipe.back_translation else found


def _noisy(words: list[str], rng: np.random.Generator) -> str:
    kept: list[Any] = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw >= _LEFT_OUT]
    kept = kept or words[:1]
    draws = rng.random(len(kept))
    said: list[str] = []
    for index, word in enumerate(kept):
        said += [word, word] if draws[index] < _DOUBLED else [word]
        if len(said) > 1 and draws[index] > 1 - _SWAPPED:
            said[-1], said[-2] = said[-2], said[-1]
    return " ".join(said)
