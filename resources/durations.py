"""Lengths of time as people write them: `36h`, `7d`."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+)([hd])")


def parse_duration(text: str) -> timedelta:
    """A length of time such as `36h` or `7d`.

    Raises:
        ValueError: `text` has another form.
    """
    match = _DURATION.fullmatch(str(text))
    if not match:
        raise ValueError(f"{text!r} is no length of time; write hours or days, such as 36h or 7d")
    return timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1))


def shown(length: timedelta | None) -> str:
    """A length of time in the same form; `without limit` for None."""
    if length is None:
        return "without limit"
    hours = length // timedelta(hours=1)
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"
