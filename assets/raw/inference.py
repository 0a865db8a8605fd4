"""Which adapter a file is for, and a mapping for a file that none knows: by header names and the shapes of values.

A field is mapped where its name and its values speak for it; the confidence is the product of both. The key and the
observation time are never guessed: where they are unclear, the file is refused with what to say.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa

from assets.raw.adapters import DEFAULT_PARSERS, FIELDS, FIELDS_OF, Adapter, Choice, parsers_sql
from assets.raw.errors import IngestError
from assets.raw.readers import RECORD, Reading
from warehouse.connection import scratch
from warehouse.contracts import quoted
from warehouse.landings import COUNTS, Kind

_SAMPLE = 1000
_SURE = 0.8
_ENOUGH = 0.5
# Normalised header names per field: what it is called when nothing else can be meant, then weaker names.
_NAMES: dict[str, tuple[str, str]] = {
    "video_id": (
        "video_id videoid vid_id youtube_id yt_id tiktok_id aweme_id",
        "id vid video content item_id post_id media_id",
    ),
    "observed_at": (
        "observed_at collected_at scraped_at captured_at fetched_at retrieved_at crawled_at snapshot_at scrape_time "
        "snapshot_time crawl_time collection_time scrape_date snapshot_date vid_scrapetime collect_time scrape_timestamp",
        "",
    ),
    "known_at": ("known_at available_at", ""),
    "comment_id": ("comment_id commentid", ""),
    "channel_id": (
        "channel_id channelid author_id user_id uploader_id creator_id",
        "channel author username user_name handle",
    ),
    "channel_name": (
        "channel_name channel_title channelname channeltitle author_name uploader",
        "channel author creator nickname",
    ),
    "title": ("title video_title vid_caption caption", "name text desc"),
    "description": ("description video_description", "desc"),
    "published_at": (
        "published_at publish_time publishedat published upload_date upload_time uploaded_at publish_date post_time "
        "posted_at video_publish_time vid_posttime create_time created_at publishedtime release_date published_date",
        "date",
    ),
    "duration_s": (
        "duration duration_s duration_sec duration_seconds duration_in_s duration_in_seconds video_length video_duration "
        "length_seconds vid_duration length_s",
        "length",
    ),
    "tags": ("tags hashtags vid_hashtags video_tags", "keywords"),
    "category": ("category category_name category_id topic genre", ""),
    "language": ("language default_language default_audio_language lang", ""),
    "is_short": ("is_short isshort is_shorts", "short"),
    "url": ("url video_url vid_url webpage_url link video_link", ""),
    "thumbnail_url": ("thumbnail_url thumbnail thumbnail_link thumbnails", ""),
    "views": ("views view_count viewcount nview vid_nview play_count plays video_views", "view viewers"),
    "likes": ("likes like_count likecount nlike vid_nlike digg_count", "like"),
    "comments": ("comments comment_count commentcount ncomment vid_ncomment", "comment"),
    "shares": ("shares share_count sharecount nshare vid_nshare repost_count", "share"),
    "saves": ("saves save_count nsave vid_nsave bookmarks bookmark_count collect_count favorites", "save"),
    "subscribers": (
        "subscribers subscriber_count subscribercount channel_subscribers channel_subscriber_count followers "
        "follower_count user_nfollower user_followers channel_follower_count",
        "",
    ),
    "channel_videos": ("channel_video_count channel_videos", ""),
    "channel_views": ("channel_view_count channel_views", ""),
    "verified": ("verified is_verified channel_is_verified", ""),
    "status": ("status availability privacy_status", ""),
}
# In a table of metrics or labels the day is the time that they are of.
_CELL_TIMES = "date day time timestamp observed_on as_of labelled_at labeled_at event_time"


@dataclass(frozen=True)
class Inferred:
    """A mapping that was worked out: field -> column, and how sure it is."""

    adapter: Adapter
    mapping: dict[str, str]
    confidence: dict[str, float]


def recognise(reading: Reading, known: Iterable[Adapter]) -> Adapter | None:
    """The adapter whose columns the file has; of several, the one that names most.

    A column may be named with the one value that it has: `extractor=TikTok`.
    """
    texts = _texts(reading)
    names = {column.casefold() for column in texts}
    values = {column: {value for value in each if value} for column, each in texts.items()}
    names |= {f"{column}={value}".casefold() for column, each in values.items() if len(each) == 1 for value in each}
    best, most = None, 0
    for adapter in known:
        for columns in adapter.recognise:
            if len(columns) > most and {column.casefold() for column in columns} <= names:
                best, most = adapter, len(columns)
    return best


def with_columns(adapter: Adapter, columns: Mapping[str, str], name: str) -> Adapter:
    """An adapter with some fields taken from other columns.

    Raises:
        IngestError: A field is not one of the contract.
    """
    fields, personal = dict(adapter.fields), dict(adapter.personal)
    for key, column in columns.items():
        _require_field(key, name, adapter.kind)
        for choice in fields.get(key, ()):
            if choice.name in personal:
                personal[column] = personal[choice.name]
        parser = adapter.fields[key][0].parser if key in adapter.fields else DEFAULT_PARSERS.get(key, "text")
        fields[key] = (Choice("column", column, parser),)
    return replace(adapter, fields=fields, personal=personal)


def infer(reading: Reading, name: str, source: str, columns: Mapping[str, str], *, observed_at: str | None) -> Inferred:
    """A mapping for a file of videos.

    Args:
        reading: The file.
        name: Its name, for errors.
        source: Name that the source gets.
        columns: Field -> column, as stated by the operator.
        observed_at: When everything was observed, as stated by the operator.

    Raises:
        IngestError: The key or the observation time is unclear, or what was stated names no field or column.
    """
    with closing(_Sample(reading, name)) as sample:
        found = _stated(sample, columns, name)
        taken = {choice.name for choices, _ in found.values() for choice in choices}
        for key in FIELDS:
            if key not in found and key not in ("video_id", "observed_at"):
                choices, sure = _candidates(sample, key, taken)
                if choices:
                    found[key] = (choices, sure)
                    taken |= {choice.name for choice in choices}
        if "video_id" not in found:
            found["video_id"] = _key(sample, name)
        if "observed_at" not in found and observed_at is None:
            found["observed_at"] = _time(sample, name, _NAMES["observed_at"][0].split())
        elif observed_at is not None:
            found.pop("observed_at", None)
    return _inferred(source, found, known_on_arrival=False)


def infer_cells(
    reading: Reading, name: str, source: str, columns: Mapping[str, str], *, observed_at: str | None, kind: Kind
) -> Inferred:
    """A mapping for a table of metrics or labels: what it is told by and its time; every other column is a measure.

    Labels may be of comments: then they have the comment's id beside the video's.

    Raises:
        IngestError: No source is named, or the id or the time is unclear.
    """
    if source == "auto":
        raise IngestError(name, "whose videos are these about? say --source NAME", field="source")
    if not re.fullmatch(r"[\w.-]+", source):
        raise IngestError(name, f"{source!r} is no name of a source; use letters, digits, _, - and .", field="source")
    with closing(_Sample(reading, name)) as sample:
        found = _stated(sample, columns, name, kind)
        if "video_id" not in found:
            found["video_id"] = _key(sample, name)
        if "observed_at" not in found and observed_at is None:
            found["observed_at"] = _time(sample, name, (*_NAMES["observed_at"][0].split(), *_CELL_TIMES.split()))
        for key in ("known_at", "comment_id"):
            if key in FIELDS_OF[kind] and key not in found:
                choices, sure = _candidates(sample, key, set())
                if choices:
                    found[key] = (choices, sure)
    return _inferred(source, found, known_on_arrival=True)


Found = tuple[tuple[Choice, ...], float]


def _inferred(source: str, found: Mapping[str, Found], *, known_on_arrival: bool) -> Inferred:
    fields = {key: found[key][0] for key in (*FIELDS, "comment_id") if key in found}
    return Inferred(
        Adapter(
            name=source,
            anchor="published_at" if "published_at" in fields else "first_seen_at",
            fields=fields,
            known_on_arrival=known_on_arrival,
        ),
        {key: choices[0].name for key, choices in fields.items()},
        {key: round(found[key][1], 2) for key in fields},
    )


class _Sample:
    """The first records of a file as text, and how many of a column's values parse."""

    def __init__(self, reading: Reading, name: str) -> None:
        self.texts = _texts(reading)
        _require_records(reading, self.texts, name)
        self.columns = tuple(self.texts)
        self._con: duckdb.DuckDBPyConnection = scratch()
        self._con.execute(parsers_sql())
        self._con.register(
            "sample", pa.table({name: pa.array(texts, pa.string()) for name, texts in self.texts.items()})
        )

    def close(self) -> None:
        """Free the scratch connection."""
        self._con.close()

    def share(self, column: str, parser: str) -> float:
        """Share of the values there are that a parser reads; 0 where there are none."""
        text = quoted(column)
        seen = ", now()::TIMESTAMP" if parser == "ago" else ""
        missing = "is_no_duration" if parser == "duration" else "is_missing"
        apart = f" AND NOT is_total({text})" if parser == "id" or parser.endswith(("_id", "_url")) else ""
        row = self._con.execute(
            f"SELECT count(*), count(parse_{parser}({text}{seen})) FROM sample WHERE NOT {missing}({text}){apart}"
        ).fetchone()
        return row[1] / row[0] if row and row[0] else 0.0

    def month_first(self, column: str) -> bool:
        """Whether dates with strokes are told by some day to be month first."""
        parts = [re.match(r"(\d{1,2})/(\d{1,2})/\d{4}", text or "") for text in self.texts[column]]
        dates = [(int(part[1]), int(part[2])) for part in parts if part]
        return bool(dates) and all(first <= 12 for first, _ in dates) and any(second > 12 for _, second in dates)


