"""Homes with vectors, anchors and outcomes written by hand, for tests of fusion, search, neighbours and coordinates."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from assets.embeddings.contents import refresh_contents
from assets.embeddings.encode import encode_missing
from resources.settings import Settings
from tests.embeddings.fakes import NOW, Hashing, media
from tests.features.raw_rows import RawRows, insert, make_settings
from warehouse.connection import Warehouse

TARGET = "views_7d"


def settings(**embeddings: Any) -> Settings:
    """Settings in which the fake encoder makes the vectors of text; `embeddings` overrides."""
    chosen = {"text": "hashing", "image": None, "audio": None, "video": None, **embeddings}
    base = make_settings().model_dump(include={"embeddings"}, mode="json")["embeddings"]
    found = make_settings()
    return found.model_copy(update={"embeddings": type(found.embeddings).model_validate({**base, **chosen})})


def text_home(home: Path, titles: dict[str, str | None], *, dim: int = 4, now: datetime = NOW) -> Warehouse:
    """A home whose videos have texts, encoded."""
    warehouse = Warehouse(home, patience_s=10)
    raw = RawRows()
    for video, title in titles.items():
        raw.video(video, datetime(2024, 1, 2), title=title)
    raw.write(warehouse)
    encode(warehouse, Hashing(dim), now)
    return warehouse


def encode(warehouse: Warehouse, encoder: Hashing, now: datetime = NOW) -> None:
    refresh_contents(warehouse, now)
    load = None if encoder.modality == "text" else lambda content_id: content_id
    encode_missing(warehouse, encoder.modality, encoder, load, now=now, run_id="run")


def add_images(warehouse: Warehouse, pictures: dict[str, str]) -> None:
    for video, content_id in pictures.items():
        media(warehouse, video, "thumbnail", content_id, datetime(2024, 1, 2))


def add_videos(warehouse: Warehouse, videos: Sequence[dict[str, Any]]) -> None:
    """Videos with a fused vector, an anchor and perhaps an outcome, in the tables themselves."""
    base = datetime(2024, 1, 2)
    with warehouse.write() as con:
        for video in videos:
            key = {"source": video.get("source", "demo"), "video_id": video["id"]}
            anchor = base + timedelta(hours=video["anchor"])
            known = base + timedelta(hours=video.get("known", video["anchor"]))
            content = {"modality": "text", "content_id": video["id"], "known_at": known, "rank": 1}
            insert(con, "embeddings.contents", [{**key, **content}])
            at = {"anchor_day": anchor.date(), "anchor_at": anchor, "first_seen_at": anchor, "known_at": anchor}
            insert(con, "features.content", [{**key, **at}])
            masks = {f"has_{name}": name == "text" for name in ("text", "image", "audio", "video")}
            fused = {"fusion": "f", "vector": video["vector"], "status": "full", "version": str(video["vector"])}
            insert(con, "embeddings.fused", [{**key, **fused, **masks}])
            if "matured" in video:
                matured = base + timedelta(hours=video["matured"])
                outcome = {"status": "matured", "value": video["value"], "observed_at": matured, "matured_at": matured}
                target = {"target": TARGET, "anchor_day": anchor.date(), "anchor_at": anchor}
                insert(con, "features.targets", [{**key, **target, **outcome}])
