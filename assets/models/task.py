"""What is to be forecast, in the terms that decide which forecasters exist for it.

No estimator and no data here; the settings say it all.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from resources.settings import ClassTarget, Settings

COUNTS = frozenset({"views", "likes", "comments", "shares", "saves"})
Kind = Literal["regression", "class", "labels"]


@dataclass(frozen=True)
class Task:
    """One (target, cutoff) pair.

    Attributes:
        target: Name of the target in `upswell.yaml`.
        cutoff: `pre`, `0h`, `1h`, ...
        kind: `class` where the target is a percentile of a measured one; `labels` of the emotion model, which is no forecaster.
        has_level: Whether the outcome is ln(1 + a count) whose last known level a cutoff can give.
        log_scale: Whether the outcome is ln(1 + a number), so that errors can also be given in raw numbers.
        horizon: Longest horizon of its measured targets; None where it varies.
        percentile: Percentile of a class target.
        relative_to_channel: Whether the percentile is of the residual against the channel's earlier level.
    """

    target: str
    cutoff: str
    kind: Kind
    has_level: bool
    log_scale: bool
    horizon: timedelta | None
    percentile: float | None = None
    relative_to_channel: bool = False

    @classmethod
    def of(cls, settings: Settings, target: str, cutoff: str) -> "Task":
        """The task that the settings describe.

        Raises:
            ValueError: The target is unknown, or the settings refuse the pair.
        """
        if target not in settings.targets:
            raise ValueError(f"unknown target {target!r}; known: {', '.join(sorted(settings.targets))}")
        if reason := settings.refusal(target, cutoff):
            raise ValueError(reason)
        definition, measured = settings.targets[target], settings.measured(target)
        log_scale = len(measured) == 1 and measured[0].transform == "log"
        horizons = [part.horizon for part in measured]
        return cls(
            target=target,
            cutoff=cutoff,
            kind="class" if isinstance(definition, ClassTarget) else "regression",
            has_level=cutoff != "pre" and log_scale and measured[0].metric in COUNTS,
            log_scale=log_scale,
            horizon=None if None in horizons else max(horizon for horizon in horizons if horizon is not None),
            percentile=definition.percentile if isinstance(definition, ClassTarget) else None,
            relative_to_channel=isinstance(definition, ClassTarget) and definition.relative_to == "channel",
        )
