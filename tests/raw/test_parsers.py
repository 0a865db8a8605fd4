"""What the world writes: each text with the value that it stands for, or none."""

from datetime import datetime

import duckdb
import pytest

from assets.raw.adapters import PARSERS
from warehouse.connection import scratch

GOOD = {
    "count": {
        "1234": 1234,
        " 12 ": 12,
        "1234.0": 1234,
        "514200.00000000006": 514200,
        "1234.000": 1234,
        "0.000": 0,
        "541.2K": 541_200,
        "1.4M": 1_400_000,
        "2B": 2_000_000_000,
        "10.5k": 10_500,
        "1,2K": 1_200,
        "1,234 views": 1234,
        "1,2 Tr": 1_200_000,
        "12,5 N": 12_500,
        "1,2 Mio.": 1_200_000,
        "3.4万": 34_000,
        "2억": 200_000_000,
        "12,34,567": 1_234_567,
        "11,555,608 views": 11_555_608,
        "1.234.567": 1_234_567,
        "12 345": 12_345,
        "1 video": 1,
        "No views": 0,
        "0": 0,
    },
    "duration": {
        "PT36S": 36.0,
        "PT1H2M3S": 3723.0,
        "48S": 48.0,
        "2M10S": 130.0,
        "1M": 60.0,
        "24:12": 1452.0,
        "1:02:03": 3723.0,
        "00:04 / 00:15": 15.0,
        "59.5": 59.5,
    },
    "time": {
        "2025-05-19 00:12:43": datetime(2025, 5, 19, 0, 12, 43),
        "2025-05-19T00:12:43Z": datetime(2025, 5, 19, 0, 12, 43),
        "2025-05-19 00:12:43+07:00": datetime(2025, 5, 18, 17, 12, 43),
        "2025-05-19T00:12:43.250-0530": datetime(2025, 5, 19, 5, 42, 43, 250_000),
        "2025-05-19": datetime(2025, 5, 19),
        "20250519": datetime(2025, 5, 19),
        "1718000000": datetime(2024, 6, 10, 6, 13, 20),
        "1718000000123": datetime(2024, 6, 10, 6, 13, 20, 123_000),
        "Wed, 04 Jun 2025 10:00:00 GMT": datetime(2025, 6, 4, 10),
        "Jun 5, 2025": datetime(2025, 6, 5),
        "2025-05-19 00:12:43 Asia/Bangkok": datetime(2025, 5, 18, 17, 12, 43),
        "2025-05-19 00:12:43 EST": datetime(2025, 5, 19, 5, 12, 43),
    },
    "us_time": {"4/14/2025 12:43": datetime(2025, 4, 14, 12, 43), "2025-04-01 10:00": datetime(2025, 4, 1, 10)},
    "moment": {
        "2025-05-19": datetime(2025, 5, 19, 23, 59, 59),
        "20250519": datetime(2025, 5, 19, 23, 59, 59),
        "2025-05-19 00:00:00": datetime(2025, 5, 19),
    },
    "kaggle_day": {"17.14.11": datetime(2017, 11, 14, 23, 59, 59)},
    "tags": {
        '["a", "b c"]': ["a", "b c"],
        "['a', \"d'e\"]": ["a", "d'e"],
        "a, b, #c": ["a", "b", "c"],
        '"x"|"y z"': ["x", "y z"],
    },
    "bool": {"True": True, "1": True, "no": False},
    "number": {"45.3%": 45.3, "1.5": 1.5, "12K": 12_000.0},
    "status": {"public": "live", "Private": "private", "age restricted": "age_restricted"},
    "thumbnail": {"[{'quality': 'max', 'url': 'https://i/x.jpg'}]": "https://i/x.jpg", "https://z": "https://z"},
    "id": {"-abc_12345A": "-abc_12345A", "7493148581122166024": "7493148581122166024", " x1 ": "x1"},
    "youtube_url": {
        "https://youtube.com/shorts/QA3XcqvO7wY": "QA3XcqvO7wY",
        "https://www.youtube.com/watch?v=kpnoibF4eNg&t=1": "kpnoibF4eNg",
        "https://youtu.be/kpnoibF4eNg": "kpnoibF4eNg",
    },
    "tiktok_url": {"https://www.tiktok.com/@u/photo/7493391778821852434": "7493391778821852434"},
}
BAD = {
    "count": [
        "Share",
        "Thích",
        "--",
        "-1",
        "541.2",
        "12.000",
        "100.000",
        "12.000.",
        "12 mil",
        "3 T",
        "nan",
        "inf",
        "5 apples",
        "",
    ],
    "duration": ["-1", "SHORTS", "PT", "abc", "30:00:00", "-1.0", ""],
    "time": ["yesterday", "4/14/2025 12:43", "", "2 weeks ago"],
    "id": ["7.50E+18", "7.493148687489568e+18", "#NAME?", "nan", "", "https://x/y", "Total", " gesamt", "合計"],
    "youtube_id": ["abc", "#NAME?", "kpnoibF4eNgX"],
    "tiktok_id": ["7.50E+18", "123"],
    "tags": ["[none]", "[]", ""],
    "number": ["nan", "inf", "abc", ""],
    "bool": ["maybe", ""],
}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = scratch()
    con.execute(PARSERS.read_text(encoding="utf-8"))
    return con


