"""`python -m benchmarks [NAME ...] [--json] [--quick] [--data DIR] [--model DIR]`: each figure beside its reference, measured in the same run.

A benchmark is a module here with `run(*, quick) -> list[dict]`; a row says what was measured, its target, and whether it is met.
"""

import argparse
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("__init__", "__main__") and "def run(" in path.read_text()
)


def main() -> None:
    """Runs the benchmarks that were asked for, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help=f"of {', '.join(NAMES)}; none means all")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, to see that everything runs")
    parser.add_argument("--data", type=Path, help="folder of real data, for those that can measure on it")
    parser.add_argument("--model", help="weights, for those that measure a pretrained model: a folder or a hub id")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in asked.names or NAMES:
        run = importlib.import_module(f"benchmarks.{name}").run
        known = inspect.signature(run).parameters
        given = {option: getattr(asked, option) for option in ("data", "model") if option in known}
        found = run(quick=asked.quick, **given)
        rows += found
        if not asked.json:
            for row in found:
                print(_line(row), flush=True)
    if asked.json:
        print(json.dumps(rows, indent=1, allow_nan=False))
    sys.exit(0 if all(row["ok"] for row in rows) else 1)


def _line(row: dict[str, Any]) -> str:
    ratio = "" if row["ratio"] is None else f", ratio {row['ratio']:.3g}"
    reference = "" if row["reference"] is None else f" (reference {_number(row['reference'])})"
    state = "ok" if row["ok"] else "MISSED"
    return f"{state:6}  {row['benchmark']}: {row['figure']}: {_number(row['value'])} {row['unit']}{reference}{ratio}; target {row['target']}"


def _number(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, int | float) else str(value)


main()
