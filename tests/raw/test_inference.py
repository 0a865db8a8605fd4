"""A file that no adapter knows: mapped where names and values speak for it, refused where the key or time is unclear."""

from datetime import datetime

import pytest

from assets.raw import adapters
from assets.raw.errors import IngestError
from tests.raw.conftest import House

SHORTS = 'Video ID,Title,Upload Date,Video Type,Duration,Duration in s,View Count,Like Count\nKflDSgz4KIc,A,2025-04-30,Short,2M10S,130,2514420,98\n3tSvjeJZjGI,B,2025-04-23,Short,56S,56,"5,653",7\n'


def test_names_and_values_make_a_mapping(house: House) -> None:
    result = house.take("list.csv", SHORTS, observed_at=datetime(2025, 5, 5))
    assert (result.source, result.time_source, result.accepted) == ("auto", "operator", 2)
    assert result.mapping == {
        "video_id": "Video ID",
        "title": "Title",
        "published_at": "Upload Date",
        "duration_s": "Duration",
        "views": "View Count",
        "likes": "Like Count",
    }
    assert set(result.confidence.values()) == {1.0}
    assert result.notes == ("ignored columns: Video Type",)
    assert house.rows("SELECT views FROM raw.snapshots ORDER BY 1") == [(5653,), (2514420,)]
    assert adapters.anchors(house.rows("SELECT DISTINCT source, adapter FROM raw.landings"))["auto"] == "published_at"


def test_an_unclear_time_is_refused_not_guessed(house: House) -> None:
    with pytest.raises(IngestError, match="--observed-at TIME or --map observed_at=COLUMN"):
        house.take("list.csv", SHORTS)
    with pytest.raises(IngestError, match="when this was observed is unclear"):
        house.take("b.csv", "video_id,date,views\nabc,2025-01-01,3\n")
    assert house.take("b.csv", "video_id,date,views\nabc,2025-01-01,3\n", mapping={"observed_at": "date"}).accepted == 1


@pytest.mark.parametrize(
    "text",
    [
        "name,scraped_at,views\nx,2025-01-01,3\n",
        "id,scraped_at,views\n1,2025-01-01,3\n2,2025-01-01,4\n",  # a row number looks like this too
        "first,second,scraped_at\nKflDSgz4KIc,3tSvjeJZjGI,2025-01-01\n",  # two columns of ids
    ],
)
def test_an_unclear_key_is_refused_not_guessed(house: House, text: str) -> None:
    with pytest.raises(IngestError, match="--map video_id=COLUMN"):
        house.take("a.csv", text)


def test_an_id_in_a_url_is_found(house: House) -> None:
    text = "link,scraped_at,plays\nhttps://youtu.be/KflDSgz4KIc,2025-01-01T10:00:00Z,1.5K\n"
    assert house.take("a.csv", text).mapping == {
        "video_id": "link",
        "observed_at": "scraped_at",
        "url": "link",
        "views": "plays",
    }
    assert house.rows("SELECT video_id, views FROM raw.snapshots") == [("KflDSgz4KIc", 1500)]


def test_explicit_columns_win_and_are_checked(house: House) -> None:
    text = "ref,scraped_at,n\nabc,2025-01-01T10:00:00Z,5\n"
    result = house.take("a.csv", text, source="mine", mapping={"video_id": "ref", "views": "n"})
    assert (result.source, result.confidence["video_id"]) == ("mine", 1.0)
    assert house.rows("SELECT source, video_id, views FROM raw.snapshots") == [("mine", "abc", 5)]
    with pytest.raises(IngestError, match="no column 'm'; there are ref, scraped_at, n"):
        house.take("b.csv", text, mapping={"video_id": "m"})
    with pytest.raises(IngestError, match="field view: --map: no field of the contract"):
        house.take("b.csv", text, mapping={"view": "n"})


def test_json_records_are_mapped_by_their_keys(house: House) -> None:
    text = '[{"id":"KflDSgz4KIc","stats":{"playCount":12},"scraped_at":"2025-01-01T00:00:00Z"}]'
    result = house.take("a.json", text)
    assert result.mapping["views"] == "stats.playCount"
    assert house.rows("SELECT video_id, views FROM raw.snapshots") == [("KflDSgz4KIc", 12)]


def test_a_spreadsheets_month_first_dates_are_told_by_their_days(house: House) -> None:
    text = "video_id,scraped_at,views\nKflDSgz4KIc,4/14/2025 12:43,3\n3tSvjeJZjGI,5/2/2025 8:02,4\n"
    house.take("a.csv", text)
    assert house.rows("SELECT observed_at FROM raw.snapshots ORDER BY 1") == [
        (datetime(2025, 4, 14, 12, 43),),
        (datetime(2025, 5, 2, 8, 2),),
    ]


