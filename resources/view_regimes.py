"""What a view is, per source and day: the forms that upswell.yaml has for it, and the spans that they make.

A platform changes what it counts as a view, for Shorts only or for everything. What follows for features and targets is in
`assets/features`; nothing here knows a video.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ViewCount(BaseModel):
    """What a view is from a day on; of shorts only (true), of all but shorts (false) or, where nothing is said, of all."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    counts: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    since: date | None = None
    shorts: bool | None = None


Span = tuple[bool, datetime, datetime, str]
"""Whether it is of shorts, from when, until when, and what is counted."""


def checked(declared: Sequence[ViewCount]) -> tuple[ViewCount, ...]:
    """Declarations in order of their days.

    Raises:
        ValueError: What was counted at first is not told, of shorts or of the others.
    """
    ordered = tuple(sorted(declared, key=lambda each: each.since or date.min))
    for shorts in (True, False):
        own = [each for each in ordered if each.shorts in (None, shorts)]
        if not own or own[0].since is not None:
            raise ValueError("say first what was counted before any change: {counts: NAME} without since")
    return ordered


def spans(declared: Sequence[ViewCount]) -> Iterator[Span]:
    """The spans of time in which one thing was counted; a day begins at midnight (UTC)."""
    for shorts in (True, False):
        own = [each for each in declared if each.shorts in (None, shorts)]
        starts = [datetime.min if each.since is None else datetime.combine(each.since, time()) for each in own]
        for each, start, end in zip(own, starts, [*starts[1:], datetime.max], strict=True):
            yield shorts, start, end, each.counts
