"""What a search for a subject looks for, in the forms in which bytes may hold it, and what stands in its place.

An id counts where it stands by itself, a text where it stands as whole words. Ids of fewer than six characters and texts of fewer than
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
_SMALL = 1 << 15
"""Bytes up to which looking for one form after the other takes less time than compiling the regular expressions."""
_ESCAPED = r"\\[nrt]"
"""The end of a line or a tab as JSON writes it: what follows begins anew."""


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
        """Regular expressions over bytes taken as Latin-1 that find any form of one line; a short list each, as RE2 wants it."""
        escaped = [re.escape(form.decode("latin-1")) for form in self._unbroken_forms]
        return [
            f"(?:^|[^A-Za-z0-9_]|{_ESCAPED})(?:{'|'.join(escaped[at : at + _AT_ONCE])})(?:$|[^A-Za-z0-9_])"
            for at in range(0, len(escaped), _AT_ONCE)
        ]

    @cached_property
    def _unbroken_forms(self) -> list[bytes]:
        """Forms of one line."""
        return [form for form in self.forms if b"\n" not in form]

    @cached_property
    def _broken_forms(self) -> list[bytes]:
        """Forms that go over several lines."""
        return [form for form in self.forms if b"\n" in form]

    def _suspects(self, data: bytes, lines: list[bytes]) -> list[int]:
        """Positions of the lines of some bytes that hold some form, perhaps as a part of something longer."""
        if len(data) <= _SMALL:
            held = [form for form in self._unbroken_forms if form in data]
            return [at for at, line in enumerate(lines) if any(form in line for form in held)] if held else []
        column = pa.array(lines, pa.large_binary())
        found: set[int] = set()
        for pattern in self._patterns:
            hits = pc.match_substring_regex(column, pattern.encode("latin-1"))
            found.update(pc.indices_nonzero(hits).to_pylist())
        return sorted(found)

    def hits(self, data: bytes) -> list[bytes]:
        """The forms that some bytes hold, longest first."""
        if not self.forms or not data:
            return []
        lines = data.split(b"\n")
        found = {form for at in self._suspects(data, lines) for form in self._in_line(lines[at])}
        found |= {form for form in self._broken_forms if form in data}
        return sorted(found, key=lambda form: (-len(form), form))

    def _in_line(self, line: bytes) -> list[bytes]:
        return [form for form in self.forms if form in line and self._counts(form).search(line)]

    def _counts(self, form: bytes) -> "re.Pattern[bytes]":
        """Where a form counts: an id by itself, a text as whole words."""
        edge = "A-Za-z0-9_-" if form.decode("latin-1") in self._known_ids else "A-Za-z0-9_"
        before = f"(?:(?<![{edge}])|(?<={_ESCAPED}))".encode()
        return re.compile(before + re.escape(form) + f"(?![{edge}])".encode())

    @cached_property
    def _known_ids(self) -> frozenset[str]:
        return frozenset(self.ids)

    def redacted(self, data: bytes) -> bytes:
        """The bytes with `[forgotten]` for every needle."""
        for form in self._broken_forms:
            data = data.replace(form, _stands(form))
        lines = data.split(b"\n") if self.forms else []
        suspects = self._suspects(data, lines) if data else []
        for at in suspects:
            for form in self._in_line(lines[at]):
                lines[at] = self._counts(form).sub(_stands(form), lines[at])
        return b"\n".join(lines) if suspects else data

    def sql_patterns(self) -> list[str]:
        """Regular expressions, as DuckDB takes them, that find any needle in a text; their first and third groups
        are what is around it.
        """
        names = [re.escape(each) for each in (*self.ids, *self.hashes)]
        shapes = dict.fromkeys(shape for text in self.texts for shape in (text, json.dumps(text)[1:-1]))
        texts = [re.escape(shape) for shape in shapes]
        found = [
            f"(^|[^A-Za-z0-9_-])({'|'.join(names[at : at + _IN_SQL])})($|[^A-Za-z0-9_-])"
            for at in range(0, len(names), _IN_SQL)
        ]
        return found + [
            f"(^|[^A-Za-z0-9_]|{_ESCAPED})({'|'.join(texts[at : at + _IN_SQL])})($|[^A-Za-z0-9_])"
            for at in range(0, len(texts), _IN_SQL)
        ]


def _stands(form: bytes) -> bytes:
    """What stands for a form, in its encoding."""
    return REDACTED.encode("utf-16-le") if form[1:2] == b"\0" else REDACTED.encode()


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