def test_a_column_that_only_looks_like_ids_does_not_stand_in_for_the_id(house: House) -> None:
    author = "6850000000000000001"
    text = "video_id,author_id,views,scraped_at\n"
    text += f"7350000000000000001,{author},5,2025-05-01T10:00:00Z\n" * 5
    text += f",{author},6,2025-05-01T10:00:00Z\n"
    assert house.take("a.csv", text).reasons == {"duplicate": 4, "missing_id": 1}
    assert house.rows("SELECT video_id FROM raw.snapshots") == [("7350000000000000001",)]


def test_a_measure_that_looks_like_ids_is_a_measure(house: House) -> None:
    text = "video_id,day,revenue_micros\nKflDSgz4KIc,2025-05-01,922337203685477580\n"
    house.take("a.csv", text, kind="metrics", source="mine")
    assert house.rows("SELECT metric, value FROM raw.metrics") == [("revenue_micros", 922337203685477580.0)]


def test_counts_that_cannot_be_read_are_flagged_however_many_they_are(house: House) -> None:
    text = (
        'video_id,views,scraped_at\nKflDSgz4KIc,"1,2 mil",2025-05-01T10:00:00Z\n3tSvjeJZjGI,12 T,2025-05-01T10:00:00Z\n'
    )
    result = house.take("a.csv", text)
    assert (result.accepted, result.reasons) == (2, {"bad_count:views": 2})


def test_the_sum_of_all_videos_is_no_video(house: House) -> None:
    text = "Content,Video title,Views\nTotal,,30\nKflDSgz4KIc,A,10\n3tSvjeJZjGI,B,20\n"
    result = house.take("Table data.csv", text, observed_at=datetime(2025, 5, 5))
    assert (result.accepted, result.reasons) == (2, {"bad_id": 1})
    german = text.replace("Content", "Inhalt").replace("Total", "Gesamt")
    result = house.take("b.csv", german, observed_at=datetime(2025, 5, 6), mapping={"video_id": "Inhalt"})
    assert (result.accepted, result.reasons) == (2, {"bad_id": 1})


def test_a_header_without_records_is_an_empty_file_but_a_line_of_text_is_none(house: House) -> None:
    assert house.take("a.csv", "video_id,views,scraped_at\n").rows_read == 0
    assert house.take("b.csv", "video_id,day,ctr\n", kind="metrics", source="mine").rows_read == 0
    assert house.take("c.json", '{"kind": "youtube#videoListResponse", "items": []}').rows_read == 0
    with pytest.raises(IngestError, match="--map video_id=COLUMN"):
        house.take("d.csv", "Rate limit exceeded\n")


def test_why_no_record_can_be_read_is_said(house: House) -> None:
    with pytest.raises(IngestError, match=r"a.csv, row 1: none of its 2 records can be read .bad_columns: 'x,3,2025"):
        house.take("a.csv", "video_id,views,scraped_at\nx,3,2025-01-01,\ny,4,2025-01-01,\n")
    with pytest.raises(IngestError, match="write one object per record"):
        house.take("a.json", "[[1, 2]]")


@pytest.mark.parametrize("around", ['{"data": %s}', '{"status": "ok", "data": {"videos": %s, "page": 1}}'])
def test_the_only_list_of_objects_in_a_document_is_its_records(house: House, around: str) -> None:
    text = around % '[{"video_id": "KflDSgz4KIc", "views": 7, "collected_at": "2025-05-01T10:00:00Z"}]'
    result = house.take("a.json", text)
    assert house.rows("SELECT video_id, views FROM raw.snapshots") == [("KflDSgz4KIc", 7)]
    assert house.take("again.json", text).landing_id == result.landing_id
    with pytest.raises(IngestError, match="--map video_id=COLUMN"):
        house.take("b.json", '{"a": [{"video_id": "x"}], "b": [{"video_id": "y"}]}')


def test_measures_keep_their_values_under_any_name(house: House) -> None:
    text = (
        """[{"video_id": "KflDSgz4KIc", "day": "2025-05-01", "a.b": 1, "c[0]": 2, "d\\"e": 3, "f'g": 4, "h/i~": 5}]"""
    )
    house.take("a.json", text, kind="metrics", source="mine")
    assert house.rows("SELECT metric, value FROM raw.metrics ORDER BY 2") == [
        ("a_b", 1.0),
        ("c_0", 2.0),
        ("d_e", 3.0),
        ("f_g", 4.0),
        ("h_i", 5.0),
    ]
    house.take("b.csv", "video_id,day,Views (7d),views_7d\n3tSvjeJZjGI,2025-05-01,1,2\n", kind="metrics", source="mine")
    assert house.rows("SELECT metric, value FROM raw.metrics WHERE video_id = '3tSvjeJZjGI' ORDER BY 2") == [
        ("views_7d", 1.0),
        ("views_7d_4", 2.0),
    ]


@pytest.mark.parametrize("source", ["", "a/b", "it's"])
def test_a_source_has_a_plain_name(house: House, source: str) -> None:
    with pytest.raises(IngestError, match="is no name of a source"):
        house.take("a.csv", "video_id,day,x\nKflDSgz4KIc,2025-05-01,1\n", kind="metrics", source=source)
