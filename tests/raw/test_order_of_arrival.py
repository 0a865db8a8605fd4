"""The raw tables are a function of the set of landings: order, repetition and splitting do not matter."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import permutations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from warehouse import landings
from warehouse.contracts import load_tables
from warehouse.landings import Kind, Landing, LandingsNeededError, Resolved

# A failing example is small enough as it is drawn; shrinking would take minutes.
QUICK = settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
T0 = datetime(2025, 3, 1, 12)
TABLES = (
    "landings",
    "landing_days",
    "videos",
    "snapshots",
    "channels",
    "availability",
    "metrics",
    "labels",
    "comments",
    "captions",
    "texts",
    "duplicates",
)


# What a record of a kind says, and how the name of its one row is made.
_MEASURE = {"value": pa.float64(), "text": pa.string()}
SAID: dict[str, dict[str, pa.DataType]] = {
    "metrics": _MEASURE,
    "labels": {"label": pa.string(), "comment_id": pa.string(), **_MEASURE},
    "channels": {
        "channel_id": pa.string(),
        "channel_name": pa.string(),
        "subscribers": pa.int64(),
        "channel_videos": pa.int64(),
        "channel_views": pa.int64(),
        "verified": pa.bool_(),
    },
    "comments": {
        "comment_id": pa.string(),
        "parent_id": pa.string(),
        "author_hash": pa.string(),
        "text": pa.string(),
        "likes": pa.int64(),
        "published_at": pa.timestamp("us"),
    },
    "captions": {"language": pa.string(), "kind": pa.string(), "text": pa.string()},
    "texts": {
        "text_id": pa.string(),
        "text": pa.string(),
        "labels": pa.list_(pa.string()),
        "split": pa.string(),
        "language": pa.string(),
    },
}
KEYS = {"channels": "{}", "comments": "{}", "captions": "{}/manual", "texts": "{}"}


@dataclass(frozen=True)
class Row:
    """One record: which video, when observed, how much later known, and what it says."""

    video: int
    hour: int
    late: int
    views: int | None
    likes: int | None = None
    title: str | None = None


class Store:
    """The raw tables in memory, and the records of every landing, as the landing store would have them."""

    def __init__(self, kind: Kind = "videos") -> None:
        self.kind = kind
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute("CREATE SCHEMA raw")
        for table in load_tables().values():
            if table.schema == "raw":
                self.con.execute(table.ddl)
        self.rows: dict[str, list[Row]] = {}

    def arrive(self, name: str, rows: list[Row]) -> None:
        """Write a landing, with those that have to be read again for it."""
        self.rows[name] = rows
        together = [name]
        while True:
            resolved = self.resolved(together)
            self.con.execute("BEGIN")
            try:
                landings.replace_landings(self.con, resolved)
                self.con.execute("COMMIT")
                return
            except LandingsNeededError as error:
                needed = error.landing_ids
            self.con.execute("ROLLBACK")
            assert not set(needed) & set(together), "asked for what it has"
            together += needed

    def resolved(self, names: list[str]) -> Resolved:
        """Landings resolved among themselves."""
        parts = [pa.Table.from_pylist(self.records(name, number), self.schema()) for number, name in enumerate(names)]
        with duckdb.connect(config={"threads": 1}) as scratch:
            scratch.register("records", pa.concat_tables(parts))
            winners, losers = landings.resolve(scratch, self.kind, "records", names)
        days = [
            {
                "landing_id": name,
                "day": day,
                "records": sum((T0 + timedelta(hours=r.hour)).date() == day for r in self.rows[name]),
            }
            for name in names
            for day in {(T0 + timedelta(hours=r.hour)).date() for r in self.rows[name]}
        ]
        quarantine = {key: pa.array([], pa.string()) for key in ("landing_id", "reason", "field", "value", "record")}
        return Resolved(
            tuple(self.landing(name) for name in names),
            winners,
            losers,
            pa.table(
                {**quarantine, "row_number": pa.array([], pa.int64()), "observed_at": pa.array([], pa.timestamp("us"))}
            ),
            pa.Table.from_pylist(
                days, pa.schema([("landing_id", pa.string()), ("day", pa.date32()), ("records", pa.int64())])
            ),
        )

    def landing(self, name: str) -> Landing:
        """The row of raw.landings."""
        return Landing(name, "s", self.kind, (name,), 1, "a", "v", "row", T0, len(self.rows[name]))

    def schema(self) -> pa.Schema:
        """Columns of the records."""
        shared = [("landing", pa.int32()), ("row_number", pa.int64()), ("video_id", pa.string())]
        times = [("observed_at", pa.timestamp("us")), ("known_at", pa.timestamp("us"))]
        if self.kind == "videos":
            said = [
                ("views", pa.int64()),
                ("likes", pa.int64()),
                ("title", pa.string()),
                ("flags", pa.list_(pa.string())),
            ]
        else:
            said = [("name", pa.string()), *SAID[self.kind].items()]
        return pa.schema([*shared, *times, *said])

    def records(self, name: str, landing: int) -> list[dict[str, object]]:
        """The rows of a landing; for metrics and labels, up to two cells each."""
        records = []
        for number, row in enumerate(self.rows[name], 1):
            observed = T0 + timedelta(hours=row.hour)
            shared = {
                "landing": landing,
                "row_number": number,
                "video_id": f"v{row.video}",
                "observed_at": observed,
                "known_at": observed + timedelta(hours=row.late),
            }
            if self.kind == "videos":
                records.append({**shared, "views": row.views, "likes": row.likes, "title": row.title, "flags": None})
                continue
            if self.kind in KEYS:
                said = {"likes": row.likes, "text": str(row.views), "subscribers": row.views, "verified": None}
                said |= {
                    "comment_id": row.title,
                    "channel_id": row.title,
                    "language": row.title,
                    "kind": "manual",
                    "text_id": row.title,
                }
                own = {column: said.get(column) for column in SAID[self.kind]}
                video = "" if self.kind in ("channels", "texts") else shared["video_id"]
                records.append({**shared, **own, "video_id": video, "name": KEYS[self.kind].format(row.title)})
                continue
            cells = {"a": row.views, "b": row.likes}
            for cell, value in cells.items():
                if value is not None or (cell == "a" and row.likes is None):
                    told = {"name": f"{row.title}/{cell}", "label": cell, "comment_id": row.title}
                    named = told if self.kind == "labels" else {"name": cell}
                    records.append({**shared, **named, "value": value, "text": None if value is not None else "x"})
        return records

    def dump(self, *without: str) -> dict[str, list[tuple[object, ...]]]:
        """Every raw table, sorted."""
        dumped = {}
        for table in TABLES:
            columns = [row[0] for row in self.con.execute(f"DESCRIBE raw.{table}").fetchall() if row[0] not in without]
            dumped[table] = self.con.execute(f"SELECT {', '.join(columns)} FROM raw.{table} ORDER BY ALL").fetchall()
        return dumped


def rows_strategy(size: int = 5) -> st.SearchStrategy[list[Row]]:
    """Few videos, hours and values, so that keys collide often."""
    return st.lists(
        st.builds(
            Row,
            video=st.integers(0, 1),
            hour=st.sampled_from([0, 1, 20]),
            late=st.integers(0, 2),
            views=st.sampled_from([None, 1, 2]),
            likes=st.sampled_from([None, 1]),
            title=st.sampled_from(["x", "y"]),
        ),
        min_size=1,
        max_size=size,
    )


def arrived(kind: Kind, files: dict[str, list[Row]], order: list[str]) -> Store:
    store = Store(kind)
    for name in order:
        store.arrive(name, files[name])
    return store


@pytest.mark.parametrize("kind", ["videos", "metrics", "labels"])
@QUICK
@given(data=st.data())
def test_any_order_and_repetition_gives_the_same_tables(kind: Kind, data: st.DataObject) -> None:
    in_any_order(kind, data, ("l1", "l2", "l3", "l4"))


@settings(QUICK, max_examples=4)
@given(data=st.data(), kind=st.sampled_from(sorted(KEYS)))
def test_channels_comments_captions_and_texts_are_no_different(kind: Kind, data: st.DataObject) -> None:
    in_any_order(kind, data, ("l1", "l2", "l3"))


def in_any_order(kind: Kind, data: st.DataObject, names: tuple[str, ...]) -> None:
    files = {name: data.draw(rows_strategy(), label=name) for name in names}
    order = data.draw(st.permutations(sorted(files)), label="order")
    again = data.draw(st.lists(st.sampled_from(sorted(files)), max_size=2), label="again")
    assert arrived(kind, files, [*order, *again]).dump() == arrived(kind, files, sorted(files)).dump()


@QUICK
@given(rows=rows_strategy(8), cut=st.integers(0, 8))
def test_a_split_landing_gives_the_same_records(rows: list[Row], cut: int) -> None:
    whole = arrived("videos", {"l1": rows}, ["l1"])
    parts = {name: part for name, part in (("l1", rows[:cut]), ("l2", rows[cut:])) if part}
    split = arrived("videos", parts, list(parts))
    identity = ("landing_id", "row_number", "kept_landing_id")
    for table in ("videos", "snapshots", "duplicates"):
        assert split.dump(*identity)[table] == whole.dump(*identity)[table]


@QUICK
@given(data=st.data())
def test_a_landing_that_reads_differently_now_frees_the_keys_it_held(data: st.DataObject) -> None:
    """An adapter is mended: every landing is read again, in any order, and nothing of the first reading remains."""
    kind: Kind = data.draw(st.sampled_from(["videos", "metrics", "comments"]), label="kind")
    before = {name: data.draw(rows_strategy(), label=name) for name in ("l1", "l2", "l3")}
    after = {name: data.draw(rows_strategy(), label=f"{name} mended") for name in before}
    store = arrived(kind, before, sorted(before))
    for name in data.draw(st.permutations(sorted(before)), label="order"):
        store.rows.update({name: after[name]})
        store.arrive(name, after[name])
    assert store.dump() == arrived(kind, after, sorted(after)).dump()


def test_the_rank_is_known_first_then_fullest_then_largest() -> None:
    late, early = Row(0, 0, late=2, views=9), Row(0, 0, late=0, views=1)
    full, large = Row(0, 1, late=0, views=1, likes=1), Row(0, 1, late=0, views=5)
    for order in permutations(["l1", "l2", "l3", "l4"]):
        store = arrived("videos", {"l1": [late], "l2": [early], "l3": [large], "l4": [full]}, list(order))
        held = store.con.execute("SELECT hour(observed_at), views, landing_id FROM raw.snapshots ORDER BY 1").fetchall()
        assert held == [(12, 1, "l2"), (13, 1, "l4")]
        lost = store.con.execute("SELECT landing_id, kept_landing_id, reason FROM raw.duplicates ORDER BY 1").fetchall()
        assert lost == [("l1", "l2", "conflict"), ("l3", "l4", "conflict")]


def test_the_same_counts_are_a_duplicate_and_others_a_conflict() -> None:
    store = arrived("videos", {"l1": [Row(0, 0, 0, 5), Row(0, 0, 0, 5), Row(0, 0, 0, 4)]}, ["l1"])
    reasons = store.con.execute("SELECT row_number, reason FROM raw.duplicates ORDER BY 1").fetchall()
    assert [reason for _, reason in reasons] == ["duplicate", "conflict"]
    assert store.con.execute("SELECT accepted, duplicate FROM raw.landings").fetchall() == [(1, 2)]


def test_counts_that_do_not_add_up_are_refused() -> None:
    store = Store()
    store.rows["l1"] = [Row(0, 0, 0, 1)]
    resolved = store.resolved(["l1"])
    wrong = replace(resolved, landings=(replace(resolved.landings[0], rows_read=2),))
    with pytest.raises(landings.ConservationError, match="read 2 records"):
        landings.replace_landings(store.con, wrong)


def test_a_record_that_loses_only_some_of_its_measures_still_stands() -> None:
    store = arrived("metrics", {"l1": [Row(0, 0, 0, 1)], "l2": [Row(0, 0, 1, 2, 3)]}, ["l1", "l2"])
    assert store.con.execute("SELECT metric, value, landing_id FROM raw.metrics ORDER BY 1").fetchall() == [
        ("a", 1.0, "l1"),
        ("b", 3.0, "l2"),
    ]
    assert store.con.execute("SELECT accepted, duplicate FROM raw.landings ORDER BY landing_id").fetchall() == [
        (1, 0),
        (1, 0),
    ]
