"""The styles of an origin to look at: a card each with name, course, lift, terms, best practice, and pictures.

HTML for pages, a table for Dagster's metadata. Pictures come as bytes, are made small here and stand in the page as
data URIs; everything said by videos is escaped. Pillow is imported inside functions.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

from markupsafe import Markup

from assets.clusters.naming import MEASURES
from assets.evaluations.report_svg import Drawing, coordinate, polyline
from warehouse.connection import Warehouse

SIDE = 168
"""Longer side of a picture on a card, in pixels."""
_SPARK = (150, 30)
_UNITS = {"duration_s": " s", "loudness": " dB", "loudness_spread": " dB", "cut_rate": " per second"}
_ARROWS = {"emerging": "↗", "steady": "→", "peaking": "⌃", "saturated": "↘"}
_TOLD_EFFECT = 0.2


@dataclass(frozen=True)
class Exemplar:
    """A video that shows what a style is; `content_id` is its picture or film, where it has one."""

    key: str
    title: str | None
    content_id: str | None


@dataclass(frozen=True)
class Style:
    """A row of `clusters.styles` with its weekly shares, oldest first."""

    row: Mapping[str, Any]
    shares: Sequence[float]


def load_gallery(warehouse: Warehouse, origin: date) -> tuple[list[Style], dict[str, list[Exemplar]]]:
    """The styles of an origin, largest first, those that died last; and the exemplars of each by style id."""
    con = warehouse.extract(
        {
            "styles": "SELECT * FROM clusters.styles WHERE origin = $origin",
            "shares": "SELECT style_id, week, share FROM clusters.sizes WHERE origin = $origin",
            "exemplars": """
                WITH listed AS (
                    SELECT style_id, unnest(exemplars) AS key, generate_subscripts(exemplars, 1) AS place
                    FROM clusters.styles WHERE origin = $origin),
                pictures AS (
                    SELECT source || '/' || video_id AS key,
                           arg_min(content_id, CASE modality WHEN 'image' THEN 1 ELSE 2 END) AS content_id
                    FROM embeddings.contents
                    WHERE rank = 1 AND modality IN ('image', 'video')
                        AND source || '/' || video_id IN (SELECT key FROM listed)
                    GROUP BY ALL)
                SELECT l.style_id, l.place, l.key, c.title, p.content_id FROM listed l
                LEFT JOIN features.content c ON c.source || '/' || c.video_id = l.key
                LEFT JOIN pictures p ON p.key = l.key""",
        },
        {"origin": origin},
    )
    with con:
        rows = con.execute("FROM styles ORDER BY event = 'died', size DESC, style_id").to_arrow_table().to_pylist()
        shares = con.execute("SELECT style_id, share FROM shares ORDER BY style_id, week").fetchall()
        listed = con.execute("SELECT * EXCLUDE (place) FROM exemplars ORDER BY style_id, place").fetchall()
    styles = [Style(row, [share for style, share in shares if style == row["style_id"]]) for row in rows]
    found: dict[str, list[Exemplar]] = {row["style_id"]: [] for row in rows}
    for style, *exemplar in listed:
        found[style].append(Exemplar(*exemplar))
    return styles, found


def gallery_html(
    styles: Sequence[Style], exemplars: Mapping[str, Sequence[Exemplar]], thumbnails: Mapping[str, bytes]
) -> str:
    """The cards as a fragment of a page.

    Args:
        styles: As `load_gallery` gives them.
        exemplars: The same.
        thumbnails: Image files (any format that Pillow reads) by the `key` of their exemplar; one that cannot be read
            is shown as an empty frame.
    """
    cards = Markup("").join(_card(style, exemplars.get(style.row["style_id"], ()), thumbnails) for style in styles)
    return str(Markup('<div class="styles"><style>{}</style>{}</div>\n').format(Markup(_STYLE), cards))


def gallery_rows(styles: Sequence[Style]) -> list[dict[str, object]]:
    """One row per style for a Markdown table."""
    return [
        {
            "style": style.row["style_id"],
            "name": style.row["name"],
            "videos": style.row["size"],
            "since the origin before": style.row["event"],
            "course": style.row["lifecycle"] or "",
            "lift": _lift(style.row),
            "terms": ", ".join(style.row["terms"][:5]),
        }
        for style in styles
    ]


def _card(style: Style, exemplars: Sequence[Exemplar], thumbnails: Mapping[str, bytes]) -> Markup:
    row = style.row
    course = f"{_ARROWS[row['lifecycle']]} {row['lifecycle']}" if row["lifecycle"] else ""
    facts = [f"{row['size']:,} videos", row["event"], course, _lift(row)]
    pictures = Markup("").join(_picture(exemplar, thumbnails.get(exemplar.key)) for exemplar in exemplars)
    terms = Markup("").join(Markup("<li>{}</li>").format(term) for term in row["terms"])
    return Markup(
        '<article{dead}><h3>{name} <small>{style}</small></h3><p class="facts">{facts}</p>{spark}<p>{description}</p>'
        '<ul class="terms">{terms}</ul><div class="pictures">{pictures}</div>{best}</article>'
    ).format(
        dead=Markup(' class="died"') if row["event"] == "died" else "",
        name=row["name"],
        style=row["style_id"],
        facts=" · ".join(fact for fact in facts if fact),
        spark=_sparkline(style.shares, row["name"]),
        description=row["description"],
        terms=terms,
        pictures=pictures,
        best=_best(json.loads(row["brief"])),
    )


def _lift(row: Mapping[str, Any]) -> str:
    if row["lift"] is None:
        return ""
    value, low, high = (f"{row[name]:+.2f}" for name in ("lift", "lift_low", "lift_high"))
    return f"{value} [{low}, {high}] {row['target']} against expectation".replace("-", "−")


def _sparkline(shares: Sequence[float], name: str) -> Markup:
    """Weekly share of all videos, oldest at the left."""
    if len(shares) < 2:
        return Markup("")
    width, height = _SPARK
    drawing = Drawing(width, height, f"weekly share of {name}")
    top = max(shares) or 1.0
    step = (width - 2) / (len(shares) - 1)
    points = [(1 + step * at, height - 2 - share / top * (height - 4)) for at, share in enumerate(shares)]
    base = coordinate(height - 1)
    drawing.add("path", d=f"{polyline(points)}V{base}H1Z", fill="#dbe9f9")
    drawing.add("path", d=polyline(points), fill="none", stroke="#0b62c4", stroke_width="1.5")
    return drawing.markup()


def _picture(exemplar: Exemplar, content: bytes | None) -> Markup:
    title = exemplar.title or exemplar.key
    small = content and _small_jpeg(content)
    if not small:
        return Markup('<span class="none" title="{0}">{0}</span>').format(title)
    uri = "data:image/jpeg;base64," + base64.b64encode(small).decode()
    return Markup('<img src="{}" alt="{}" title="{}" loading="lazy">').format(uri, title, title)


def _small_jpeg(content: bytes) -> bytes | None:
    """The picture as a JPEG whose longer side is at most `SIDE`; None where it cannot be read."""
    from PIL import Image

    file = BytesIO()
    try:
        with Image.open(BytesIO(content)) as picture:
            picture.draft("RGB", (SIDE, SIDE))
            small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            small.save(file, format="JPEG", quality=72)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for broken files
        return None
    return file.getvalue()


def _best(brief: Mapping[str, Any]) -> Markup:
    """What the style's best videos have in common, in words."""
    if "measures" not in brief:
        return Markup("")
    told = [
        f"{_word(row)}: {_number(row['best'])} against {_number(row['rest'])}{_UNITS.get(row['measure'], '')}"
        for row in brief["measures"]
        if abs(row["effect"]) >= _TOLD_EFFECT
    ][:4]
    told += [f"“{row['value']}” in {row['best']:.0%} of titles against {row['rest']:.0%}" for row in brief["terms"][:3]]
    lines = Markup("").join(Markup("<li>{}</li>").format(line) for line in told)
    colours = Markup("").join(
        Markup('<i style="background:{}" title="{}"></i>').format(row["value"], row["value"])
        for row in brief["colours"]
    )
    if not lines and not colours:
        return Markup("")
    return Markup('<p class="best">Its best quarter ({} of {} videos)</p><ul>{}</ul><p class="swatches">{}</p>').format(
        brief["best"], brief["videos"], lines, colours
    )


