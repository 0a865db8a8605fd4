"""Source adapters: small declarative files that say which column of a source is which field of the contract.

What a column means is declared in `adapters/*.yaml` (or `adapters/` in the home); how a value is parsed is in
`parsers.sql`; how both become a query is in `mapping`. Nothing here reads a landing.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from assets.raw.errors import IngestError
from assets.raw.readers import Places
from warehouse.contracts import YAML_LOADER
from warehouse.landings import CHANNEL, CONTENT, COUNTS, Kind

Anchor = Literal["published_at", "first_seen_at"]
Origin = Literal["column", "envelope", "file_name"]
Concealment = Literal["hash", "drop", "link"]
CONCEALMENTS = get_args(Concealment)

SHIPPED = Path(__file__).with_name("adapters")
PARSERS = Path(__file__).with_name("parsers.sql")
TIMES = ("observed_at", "known_at")
FIELDS = ("video_id", *TIMES, *CONTENT, *COUNTS, *CHANNEL, "status")
# What a record is told by, per kind, and the fields that it may have; `author` is hashed before it is kept.
ID: Mapping[Kind, str] = {"channels": "channel_id", "comments": "comment_id", "texts": "text_id"}
FIELDS_OF: Mapping[Kind, tuple[str, ...]] = {
    "videos": FIELDS,
    "metrics": ("video_id", *TIMES),
    "labels": ("video_id", "comment_id", *TIMES),
    "channels": ("channel_id", *TIMES, *CHANNEL),
    "comments": ("comment_id", "video_id", *TIMES, "parent_id", "author", "text", "likes", "published_at"),
    "captions": ("video_id", *TIMES, "language", "caption_kind", "text"),
    "texts": ("text_id", *TIMES, "text", "labels", "split", "language"),
}
# What a file of records may hold; media come as folders.
KINDS = tuple(FIELDS_OF)
# What parses a field where the adapter names no parser.
DEFAULT_PARSERS = {
    "video_id": "id",
    "observed_at": "moment",
    "known_at": "time",
    "published_at": "time",
    "duration_s": "duration",
    "tags": "tags",
    "is_short": "bool",
    "thumbnail_url": "thumbnail",
    "verified": "bool",
    "status": "status",
    "comment_id": "id",
    "text_id": "id",
    "labels": "tags",
    "author": "text",
    "caption_kind": "caption_kind",
    **dict.fromkeys((*COUNTS, "subscribers", "channel_videos", "channel_views"), "count"),
}
# Raised when the same adapter would read the same bytes differently: re-reads what was read before.
_READER_VERSION = 1


@dataclass(frozen=True)
class Choice:
    """One place where a field may be found.

    Attributes:
        origin: A column (or JSON path) of the record, a path of what surrounds it, or the file's name.
        name: The column, the path, or a regular expression whose first group is the value.
        parser: Macro `parse_<parser>` in `parsers.sql`.
        shift_h: Hours added to a time.
    """

    origin: Origin
    name: str
    parser: str
    shift_h: float = 0.0

    def declared(self) -> str | dict[str, Any]:
        """The form that an adapter file has."""
        if self.origin == "column" and not self.shift_h:
            return f"{self.name} | {self.parser}"
        return {self.origin: self.name, "parse": self.parser, **({"shift_h": self.shift_h} if self.shift_h else {})}


@dataclass(frozen=True)
class Adapter:
    """How one source is read.

    Attributes:
        name: Name of the adapter.
        anchor: What age counts from; of videos only.
        source: Where the videos are published: one name per platform, whichever way its records came; the adapter's
            own name where it says nothing.
        kind: What a record is.
        fields: Choices per field, tried in order; `observed_at` takes the first that the landing has.
        recognise: Sets of columns; a file that has all of one set is taken for this source.
        records: Where a JSON document keeps its list of records.
        nested: Where such a record keeps further ones, which then are the records.
        header: Names of the columns where the file has no line of them; its values are parted by tabs then.
        personal: What of a record names a person, and how that is taken out of it before anything is kept.
        known_on_arrival: Nothing says when a record was collected, so it is known when it arrives.
        publish_second_in_id: The publish time is in the id (TikTok) and mends the stated one.
        observed_at: The operator's statement of when everything in the landing was observed (ISO, UTC).
    """

    name: str
    anchor: Anchor
    fields: Mapping[str, tuple[Choice, ...]]
    source: str = ""
    kind: Kind = "videos"
    description: str = ""
    recognise: tuple[frozenset[str], ...] = ()
    records: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    personal: Mapping[str, Concealment] = field(default_factory=dict)
    known_on_arrival: bool = False
    publish_second_in_id: bool = False
    observed_at: str | None = None

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.name)

    def declared(self) -> dict[str, Any]:
        """The form that an adapter file has; `parse` reads it back."""
        return {
            "name": self.name,
            **({"source": self.source} if self.source != self.name else {}),
            **({"kind": self.kind} if self.kind != "videos" else {}),
            "anchor": self.anchor,
            "fields": {key: [choice.declared() for choice in choices] for key, choices in self.fields.items()},
            "records": list(self.records),
            **({"nested": list(self.nested)} if self.nested else {}),
            **({"header": list(self.header)} if self.header else {}),
            **({"personal": dict(self.personal)} if self.personal else {}),
            "known_on_arrival": self.known_on_arrival,
            "publish_second_in_id": self.publish_second_in_id,
            "observed_at": self.observed_at,
        }

    @property
    def places(self) -> Places:
        """Where a landing of this source keeps its records."""
        return Places(self.records, self.nested, self.header)

    @property
    def contract_version(self) -> str:
        """Fingerprint of the adapter and of what it is read with."""
        text = json.dumps([_READER_VERSION, self.declared()], sort_keys=True) + parsers_sql()
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def parsers_sql() -> str:
    """The text of `parsers.sql`."""
    return PARSERS.read_text(encoding="utf-8")


@cache
def parser_names() -> frozenset[str]:
    """The parsers that an adapter may name."""
    return frozenset(re.findall(r"MACRO parse_(\w+)\(x\)", parsers_sql())) | {"ago"}


def parse(document: Mapping[str, Any], where: str) -> Adapter:
    """An adapter from its declared form.

    Raises:
        IngestError: An entry is unknown or wrong; names the file, the field and what is allowed.
    """
    allowed = {
        "name",
        "source",
        "kind",
        "description",
        "anchor",
        "fields",
        "recognise",
        "records",
        "nested",
        "header",
        "personal",
        "known_on_arrival",
        "publish_second_in_id",
        "observed_at",
    }
    for key in document:
        if key not in allowed:
            raise IngestError(where, f"unknown entry; allowed are {', '.join(sorted(allowed))}", field=str(key))
    kind = document.get("kind", "videos")
    if kind not in KINDS:
        raise IngestError(where, f"{kind!r} is no kind; there are {', '.join(KINDS)}", field="kind")
    anchor = document.get("anchor", None if kind == "videos" else "first_seen_at")
    if anchor not in ("published_at", "first_seen_at"):
        raise IngestError(where, f"{anchor!r} is no anchor; write published_at or first_seen_at", field="anchor")
    fields = {}
    if not isinstance(document.get("fields", {}), dict):
        raise IngestError(where, "expected a mapping from fields to columns", field="fields")
    for name, choices in document.get("fields", {}).items():
        if name not in FIELDS_OF[kind]:
            raise IngestError(where, f"no field of {kind}; there are {', '.join(FIELDS_OF[kind])}", field=name)
        listed = choices if isinstance(choices, list) else [choices]
        fields[name] = tuple(_choice(name, choice, where) for choice in listed)
    return Adapter(
        name=document["name"],
        anchor=anchor,
        fields=fields,
        source=document.get("source", ""),
        kind=kind,
        description=document.get("description", ""),
        recognise=tuple(frozenset(columns) for columns in document.get("recognise", ())),
        records=tuple(document.get("records", ())),
        nested=tuple(document.get("nested", ())),
        header=tuple(document.get("header", ())),
        personal=_personal(document.get("personal", {}), where),
        known_on_arrival=document.get("known_on_arrival", False),
        publish_second_in_id=document.get("publish_second_in_id", False),
        observed_at=document.get("observed_at"),
    )


def _personal(declared: Mapping[str, Any], where: str) -> dict[str, Concealment]:
    for column, how in declared.items():
        if how not in CONCEALMENTS:
            raise IngestError(where, f"{how!r} conceals nothing; there are {', '.join(CONCEALMENTS)}", field=column)
    return dict(declared)


def _choice(name: str, declared: Any, where: str) -> Choice:
    default = DEFAULT_PARSERS.get(name, "text")
    if isinstance(declared, str):
        column, _, parser = declared.rpartition(" | ")
        choice = Choice("column", column, parser.strip()) if column else Choice("column", declared, default)
    else:
        choice = _placed(name, declared, default, where)
    if choice.parser not in parser_names():
        raise IngestError(
            where, f"no parser {choice.parser!r}; there are {', '.join(sorted(parser_names()))}", field=name
        )
    return choice


def _placed(name: str, declared: Any, default: str, where: str) -> Choice:
    """A choice that says where its value is: in a column, around the records, or in the file's name."""
    origins: list[Origin] = [origin for origin in get_args(Origin) if isinstance(declared, dict) and origin in declared]
    if len(origins) != 1 or not isinstance(declared[origins[0]], str):
        raise IngestError(
            where,
            f"{declared!r} names no place; write COLUMN, or one of column, envelope, file_name with its name",
            field=name,
        )
    try:
        if origins[0] == "file_name" and not re.compile(declared["file_name"]).groups:
            raise IngestError(where, f"{declared['file_name']!r} has no group (...) around the value", field=name)
        shift = float(declared.get("shift_h", 0))
    except (re.error, TypeError) as error:
        raise IngestError(where, f"{declared!r}: {error}", field=name) from error
    except IngestError:
        raise
    except ValueError as error:
        raise IngestError(where, f"shift_h: {error}; write hours", field=name) from error
    return Choice(origins[0], declared[origins[0]], declared.get("parse", default), shift)


