"""The row that every benchmark gives back: a figure, beside what, against which target, and whether it is met."""

from typing import Any


def row(
    benchmark: str, figure: str, value: float, unit: str, reference: float | None, target: str | float | None, ok: bool
) -> dict[str, Any]:
    """One figure; its ratio is to the reference measured in the same run, where there is one."""
    return {
        "benchmark": benchmark,
        "figure": figure,
        "value": value,
        "unit": unit,
        "reference": reference,
        "ratio": None if reference is None else value / reference,
        "target": target,
        "ok": bool(ok),
    }
