"""A two-dimensional picture of the latent space: a PNG for the Dagster UI, and an interactive SVG for pages.

Both draw the first two principal components that the assignments carry, of a sample that does not depend on the order
of rows. Everything of the page is in one string: no script, style or font is fetched. matplotlib is imported inside.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any, Literal

import numpy as np
import pandas as pd
from markupsafe import Markup

from assets.clusters import palette
from assets.clusters.identity import number
from warehouse.connection import Warehouse

ColourBy = Literal["style", "source", "outcome"]
COLOUR_BY: tuple[ColourBy, ...] = ("style", "source", "outcome")
MAX_POINTS = 3_000
_WIDTH, _HEIGHT, _MARGIN = 760, 520, 14


@dataclass(frozen=True)
class _Layer:
    """One way to colour the points: a colour per point, and the legend as (colour, text)."""

    colours: Sequence[str]
    legend: Sequence[tuple[str, str]]


def map_points(warehouse: Warehouse, origin: date, target: str | None) -> pd.DataFrame:
    """What the maps of an origin draw.

    Args:
        warehouse: Where the assignments are read.
        origin: Origin of the styles.
        target: Target that the outcome is of; None leaves it unknown.

    Returns:
        One row per assigned video, sorted by key: source, video_id, title, style_id, style (its name), x, y, outcome.
    """
    con = warehouse.extract(
        {
            "points": """
                SELECT a.source, a.video_id, c.title, a.style_id, s.name AS style, a.x, a.y, t.value AS outcome
                FROM clusters.assignments a
                JOIN clusters.styles s ON s.origin = a.origin AND s.style_id = a.style_id
                LEFT JOIN features.content c ON c.source = a.source AND c.video_id = a.video_id
                LEFT JOIN features.targets t ON t.source = a.source AND t.video_id = a.video_id AND t.target = $target
                WHERE a.origin = $origin"""
        },
        {"origin": origin, "target": target},
    )
    with con:
        return con.execute("SELECT * FROM points ORDER BY source, video_id").df()


def map_png(points: pd.DataFrame, colour_by: ColourBy = "style") -> bytes:
    """A PNG of the map.

    Args:
        points: What `map_points` gives; at most `MAX_POINTS` of them are drawn.
        colour_by: What the colours say.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = _sample(points)
    layer = _layer(shown, colour_by)
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(shown["x"], shown["y"], c=list(layer.colours), s=7, alpha=0.75, linewidths=0)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#e3e7ed")
    axes.set_title(_heading(points, shown, colour_by), fontsize=9, loc="left", color="#19212e", parse_math=False)
    keys = [Line2D([], [], marker="o", linestyle="", markersize=5, color=colour) for colour, _ in layer.legend]
    if keys:
        legend = figure.legend(
            keys, [text for _, text in layer.legend], loc="outside right upper", fontsize=7, frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return file.getvalue()


def map_html(points: pd.DataFrame) -> str:
    """The map as a fragment of a page: points told on hover, colours switched between style, source and outcome.

    Without scripts the fragment still shows the styles.

    Args:
        points: What `map_points` gives; at most `MAX_POINTS` of them are drawn.
    """
    shown = _sample(points)
    layers = {name: _layer(shown, name) for name in COLOUR_BY}
    xs, ys = _pixels(shown["x"], _WIDTH), _HEIGHT - _pixels(shown["y"], _HEIGHT)
    circles = Markup("").join(
        Markup('<circle cx="{}" cy="{}" r="3" fill="{}"/>').format(f"{x:.1f}", f"{y:.1f}", colour)
        for x, y, colour in zip(xs, ys, layers["style"].colours, strict=True)
    )
    options = Markup("").join(Markup('<option value="{}">{}</option>').format(name, name) for name in layers)
    legends = Markup("").join(_legend(name, layer) for name, layer in layers.items())
    data = {
        "told": [_told(row) for row in shown.to_dict("records")],
        "colours": {name: list(layer.colours) for name, layer in layers.items()},
    }
    return str(
        Markup(_PAGE).format(
            heading=_heading(points, shown, "style"),
            options=options,
            width=_WIDTH,
            height=_HEIGHT,
            circles=circles,
            legends=legends,
            data=_script_json(data),
            style=Markup(_STYLE),
            script=Markup(_SCRIPT),
        )
    )


def _sample(points: pd.DataFrame) -> pd.DataFrame:
    """At most `MAX_POINTS` rows, chosen by a hash of their key."""
    if len(points) <= MAX_POINTS:
        return points
    order = pd.util.hash_pandas_object(points["source"] + "/" + points["video_id"], index=False).to_numpy()
    return points.iloc[np.sort(np.argsort(order, kind="stable")[:MAX_POINTS])]


def _layer(points: pd.DataFrame, colour_by: ColourBy) -> _Layer:
    if colour_by == "outcome":
        return _outcome_layer(points["outcome"].to_numpy(dtype=float))
    if colour_by == "source":
        names = sorted(set(points["source"]))
        found = palette.colours(names)
        return _Layer([found[name] for name in points["source"]], [(found[name], name) for name in names])
    names = sorted(set(points["style_id"]), key=number)
    found = palette.colours(names)
    titles = dict(zip(points["style_id"], points["style"], strict=True))
    return _Layer([found[style] for style in points["style_id"]], [(found[style], titles[style]) for style in names])


def _outcome_layer(outcome: "np.ndarray[Any, np.dtype[np.float64]]") -> _Layer:
    known = outcome[~np.isnan(outcome)]
    if not len(known):
        return _Layer([palette.UNKNOWN] * len(outcome), [(palette.UNKNOWN, "not known")])
    edges = np.quantile(known, [0.2, 0.4, 0.6, 0.8])
    step = np.searchsorted(edges, outcome, side="right")
    found = [palette.UNKNOWN if np.isnan(value) else palette.STEPS[at] for value, at in zip(outcome, step, strict=True)]
    words = [f"below {edges[0]:.3g}", *(f"from {edge:.3g}" for edge in edges)]
    return _Layer(found, [*zip(palette.STEPS, words, strict=True), (palette.UNKNOWN, "not known")])


def _pixels(values: "pd.Series[Any]", size: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Values spread over the drawing; the outer thousandth is drawn at the edge."""
    raw = values.to_numpy(dtype=float)
    if not len(raw):
        return raw
    low, high = np.quantile(raw, [0.001, 0.999])
    span = (high - low) or 1.0
    return np.asarray(_MARGIN + np.clip((raw - low) / span, 0, 1) * (size - 2 * _MARGIN))


def _heading(points: pd.DataFrame, shown: pd.DataFrame, colour_by: str) -> str:
    drawn = f"{len(shown):,} of {len(points):,} videos" if len(shown) < len(points) else f"{len(points):,} videos"
    return f"{drawn}, first two principal components of the fused vectors" + (
        "" if colour_by == "style" else f", by {colour_by}"
    )


def _told(row: dict[Any, Any]) -> str:
    title = row["title"] if isinstance(row["title"], str) and row["title"] else row["video_id"]
    outcome = "outcome not known" if pd.isna(row["outcome"]) else f"outcome {row['outcome']:.3g}"
    return f"{title[:120]}\n{row['style']} · {row['source']} · {outcome}"


def _legend(name: str, layer: _Layer) -> Markup:
    keys = Markup("").join(
        Markup('<li><i style="background:{}"></i>{}</li>').format(colour, text) for colour, text in layer.legend
    )
    return Markup('<ul data-by="{}"{}>{}</ul>').format(name, Markup("" if name == "style" else " hidden"), keys)


def _script_json(data: object) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(
        text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    )  # nothing left to escape


_STYLE = """.latent{position:relative;max-width:1060px}.latent svg{width:100%;height:auto;max-width:760px;border:1px solid #e3e7ed;
border-radius:10px;background:#fff}.latent circle{fill-opacity:.75}.latent circle:hover{stroke:#19212e;stroke-width:1.5;fill-opacity:1}
.latent .drawn{display:flex;flex-wrap:wrap;gap:18px}.latent .drawn>svg{flex:1 1 480px}.latent ul{list-style:none;margin:0;padding:0;font-size:13px}
.latent ul[hidden]{display:none}.latent i{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:7px}
.latent .told{position:absolute;pointer-events:none;white-space:pre-line;background:#19212e;color:#fff;font-size:12.5px;
padding:6px 9px;border-radius:6px;max-width:320px;z-index:2}.latent .told[hidden]{display:none}"""

_SCRIPT = """(function(root){
var data=JSON.parse(root.querySelector('script[type="application/json"]').textContent);
var points=Array.prototype.slice.call(root.querySelectorAll('circle')),told=root.querySelector('.told');
root.querySelector('select').addEventListener('change',function(event){var by=event.target.value;
points.forEach(function(point,i){point.setAttribute('fill',data.colours[by][i]);});
root.querySelectorAll('ul').forEach(function(list){list.hidden=list.dataset.by!==by;});});
root.querySelector('svg').addEventListener('mousemove',function(event){var at=points.indexOf(event.target);
told.hidden=at<0;if(at<0){return;}told.textContent=data.told[at];var box=root.getBoundingClientRect();
told.style.left=Math.min(event.clientX-box.left+12,box.width-330)+'px';told.style.top=(event.clientY-box.top+12)+'px';});
root.querySelector('svg').addEventListener('mouseleave',function(){told.hidden=true;});
})(document.currentScript.parentElement);"""

_PAGE = """<div class="latent"><style>{style}</style><p>{heading} · coloured by <select aria-label="coloured by">{options}</select></p>
<div class="drawn"><svg viewBox="0 0 {width} {height}" role="img"><title>Map of the latent space</title>{circles}</svg>{legends}</div>
<div class="told" hidden></div><script type="application/json">{data}</script><script>{script}</script></div>
"""