def _load(folder: Path) -> dict[str, Adapter]:
    """The adapters of a folder as its files are now: a process that runs for days sees a mended one."""
    files = sorted(folder.glob("*.yaml"))
    return _parsed(tuple((path, path.stat().st_mtime_ns) for path in files))


@cache
def _parsed(files: tuple[tuple[Path, int], ...]) -> dict[str, Adapter]:
    found = {}
    for path, _ in files:
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=YAML_LOADER)
        except (yaml.YAMLError, ValueError) as error:  # a date that there is not, or no UTF-8
            raise IngestError(path, f"not YAML: {error}") from error
        if not isinstance(document, dict):
            raise IngestError(path, "expected a mapping with `anchor` and `fields`; see docs/add-a-source.md")
        found[path.stem] = parse({"name": path.stem, **document}, str(path))
    return found


def adapters(home: Path | None = None) -> dict[str, Adapter]:
    """All adapters by name: the shipped ones and those in `adapters/` of the home, which win.

    Raises:
        IngestError: An adapter file is wrong.
    """
    own = home / "adapters" if home is not None else None
    return {**_load(SHIPPED), **(_load(own) if own is not None and own.is_dir() else {})}


def adapter(name: str, home: Path | None = None) -> Adapter:
    """One adapter.

    Raises:
        IngestError: There is none of that name; names those that there are.
    """
    known = adapters(home)
    if name not in known:
        raise IngestError(f"source {name}", f"no such adapter; there are auto, {', '.join(known)}")
    return known[name]


