"""The jobs: what is materialised together in one run, and when nobody asks.

A job per stage, since a run has one kind of partition: none, days, or weekly origins.
"""

import dagster as dg
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG

from assets.evaluations.assets import BACKTEST_TABLES
from assets.evaluations.learning.assets import LEDGER_TABLES
from assets.features.build import TABLES
from assets.raw.assets import DAILY_TABLES

CHAIN_TAG = "upswell/chain"
"""On the runs of a refresh: when one succeeds, the next stage follows."""

SNAPSHOT, MLFLOW = ["serving", "snapshot"], ["serving", "mlflow"]
_RAW_DAYS = [dg.AssetKey(["raw", name]) for name in DAILY_TABLES]

collection = dg.define_asset_job(
    "collection",
    selection=dg.AssetSelection.assets(["raw", "collections"])
    | dg.AssetSelection.checks_for_assets(["raw", "collections"], *_RAW_DAYS),
    description="Asks one source for what is due or wanted; every reply becomes a landing and rows of the raw tables.",
    tags={RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false"},  # a run is tried again only where its process was lost
)
ingestion = dg.define_asset_job(
    "ingestion",
    selection=dg.AssetSelection.assets(["raw", "landings"], ["raw", "quarantine"], ["lineage", "columns"], SNAPSHOT)
    | dg.AssetSelection.checks_for_assets(["raw", "collections"], *_RAW_DAYS),
    description="Every complete file of the inbox becomes a landing and rows of the raw tables.",
)
raw_days = dg.define_asset_job(
    "raw_days",
    selection=dg.AssetSelection.assets(*_RAW_DAYS),
    description="Reads the landings that touch some days once more.",
)
features = dg.define_asset_job(
    "features",
    selection=dg.AssetSelection.assets(*(["features", name] for name in TABLES)),
    description="Feature tables and targets for some anchor days.",
)
language = dg.define_asset_job(
    "language",
    selection=dg.AssetSelection.groups("language"),
    description="Looks at new titles, transcripts and comments: what is wrong with them, and what they show.",
)
content = dg.define_asset_job(
    "content",
    selection=dg.AssetSelection.assets(["raw", "media"], ["raw", "contents"])
    | dg.AssetSelection.groups("embeddings", "clusters"),
    description="Reads new pictures, sound and films; vectors of new content; fusion, neighbours and styles.",
)
backtests = dg.define_asset_job(
    "backtests",
    selection=dg.AssetSelection.assets(*(name.split(".") for name in BACKTEST_TABLES)),
    description="Fits on what had matured by some weekly origins and forecasts the week after each.",
)
ledger = dg.define_asset_job(
    "ledger",
    selection=dg.AssetSelection.assets(*(["evaluations", name] for name in LEDGER_TABLES)),
    description="The champions' forecasts of live videos, what became of earlier ones, and how far the data has drifted.",
)
training = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.assets(["models", "runs"], ["evaluations", "decisions"], MLFLOW, SNAPSHOT),
    description="Trains challengers on what had matured, each in a process of its own, and judges them on what came after.",
)
emotions = dg.define_asset_job(
    "emotions",
    selection=dg.AssetSelection.assets(["models", "emotions"], ["evaluations", "emotions"], MLFLOW, SNAPSHOT),
    description="Trains the emotion model on labelled texts, in a process of its own, and judges it on dev texts.",
)
gate = dg.define_asset_job(
    "gate",
    selection=dg.AssetSelection.assets(["evaluations", "decisions"], MLFLOW, SNAPSHOT),
    description="Judges the challengers that no decision was made about, and the champions by their ledger.",
)
search = dg.define_asset_job(
    "search",
    selection=dg.AssetSelection.assets(["models", "trials"]),
    description="Searches the hyperparameters of a forecaster on time-ordered folds.",
)
evaluation = dg.define_asset_job(
    "evaluation",
    selection=dg.AssetSelection.assets(
        ["evaluations", "metrics"], ["evaluations", "audits"], ["evaluations", "reports"], SNAPSHOT
    ),
    description="Figures, leakage audit and report over all stored forecasts.",
)
forgetting = dg.define_asset_job(
    "forgetting",
    selection=dg.AssetSelection.assets(["raw", "forgotten"]),
    description="Completes a forgetting that was interrupted, and forgets what the rules of the sources no longer let be kept.",
)
ALL = [
    collection,
    ingestion,
    raw_days,
    features,
    language,
    content,
    ledger,
    training,
    emotions,
    gate,
    search,
    backtests,
    evaluation,
    forgetting,
]