def _require_records(reading: Reading, texts: Mapping[str, object], name: str) -> None:
    if reading.broken and not reading.rows.num_rows:
        first = reading.broken[0]
        raise IngestError(
            name,
            f"none of its {len(reading.broken):,} records can be read ({first.reason}: {first.text[:80]!r}); "
            f"it has the columns {', '.join(reading.columns)}",
            row=first.row_number,
        )
    if not texts:
        raise IngestError(name, "its records are no objects with named values; write one object per record")


def _texts(reading: Reading) -> dict[str, list[str | None]]:
    head = reading.rows.slice(0, _SAMPLE)
    if reading.format != "json":
        return {
            name: [None if v is None else str(v) for v in head.column(name).to_pylist()] for name in reading.columns
        }
    records = [_flat(json.loads(text)) for text in head.column(RECORD).to_pylist()]
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _flat(record: Any) -> dict[str, str | None]:
    """The first two levels of a record as dotted names."""
    flat: dict[str, str | None] = {}
    for key, value in record.items() if isinstance(record, dict) else ():
        flat[key] = value if value is None or isinstance(value, str) else json.dumps(value)
        for inner, leaf in value.items() if isinstance(value, dict) else ():
            flat[f"{key}.{inner}"] = leaf if leaf is None or isinstance(leaf, str) else json.dumps(leaf)
    return flat


