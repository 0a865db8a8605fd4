"""Raw rows written by hand, and the feature tables that are made of them, for tests of features and of the audit."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import pyarrow as pa
import yaml

from assets.features.build import TABLES
from assets.features.stale import rebuild
from resources.settings import SHIPPED, Settings
from warehouse.connection import Warehouse
from warehouse.contracts import YAML_LOADER, table

T0 = datetime(2024, 2, 7, 12)
"""When the videos of most tests are published."""
NOW = datetime(2024, 4, 1)
ANCHORS = {"demo": "published_at", "panel": "first_seen_at"}
TARGETS: dict[str, Any] = {
    "views_7d": {"metric": "views", "anchor": "published_at", "horizon": "7d", "tolerance": "24h"},
    "views_3d": {"metric": "views", "anchor": "first_seen_at", "horizon": "3d", "tolerance": "12h"},
    "likes_7d": {"metric": "likes", "anchor": "published_at", "horizon": "7d", "tolerance": "24h"},
    "success": {"weights": {"views_7d": 0.6, "likes_7d": 0.4}},
    "viral": {"of": "views_7d", "percentile": 80},
}
CUTOFFS = ("pre", "0h", "6h", "24h", "72h")
_TYPES = {
    "TIMESTAMP": pa.timestamp("us"),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
}


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def make_settings(
    targets: dict[str, Any] | None = None, cutoffs: tuple[str, ...] = CUTOFFS, regimes: dict[str, Any] | None = None
) -> Settings:
    """Settings with few targets that start on the first day of 2024, a Monday."""
    chosen = TARGETS if targets is None else targets
    return Settings.model_validate(
        {
            **_shipped(),
            "start": date(2024, 1, 1),
            "first_origin": date(2024, 1, 1),
            "cutoffs": cutoffs,
            "targets": chosen,
            **({"view_regimes": regimes} if regimes else {}),
            "evaluation": {"targets": [next(iter(chosen))], "cutoffs": [cutoffs[0]], "origins": 1},
        }
    )


@cache
def _shipped() -> dict[str, Any]:
    values: dict[str, Any] = yaml.load(SHIPPED.read_text(), Loader=YAML_LOADER)
    return values


class RawRows:
    """Rows of raw tables; `known` is `observed` unless it is said.

    Args:
        source: Source of every row.
        landing: Landing of every row.
    """

    def __init__(self, source: str = "demo", landing: str = "landing") -> None:
        self.source = source
        self.landing = landing
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def video(
        self,
        video: str,
        observed: datetime,
        known: datetime | None = None,
        *,
        channel: str | None = "c1",
        **columns: Any,
    ) -> "RawRows":
        return self._add(
            "videos", observed, known, {"video_id": video, "channel_id": channel, "title": "A title", **columns}
        )

    def snapshot(
        self, video: str, observed: datetime, views: int | None, known: datetime | None = None, **counts: int | None
    ) -> "RawRows":
        return self._add("snapshots", observed, known, {"video_id": video, "views": views, **counts})

    def seen(
        self, video: str, published: datetime, ages: dict[float, int], *, channel: str | None = "c1", **columns: Any
    ) -> "RawRows":
        """A video with one record and one snapshot per age in hours, each known at once."""
        for age, views in ages.items():
            observed = published + hours(age)
            self.video(video, observed, channel=channel, published_at=published, **columns)
            self.snapshot(video, observed, views, likes=views // 10, comments=views // 100)
        return self

    def channel(
        self,
        channel: str,
        observed: datetime,
        subscribers: int | None,
        known: datetime | None = None,
        video: str = "v1",
    ) -> "RawRows":
        return self._add(
            "channels", observed, known, {"channel_id": channel, "video_id": video, "subscribers": subscribers}
        )

    def metric(
        self, video: str, metric: str, observed: datetime, value: float | None, known: datetime | None = None
    ) -> "RawRows":
        return self._add("metrics", observed, known, {"video_id": video, "metric": metric, "value": value})

    def label(
        self, video: str, label: str, observed: datetime, value: float | None, known: datetime | None = None
    ) -> "RawRows":
        said = {"video_id": video, "comment_id": "", "label": label, "value": value}
        return self._add("labels", observed, known, said)

    def comment(
        self, video: str, comment: str, text: str, observed: datetime, known: datetime | None = None
    ) -> "RawRows":
        said = {"video_id": video, "comment_id": comment, "text": text, "published_at": observed}
        return self._add("comments", observed, known, said)

    def caption(
        self, video: str, text: str, observed: datetime, known: datetime | None = None, kind: str = "manual"
    ) -> "RawRows":
        return self._add("captions", observed, known, {"video_id": video, "language": "en", "kind": kind, "text": text})

    def status(self, video: str, observed: datetime, status: str, known: datetime | None = None) -> "RawRows":
        return self._add("availability", observed, known, {"video_id": video, "status": status})

    def write(self, warehouse: Warehouse, contract: str = "contract") -> "RawRows":
        """Adds the rows to the raw tables, with the landing that they came in."""
        days: dict[date, int] = defaultdict(int)
        with warehouse.write() as con:
            for name, rows in self.rows.items():
                insert(con, f"raw.{name}", rows)
                for row in rows:
                    days[row["observed_at"].date()] += 1
            mark = {"landing_id": self.landing, "source": self.source, "kind": "videos", "contract_version": contract}
            insert(con, "raw.landing_days", [{**mark, "day": day, "records": records} for day, records in days.items()])
            insert(con, "raw.landings", [_landing(mark)])
        return self

    def _add(self, name: str, observed: datetime, known: datetime | None, columns: dict[str, Any]) -> "RawRows":
        number = 1 + sum(map(len, self.rows.values()))
        self.rows[name].append(
            {
                "source": self.source,
                "observed_at": observed,
                "known_at": known or observed,
                "landing_id": self.landing,
                "row_number": number,
                **columns,
            }
        )
        return self


def insert(con: Any, name: str, rows: list[dict[str, Any]]) -> None:
    """Adds rows to a table; columns that a row does not name are null."""
    if not rows:
        return
    columns = table(name).columns
    unknown = {column for row in rows for column in row} - {column.name for column in columns}
    assert not unknown, f"{name} has no {unknown}"
    con.register(
        "incoming",
        pa.table({c.name: pa.array([row.get(c.name) for row in rows], _TYPES.get(c.type)) for c in columns}),
    )
    con.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
    con.unregister("incoming")


def _landing(mark: dict[str, Any]) -> dict[str, Any]:
    counts = dict.fromkeys(("bytes", "rows_read", "accepted", "duplicate", "quarantined"), 0)
    times = {"known_at": NOW, "received_at": NOW, "time_source": "row"}
    return {**mark, **counts, **times, "names": ["file"], "adapter": "demo"}


def build_features(
    warehouse: Warehouse,
    settings: Settings,
    now: datetime = NOW,
    start: date | None = None,
    end: date | None = None,
    only: tuple[str, ...] = TABLES,
) -> None:
    """Rebuilds the feature tables in their order, for every day unless a range is given."""
    for name in only:
        rebuild(
            name,
            warehouse,
            settings,
            ANCHORS,
            start or settings.start,
            end or now.date() + timedelta(days=1),
            now,
            "test",
        )


def rows(warehouse: Warehouse, name: str, **where: Any) -> list[dict[str, Any]]:
    """The rows of a feature table in which columns have the given values, in a fixed order."""
    condition = " AND ".join(f'"{column}" = ${column}' for column in where) or "TRUE"
    found: list[dict[str, Any]] = warehouse.query(
        f"SELECT * FROM features.{name} WHERE {condition} ORDER BY ALL", where
    ).to_pylist()
    return found


def row(warehouse: Warehouse, name: str, **where: Any) -> dict[str, Any]:
    """The one row of a feature table in which columns have the given values."""
    found = rows(warehouse, name, **where)
    assert len(found) == 1, f"{len(found)} rows of features.{name} where {where}"
    return found[0]
