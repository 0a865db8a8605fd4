"""Brings the styles of every origin up to date: fitted where they are missing or of other vectors or code, else extended.

What fitting is stands in `styles`. Origins go in order, since the ids of one are carried on by the next.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from assets.clusters.styles import assign_new, fit_styles, input_version
from assets.embeddings.fusion import fusion_for
from assets.embeddings.in_use import content_origins
from resources.settings import Settings
from warehouse.connection import Warehouse


def bring_up_to_date(
    warehouse: Warehouse,
    settings: Settings,
    *,
    now: datetime,
    run_id: str,
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Fits the styles of origins that need it, and assigns the videos that came since to those of the others.

    Once an origin is fitted anew, so are all later ones, whose ids follow from it.

    Returns:
        Per origin what was done, as a row for people; `styles` is 0 where there is too little to find styles in.
    """
    rows: list[dict[str, Any]] = []
    anew = False
    for origin in content_origins(warehouse, settings, now):
        serving = fusion_for(warehouse, settings, origin)
        if serving is None:
            continue
        fusion = serving.fusion
        made_from = _made_from(warehouse, origin)
        if not anew and made_from == input_version(fusion) and not _grown(warehouse, fusion, origin):
            found = _count(warehouse, origin)
            assigned = assign_new(warehouse, origin) if found else 0
            rows.append({"origin": origin, "done": f"{assigned:,} videos assigned", "styles": found})
            continue
        progress(f"styles of {origin}")
        summary = fit_styles(warehouse, settings, fusion, origin, now, run_id, progress)
        anew = anew or made_from is not None or summary.reason is None
        said = summary.reason or f"fitted on {summary.fitted:,}, {summary.assigned:,} videos assigned"
        figures = {"silhouette": summary.silhouette, "stability": summary.stability, **summary.events}
        rows.append({"origin": origin, "done": said, "styles": summary.k, **figures})
    return rows


def latest_styles(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The styles of the latest origin that has any, largest first, as rows for people and programs."""
    rows: list[dict[str, Any]] = warehouse.query(
        """SELECT origin, style_id, name, size, event, lifecycle, share_slope, target, lift, lift_low, lift_high, terms,
                  exemplars FROM clusters.styles WHERE origin = (SELECT max(origin) FROM clusters.styles)
           ORDER BY size DESC, style_id"""
    ).to_pylist()
    return rows


def _grown(warehouse: Warehouse, fusion: str, origin: date) -> bool:
    """Whether an archive has brought videos since that belong to those an origin's styles are fitted on."""
    rows = warehouse.query(
        """SELECT (SELECT count(*) FROM embeddings.fused f JOIN features.content c USING (source, video_id)
                   WHERE f.fusion = $fusion AND f.vector IS NOT NULL AND c.anchor_at < $origin AND c.known_at < $origin)
                > (SELECT count(*) FROM clusters.assignments WHERE origin = $origin AND fitted) AS grown""",
        {"fusion": fusion, "origin": origin},
    )
    return bool(rows.to_pylist()[0]["grown"])


def _count(warehouse: Warehouse, origin: date) -> int:
    rows = warehouse.query("SELECT count(*) AS n FROM clusters.styles WHERE origin = $origin", {"origin": origin})
    return int(rows.to_pylist()[0]["n"])


def _made_from(warehouse: Warehouse, origin: date) -> str | None:
    rows = warehouse.query(
        """SELECT input_version FROM lineage.partitions WHERE "table" = 'clusters.styles' AND partition = $origin""",
        {"origin": origin.isoformat()},
    ).to_pylist()
    return rows[0]["input_version"] if rows else None
