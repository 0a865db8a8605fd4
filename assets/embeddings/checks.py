"""Checks on what is made of content: nothing was fitted on what came later, no neighbour's outcome was of the future."""

import dagster as dg

from assets.policies import markdown
from resources.encoders.base import MODALITIES
from resources.home import Home


@dg.asset_check(
    asset=["embeddings", "encoders"],
    name="fitted_before_origin",
    description="A fitted encoder stands for no more contents than were known before its origin (content removed since may raise a false alarm), and its file is there.",
)
def encoders_fitted_before_origin(home: Home) -> dg.AssetCheckResult:
    """No encoder has seen the future."""
    rows = home.warehouse.query(
        """SELECT e.modality, e.encoder, e.revision, e.origin, e.n_fit, e.uri,
                  (SELECT count(DISTINCT content_id) FROM embeddings.contents c
                   WHERE c.modality = e.modality AND c.known_at < e.origin) AS known
           FROM embeddings.encoders e WHERE e.origin IS NOT NULL ORDER BY ALL"""
    ).to_pylist()
    broken = [row for row in rows if row["n_fit"] > row["known"] or not (home.folder / row["uri"]).exists()]
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"encoders": len(rows), "broken": markdown(broken)},
    )


@dg.asset_check(
    asset=["embeddings", "neighbours"],
    name="matured_before_anchor",
    blocking=True,
    description="No video has more neighbours than there were videos of its source whose outcome had matured by its anchor.",
)
def neighbours_matured(home: Home) -> dg.AssetCheckResult:
    """No neighbour's outcome was of the future."""
    rows = home.warehouse.query(
        """WITH matured AS (
               SELECT source, target, matured_at AS at, row_number() OVER (PARTITION BY source, target ORDER BY matured_at) AS n
               FROM features.targets WHERE status = 'matured')
           SELECT count(*) AS checked,
                  count(*) FILTER (b.neighbours > coalesce(m.n, 0)) AS early,
                  count(*) FILTER (c.anchor_at IS DISTINCT FROM b.anchor_at) AS "other anchor"
           FROM embeddings.neighbours b
           LEFT JOIN features.content c ON c.source = b.source AND c.video_id = b.video_id
           ASOF LEFT JOIN matured m ON m.source = b.source AND m.target = b.target AND b.anchor_at >= m.at"""
    ).to_pylist()
    found = rows[0]
    return dg.AssetCheckResult(passed=not (found["early"] or found["other anchor"]), metadata=found)


def _vectors_check(modality: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["embeddings", modality],
        name="lengths",
        blocking=True,
        description="Every vector has the length that its encoder is on record with.",
    )
    def lengths(home: Home) -> dg.AssetCheckResult:
        rows = home.warehouse.query(
            f"""SELECT count(*) AS vectors, count(*) FILTER (len(v.vector) IS DISTINCT FROM e.dim) AS wrong
                FROM embeddings.{modality} v LEFT JOIN embeddings.encoders e USING (encoder, revision, precision, preprocessing)"""
        ).to_pylist()
        return dg.AssetCheckResult(passed=not rows[0]["wrong"], metadata=rows[0])

    return lengths


embedding_checks = [encoders_fitted_before_origin, neighbours_matured, *(_vectors_check(each) for each in MODALITIES)]
