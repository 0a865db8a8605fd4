"""What the commands share: the home that is worked on, and how results are printed for people or (`--json`) for programs."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from resources.settings import Settings, default_home, load_settings

HomeOption = Annotated[Path | None, typer.Option("--home", help="Home of the data; else UPSWELL_HOME, else ./var.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
people = Console(stderr=True, soft_wrap=True)


def use_home(home: Path | None) -> Path:
    """Settles the home for this process before anything reads it."""
    if home is not None:
        os.environ["UPSWELL_HOME"] = str(home)
    folder = default_home()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["UPSWELL_HOME"] = str(folder)
    return folder


def opened(home: Path | None) -> tuple[Any, Settings]:
    """The warehouse and settings of a home."""
    from warehouse.connection import Warehouse

    folder = use_home(home)
    return Warehouse(folder), load_settings(folder)


def strict(value: Any) -> Any:
    """A value as strict JSON knows it: no NaN or infinity, times as ISO texts."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [strict(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def print_json(value: Any) -> None:
    """Strict JSON on standard output."""
    sys.stdout.write(json.dumps(strict(value), allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def print_table(rows: Iterable[Mapping[str, Any]], title: str | None = None) -> None:
    """Rows for people, numbers to the right."""
    listed = list(rows)
    if not listed:
        Console().print(f"{title + ': ' if title else ''}nothing")
        return
    shown = RichTable(title=title and escape(title), title_justify="left", header_style="bold")
    for name, value in listed[0].items():
        shown.add_column(
            escape(str(name)), justify="right" if isinstance(value, int | float) else "left", overflow="fold"
        )
    for row in listed:
        shown.add_row(*(_cell(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) else ""
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
