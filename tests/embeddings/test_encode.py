"""Every content is encoded once per encoder; what cannot be encoded is said once; a killed run loses one batch at most."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.embeddings.contents import refresh_contents
from assets.embeddings.encode import Encodings, encode_missing
from resources.encoders.base import Encoder, EncoderError
from tests.embeddings.fakes import NOW, Counting, Hashing, Picky, media, text_id, vector_of
from tests.features.raw_rows import T0, RawRows, hours
from warehouse.connection import Warehouse


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return Warehouse(home, patience_s=10)


def make(warehouse: Warehouse, titles: list[str], landing: str = "landing", at: datetime = T0) -> None:
    raw = RawRows(landing=landing)
    for number, title in enumerate(titles):
        raw.video(f"v{number}", at, title=title)
    raw.write(warehouse)
    refresh_contents(warehouse, NOW)


def encode(warehouse: Warehouse, encoder: Encoder, **options: Any) -> Encodings:
    return encode_missing(warehouse, "text", encoder, None, now=NOW, run_id="run", **options)


def vectors(warehouse: Warehouse) -> dict[tuple[str, str], list[float]]:
    with warehouse.read() as con:
        rows = con.execute("SELECT content_id, encoder || ' ' || precision, vector FROM embeddings.text").fetchall()
    return {(content_id, encoder): vector for content_id, encoder, vector in rows}


def numbers(made: Encodings) -> tuple[int, int, int, int, int]:
    return made.new, made.changed, made.cached, made.removed, made.failed


def test_the_vector_of_a_content_is_the_encoders(warehouse: Warehouse) -> None:
    make(warehouse, ["one", "two", "one"])
    assert numbers(encode(warehouse, Hashing())) == (2, 0, 0, 0, 0)
    found = vectors(warehouse)
    assert found.keys() == {(text_id("one"), "hashing fp32"), (text_id("two"), "hashing fp32")}
    np.testing.assert_array_equal(found[text_id("one"), "hashing fp32"], vector_of("one\n", 4))


def test_a_second_run_encodes_nothing_and_an_edit_one(warehouse: Warehouse) -> None:
    make(warehouse, ["one", "two"])
    encode(warehouse, Hashing())
    again = Hashing()
    assert numbers(encode(warehouse, again)) == (0, 0, 2, 0, 0)
    make(warehouse, ["one", "two, edited"], "later", T0 + hours(1))
    assert numbers(encode(warehouse, again)) == (0, 1, 2, 0, 0)
    assert again.encoded == ["two, edited\n"]


def test_another_encoder_revision_or_precision_adds(warehouse: Warehouse) -> None:
    make(warehouse, ["one"])
    for encoder in (Hashing(), Hashing(precision="bf16"), Hashing(revision="2"), Hashing(dim=7, name="other")):
        assert encode(warehouse, encoder).new == 1
    assert warehouse.query("SELECT count(*) AS n FROM embeddings.text").to_pylist() == [{"n": 4}]
    assert warehouse.query("SELECT count(*) AS n FROM embeddings.encoders").to_pylist() == [{"n": 4}]


def test_a_dimension_that_changes_is_refused(warehouse: Warehouse) -> None:
    make(warehouse, ["one"])
    encode(warehouse, Hashing(dim=4))
    make(warehouse, ["two"], "later", T0 + hours(1))
    with pytest.raises(EncoderError, match=r"hashing 1 fp32 plain is on record for text with dimension 4.* with 5"):
        encode(warehouse, Hashing(dim=5))
    assert len(vectors(warehouse)) == 1


def test_an_encoder_of_another_modality_or_unknown_fit_is_refused(warehouse: Warehouse) -> None:
    make(warehouse, ["one"])
    with pytest.raises(EncoderError, match="hashing encodes image, not text"):
        encode(warehouse, Hashing(modality="image"))
    with pytest.raises(EncoderError, match="counting is fitted, but nobody knows on what"):
        encode(warehouse, Counting().fit(["one"]))


def test_what_cannot_be_encoded_is_a_failure_and_not_tried_again(warehouse: Warehouse) -> None:
    make(warehouse, ["one", "bad", "nan", "two"])
    assert numbers(encode(warehouse, Picky())) == (2, 0, 0, 0, 2)
    rows = warehouse.query("SELECT content_id, detail FROM embeddings.failures").to_pylist()
    assert {row["content_id"]: row["detail"] for row in rows} == {
        text_id("bad"): "this one is bad",
        text_id("nan"): "the encoder gave a vector with NaN or infinity",
    }
    again = Picky()
    assert numbers(encode(warehouse, again)) == (0, 0, 2, 0, 2)
    assert again.encoded == []
    assert encode(warehouse, Hashing(revision="2")).new == 4


class UnreadableError(Exception):
    reason = "no-sound"


def test_a_file_that_cannot_be_read_does_not_stop_the_others(warehouse: Warehouse) -> None:
    for number, content_id in enumerate(["a", "b", "c"]):
        media(warehouse, f"v{number}", "audio", content_id, T0)
    refresh_contents(warehouse, NOW)

    def load(content_id: str) -> str:
        if content_id == "b":
            raise UnreadableError("nothing is heard")
        return content_id

    done: list[tuple[int, int]] = []
    encoder = Hashing(modality="audio")
    made = encode_missing(
        warehouse, "audio", encoder, load, now=NOW, run_id="run", batch=2, progress=lambda *at: done.append(at)
    )
    assert numbers(made) == (2, 0, 0, 0, 1)
    assert done == [(2, 3), (3, 3)]
    assert warehouse.query("SELECT content_id, reason, detail FROM embeddings.failures").to_pylist() == [
        {"content_id": "b", "reason": "no-sound", "detail": "nothing is heard"}
    ]


def test_vectors_of_content_that_went_meanwhile_are_removed(warehouse: Warehouse) -> None:
    make(warehouse, ["one", "two"])
    encode(warehouse, Hashing())
    with warehouse.write() as con:
        con.execute("DELETE FROM embeddings.contents WHERE content_id = ?", [text_id("two")])
    assert numbers(encode(warehouse, Hashing())) == (0, 0, 1, 1, 0)
    assert len(vectors(warehouse)) == 1


KILLED = """
import sys, time
from pathlib import Path
from assets.embeddings.encode import encode_missing
from tests.embeddings.fakes import NOW, Hashing
from warehouse.connection import Warehouse

