"""Plants a leak in a feature table: one column is made by an expression that may read everything there is."""

import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from assets.evaluations.audit import AuditResult, audit
from assets.features import build
from tests.features.raw_rows import ANCHORS, NOW, build_features, make_settings
from tests.features.worlds import dirty_world, write
from warehouse.connection import Warehouse
from warehouse.contracts import table

SAMPLES = 60
# A view is counted otherwise from the middle of the world on.
REGIMES = {"demo": [{"counts": "watched"}, {"counts": "started", "since": date(2024, 1, 12), "shorts": True}]}
_READABLE = {
    **{name: f"raw.{name}" for name in ("videos", "snapshots", "channels", "metrics", "availability")},
    "content": "features.content",
    "levels": "features.levels",
}


def raw_home(folder: Path, seed: int = 11) -> Path:
    """A home with the raw rows of one source of a dirty world."""
    write(Warehouse(folder), dirty_world(seed, videos=50, days=20)[:1])
    return folder


def leak(monkeypatch: pytest.MonkeyPatch, name: str, column: str, expression: str) -> None:
    """From now on the builder of a feature table fills a column by an expression over its row `r` and all other tables."""
    honest = build._BUILDERS[name]
    kind = next(declared.type for declared in table(f"features.{name}").columns if declared.name == column)

    def leaky(warehouse: Warehouse, settings: object, anchors: object, parameters: object) -> pa.Table:
        rows = honest(warehouse, settings, anchors, parameters)  # type: ignore[arg-type]
        with warehouse.extract({short: f"SELECT * FROM {full}" for short, full in _READABLE.items()}) as con:
            con.register("rows", rows)
            return con.execute(
                f"SELECT r.* REPLACE (CAST(({expression}) AS {kind}) AS {column}) FROM rows r"
            ).to_arrow_table()

    monkeypatch.setitem(build._BUILDERS, name, leaky)  # type: ignore[arg-type]


def audited(raw: Path, folder: Path, samples: int = SAMPLES) -> AuditResult:
    """Builds the features of a copy of a home and audits them."""
    home = folder / "home"
    shutil.copytree(raw, home)
    warehouse, settings = Warehouse(home), make_settings(regimes=REGIMES)
    build_features(warehouse, settings)
    return audit(warehouse, settings, ANCHORS, samples=samples, seed=5, now=NOW, folder=folder)
