"""The point-in-time read: only what was observed and known by a moment, and both ways of it agree to the bit."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from warehouse.connection import scratch
from warehouse.point_in_time import Method, latest_usable

T0 = datetime(2024, 1, 1)
TIMES = pa.timestamp("us")
METHODS: tuple[Method, ...] = ("arg_max", "asof")


def minutes(count: int) -> datetime:
    return T0 + timedelta(minutes=count)


def read(
    facts: list[tuple[str, int, int, float | None]],
    moments: list[tuple[str, int]],
    method: Method,
    depth: int = 1,
) -> list[dict[str, Any]]:
    """Facts as (key, observed, known, value), moments as (key, as_of); times in minutes."""
    with scratch() as con:
        _fill(con, facts, moments)
        query = latest_usable("facts", "moments", keys=("id",), values=("value",), depth=depth, method=method)
        found: list[dict[str, Any]] = (
            con.execute(f"SELECT * FROM ({query}) ORDER BY id, as_of").to_arrow_table().to_pylist()
        )
    return found


def _fill(con: duckdb.DuckDBPyConnection, facts: list[Any], moments: list[Any]) -> None:
    ids, observed, known, values = zip(*facts, strict=True) if facts else ((), (), (), ())
    con.register(
        "facts",
        pa.table(
            {
                "id": pa.array(ids, pa.string()),
                "observed_at": pa.array(map(minutes, observed), TIMES),
                "known_at": pa.array(map(minutes, known), TIMES),
                "value": pa.array(values, pa.float64()),
            }
        ),
    )
    own, as_of = zip(*moments, strict=True) if moments else ((), ())
    con.register("moments", pa.table({"id": pa.array(own, pa.string()), "as_of": pa.array(map(minutes, as_of), TIMES)}))


@pytest.mark.parametrize("method", METHODS)
def test_a_fact_is_usable_once_it_is_both_observed_and_known(method: Method) -> None:
    facts = [("a", 10, 10, 1.0), ("a", 20, 50, 2.0), ("a", 30, 30, 3.0)]
    found = read(facts, [("a", 9), ("a", 10), ("a", 29), ("a", 40), ("a", 50)], method, depth=3)
    values = {row["as_of"]: [fact["value"] for fact in row["latest"]] for row in found}
    assert values == {
        minutes(10): [1.0],
        minutes(29): [1.0],
        minutes(40): [3.0, 1.0],
        minutes(50): [3.0, 2.0, 1.0],
    }


@pytest.mark.parametrize("method", METHODS)
def test_known_before_it_was_observed_is_not_usable_before_it_was_observed(method: Method) -> None:
    assert read([("a", 10, 5, 1.0)], [("a", 9)], method) == []


@pytest.mark.parametrize("method", METHODS)
def test_it_says_the_earliest_fact_and_how_many_there_are(method: Method) -> None:
    facts = [("a", 10, 90, 1.0), ("a", 20, 20, 2.0), ("a", 30, 30, None), ("b", 1, 1, 9.0)]
    (found,) = read(facts, [("a", 40)], method)
    assert (found["facts"], found["earliest"]["value"], found["latest"][0]["value"]) == (2, 2.0, None)
    (later,) = read(facts, [("a", 90)], method)
    assert (later["facts"], later["earliest"]["value"]) == (3, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_moments_without_a_usable_fact_are_left_out(method: Method) -> None:
    assert read([("a", 10, 10, 1.0)], [("a", 1), ("b", 99)], method) == []
    assert read([], [("a", 1)], method) == []


KEYS = st.sampled_from(["a", "b"])
MINUTES = st.integers(0, 12)
FACTS = st.lists(
    # DuckDB does not keep the sign of zero
    st.tuples(KEYS, MINUTES, MINUTES, st.none() | st.floats(allow_nan=False).map(lambda value: value + 0.0)),
    unique_by=lambda fact: fact[:2],
    max_size=20,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(facts=FACTS, moments=st.lists(st.tuples(KEYS, MINUTES), unique=True, max_size=12), depth=st.integers(1, 4))
def test_both_ways_agree_to_the_bit_and_with_a_loop(
    facts: list[tuple[str, int, int, float | None]], moments: list[tuple[str, int]], depth: int
) -> None:
    aggregate, join = (read(facts, moments, method, depth) for method in METHODS)
    assert repr(aggregate) == repr(join)
    assert repr(aggregate) == repr(by_hand(facts, moments, depth))


def by_hand(
    facts: list[tuple[str, int, int, float | None]], moments: list[tuple[str, int]], depth: int
) -> list[dict[str, Any]]:
    found = []
    for key, as_of in sorted(moments):
        usable = sorted((o, value) for k, o, known, value in facts if k == key and o <= as_of and known <= as_of)
        structs = [{"observed_at": minutes(observed), "value": value} for observed, value in usable]
        if structs:
            latest = structs[::-1][:depth]
            row = {"id": key, "as_of": minutes(as_of), "latest": latest, "earliest": structs[0], "facts": len(structs)}
            found.append(row)
    return found
