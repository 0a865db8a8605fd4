"""Search is exact, independent of what is searched beside it, and never mixes encoders."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.embeddings import search
from assets.embeddings.contents import refresh_contents
from assets.embeddings.encode import encode_missing
from assets.embeddings.fusion import fuse_videos
from assets.embeddings.matrix import Matrix, load_vectors, normalised
from assets.embeddings.refits import fitted
from assets.embeddings.search import similar, top
from resources.encoders.base import EncoderError, Identity
from tests.embeddings import worlds
from tests.embeddings.fakes import NOW, Hashing
from tests.embeddings.worlds import add_images, encode, text_home
from tests.features.raw_rows import RawRows, hours, insert, make_settings
from warehouse.connection import Warehouse


def matrix(vectors: Any, ids: list[str] | None = None) -> Matrix:
    rows = np.array(vectors, np.float32)
    names = ids or [f"{row:03}" for row in range(len(rows))]
    return Matrix(np.array(names, object), normalised(rows), "e 1 fp32 p")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 90), st.integers(1, 12), st.integers(1, 40))
def test_the_best_are_exact_in_whatever_company(seed: int, n: int, k: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    known = matrix(rng.integers(-2, 3, (n, 3)))
    queries = rng.integers(-2, 3, (5, 3)).astype(np.float32)
    usable, first = rng.random(n) < 0.7, rng.integers(0, n + 1, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_BLOCK", block)
        rows, cosines = top(known, queries, k, usable=usable, first=first)
        for query in range(5):
            alone = top(known, queries[query : query + 1], k, usable=usable, first=first[query : query + 1])
            np.testing.assert_array_equal(alone[0][0], rows[query])
            np.testing.assert_array_equal(alone[1][0], cosines[query])
            unit = normalised(queries[query : query + 1].copy())[0]
            exact = (known.vectors * unit.astype(np.float64)).sum(axis=1)
            allowed = [row for row in range(first[query]) if usable[row]]
            expected = sorted(allowed, key=lambda row: (-exact[row], known.ids[row]))[:k]
            assert rows[query].tolist() == expected + [-1] * (k - len(expected))


def test_ties_go_to_the_smaller_id() -> None:
    known = matrix([[1, 0]] * 4 + [[0, 1]], ["d", "b", "c", "a", "e"])
    rows, cosines = top(known, np.array([[2.0, 0.0]], np.float32), 3)
    assert [known.ids[row] for row in rows[0]] == ["a", "b", "c"]
    np.testing.assert_allclose(cosines, 1)


def test_queries_that_cannot_be_compared_are_refused() -> None:
    known = matrix([[1, 0], [0, 1]])
    with pytest.raises(EncoderError, match="queries have 3 numbers, vectors of e 1 fp32 p have 2"):
        top(known, np.ones((1, 3), np.float32), 1)
    with pytest.raises(EncoderError, match="a query holds NaN"):
        top(known, np.array([[np.nan, 1]], np.float32), 1)


def test_vectors_of_two_precisions_are_not_searched_together(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one", "v2": "two"})
    assert load_vectors(warehouse, "text").vectors.shape == (2, 4)
    encode(warehouse, Hashing(precision="bf16"))
    with pytest.raises(EncoderError, match=r"vectors of 2 encoders.*hashing 1 bf16 plain; hashing 1 fp32 plain"):
        load_vectors(warehouse, "text")
    found = load_vectors(warehouse, "text", Identity("hashing", "1", "bf16", "plain"))
    assert found.of == "hashing 1 bf16 plain"
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-6)
    with pytest.raises(EncoderError, match=r"embeddings.image holds no vectors"):
        load_vectors(warehouse, "image")


def test_vectors_of_two_lengths_are_not_one_matrix(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one", "v2": "two"})
    with warehouse.write() as con:
        con.execute("UPDATE embeddings.text SET vector = [1.0] WHERE rowid = 0")
    with pytest.raises(EncoderError, match="not of one encoder"):
        load_vectors(warehouse, "text")


TITLES = {
    "v1": "how to bake bread at home",
    "v2": "how to bake a cake at home",
    "v3": "football goals of the week",
    "v4": "best football goals ever",
    "v5": "how to bake bread at home",
}
KNOWN = datetime(2024, 1, 2)


@pytest.fixture
def searched(home: Path) -> Warehouse:
    """Texts encoded by the encoder that needs no download, fitted on them; v1 has matured early, v2 late."""
    pytest.importorskip("sklearn")
    from resources.encoders.embedded_text import TfidfSvd

    warehouse = Warehouse(home, patience_s=10)
    raw = RawRows()
    for position, (video, title) in enumerate(TITLES.items()):
        raw.video(video, KNOWN + hours(position), title=title)
    raw.write(warehouse)
    refresh_contents(warehouse, NOW)
    encoder = fitted(warehouse, home, "text", TfidfSvd, date(2024, 1, 8), None, now=NOW, run_id="run")
    encode_missing(warehouse, "text", encoder, None, now=NOW, run_id="run")
    with warehouse.write() as con:
        for video, days in (("v1", 9), ("v2", 30)):
            matured = KNOWN + timedelta(days=days)
            row = {"source": "demo", "video_id": video, "target": "views_7d", "anchor_day": KNOWN.date()}
            times = {"anchor_at": KNOWN, "observed_at": matured, "matured_at": matured}
            insert(con, "features.targets", [{**row, **times, "status": "matured", "value": float(days)}])
    return warehouse


def found(warehouse: Warehouse, query: str, **options: Any) -> list[tuple[str, float | None]]:
    rows = similar(warehouse, warehouse.home, make_settings(), query, **{"k": 3, **options})
    assert [row.cosine for row in rows] == sorted((row.cosine for row in rows), reverse=True)
    return [(row.video_id, row.outcome) for row in rows]


def test_a_video_finds_the_likes_of_it_but_not_itself(searched: Warehouse) -> None:
    assert found(searched, "demo/v1", modality="text", k=2) == [("v5", None), ("v2", 30.0)]
    assert found(searched, "v3", modality="text", k=1) == [("v4", None)]
    assert len(found(searched, "demo/v1", modality="text", k=99)) == 4


def test_a_text_finds_videos(searched: Warehouse) -> None:
    assert found(searched, "how to bake bread at home", k=2) == [("v1", 9.0), ("v5", None)]


def test_before_a_day_later_content_and_outcomes_are_unknown(searched: Warehouse) -> None:
    assert found(searched, "demo/v1", modality="text", k=2, before=datetime(2024, 1, 20)) == [
        ("v5", None),
        ("v2", None),
    ]
    with searched.write() as con:
        con.execute("UPDATE embeddings.contents SET known_at = TIMESTAMP '2024-01-25' WHERE video_id = 'v5'")
    assert found(searched, "how to bake bread at home", k=2, before=datetime(2024, 1, 20)) == [
        ("v1", 9.0),
        ("v2", None),
    ]
    with pytest.raises(EncoderError, match="has made no vectors that may be used then"):
        found(searched, "demo/v1", modality="text", before=datetime(2024, 1, 7))


def test_queries_without_an_answer_say_why(searched: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(b"")
    for query, options, message in [
        ("qqqq zzzz", {}, "tfidf-svd finds nothing in 'qqqq zzzz'"),
        (str(tmp_path / "picture.jpg"), {"modality": "text"}, "is a picture, which cannot be compared by text"),
        ("a text", {"modality": "fused"}, "no video that is known, and so a text, which cannot be compared by fused"),
        ("demo/v1", {"modality": "image"}, "descriptors has made no vectors"),
    ]:
        with pytest.raises(EncoderError, match=message):
            found(searched, query, **options)


def test_fused_vectors_are_searched_by_video(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one", "v2": "two", "v3": "three"})
    add_images(warehouse, {"v1": "picture", "v3": "picture"})
    encode(warehouse, Hashing(8, modality="image", name="seeing"))
    chosen = worlds.settings(image="seeing")
    fuse_videos(warehouse, chosen, date(2024, 5, 6), NOW)
    rows = similar(warehouse, home, chosen, "demo/v1", modality="fused", k=1)
    assert [row.video_id for row in rows] == ["v3"]
    with pytest.raises(EncoderError, match="cannot be compared by fused"):
        similar(warehouse, home, chosen, "a text", modality="fused")
    (home / "holiday.jpg").write_bytes(b"not a picture")
    with pytest.raises(EncoderError, match=r"holiday\.jpg is no picture that can be compared: unsupported: no picture"):
        similar(warehouse, home, chosen, str(home / "holiday.jpg"))
