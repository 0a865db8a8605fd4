"""The colours of the maps and the gallery: one per style, in the order of their ids, and steps for an outcome."""

from collections.abc import Sequence

STYLES = (
    "#0b62c4", "#c2571a", "#0c8a6a", "#b0307a", "#7a45c4", "#8a5a00", "#00798c", "#5c7a00", "#d1495b", "#3d5a80",
    "#e09f3e", "#588157", "#9d4edd", "#6c757d", "#ef476f", "#118ab2", "#606c38", "#bc6c25", "#264653", "#a4133c",
)  # fmt: skip
STEPS = ("#fde725", "#5ec962", "#21918c", "#3b528b", "#440154")
"""Outcome by fifths, low to high (viridis, reversed: dark is high)."""
UNKNOWN = "#c3cad4"


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour per name; they repeat after twenty."""
    return {name: STYLES[position % len(STYLES)] for position, name in enumerate(names)}
