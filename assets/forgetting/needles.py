"""What a search for a subject looks for, in the forms in which bytes may hold it, and what stands in its place.

An id counts where it stands by itself, a text wherever it stands. Ids of fewer than six characters and texts of fewer than
twelve would be found in what has nothing to do with the subject: they count as whole values of a field only.
"""

import html
import json
import re
from collections.abc import Iterable
from functools import cached_property
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

SHORTEST_ID = 6
SHORTEST_TEXT = 12
REDACTED = "[forgotten]"
_AT_ONCE = 400
_IN_SQL = 200
_BLOCK = 1 << 24
_EDGE = "[A-Za-z0-9_-]"


class Needles:
    """What is looked for.

    Args:
        ids: Ids of channels and videos.
        texts: Titles, descriptions, names, comments.
        hashes: Contents.
    """

    def __init__(self, ids: Iterable[str], texts: Iterable[str] = (), hashes: Iterable[str] = ()) -> None:
        self.ids = sorted({each for each in ids if len(each) >= SHORTEST_ID})
        self.texts = sorted(
            {each.strip() for each in texts if len(each.strip()) >= SHORTEST_TEXT}, key=lambda t: (-len(t), t)
        )
        self.hashes = sorted(set(hashes))

    @cached_property
    def forms(self) -> list[bytes]:
        """Every form of every needle, longest first."""
        found = {form for text in self.texts for form in forms_of(text)}
        for name in (*self.ids, *self.hashes):
            found |= {name.encode(), name.encode("utf-16-le"), quote(name, safe="").encode()}
        return sorted(found, key=lambda form: (-len(form), form))

    @cached_property
    def _patterns(self) -> list[str]:
        """Regular expressions over bytes taken as Latin-1 that find any form; a short list each, as RE2 wants it."""
        escaped = [re.escape(form.decode("latin-1")) for form in self.forms]
        return ["|".join(escaped[at : at + _AT_ONCE]) for at in range(0, len(escaped), _AT_ONCE)]

    def suspects(self, blocks: list[bytes]) -> list[int]:
        """Positions of the blocks that hold some form, perhaps as a part of something longer."""
        column = pa.array(blocks, pa.large_binary())
        found: set[int] = set()
        for pattern in self._patterns:
            hits = pc.match_substring_regex(column, pattern.encode("latin-1"))
            found |= {at for at, hit in enumerate(hits.to_pylist()) if hit}
        return sorted(found)

    def hits(self, data: bytes) -> list[bytes]:
        """The forms that some bytes hold."""
        if not self.forms or not data:
            return []
        longest = len(self.forms[0])
        blocks = [data[at : at + _BLOCK + longest] for at in range(0, len(data), _BLOCK)]
        if not self.suspects(blocks):
            return []
        return [form for form in self.forms if form in data and self._counts(form).search(data)]

    def _counts(self, form: bytes) -> "re.Pattern[bytes]":
        """Where a form counts: an id by itself, other things anywhere."""
        if form.decode("latin-1") in self.ids:
            return re.compile(f"(?<!{_EDGE})".encode() + re.escape(form) + f"(?!{_EDGE})".encode())
        return re.compile(re.escape(form))

    def redacted(self, data: bytes) -> bytes:
        """The bytes with `[forgotten]` for every needle."""
        for form in self.hits(data):
            wide = form[1:2] == b"\0"
            data = self._counts(form).sub(REDACTED.encode("utf-16-le") if wide else REDACTED.encode(), data)
        return data

    def sql_patterns(self) -> list[str]:
        """Regular expressions, as DuckDB takes them, that find any needle in a text; their second group is an id."""
        names = [re.escape(each) for each in (*self.ids, *self.hashes)]
        shapes = dict.fromkeys(shape for text in self.texts for shape in (text, json.dumps(text)[1:-1]))
        texts = [re.escape(shape) for shape in shapes]
        found = [
            f"(^|[^A-Za-z0-9_-])({'|'.join(names[at : at + _IN_SQL])})($|[^A-Za-z0-9_-])"
            for at in range(0, len(names), _IN_SQL)
        ]
        return [*found, *("|".join(texts[at : at + _IN_SQL]) for at in range(0, len(texts), _IN_SQL))]


def forms_of(text: str) -> set[bytes]:
    """The forms in which bytes may hold a text: as it is, in JSON, in JSON in JSON, in HTML, in CSV, in a URL, in UTF-16."""
    ascii_json = json.dumps(text)[1:-1]
    plain_json = json.dumps(text, ensure_ascii=False)[1:-1]
    shapes = {
        text,
        ascii_json,
        plain_json,
        json.dumps(ascii_json)[1:-1],
        json.dumps(plain_json, ensure_ascii=False)[1:-1],
        html.escape(text),
        html.escape(text, quote=False),
        html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        text.replace('"', '""'),
        " ".join(text.split()),
        text.replace("|", "\\|").replace("\n", " "),
        repr(text)[1:-1],
        quote(text),
    }
    return {shape.encode("utf-8", errors="surrogateescape") for shape in shapes} | {
        text.encode("utf-16-le", errors="replace")
    }
