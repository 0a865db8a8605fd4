"""The code location: assets, checks, jobs, schedules and sensors of one home, assembled.

Nothing is computed or configured here; `build_definitions` lets tests and the CLI put in other resources.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.checks import table_checks
from assets.clusters import assets as clusters
from assets.clusters.assets import CLUSTER_TABLES
from assets.clusters.checks import cluster_checks
from assets.embeddings import assets as embeddings
from assets.embeddings.assets import EMBEDDING_TABLES
from assets.embeddings.checks import embedding_checks
from assets.evaluations import assets as evaluations
from assets.evaluations.assets import BACKTEST_TABLES
from assets.evaluations.checks import evaluation_checks
from assets.features import assets as features
from assets.features.build import TABLES
from assets.raw import assets as raw
from assets.serving import assets as serving
from orchestration import jobs, schedules
from orchestration.progress import progress_logger
from resources.home import Home
from resources.settings import default_home
from sensors.landings import landing_sensor
from sensors.refresh import chain_sensor

CHECKED = [
    "raw.landings",
    "raw.quarantine",
    *(f"raw.{name}" for name in raw.DAILY_TABLES),
    *(f"features.{name}" for name in TABLES),
    "raw.media",
    "raw.contents",
    *EMBEDDING_TABLES,
    *CLUSTER_TABLES,
    *BACKTEST_TABLES,
    "evaluations.metrics",
    "evaluations.audits",
    "evaluations.reports",
    "lineage.columns",
]


def build_definitions(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions of the home that `UPSWELL_HOME` names, with resources replaced where told."""
    return dg.Definitions(
        assets=[
            raw.landings,
            raw.raw_days,
            raw.lineage_columns,
            *features.assets,
            raw.media,
            *embeddings.assets,
            clusters.styles,
            evaluations.backtests,
            evaluations.metrics,
            evaluations.audits,
            evaluations.reports,
            serving.published_snapshot,
        ],
        asset_checks=[*table_checks(CHECKED), *embedding_checks, *cluster_checks, *evaluation_checks],
        jobs=jobs.ALL,
        schedules=schedules.ALL,
        sensors=[
            landing_sensor(jobs.ingestion.name),
            chain_sensor({job.name: job for job in jobs.ALL}, jobs.CHAIN_TAG),
        ],
        resources={"home": Home(path=str(default_home())), **(resource_overrides or {})},
        executor=dg.in_process_executor,
        loggers={"console": progress_logger},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_definitions()
