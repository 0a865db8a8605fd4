"""Checks on styles: fitted on earlier videos only, one id one style, every video of a fit assigned."""

import dagster as dg

from assets.policies import markdown
from resources.home import Home


@dg.asset_check(
    asset=["clusters", "assignments"],
    name="fitted_before_origin",
    blocking=True,
    description="No video anchored at or after an origin was among those that its styles were fitted on.",
)
def fitted_before_origin(home: Home) -> dg.AssetCheckResult:
    """No style has seen the future."""
    rows = home.warehouse.query(
        """SELECT a.origin, count(*) AS videos, count(*) FILTER (a.fitted) AS fitted,
                  count(*) FILTER (a.fitted AND c.anchor_at >= a.origin) AS late
           FROM clusters.assignments a JOIN features.content c USING (source, video_id) GROUP BY ALL ORDER BY ALL"""
    ).to_pylist()
    late = [row for row in rows if row["late"]]
    return dg.AssetCheckResult(passed=not late, metadata={"origins": markdown(rows)})


cluster_checks = [fitted_before_origin]
