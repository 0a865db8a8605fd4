"""Checks on what words tell: nothing counts before it could be known."""

import dagster as dg

from assets.language.measures import earlier_than_known
from resources.home import Home


@dg.asset_check(
    asset=["language", "measures"],
    name="known_by_then",
    blocking=True,
    description="No row counts a comment, a transcript or a model that was usable only after the moment that it speaks of.",
)
def known_by_then(home: Home) -> dg.AssetCheckResult:
    """No measure knows the future."""
    found = earlier_than_known(home.warehouse)
    return dg.AssetCheckResult(passed=not (found["models"] or found["comments"]), metadata=found)


language_checks = [known_by_then]
