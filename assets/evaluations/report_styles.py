"""What the page shows of content: styles with their pictures, the map of the latent space, what each modality adds.

Styles and map are those of the latest origin; what they are is for `assets/clusters`.
"""

from datetime import date

from markupsafe import Markup

from assets.clusters.gallery import Exemplar, gallery_html, load_gallery
from assets.clusters.map import map_html, map_points
from assets.evaluations import report_words as words
from assets.evaluations.report_sections import Board, Grid, Part, Text, columns, figure_heads, numeral
from resources.media.store import MediaStore
from resources.settings import Settings
from warehouse.connection import Warehouse

VARIANTS = ("boosting_scalars", "boosting_text", "boosting_image", "boosting_audio", "boosting_video", "boosting_all")


def styles(warehouse: Warehouse, settings: Settings) -> list[Part]:
    """The styles of the latest origin as cards, and its map."""
    origin = _latest(warehouse)
    if origin is None:
        return []
    found, exemplars = load_gallery(warehouse, origin)
    pictures = _thumbnails(warehouse, [one for ones in exemplars.values() for one in ones])
    target = next(iter(settings.outcomes()), None)
    points = map_points(warehouse, origin, target)
    caption = f"Fitted on videos anchored before {words.day(origin)}; later ones are assigned, never fitted."
    return [
        Part(f"{words.plural(len(found), 'style')}", fragment=Markup(gallery_html(found, exemplars, pictures)), caption=caption),
        Part("The latent space", fragment=Markup(map_html(points))),
    ]  # fmt: skip


def modalities(board: Board) -> list[Part]:
    """The same booster on one modality at a time and on everything, beside the default.

    On the same test rows, but where content was fitted later than the first origin: skill is against the naive forecasters on each
    one's own rows.
    """
    parts = []
    for cell in board.evidence.cells:
        present = [name for name in VARIANTS if name in board.forecasters(cell)]
        if not present:
            continue
        loss, rows = board.loss(cell), []
        for name in (*present, "hist_gradient_boosting"):
            told = [Text(name, board.missed(cell, name) or ("default" if name not in VARIANTS else ""), "code")]
            for figure in (loss, "skill", "r2", "spearman"):
                row = board.row(cell, name, figure)
                told.append(numeral(words.written(figure, row[0] if row else None), _between(figure, row)))
            rows.append(("", told))
        heads = columns("forecaster", *figure_heads(loss, "skill"), "#R²", "#Spearman")
        parts.append(Part(f"{board.title(cell[:2])} at {cell[2]}", grids=[Grid(heads, rows)]))
    return parts


def _between(figure: str, row: tuple[float, float, float, int, int] | None) -> str:
    return "" if row is None else words.between(figure, row[1], row[2])


def _latest(warehouse: Warehouse) -> date | None:
    with warehouse.read() as con:
        row = con.execute("SELECT max(origin) FROM clusters.styles").fetchone()
    return row[0] if row else None


def _thumbnails(warehouse: Warehouse, exemplars: list[Exemplar]) -> dict[str, bytes]:
    """The picture of each exemplar, of a film its first frame; none where the bytes are gone."""
    store = MediaStore(warehouse.home)
    rows = warehouse.query(
        "SELECT content_id, frame_ids[1] AS first FROM raw.contents WHERE frame_ids IS NOT NULL"
    ).to_pylist()
    first = {row["content_id"]: row["first"] for row in rows}
    found = {one.key: first.get(one.content_id, one.content_id) for one in exemplars if one.content_id}
    return {key: store.read(content) for key, content in found.items() if store.has(content)}
