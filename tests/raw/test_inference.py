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