def _word(row: Mapping[str, Any]) -> str:
    """`short` or `long` for a measure with such words, else its name."""
    words = MEASURES.get(row["measure"])
    return (
        f"{'more' if row['effect'] > 0 else 'less'} {row['measure'].replace('_', ' ')}"
        if words is None
        else (f"rather {words[row['effect'] > 0]}")
    )


def _number(value: float) -> str:
    return f"{value:,.3g}".replace("-", "−")


_STYLE = """.styles{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:18px}
.styles article{border:1px solid #e3e7ed;border-radius:12px;padding:16px 18px;background:#fff}.styles .died{opacity:.55}
.styles h3{margin:0 0 2px;font-size:17px;overflow-wrap:anywhere}.styles h3 small{color:#5d6878;font-weight:400}
.styles p{margin:6px 0;font-size:14px}.styles .facts,.styles .best{color:#5d6878;font-size:13px}
.styles ul{margin:6px 0;padding-left:18px;font-size:13.5px}.styles .terms{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:5px}
.styles .terms li{background:#f6f8fa;border:1px solid #e3e7ed;border-radius:20px;padding:1px 9px;font-size:12.5px}
.styles .pictures{display:grid;grid-template-columns:repeat(4,1fr);gap:6px;margin:10px 0}
.styles img,.styles .none{width:100%;aspect-ratio:1;object-fit:cover;border-radius:6px;background:#eef1f5}
.styles .none{box-sizing:border-box;font-size:10.5px;padding:5px;overflow:hidden;color:#5d6878}
.styles i{display:inline-block;width:22px;height:22px;border-radius:5px;margin-right:5px;border:1px solid #e3e7ed}"""
