"""Writes the report page into the home and records it in evaluations.reports. What is on the page is made in `report`."""

import os
from datetime import datetime
from pathlib import Path

import pandas as pd

from assets.evaluations.report import render
from assets.evaluations.rows import as_arrow
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows


def write_report(warehouse: Warehouse, settings: Settings, folder: Path, *, run_id: str, now: datetime) -> Path:
    """Renders the page from the stored figures; the file is named by its content and appears whole."""
    page = render(warehouse, settings)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"report-{page.sha256[:12]}.html"
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(page.html, encoding="utf-8")
    os.replace(draft, path)
    row = {
        "report_id": page.sha256,
        "uri": str(path.relative_to(warehouse.home)),
        "bytes": path.stat().st_size,
        "made_from": page.made_from,
        "data_version": page.data_version,
        "run_id": run_id,
        "created_at": now,
    }
    rows = as_arrow(pd.DataFrame([row]), "evaluations.reports")
    with warehouse.write() as con:
        replace_rows(con, table("evaluations.reports"), rows, {"report_id": page.sha256})
    return path