def by_file_name(name: str, known: Mapping[str, Adapter]) -> Adapter | None:
    """The adapter that the last but one ending of a file's name tells: `20250601.youtube_api.jsonl`."""
    parts = name.removesuffix(".gz").split(".")
    return known.get(parts[-2]) if len(parts) > 2 else None


def source_of(name: str, home: Path | None = None) -> str:
    """The source of an adapter, or the name itself where it is no adapter's."""
    known = adapters(home)
    return known[name].source if name in known else name


def stored(text: str, home: Path | None = None) -> Adapter:
    """The adapter that `raw.landings.adapter` names, or holds."""
    if not text.startswith("{"):
        return adapter(text, home)
    document = json.loads(text)
    return parse({"source": source_of(document["name"], home), **document}, "the stored mapping")


def anchors(landings: Iterable[tuple[str, str]] = (), home: Path | None = None) -> dict[str, Anchor]:
    """What age counts from, per source: publication only where every adapter of it, or else every landing, says so.

    Args:
        landings: Distinct (source, adapter) of `raw.landings` of kind videos, for sources without an adapter file.
        home: Home with adapters of its own.
    """
    found: dict[str, Anchor] = {}
    for known in adapters(home).values():
        if known.kind == "videos":
            found[known.source] = _both(found.get(known.source), known.anchor)
    inferred: dict[str, Anchor] = {}
    for source, text in landings:
        if source not in found:
            inferred[source] = _both(inferred.get(source), stored(text, home).anchor)
    return {**found, **inferred}


def _both(one: Anchor | None, other: Anchor) -> Anchor:
    return other if one is None or one == other else "first_seen_at"