def _normalised(column: str) -> str:
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", column.rsplit(".", 1)[-1])
    return re.sub(r"\W+", "_", words).strip("_").lower()


def _name_score(column: str, key: str) -> float:
    names = {_normalised(column), _normalised(column).replace("_", "")}
    strong, weak = (set(part.split()) for part in _NAMES[key])
    return 1.0 if names & strong else 0.7 if names & weak else 0.0


def _require_field(key: str, name: str, kind: Kind = "videos") -> None:
    if key not in FIELDS_OF[kind]:
        raise IngestError(
            name, f"--map: no field of the contract for {kind}; there are {', '.join(FIELDS_OF[kind])}", field=key
        )


def _stated(sample: _Sample, columns: Mapping[str, str], name: str, kind: Kind = "videos") -> dict[str, Found]:
    """What the operator maps, which is sure."""
    there = {column.casefold(): column for column in sample.columns}
    found: dict[str, Found] = {}
    for key, column in columns.items():
        _require_field(key, name, kind)
        if column.casefold() not in there:
            raise IngestError(name, f"--map: no column {column!r}; there are {', '.join(sample.columns)}", field=key)
        given = there[column.casefold()]
        found[key] = ((Choice("column", given, _parser(sample, key, given)),), 1.0)
    return found


def _parser(sample: _Sample, key: str, column: str) -> str:
    """The parser for a field that suits a column's values."""
    if key == "video_id":
        return max(
            ("youtube_id", "tiktok_id", "youtube_url", "tiktok_url", "id"), key=lambda p: _id_share(sample, column, p)
        )
    parser = DEFAULT_PARSERS.get(key, "text")
    if parser in ("time", "moment") and sample.share(column, parser) < _ENOUGH and sample.month_first(column):
        return "us_time"
    return parser


