"""Every record of a file is read or set aside, whatever is wrong with the others."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.raw.errors import IngestError
from assets.raw.readers import ROW_NUMBER, Places, Reading, read


def reading(tmp_path: Path, data: bytes, *, limit: int = 1000, records: tuple[str, ...] = ()) -> Reading:
    path = tmp_path / "file"
    path.write_bytes(data)
    return read(path, "file", max_record_bytes=limit, places=Places(records))


def rows(read: Reading) -> list[tuple[object, ...]]:
    """Number and values of each record."""
    return [(row.pop(ROW_NUMBER), *row.values()) for row in read.rows.to_pylist()]


def broken(read: Reading) -> list[tuple[int, str]]:
    return [(row.row_number, row.reason) for row in read.broken]


def test_csv_with_bom_quoted_newlines_and_empty_lines(tmp_path: Path) -> None:
    read = reading(tmp_path, b'\xef\xbb\xbfa,b\n1,2\n\n"q\nr",""\n')
    assert read.columns == ("a", "b")
    assert rows(read) == [(1, "1", "2"), (2, "q\nr", "")]


def test_gz_is_told_by_its_bytes(tmp_path: Path) -> None:
    assert rows(reading(tmp_path, gzip.compress(b"a,b\n1,2\n"))) == [(1, "1", "2")]


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    assert rows(reading(tmp_path, b'a\tb\n1\t"x\n2\ty"\n')) == [(1, "1", '"x'), (2, "2", 'y"')]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_delimiter_is_told_by_the_header(tmp_path: Path, delimiter: str) -> None:
    assert rows(reading(tmp_path, delimiter.join("ab").encode() + b"\n" + delimiter.join("12").encode())) == [
        (1, "1", "2")
    ]


def test_a_record_with_a_wrong_number_of_columns_is_set_aside(tmp_path: Path) -> None:
    read = reading(tmp_path, b"a,b\n1,2\nx\n3,4\n5,6,7\n")
    assert rows(read) == [(1, "1", "2"), (3, "3", "4")]
    assert broken(read) == [(2, "bad_columns"), (4, "bad_columns")]
    assert read.broken[1].text == "5,6,7"


def test_undecodable_bytes_cost_their_record_only(tmp_path: Path) -> None:
    read = reading(tmp_path, b"a,b\n1,\xc3\xa9\n2,\xe9\n3,x\nlonely\n")
    assert rows(read) == [(1, "1", "é"), (3, "3", "x")]
    assert broken(read) == [(2, "bad_encoding"), (4, "bad_columns")]


def test_utf_16_is_told_by_its_bom(tmp_path: Path) -> None:
    assert rows(reading(tmp_path, "a,b\n1,é\n".encode("utf-16"))) == [(1, "1", "é")]


def test_a_quote_that_never_closes_costs_its_line_only(tmp_path: Path) -> None:
    read = reading(tmp_path, b'a,b\n1,2\n"open,3\n4,5\n6,7\n')
    assert rows(read) == [(1, "1", "2"), (3, "4", "5"), (4, "6", "7")]
    assert broken(read) == [(2, "unclosed_quote")]


def test_a_record_over_the_limit_is_set_aside_and_the_next_is_read(tmp_path: Path) -> None:
    read = reading(tmp_path, b"a,b\n1," + b"z" * 5000 + b"\n3,4\n", limit=1000)
    assert rows(read) == [(2, "3", "4")]
    assert broken(read) == [(1, "record_too_large")]
    assert len(read.broken[0].text) < 2000


@pytest.mark.parametrize("size", [997, 998, 1500, 1900])
def test_the_limit_is_exact(tmp_path: Path, size: int) -> None:
    read = reading(tmp_path, b"a,b\n1," + b"z" * size + b"\n3,4\n", limit=1000)
    kept = [(1, "1", "z" * size)] if size == 997 else []  # with "1," and the end of the line a thousand bytes
    assert rows(read) == [*kept, (2, "3", "4")]
    assert broken(read) == ([] if kept else [(1, "record_too_large")])


def test_a_line_of_64_mb_under_the_default_limit(tmp_path: Path) -> None:
    read = reading(tmp_path, b"a,b\n1,2\n" + b"z" * (64 << 20) + b"\n3,4\n", limit=16 << 20)
    assert rows(read) == [(1, "1", "2"), (3, "3", "4")]
    assert broken(read) == [(2, "record_too_large")]


def test_a_truncated_gz_gives_the_whole_records_before_the_cut(tmp_path: Path) -> None:
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 10007) for i in range(300))
    read = reading(tmp_path, gzip.compress(text)[:-300])
    assert 50 < read.rows.num_rows < 300
    assert broken(read) == [(read.rows.num_rows + 1, "truncated")]
    assert read.rows["b"].to_pylist() == [str(i * 7919 % 10007) for i in range(read.rows.num_rows)]


def test_a_truncated_gz_that_ends_at_a_line_says_so_too(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n1,2\n")
    read = reading(tmp_path, whole[:-8])  # all the data, without checksum and length
    assert rows(read) == [(1, "1", "2")]
    assert broken(read) == [(2, "truncated")]


@pytest.mark.parametrize("data", [b"", b"\n \n", b"a,b\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_no_records(tmp_path: Path, data: bytes) -> None:
    assert reading(tmp_path, data).count == 0


def test_repeated_and_empty_column_names_are_kept_apart(tmp_path: Path) -> None:
    assert reading(tmp_path, b"a,a,\n1,2,3\n").columns == ("a", "a_2", "column_3")


def test_json_lines(tmp_path: Path) -> None:
    read = reading(tmp_path, b'{"a":1}\n\nnot json\n{"a":NaN}\n')
    assert rows(read) == [(1, '{"a":1}', "{}"), (3, '{"a": null}', "{}")]
    assert broken(read) == [(2, "bad_json")]


def test_a_reply_gives_its_records_and_what_surrounds_them(tmp_path: Path) -> None:
    read = reading(
        tmp_path, b'{"at":"t","reply":{"items":[{"id":1},{"id":2}],"n":2}}', records=("items", "reply.items")
    )
    assert rows(read) == [
        (1, '{"id": 1}', '{"at": "t", "reply": {"n": 2}}'),
        (2, '{"id": 2}', '{"at": "t", "reply": {"n": 2}}'),
    ]


def test_a_json_list_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    read = reading(tmp_path, b'[{"a":1},{"a":2},{"a')
    assert [row[1] for row in rows(read)] == ['{"a": 1}', '{"a": 2}']
    assert broken(read) == [(3, "bad_json")]


def test_parquet_and_a_broken_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [["x"]]}), tmp_path / "p")
    whole = (tmp_path / "p").read_bytes()
    assert rows(reading(tmp_path, whole)) == [(1, 1, ["x"])]
    with pytest.raises(IngestError, match="no whole Parquet file"):
        reading(tmp_path, whole[:-20])


def test_a_line_may_end_with_a_carriage_return_alone(tmp_path: Path) -> None:
    text = "a;b\r1;x, y, z\r2;caf\xe9\r3;c\r"
    assert rows(reading(tmp_path, text.encode())) == [(1, "1", "x, y, z"), (2, "2", "caf\xe9"), (3, "3", "c")]
    patient = reading(tmp_path, text.encode("latin-1"))
    assert rows(patient) == [(1, "1", "x, y, z"), (3, "3", "c")]
    assert broken(patient) == [(2, "bad_encoding")]
    long = b"a,b\r" + b"".join(b"%d,x\r" % number for number in range(2000)) + b"caf\xe9,1\r"
    assert reading(tmp_path, long).count == 2001


def test_a_stray_carriage_return_ends_a_line_in_both_readers(tmp_path: Path) -> None:
    text = b"a,b\n1,x\ry\n2,z\n"
    for data in (text, text + b"3,caf\xe9\n"):
        read = reading(tmp_path, data)
        assert rows(read) == [(1, "1", "x"), (3, "2", "z")]
        assert broken(read)[0] == (2, "bad_columns")


def test_two_quotes_that_are_never_closed_do_not_swallow_the_records_between(tmp_path: Path) -> None:
    read = reading(tmp_path, b'a,b,c\n1,"x,i\n2,y,j\n3,"z,k\n4,w,l\n')
    assert rows(read) == [(2, "2", "y", "j"), (4, "4", "w", "l")]
    assert broken(read) == [(1, "unclosed_quote"), (3, "unclosed_quote")]
    read = reading(tmp_path, b'a,b,c\n0,5",h\n1,"x,i\n2,y,j\n')  # what only looks like an end, and then a beginning
    assert rows(read) == [(1, "0", '5"', "h"), (3, "2", "y", "j")]
    assert broken(read) == [(2, "unclosed_quote")]


def test_values_that_begin_or_end_with_what_separates_values_are_whole(tmp_path: Path) -> None:
    read = reading(tmp_path, b'\xef\xbb\xbf"a","b"\n",x,","\ny\n"\n"",""""\n"""q"" r","s ""t"""\n')
    assert rows(read) == [(1, ",x,", "\ny\n"), (2, "", '"'), (3, '"q" r', 's "t"')]
    assert broken(read) == []


def test_a_row_that_is_neither_utf8_nor_whole_is_set_aside_without_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read = reading(tmp_path, b"a,b\n1,caf\xe9,3\n2,x\n")
    assert rows(read) == [(2, "2", "x")]
    assert broken(read) == [(1, "bad_columns")]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04\x14\x00",
        b"BZh91AY&SY",
        b"\xfd7zXZ\x00",
        b"\x89PNG\r\n\x1a\n",
        b"SQLite format 3\x00",
        gzip.compress(gzip.compress(b"a,b\n1,2\n")),
        "a,b\n1,2\n".encode("utf-16-le"),
        "a,b\n1,2\n".encode("utf-32"),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(IngestError, match="file: no CSV, JSON or Parquet, and no text"):
        reading(tmp_path, data)


def test_columns_whose_names_differ_in_case_alone_are_kept_apart(tmp_path: Path) -> None:
    assert reading(tmp_path, b"a,A,b\n1,2,3\n").columns == ("a", "A_2", "b")


def test_parquet_may_have_a_name_twice(tmp_path: Path) -> None:
    path = tmp_path / "file"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert read(path, "file", max_record_bytes=1000).columns == ("a", "a_2")


def test_half_a_character_in_json_becomes_a_replacement(tmp_path: Path) -> None:
    record = b'{"a": "cut \\ud83d", "b": "\\ud83d\\ude00"}'
    for data in (record, b"[" + record + b"]", record + b"\n" + record + b"\n"):
        assert '"cut \ufffd", "b": "\U0001f600"' in reading(tmp_path, data).rows["record"][0].as_py()


def test_json_lines_may_begin_with_a_broken_one(tmp_path: Path) -> None:
    read = reading(tmp_path, b'{"a": oops\n{"a": 2}\n{"a": 3}\n')
    assert read.count == 3
    assert broken(read) == [(1, "bad_json")]


def test_json_that_is_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="neither a JSON document nor JSON lines"):
        reading(tmp_path, b"[" * 100_000)
