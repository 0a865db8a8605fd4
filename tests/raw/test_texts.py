"""Bare texts with labels, and labels of comments: what is read, what is set aside, and what becomes of homes from before."""

from datetime import datetime

import pytest

from assets.raw.adapters import parsers_sql
from assets.raw.errors import IngestError
from assets.raw.ingest import reread
from resources.emotions.labels import GOEMOTIONS
from tests.raw.conftest import House
from warehouse import connection
from warehouse.connection import Warehouse, scratch

TRAIN = 'I "love this\t4,18\taaaaaa\nso sad\t25\tbbbbbb\n'


def test_the_split_is_the_name_of_the_file(house: House) -> None:
    for name in ("train.tsv", "dev.tsv"):
        result = house.take(name, TRAIN.replace("a", name[0]), kind="texts")
        assert (result.source, result.kind, result.accepted) == ("goemotions", "texts", 2)
    said = house.rows("SELECT split, text, labels FROM raw.texts WHERE labels[1] = 'approval' ORDER BY 1")
    assert said == [("dev", 'I "love this', ["approval", "love"]), ("train", 'I "love this', ["approval", "love"])]
    known = house.rows("SELECT DISTINCT observed_at, known_at FROM raw.texts")
    assert known == [(datetime(2020, 5, 1), datetime(2020, 5, 1))]


def test_labels_are_also_read_from_lists_of_their_numbers(house: House) -> None:
    """As the JSON lines and tables of the data set's other publishers have them."""
    lines = '{"text": "fine", "labels": [27], "id": "a"}\n{"text": "so good", "labels": [0, 15], "id": "b"}\n'
    assert house.take("train.jsonl", lines, kind="texts", source="goemotions").accepted == 2
    tables = "fine\t[27]\tc\nso good\t[ 0 15]\td\nnobody\t[]\te\nbeyond\t[0, 28]\tf\n"
    assert house.take("dev.tsv", tables, kind="texts").reasons == {"bad_labels": 2}
    said = house.rows("SELECT split, labels FROM raw.texts ORDER BY text_id")
    assert said == [
        (side, labels) for side in ("train", "dev") for labels in (["neutral"], ["admiration", "gratitude"])
    ]


def test_a_number_of_no_label_is_set_aside_with_the_reason(house: House) -> None:
    result = house.take(
        "train.tsv", "fine\t27\ta\nbeyond\t28\tb\nmixed\t3,99\tc\nwords\tjoy\td\n\t1\te\n", kind="texts"
    )
    assert (result.rows_read, result.accepted, result.quarantined) == (5, 1, 4)
    assert result.reasons == {"bad_labels": 3, "empty_record": 1}
    aside = house.rows("SELECT field, value FROM raw.quarantine WHERE reason = 'bad_labels' ORDER BY value")
    assert aside == [("labels", "28"), ("labels", "3,99"), ("labels", "joy")]


def test_a_table_of_texts_with_other_columns_needs_an_adapter(house: House) -> None:
    with pytest.raises(IngestError, match="no adapter of texts recognises it"):
        house.take("mine.csv", "words,feeling\nhi,joy\n", kind="texts")


def test_reading_again_gives_the_same(house: House) -> None:
    landing = house.take("train.tsv", TRAIN, kind="texts").landing_id
    before = house.rows("SELECT * FROM raw.texts ORDER BY ALL")
    again = reread(house.warehouse, house.settings, landing, datetime(2025, 11, 21))
    assert (again.accepted, house.rows("SELECT * FROM raw.texts ORDER BY ALL")) == (2, before)


def test_labels_may_be_of_comments(house: House) -> None:
    labels = 'video_id,comment_id,date,emotions\nv1,c1,2025-01-01,"joy,anger"\nv1,c2,2025-01-01,joy\nv1,,2025-01-01,neutral\n'
    result = house.take("l.csv", labels, kind="labels", source="simulator")
    assert (result.accepted, result.duplicate) == (3, 0)
    assert house.rows("SELECT comment_id, label, text FROM raw.labels ORDER BY 1") == [
        ("", "emotions", "neutral"),
        ("c1", "emotions", "joy,anger"),
        ("c2", "emotions", "joy"),
    ]


def test_the_first_known_label_of_a_comment_stands(house: House) -> None:
    head = "video_id,comment_id,date,known_at,emotions\n"
    house.take("a.csv", head + "v1,c1,2025-01-01,2025-01-03,joy\n", kind="labels", source="simulator")
    late = house.take("b.csv", head + "v1,c1,2025-01-01,2025-01-04,anger\n", kind="labels", source="simulator")
    early = house.take("c.csv", head + "v1,c1,2025-01-01,2025-01-02,fear\n", kind="labels", source="simulator")
    assert (late.accepted, early.accepted) == (0, 1)
    assert house.rows("SELECT text FROM raw.labels") == [("fear",)]


def test_labels_from_before_are_of_videos(house: House) -> None:
    house.take("l.csv", "video_id,date,good\nv1,2025-01-01,yes\n", kind="labels", source="simulator")
    with house.warehouse.write() as con:
        con.execute("ALTER TABLE raw.labels DROP COLUMN comment_id")
        con.execute("UPDATE lineage.versions SET contract = 'before', migration = 2")
    connection._current.clear()  # as a new process begins
    with Warehouse(house.home).read() as con:
        assert con.execute("SELECT comment_id, label, value FROM raw.labels").fetchall() == [("", "good", 1.0)]


def test_the_names_of_the_labels_are_those_of_the_model() -> None:
    with scratch() as con:
        con.execute(parsers_sql())
        assert con.execute("SELECT goemotions()").fetchone() == (list(GOEMOTIONS),)
