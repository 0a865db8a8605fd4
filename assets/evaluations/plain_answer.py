"""Does the deep model beat boosting, does boosting beat the naive ones, by how much, and which serves: from stored forecasts.

Pure statistics on frames of losses; nothing is read, worded or drawn. What the page says of it is in `report_plain_answer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from assets.evaluations.gate import INTERVAL, Difference, compare
from assets.models.classifiers import HistGradientBoostingClassifierForecaster
from assets.models.forecasters import FORECASTERS
from assets.models.learned import HistGradientBoostingForecaster, LightGBMForecaster
from assets.models.network.forecaster import NetworkParameters

Family = Literal["deep", "boosting", "naive"]
Says = Literal["better", "worse", "alike", "unsure"]
ROW = ["origin", "video_id"]
_FAMILIES: tuple[Family, ...] = ("deep", "boosting", "naive")
_AGAINST: dict[Family, Family] = {"deep": "boosting", "boosting": "naive"}
_BOOSTED = (HistGradientBoostingForecaster, LightGBMForecaster, HistGradientBoostingClassifierForecaster)


@dataclass(frozen=True)
class Compared:
    """Two forecasters on the same rows of the time split.

    Attributes:
        cutoffs: Where both were evaluated.
        first: Name of the one that has to show something.
        other: Name of the one that it is held against.
        difference: By how much the loss of the first is smaller.
    """

    cutoffs: tuple[str, ...]
    first: str
    other: str
    difference: Difference

    @property
    def says(self) -> Says:
        """What the 95 % interval of the difference says of the first; `unsure` where there is none."""
        lower, upper = self.difference.lower, self.difference.upper
        if lower is None or upper is None:
            return "unsure"
        return "better" if lower > 0 else "worse" if upper < 0 else "alike"


@dataclass(frozen=True)
class Answer:
    """The answer at one cutoff, or over several.

    Attributes:
        cutoffs: Where.
        deep: The best deep model against the best booster; None where no deep model or no booster was evaluated.
        boosting: The best booster against the best naive forecaster; None where one of them was not evaluated.
    """

    cutoffs: tuple[str, ...]
    deep: Compared | None
    boosting: Compared | None


def family(forecaster: str) -> Family | None:
    """What a forecaster is here; None for linear models and for those made of others."""
    if forecaster not in FORECASTERS:
        return None
    kind = FORECASTERS[forecaster]
    if issubclass(kind, NetworkParameters):
        return "deep"
    return "boosting" if issubclass(kind, _BOOSTED) else None if kind.learned else "naive"


def answers(losses: pd.DataFrame, cutoffs: Sequence[str]) -> list[Answer]:
    """The answer at each cutoff of one target of one source and, where there are several, over all of them together.

    The best of a family is the one with the smallest mean loss on the very rows that it is compared on, so that what is claimed for
    the first of a pair is claimed against the other family at its best. Over several cutoffs each brings its own best; forecasts of one
    channel, and of one week, stay one block whatever their cutoff.

    Args:
        losses: `cutoff`, `forecaster`, `origin`, `video_id`, `channel_id`, `anchor_at`, `loss` of the time split, in a fixed order.
        cutoffs: Those of them to answer for, in reading order.
    """
    at = {cutoff: _pairs(losses[losses["cutoff"] == cutoff]) for cutoff in cutoffs}
    found = [_answer((cutoff,), pairs) for cutoff, pairs in at.items()]
    if len(found) < 2:
        return found
    pooled = {role: _joined([pairs[role] for pairs in at.values() if role in pairs]) for role in _AGAINST}
    return [*found, _answer(tuple(cutoffs), {role: pair for role, pair in pooled.items() if pair})]


@dataclass(frozen=True)
class _Pair:
    """Names of two forecasters and their rows: `loss` of the first, `other_loss`, `channel_id`, `anchor_at`."""

    cutoffs: tuple[str, ...]
    first: str
    other: str
    rows: pd.DataFrame


def _answer(cutoffs: tuple[str, ...], pairs: Mapping[Family, _Pair]) -> Answer:
    compared = {
        role: Compared(pair.cutoffs, pair.first, pair.other, compare(pair.rows, (1 - INTERVAL) / 2))
        for role, pair in pairs.items()
    }
    return Answer(cutoffs, compared.get("deep"), compared.get("boosting"))


def _pairs(losses: pd.DataFrame) -> dict[Family, _Pair]:
    """The pair that is compared for each family that is held against another, at one cutoff."""
    present = sorted(set(losses["forecaster"]))
    names = {kind: [name for name in present if family(name) == kind] for kind in _FAMILIES}
    found = {role: _pair(losses, names[role], names[against]) for role, against in _AGAINST.items()}
    return {role: pair for role, pair in found.items() if pair}


def _pair(losses: pd.DataFrame, first: Sequence[str], other: Sequence[str]) -> _Pair | None:
    """The best of each on the rows that all of them forecast; one that missed an origin is no candidate."""
    first, other = _everywhere(losses, first), _everywhere(losses, other)
    told = losses[losses["forecaster"].isin([*first, *other])]
    wide = told.pivot(index=ROW, columns="forecaster", values="loss").dropna()
    if not first or not other or wide.empty:
        return None
    means = wide.mean()
    one, two = str(means[first].idxmin()), str(means[other].idxmin())
    facts = told[told["forecaster"] == one].set_index(ROW).loc[wide.index].reset_index()
    rows = facts[["anchor_at"]].assign(loss=wide[one].to_numpy(), other_loss=wide[two].to_numpy())
    rows["channel_id"] = facts["channel_id"].fillna("of video " + facts["video_id"])
    return _Pair((str(losses["cutoff"].iloc[0]),), one, two, rows)


def _everywhere(losses: pd.DataFrame, names: Sequence[str]) -> list[str]:
    counts = losses[losses["forecaster"].isin(names)].groupby("forecaster", sort=True)["origin"].nunique()
    return [str(name) for name in counts.index[counts == counts.max()]]


def _joined(pairs: Sequence[_Pair]) -> _Pair | None:
    if not pairs:
        return None
    first, other = (" or ".join(dict.fromkeys(getattr(pair, name) for pair in pairs)) for name in ("first", "other"))
    cutoffs = tuple(cutoff for pair in pairs for cutoff in pair.cutoffs)
    return _Pair(cutoffs, first, other, pd.concat([pair.rows for pair in pairs], ignore_index=True))