def names_a_key(reading: Reading) -> bool:
    """Whether a column is called what a video's id is called."""
    return any(_name_score(column, "video_id") for column in reading.columns)


def _id_share(sample: _Sample, column: str, parser: str) -> float:
    """How well a parser of ids suits; a plain id comes after one that knows the platform."""
    share = sample.share(column, parser)
    return share * 0.75 if parser == "id" else share if share >= _SURE else 0.0


def _candidates(sample: _Sample, key: str, taken: set[str]) -> Found:
    """The columns that may be a field, best first, and how sure the first is.

    What is called a count is one, however it is written: what cannot be read is flagged then, row by row.
    """
    scored = []
    for column in sample.columns:
        name = _name_score(column, key) if column not in taken else 0.0
        if name:
            parser = _parser(sample, key, column)
            score = name * sample.share(column, parser)
            if score >= _ENOUGH or (key in COUNTS and name == 1.0):
                scored.append((score, Choice("column", column, parser)))
    scored.sort(key=lambda pair: -pair[0])
    return tuple(choice for _, choice in scored), scored[0][0] if scored else 0.0


def _key(sample: _Sample, name: str) -> Found:
    """The video's id: a column that is called so and holds ids, and any column of video URLs behind it."""
    scored: list[tuple[float, Choice]] = []
    for column in sample.columns:
        called = _name_score(column, "video_id")
        parser = _parser(sample, "video_id", column)
        shape = sample.share(column, parser)
        if parser != "id" and shape >= _SURE:
            looks = 0.95 if called else 0.9 if "url" in parser else 0.85
            scored.append((max(called, looks) * shape, Choice("column", column, parser)))
        elif called:
            plain = called if called == 1.0 else 0.5
            scored.append((plain * shape, Choice("column", column, parser)))
    # A column that is called the id outranks a look-alike; of two look-alikes, none is sure.
    scored.sort(key=lambda pair: (-_name_score(pair[1].name, "video_id"), -pair[0]))
    sure = [pair for pair in scored if pair[0] >= _SURE]
    named = [pair for pair in sure if _name_score(pair[1].name, "video_id")]
    if not sure or (len(sure) > 1 and not named and not all("url" in pair[1].parser for pair in sure)):
        seen = ", ".join(f"{choice.name} ({score:.2f})" for score, choice in scored) or "no candidate"
        raise IngestError(
            name,
            f"which column is the video's id is unclear ({seen}; columns: {', '.join(sample.columns)}); "
            "say --map video_id=COLUMN",
            field="video_id",
        )
    best = sure[0][1]
    return (best, *(choice for _, choice in sure[1:] if "url" in choice.parser)), sure[0][0]


def _time(sample: _Sample, name: str, names: Sequence[str]) -> Found:
    """The observation time: the one column that is called so and holds times."""
    scored = []
    for column in sample.columns:
        if {_normalised(column), _normalised(column).replace("_", "")} & set(names):
            parser = _parser(sample, "observed_at", column)
            scored.append((sample.share(column, parser), Choice("column", column, parser)))
    sure = sorted(
        (pair for pair in scored if pair[0] >= _SURE), key=lambda pair: names.index(_match(pair[1].name, names))
    )
    if not sure:
        seen = ", ".join(f"{choice.name} ({score:.2f})" for score, choice in scored) or "no column is called so"
        raise IngestError(
            name,
            f"when this was observed is unclear ({seen}; columns: {', '.join(sample.columns)}); "
            "say --observed-at TIME or --map observed_at=COLUMN",
            field="observed_at",
        )
    return (sure[0][1],), sure[0][0]


def _match(column: str, names: Sequence[str]) -> str:
    normal = _normalised(column)
    return normal if normal in names else normal.replace("_", "")
