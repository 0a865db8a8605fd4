"""Landings without some records: every other record keeps its number and what it says, in every format that is read."""

import gzip
import io
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.raw.readers import Places, Reading, read
from assets.raw.tombstones import Burial, bury, texts_of, tombstone

TEXT = tombstone("f" * 64, datetime(2025, 1, 1), 'by letter, of "today";\tquoted | twice')
LIMIT = 1 << 20
PLACES = Places(("items", "reply.items", "reply"), ("replies",))
ROWS = [{"id": f"video-{n}", "title": f'T, "{n}"\nline', "views": str(n)} for n in range(1, 6)]


def parquet(rows: list[dict[str, str]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


CSV = "id,title,views\n" + "".join(f'{r["id"]},"T, ""{r["views"]}""\nline",{r["views"]}\n' for r in ROWS)
TSV = "id\ttitle\tviews\n" + "".join(f"{r['id']}\tT\t{r['views']}\n" for r in ROWS)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
ENVELOPES = "".join(
    json.dumps({"collected_at": "2025-01-01", "reply": {"etag": "x", "items": part}}) + "\n"
    for part in (ROWS[:2], ROWS[2:])
)
FORMS = {
    "csv": CSV.encode(),
    "csv with a mark": b"\xef\xbb\xbf" + CSV.encode(),
    "csv in UTF-16": b"\xff\xfe" + CSV.encode("utf-16-le"),
    "one column": ("id\n" + "".join(f"{r['id']}\n" for r in ROWS)).encode(),
    "tsv": TSV.encode(),
    "csv.gz": gzip.compress(CSV.encode()),
    "lines": LINES.encode(),
    "lines.gz": gzip.compress(LINES.encode()),
    "lines cut off": gzip.compress(LINES.encode())[:-12],
    "lines with a broken one": LINES.replace('{"id": "video-2"', '{"id" "video-2"').encode(),
    "list": json.dumps(ROWS, indent=2).encode(),
    "document": json.dumps({"kind": "list", "items": ROWS}).encode(),
    "document cut off": json.dumps(ROWS)[:-30].encode(),
    "envelopes": ENVELOPES.encode(),
    "single replies": "".join(json.dumps({"collected_at": "x", "reply": row}) + "\n" for row in ROWS).encode(),
    "records in records": json.dumps(
        {"items": [{"id": "a", "replies": ROWS[:3]}, ROWS[3], {"replies": ROWS[4]}]}
    ).encode(),
    "parquet": parquet(ROWS),
}


def reading(folder: Path, data: bytes) -> Reading:
    path = folder / "landing"
    path.write_bytes(data)
    return read(path, "landing", max_record_bytes=LIMIT, places=PLACES)


def said(of: Reading) -> dict[int, str]:
    return dict(texts_of(of))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gone", [{2}, {1, 3}, {5}, {1, 2, 3, 4, 5}])
def test_records_go_and_the_others_stay_as_they_are(tmp_path: Path, form: str, gone: set[int]) -> None:
    before = reading(tmp_path, FORMS[form])
    gone = gone & set(said(before)) - ({len(said(before))} if form == "document cut off" else set())
    data = bury(tmp_path / "landing", PLACES, LIMIT, Burial(dict.fromkeys(gone, TEXT)))
    after = reading(tmp_path, data)
    assert after.count == before.count
    kept = {number: text for number, text in said(after).items() if number not in gone}
    expected = {number: text for number, text in said(before).items() if number not in gone}
    if form == "document cut off":  # the last record there is an excerpt of what the cut left
        kept.pop(before.count), expected.pop(before.count)
    assert kept == expected
    forgotten = {row.row_number: row.text for row in after.broken if row.reason == "forgotten"}
    assert forgotten.keys() == gone
    assert all(text.startswith(TEXT) for text in forgotten.values())


@pytest.mark.parametrize("form", [form for form in FORMS if "broken" not in form])
def test_burying_twice_is_burying_once(tmp_path: Path, form: str) -> None:
    before = reading(tmp_path, FORMS[form])
    burial = Burial(dict.fromkeys({2, 4} & set(said(before)), TEXT))
    once = bury(tmp_path / "landing", PLACES, LIMIT, burial)
    (tmp_path / "landing").write_bytes(once)
    assert bury(tmp_path / "landing", PLACES, LIMIT, burial) == once


@given(st.text(max_size=300))
def test_a_tombstone_is_one_plain_value_in_every_format(why: str) -> None:
    text = tombstone("a" * 64, datetime(2025, 1, 1), why)
    assert not set(text) & set(',;|\t\r\n"\\{}')
    assert json.loads(json.dumps(text)) == text


@pytest.mark.parametrize(
    ("form", "path"), [("csv", "views"), ("lines", "views"), ("envelopes", "views"), ("parquet", "views")]
)
def test_a_field_may_go_alone(tmp_path: Path, form: str, path: str) -> None:
    before = reading(tmp_path, FORMS[form])
    after = reading(tmp_path, bury(tmp_path / "landing", PLACES, LIMIT, Burial({}, {3: (path,)})))
    assert after.count == before.count == 5
    assert not after.broken
    for number, text in said(after).items():
        assert (text == said(before)[number]) == (number != 3)