@pytest.mark.parametrize(("parser", "text"), [(parser, text) for parser, cases in GOOD.items() for text in cases])
def test_reads(con: duckdb.DuckDBPyConnection, parser: str, text: str) -> None:
    assert con.execute(f"SELECT parse_{parser}($1)", [text]).fetchone() == (GOOD[parser][text],)


@pytest.mark.parametrize(("parser", "text"), [(parser, text) for parser, texts in BAD.items() for text in texts])
def test_refuses(con: duckdb.DuckDBPyConnection, parser: str, text: str) -> None:
    assert con.execute(f"SELECT parse_{parser}($1)", [text]).fetchone() == (None,)


@pytest.mark.parametrize(
    "parser", ["count", "positive_count", "number", "bool", "time", "us_time", "moment", "duration"]
)
def test_the_cheap_form_never_disagrees(con: duckdb.DuckDBPyConnection, parser: str) -> None:
    """Where the cheap form reads a text, the patient one reads the same."""
    texts = [text for cases in GOOD.values() for text in cases] + [text for cases in BAD.values() for text in cases]
    for text in texts:
        cheap, patient = con.execute(f"SELECT cheap_{parser}($1), parse_{parser}($1)", [text]).fetchone() or ()
        assert cheap is None or cheap == patient, text


def test_a_relative_time_counts_from_what_it_was_seen(con: duckdb.DuckDBPyConnection) -> None:
    seen = datetime(2025, 1, 10)
    assert con.execute("SELECT parse_ago('3 days ago', $1)", [seen]).fetchone() == (datetime(2025, 1, 7),)


def test_a_tiktok_id_holds_its_publish_second(con: duckdb.DuckDBPyConnection) -> None:
    row = con.execute(
        "SELECT tiktok_second('7493391778821852434', $1), tiktok_second('123', $1)", [datetime(2025, 6, 1)]
    ).fetchone()
    assert row == (datetime(2025, 4, 15, 4, 27, 11), None)


@pytest.mark.parametrize("form", ["cheap", "parse"])
def test_a_zone_that_one_row_names_is_not_that_of_the_rows_after_it(con: duckdb.DuckDBPyConnection, form: str) -> None:
    """DuckDB's cast to TIMESTAMPTZ goes on with the zone that it met last."""
    texts = ["2025-05-19 10:00:00 EST", "2025-05-19 10:00:00", "2025-05-19 10:00:00 Asia/Tokyo", "2025/05/19 10:00"]
    con.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT unnest($1) AS x", [texts])
    found = con.execute(f"SELECT {form}_time(x), {form}_moment(x) FROM texts").fetchall()
    at_ten = datetime(2025, 5, 19, 10)
    assert found[1] == found[3] == (at_ten, at_ten)
