"""What a style is called: its most telling terms, or what it looks and sounds like where titles say nothing.

Terms are weighed by c-TF-IDF (Grootendorst, 2022, https://arxiv.org/abs/2203.05794) over titles, each title counting a
term once. No list of stop words: a term that most styles use is not telling of any. scikit-learn is imported inside.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

TERMS = 10
"""Terms kept per style."""
NAMED_BY = 3
_MIN_TITLES = 3
_MIN_SHARE = 0.03  # of a style's titles hold a telling term
_MIN_RATIO = 2.0  # times as often as in the other styles' titles
_COMMON_SHARE, _COMMON_STYLES, _COMMON_RATIO = 0.01, 0.4, 5.0  # the ratio for a term that so many styles use so often
TERM = r"#?[^\W\d_][\w'’\u0300-\u036f\u0900-\u0e7f]+"  # with the combining marks of scripts that \w cuts at
_MIN_EFFECT = 0.5
_MIN_MEASURED = 10

MEASURES: dict[str, tuple[str, str]] = {
    "cut_rate": ("long takes", "fast cuts"),
    "motion": ("still", "much motion"),
    "brightness": ("dark", "bright"),
    "colourfulness": ("muted colours", "vivid colours"),
    "contrast": ("soft contrast", "strong contrast"),
    "visual_density": ("plain pictures", "busy pictures"),
    "loudness": ("quiet", "loud"),
    "loudness_spread": ("even sound", "changing sound"),
    "aspect": ("upright", "wide"),
    "duration_s": ("short", "long"),
}
"""How a style is called that lies low or high in a measure."""


@dataclass(frozen=True)
class Naming:
    """What a style is called, and why."""

    name: str
    description: str
    terms: Sequence[str]


def telling_terms(titles: Sequence[str | None], styles: Sequence[str]) -> dict[str, list[str]]:
    """Per style the terms that tell it from the others, most telling first; hashtags keep their mark.

    The weight of a term in a style is the share of the style's titles with it, times ln(1 + average terms per style
    over titles with it). A term counts only in at least 3 titles and 3 % of the style's, and where it is at least twice
    as common as in the other styles' titles (five times, if it is in 1 % of the titles of more than 40 % of the styles).

    Args:
        titles: Title per video; None has no terms.
        styles: Style per video.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    names, code = np.unique(np.asarray(styles, dtype=str), return_inverse=True)
    vectorizer = CountVectorizer(token_pattern=TERM, binary=True, min_df=_MIN_TITLES, dtype=np.int64)
    try:
        counts = vectorizer.fit_transform([title or "" for title in titles])
    except ValueError:  # no term at all, or none in three titles
        return {str(name): [] for name in names}
    terms = vectorizer.get_feature_names_out()
    held = np.stack([np.asarray(counts[code == each].sum(axis=0)).ravel() for each in range(len(names))]).astype(float)
    videos = np.bincount(code).astype(float)[:, None]
    everywhere = held.sum(axis=0)
    share, elsewhere = held / videos, (everywhere - held) / np.maximum(videos.sum() - videos, 1)
    weight = share * np.log1p(held.sum() / len(names) / everywhere)
    common = (share >= _COMMON_SHARE).mean(axis=0) > max(_COMMON_STYLES, 1 / len(names))
    ratio = np.where(common, _COMMON_RATIO, _MIN_RATIO)
    weight[(held < _MIN_TITLES) | (share < _MIN_SHARE) | (share < ratio * elsewhere)] = 0
    found = {}
    for row, name in enumerate(names):
        order = np.lexsort((terms, -weight[row]))
        found[str(name)] = [str(terms[at]) for at in order[:TERMS] if weight[row, at] > 0]
    return found


def looks(measures: pd.DataFrame, styles: Sequence[str]) -> dict[str, list[str]]:
    """Per style the words of `MEASURES` for what it lies low or high in, most pronounced first.

    A measure counts where the style's median is at least half a spread (interquartile range / 1.349) of all videos
    away from the others' median.

    Args:
        measures: One row per video; columns of `MEASURES`, missing values NaN.
        styles: Style per video.
    """
    names = np.asarray(styles, dtype=str)
    found: dict[str, list[str]] = {}
    for style in np.unique(names):
        inside, effects = names == style, {}
        for measure in MEASURES:
            values = measures[measure].to_numpy(dtype=float)
            own, others = values[inside], values[~inside]
            own, others = own[~np.isnan(own)], others[~np.isnan(others)]
            if min(len(own), len(others)) >= _MIN_MEASURED:
                effects[measure] = _effect(own, others)
        strong = sorted((each for each in effects if abs(effects[each]) >= _MIN_EFFECT), key=lambda m: -abs(effects[m]))
        found[str(style)] = [MEASURES[measure][effects[measure] > 0] for measure in strong]
    return found


def name_styles(
    terms: Mapping[str, Sequence[str]], seen: Mapping[str, Sequence[str]], sizes: Mapping[str, int]
) -> dict[str, Naming]:
    """Names and one-sentence descriptions; no two names are the same.

    Args:
        terms: Telling terms per style.
        seen: What it looks and sounds like.
        sizes: Videos per style; the largest is named first.
    """
    found: dict[str, Naming] = {}
    taken: set[str] = set()
    whole = max(sum(sizes.values()), 1)
    for style in sorted(sizes, key=lambda each: (-sizes[each], each)):
        name = _free_name(style, _distinct(terms[style]), seen[style], taken)
        taken.add(name)
        found[style] = Naming(
            name, _describe(sizes[style], sizes[style] / whole, terms[style], seen[style]), terms[style]
        )
    return found


def free_name(name: str, style_id: str, taken: Collection[str]) -> str:
    """The name itself, or with the style's id where another style of the origin has it."""
    return name if name not in taken else f"{name} ({style_id})"


def _free_name(style: str, terms: Sequence[str], seen: Sequence[str], taken: Collection[str]) -> str:
    words = terms if len(terms) >= 2 else [*terms, *seen]
    if not words:
        return f"unnamed ({style})"
    for count in range(min(NAMED_BY, len(words)), len(words) + 1):
        name = ", ".join(words[:count])
        if name not in taken:
            return name
    return free_name(", ".join(words[:NAMED_BY]), style, taken)


def _distinct(terms: Sequence[str]) -> list[str]:
    """Terms without those that repeat an earlier one as a plural or a hashtag."""
    found: dict[str, str] = {}
    for term in terms:
        found.setdefault(term.removeprefix("#").removesuffix("s"), term)
    return list(found.values())


def _describe(size: int, share: float, terms: Sequence[str], seen: Sequence[str]) -> str:
    parts = []
    if terms:
        parts.append("titles speak of " + ", ".join(terms[:5]))
    if seen:
        parts.append("mostly " + ", ".join(seen[:3]))
    told = "; ".join(parts) or "neither titles nor pictures nor sound set it apart"
    return f"{size:,} videos ({100 * share:.0f} %): {told}."


def _effect(
    own: "np.ndarray[tuple[int], np.dtype[np.float64]]", others: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> float:
    low, high = np.percentile(np.concatenate([own, others]), [25, 75])
    apart = float(np.median(own) - np.median(others))
    return apart / (float(high - low) / 1.349) if high > low else 0.0