class Slow(Hashing):
    def encode(self, batch):
        with Path(sys.argv[2]).open("a") as log:
            log.writelines(f"{text!r}\\n" for text in batch)
        time.sleep(0.02)
        return super().encode(batch)

encode_missing(Warehouse(Path(sys.argv[1])), "text", Slow(), None, now=NOW, run_id="run", batch=5)
"""


def test_killed_in_the_middle_nothing_is_stored_twice_and_nothing_is_missing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    titles = [f"title {number}" for number in range(300)]
    make(warehouse, titles)
    log = tmp_path / "encoded"
    stored = 0
    for wanted in (40, 120):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(warehouse.home), str(log)])
        wait_until(lambda wanted=wanted: log.exists() and len(log.read_text().splitlines()) >= wanted)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before, stored = stored, len(vectors(warehouse))
        assert before < stored < 300
    subprocess.run([sys.executable, "-c", KILLED, str(warehouse.home), str(log)], check=True)
    with warehouse.read() as con:
        rows = con.execute("SELECT count(*), count(DISTINCT content_id) FROM embeddings.text").fetchone()
    assert rows == (300, 300)
    encoded = log.read_text().splitlines()
    assert len(set(encoded)) == 300
    assert len(encoded) <= 300 + 2 * 5, "a kill costs the batch it was at"


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
