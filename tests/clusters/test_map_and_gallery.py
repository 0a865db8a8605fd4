"""Pictures of styles: drawn, escaped, self-contained, the same each time."""

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from assets.clusters.gallery import SIDE, Exemplar, Style, gallery_html, gallery_rows
from assets.clusters.map import COLOUR_BY, MAX_POINTS, map_html, map_png

ATTACK = "</script><img src=x onerror=alert(1)>\"'&$x^2$"


def points(count: int = 50) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "source": rng.choice(["demo", "panel"], count),
            "video_id": [f"v{row}" for row in range(count)],
            "title": [ATTACK, None, *[f"title {row}" for row in range(count - 2)]],
            "style_id": [f"s{1 + row % 12}" for row in range(count)],
            "style": [f"style {1 + row % 12} {ATTACK}" for row in range(count)],
            "x": rng.normal(size=count),
            "y": rng.normal(size=count),
            "outcome": np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)),
        }
    )


@pytest.mark.parametrize("colour_by", COLOUR_BY)
def test_png_is_a_picture_and_the_same_each_time(colour_by):
    png = map_png(points(), colour_by)
    assert Image.open(BytesIO(png)).size[0] > 600
    assert png == map_png(points(), colour_by)


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_html_tells_every_point_and_escapes_what_videos_say():
    page = map_html(points())
    assert page.count("<circle") == 50
    data = data_of(page)
    assert data["told"][0].startswith(ATTACK)
    assert data["told"][1].startswith("v1\n")
    assert {name: len(colours) for name, colours in data["colours"].items()} == dict.fromkeys(COLOUR_BY, 50)
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page.replace("src=x", ""))
    assert page == map_html(points())


def test_a_sample_is_drawn_that_does_not_depend_on_order():
    many = pd.concat([points(2000).assign(source=source) for source in ("a", "b", "c")], ignore_index=True)
    first, second = map_html(many), map_html(many.iloc[::-1])
    assert first.count("<circle") == MAX_POINTS
    assert sorted(data_of(first)["told"]) == sorted(data_of(second)["told"])
    assert "3,000 of 6,000 videos" in first


@pytest.mark.parametrize("chosen", [slice(0, 0), slice(0, 1)])
def test_no_point_and_a_single_one(chosen):
    assert map_png(points().iloc[chosen])
    assert "<svg" in map_html(points().iloc[chosen])
    assert map_png(points().assign(outcome=np.nan), "outcome")


def style(style_id: str = "s1", **changed) -> Style:
    brief = {"target": "views_7d", "videos": 80, "best": 20, "rest": 60}
    measure = {"measure": "duration_s", "best": 10.0, "rest": 30.0, "n_best": 20, "n_rest": 60, "effect": -0.5}
    brief |= {"measures": [measure], "hours": [], "terms": [], "colours": [{"value": "#e02020"}]}
    row = {"style_id": style_id, "name": ATTACK, "description": ATTACK, "terms": [ATTACK], "size": 1200}
    row |= {"event": "kept", "lifecycle": "emerging", "lift": 0.5, "lift_low": -0.1, "lift_high": 1.1}
    row |= {"target": "views_7d", "brief": json.dumps(brief)}
    return Style(row | changed, [0.1, 0.2, 0.15])


def picture(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (800, 300)) -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind)
    return file.getvalue()


def test_cards_show_what_is_known_escaped():
    page = gallery_html([style()], {"s1": [Exemplar("demo/v1", ATTACK, None)]}, {"demo/v1": picture()})
    assert "1,200 videos · kept · ↗ emerging · +0.50 [−0.10, +1.10] views_7d against expectation" in page
    assert "rather short: 10 against 30 s" in page
    assert "<img src=x" not in page
    assert page.count("<svg") == 1
    assert not re.search(r"https?://|<script", page)
    assert page == gallery_html([style()], {"s1": [Exemplar("demo/v1", ATTACK, None)]}, {"demo/v1": picture()})


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "P"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("GIF", "L")])
def test_pictures_are_small_jpegs(kind, mode):
    page = gallery_html([style()], {"s1": [Exemplar("k", "t", None)]}, {"k": picture(kind, mode)})
    found = re.search(r"data:image/jpeg;base64,([^\"]+)", page)
    assert found
    import base64

    small = Image.open(BytesIO(base64.b64decode(found[1])))
    assert (small.format, max(small.size)) == ("JPEG", SIDE)


@pytest.mark.parametrize("content", [b"", b"no picture", picture()[:60], picture("JPEG")[:-300]])
def test_a_broken_picture_is_an_empty_frame(content):
    page = gallery_html([style()], {"s1": [Exemplar("k", "t", None)]}, {"k": content})
    assert 'class="none"' in page
    assert "<img" not in page


def test_a_style_that_died_or_knows_little():
    nothing = {"lifecycle": None, "lift": None, "terms": [], "brief": "{}", "event": "died", "size": 0}
    page = gallery_html([Style(style(**nothing).row, [])], {}, {})
    assert 'class="died"' in page
    assert "<svg" not in page


def test_rows_for_a_table(tmp_path: Path):
    rows = gallery_rows([style(), style("s2", lift=None, lifecycle=None)])
    assert rows[0]["course"] == "emerging"
    assert rows[1]["lift"] == ""
