"""The summariser that a name stands for. What one does is in its own module."""

from resources.summaries.base import Summariser, SummaryError

NAMES = ("extractive", "t5")


def make(name: str, weights: str | None = None) -> Summariser:
    """A summariser, ready.

    Args:
        name: `extractive` or `t5`.
        weights: Of `t5`: a folder or an identifier on the hub.

    Raises:
        SummaryError: There is no such name, it takes no weights or needs them, or they cannot be had.
    """
    if name == "extractive":
        from resources.summaries.extractive import ExtractiveSummariser

        if weights is not None:
            raise SummaryError("extractive reads no weights: leave them out, or choose `t5`")
        return ExtractiveSummariser()
    if name == "t5":
        from resources.summaries.t5 import T5Summariser

        if weights is None:
            raise SummaryError(
                "t5 needs `weights`: a local folder or a hub id such as google/flan-t5-small; `extractive` needs none"
            )
        return T5Summariser(weights)
    raise SummaryError(f"there is no summariser {name}: choose {' or '.join(NAMES)}")
