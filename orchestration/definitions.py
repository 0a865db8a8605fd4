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
from assets.evaluations.learning import assets as learning
from assets.evaluations.learning.assets import LEDGER_TABLES
from assets.evaluations.learning.checks import learning_checks
from assets.features import assets as features
from assets.features.build import TABLES
from assets.forgetting import assets as forgetting
from assets.language import assets as language
from assets.language.assets import LANGUAGE_TABLES
from assets.language.checks import language_checks
from assets.language.emotion_model import assets as emotion_model
from assets.models import assets as models
from assets.models.search import assets as search
from assets.raw import assets as raw
from assets.raw.collection import assets as collection
from assets.raw.collection.checks import fresh_sources
from assets.serving import assets as serving
from orchestration import jobs, schedules
from orchestration.progress import progress_logger
from resources.home import Home
from resources.settings import default_home
from sensors.arrivals import arrivals_sensor
from sensors.failures import failure_sensor
from sensors.landings import landing_sensor
from sensors.refresh import chain_sensor
from sensors.training import gate_sensor, training_sensor

CHECKED = [
    "raw.landings",
    "raw.quarantine",
    "raw.collections",
    "raw.forgotten",
    *(f"raw.{name}" for name in raw.DAILY_TABLES),
    *(f"features.{name}" for name in TABLES),
    "raw.media",
    "raw.contents",
    *LANGUAGE_TABLES,
    *EMBEDDING_TABLES,
    *CLUSTER_TABLES,
    *BACKTEST_TABLES,
    "models.runs",
    "models.trials",
    "models.emotions",
    "evaluations.decisions",
    "evaluations.emotions",
    *(f"evaluations.{name}" for name in LEDGER_TABLES),
    "evaluations.metrics",
    "evaluations.audits",
    "evaluations.reports",
    "lineage.columns",
]


def build_definitions(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions of the home that `UPSWELL_HOME` names, with resources replaced where told."""
    return dg.Definitions(
        assets=[
            collection.collections,
            raw.landings,
            raw.raw_days,
            raw.lineage_columns,
            forgetting.forgotten,
            *features.assets,
            raw.media,
            *language.assets,
            *embeddings.assets,
            clusters.styles,
            evaluations.backtests,
            evaluations.metrics,
            models.runs,
            search.trials,
            *emotion_model.assets,
            learning.forecasts,
            learning.scores,
            learning.reevaluations,
            learning.drift,
            evaluations.decisions,
            evaluations.audits,
            evaluations.reports,
            serving.published_snapshot,
            serving.mlflow,
        ],
        asset_checks=[
            *table_checks(CHECKED),
            fresh_sources,
            *language_checks,
            *embedding_checks,
            *cluster_checks,
            *evaluation_checks,
            *learning_checks,
        ],
        jobs=jobs.ALL,
        schedules=[*schedules.ALL, *schedules.collections()],
        sensors=[
            landing_sensor(jobs.ingestion.name),
            arrivals_sensor({job.name: job for job in jobs.ALL}, jobs.ingestion.name, jobs.CHAIN_TAG),
            chain_sensor({job.name: job for job in jobs.ALL}, jobs.CHAIN_TAG),
            training_sensor(jobs.training, jobs.emotions, jobs.gate.name, jobs.CHAIN_TAG),
            gate_sensor(jobs.gate, jobs.training.name, jobs.CHAIN_TAG),
            failure_sensor(),
        ],
        resources={"home": Home(path=str(default_home())), **(resource_overrides or {})},
        executor=dg.in_process_executor,
        loggers={"console": progress_logger},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_definitions()
