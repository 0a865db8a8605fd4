"""Fitted encoders see only what was known before their origin, are fitted once, and are kept."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from assets.embeddings.contents import refresh_contents
from assets.embeddings.encode import encode_missing
from assets.embeddings.encoders import encoder_for
from assets.embeddings.refits import due_origins, first_known, fitted
from resources.encoders.base import EncoderError, FittedEncoder
from tests.embeddings.fakes import NOW, Counting, Hashing
from tests.features.raw_rows import RawRows, make_settings
from warehouse.connection import Warehouse

MONDAY = date(2024, 1, 8)
"""An origin a week after the first."""


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return Warehouse(home, patience_s=10)


def make(warehouse: Warehouse, *titles: tuple[datetime, str]) -> None:
    raw = RawRows()
    for number, (known, title) in enumerate(titles):
        raw.video(f"v{number}", known, title=title)
    raw.write(warehouse)
    refresh_contents(warehouse, NOW)


def fit(warehouse: Warehouse, origin: date) -> FittedEncoder:
    return fitted(warehouse, warehouse.home, "text", Counting, origin, None, now=NOW, run_id="run")


def test_origins_come_every_few_weeks_after_enough_is_known() -> None:
    settings = make_settings()  # first origin 2024-01-01, refits every 8 weeks
    assert due_origins(settings, date(2023, 5, 1), datetime(2024, 5, 1)) == [
        date(2024, 1, 1),
        date(2024, 2, 26),
        date(2024, 4, 22),
    ]
    assert due_origins(settings, date(2024, 1, 1), datetime(2024, 4, 21)) == [date(2024, 2, 26)]
    assert due_origins(settings, date(2024, 2, 25), datetime(2024, 2, 26)) == [date(2024, 2, 26)]
    assert due_origins(settings, date(2024, 2, 26), datetime(2024, 4, 21)) == []


def test_enough_is_known_on_the_day_of_the_last_content_that_it_takes(warehouse: Warehouse) -> None:
    make(warehouse, *((datetime(2024, 1, day), f"title {day}") for day in (5, 2, 9)), (datetime(2024, 1, 3), "title 2"))
    assert first_known(warehouse) == date(2024, 1, 2)
    assert first_known(warehouse, "text", 2) == date(2024, 1, 5)
    assert first_known(warehouse, "text", 4) is None
    assert first_known(warehouse, "image") is None


def test_an_encoder_sees_only_what_was_known_before_its_origin(warehouse: Warehouse) -> None:
    last = datetime(2024, 1, 7, 23, 59)
    make(warehouse, (datetime(2024, 1, 2), "early"), (last, "last"), (datetime(2024, 1, 8), "future"))
    assert isinstance(encoder := fit(warehouse, MONDAY), Counting)
    assert encoder.words == ["early", "last"]
    found = encoder_for(warehouse, "text", "counting", MONDAY)
    assert found is not None and found.fit is not None
    assert (found.fit.origin, found.fit.n_fit, found.dim) == (MONDAY, 2, 2)


def test_an_origin_is_fitted_once_even_if_more_of_its_past_becomes_known(warehouse: Warehouse) -> None:
    make(warehouse, (datetime(2024, 1, 2), "early"))
    first = fit(warehouse, MONDAY)
    RawRows(landing="late").video("w", datetime(2024, 1, 3), title="late").write(warehouse)
    refresh_contents(warehouse, NOW)
    assert fit(warehouse, MONDAY).revision == first.revision


def test_nothing_new_means_nothing_to_fit(warehouse: Warehouse) -> None:
    make(warehouse, (datetime(2024, 1, 2), "early"), (datetime(2024, 1, 20), "later"))
    first = fit(warehouse, MONDAY)
    second = fit(warehouse, MONDAY + timedelta(weeks=8))
    third = fit(warehouse, MONDAY + timedelta(weeks=16))
    assert first.revision != second.revision == third.revision
    assert warehouse.query("SELECT count(*) AS n FROM embeddings.encoders").to_pylist() == [{"n": 2}]


def test_the_encoder_of_an_origin_is_the_newest_that_saw_nothing_later(warehouse: Warehouse) -> None:
    make(warehouse, (datetime(2024, 1, 2), "early"), (datetime(2024, 1, 20), "later"))
    fit(warehouse, MONDAY)
    fit(warehouse, MONDAY + timedelta(weeks=8))
    origins = [MONDAY - timedelta(days=1), MONDAY, MONDAY + timedelta(weeks=7), MONDAY + timedelta(weeks=9)]
    found = [encoder_for(warehouse, "text", "counting", origin) for origin in origins]
    assert [each and each.fit and each.fit.origin for each in found] == [
        None,
        MONDAY,
        MONDAY,
        MONDAY + timedelta(weeks=8),
    ]
    encode_missing(warehouse, "text", Hashing(), None, now=NOW, run_id="run")
    pretrained = encoder_for(warehouse, "text", "hashing", date(2000, 1, 1))
    assert pretrained is not None and pretrained.fit is None


def test_weights_that_the_settings_come_back_to_serve_again(warehouse: Warehouse) -> None:
    make(warehouse, (datetime(2024, 1, 2), "early"))
    first, second = Hashing(revision="a"), Hashing(revision="b")
    for chosen in (first, second, first, first, second):
        encode_missing(warehouse, "text", chosen, None, now=NOW, run_id="run")
        found = encoder_for(warehouse, "text", "hashing", MONDAY)
        assert found is not None and found.identity.revision == chosen.revision
    assert [len(each.encoded) for each in (first, second)] == [1, 1], "nothing is encoded twice"


def test_a_kept_encoder_that_was_changed_is_refused(warehouse: Warehouse) -> None:
    make(warehouse, (datetime(2024, 1, 2), "early"))
    fit(warehouse, MONDAY)
    (file,) = (warehouse.home / "encoders").iterdir()
    file.write_text('["other"]')
    with pytest.raises(EncoderError, match="the encoder of origin 2024-01-08 is not there or was changed"):
        fit(warehouse, MONDAY)
