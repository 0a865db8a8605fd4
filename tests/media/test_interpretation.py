"""Figures of pictures, films and sounds whose answers are known."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.embeddings import interpretation
from assets.embeddings.interpretation import interpret_contents, measure
from tests.media import make
from tests.media.conftest import NOW, Place
from warehouse.contracts import table

BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    picture = make.plain(left, (64, 64))
    picture.paste(right, (32, 0, 64, 64))
    return picture


def test_all_columns_are_there_and_null_where_they_do_not_apply() -> None:
    columns = set(table("embeddings.interpretation").column_names) - {"content_id", "version"}
    nothing = measure([])
    assert set(nothing) == columns
    assert {name for name, value in nothing.items() if value is not None} == {"has_picture", "has_motion", "has_sound"}
    picture = measure([make.plain(RED)])
    assert picture["has_picture"] is True
    assert {picture[name] for name in ("motion", "cut_rate", "loudness", "loudness_spread")} == {None}


@pytest.mark.parametrize(("colour", "brightness"), [(BLACK, 0.0), (WHITE, 1.0), ((128, 128, 128), 128 / 255)])
def test_plain_grey(colour: tuple[int, int, int], brightness: float) -> None:
    row = measure([make.plain(colour, (300, 200))])
    assert row["brightness"] == pytest.approx(brightness, abs=0.005)
    flat = ("contrast", "colourfulness", "colour_entropy", "visual_density")
    assert [row[name] for name in flat] == [0, 0, 0, 0]
    assert row["aspect"] == 1.5
    assert row["dominant_colours"] == ["#{:02x}{:02x}{:02x}".format(*colour)]


def test_two_halves() -> None:
    row = measure([halves(BLACK, WHITE)])
    assert row["brightness"] == pytest.approx(0.5)
    assert row["contrast"] == pytest.approx(0.5)
    assert row["colour_entropy"] == pytest.approx(1.0)
    assert row["visual_density"] == pytest.approx(1 / 63)
    assert sorted(row["dominant_colours"]) == ["#000000", "#ffffff"]


def test_colourfulness_follows_its_formula() -> None:
    # Half red, half blue: rg = 255, 0; yb = 127.5, -255; so spreads 127.5 and 191.25, means 127.5 and -63.75.
    expected = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, -63.75)
    assert measure([halves(RED, BLUE)])["colourfulness"] == pytest.approx(expected, rel=1e-5)


def test_figures_do_not_depend_on_the_size() -> None:
    small, large = (measure([_blocks(size)]) for size in ((120, 80), (1200, 800)))
    for name in ("brightness", "contrast", "colourfulness", "colour_entropy", "aspect"):
        assert small[name] == pytest.approx(large[name], rel=0.1), name


def _blocks(size: tuple[int, int]) -> Image.Image:
    blocks = np.random.default_rng(5).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2000, 1), (3, 2)])
def test_pictures_of_few_pixels(size: tuple[int, int]) -> None:
    row = measure([make.plain(RED, size)])
    assert row["visual_density"] == 0
    assert row["dominant_colours"] == ["#ff0000"]


def test_motion_and_cuts() -> None:
    still = measure([make.plain(RED)] * 16, duration_s=8.0)
    assert (still["has_motion"], still["motion"], still["cut_rate"]) == (True, 0.0, 0.0)
    blinking = [make.plain(WHITE if number % 2 else BLACK) for number in range(16)]
    assert measure(blinking, duration_s=10.0)["motion"] == pytest.approx(1.0)
    assert measure(blinking, duration_s=10.0)["cut_rate"] == pytest.approx(1.5)
    one_cut = [make.plain(RED)] * 8 + [make.plain(BLUE)] * 8
    assert measure(one_cut, duration_s=4.0)["cut_rate"] == pytest.approx(0.25)
    moving = [_square(4 * number) for number in range(16)]
    row = measure(moving, duration_s=4.0)
    assert row["cut_rate"] == 0.0
    assert row["motion"] > 0.01
    assert measure(moving)["has_motion"] is False  # without a length there is no rate


def _square(at: int) -> Image.Image:
    picture = make.plain(BLACK, (96, 96))
    picture.paste(WHITE, (at, 40, at + 20, 60))
    return picture


def test_loudness() -> None:
    times = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 440 * times).astype(np.float32)
    row = measure([], tone)
    assert row["loudness"] == pytest.approx(20 * np.log10(np.sqrt(0.5)), abs=0.05)
    assert row["loudness_spread"] == pytest.approx(0, abs=0.05)
    assert measure([], tone / 10)["loudness"] == pytest.approx(row["loudness"] - 20, abs=0.05)
    halved = measure([], np.concatenate([tone, np.zeros_like(tone)]))
    assert halved["loudness"] == pytest.approx((row["loudness"] - 90) / 2, abs=0.1)
    assert halved["loudness_spread"] == pytest.approx((row["loudness"] + 90) / 2, abs=0.1)
    short = measure([], tone[:10])
    assert np.isfinite(short["loudness"])
    assert measure([], tone[:0])["has_sound"] is False


def figures(place: Place, *columns: str) -> list[tuple[Any, ...]]:
    return place.rows(
        f"""SELECT video_id, {", ".join(columns)} FROM embeddings.interpretation
            JOIN raw.media USING (content_id) ORDER BY video_id"""
    )


def test_contents_are_interpreted_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put({"picture.png": make.picture(1), "sound.wav": make.wav(), "broken.png": make.png_bomb()})
    make.film(place.folder / "film.mp4", size=(96, 64), seconds=2)
    place.take()
    assert interpret_contents(place.warehouse, NOW) == {"interpreted": 3, "failed": 0}
    assert figures(place, "has_picture", "has_motion", "has_sound", "aspect") == [
        ("film", True, True, True, 1.5),
        ("picture", True, False, False, 1.5),
        ("sound", False, False, True, None),
    ]
    assert interpret_contents(place.warehouse, NOW) == {"interpreted": 0, "failed": 0}
    monkeypatch.setattr(interpretation, "VERSION", "next")
    assert interpret_contents(place.warehouse, NOW) == {"interpreted": 3, "failed": 0}
    assert place.rows("SELECT version, count(*) FROM embeddings.interpretation GROUP BY ALL") == [("next", 3)]


def test_what_is_not_known_yet_or_not_here_waits(place: Place) -> None:
    place.put({"a.png": make.picture(1), "b.png": make.picture(2)})
    place.take()
    place.store.remove(place.rows("SELECT content_id FROM raw.media WHERE video_id = 'a'")[0][0])
    before = NOW.replace(year=2024)
    assert interpret_contents(place.warehouse, before) == {"interpreted": 0, "failed": 0}
    assert interpret_contents(place.warehouse, NOW) == {"interpreted": 1, "failed": 1}
    place.take()
    assert interpret_contents(place.warehouse, NOW) == {"interpreted": 1, "failed": 0}


def test_figures_are_the_same_again(place: Place) -> None:
    place.put({"a.png": make.picture(1)})
    make.film(place.folder / "b.mp4")
    place.take()
    interpret_contents(place.warehouse, NOW)
    first = place.rows("SELECT * FROM embeddings.interpretation ORDER BY ALL")
    with place.warehouse.write() as con:
        con.execute("DELETE FROM embeddings.interpretation")
    interpret_contents(place.warehouse, NOW)
    assert place.rows("SELECT * FROM embeddings.interpretation ORDER BY ALL") == first
