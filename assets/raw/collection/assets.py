"""The asset of collection runs. Wiring only; the run is in `collect`.

Tries are counted in one place each: requests by the collector, a step only while another process holds the warehouse, runs never
after a step has failed. What a person has to mend fails at once.
"""

import hashlib
import traceback
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from assets.policies import describe, markdown
from assets.raw.assets import landing_metadata, report_days
from assets.raw.collection.collect import Collected, Collection, HeldError
from assets.raw.collection.requests import by_platform
from assets.raw.collection.spool import UnderWayError
from resources import clock
from resources.collectors import base
from resources.home import Home
from resources.secrets import redact
from resources.settings import CollectedSource, Settings
from warehouse.connection import WarehouseBusyError

_CODE = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()[
    :12
]
_BUSY_TRIES, _BUSY_WAIT_S = 2, 5


class Collecting(dg.Config):
    """A source of `upswell.yaml` to collect as scheduled; or a collector and what is wanted of it."""

    source: str = ""
    collector: str = ""
    topics: list[str] = []
    channels: list[str] = []
    videos: list[str] = []
    parts: list[str] = ["videos"]


@dg.asset(
    key=["raw", "collections"],
    group_name="raw",
    code_version=_CODE,
    pool="collection",
    **describe("raw.collections"),
)
def collections(context: dg.AssetExecutionContext, config: Collecting, home: Home) -> dg.MaterializeResult:
    """Asks a source for what is due or wanted, keeps every reply, and reads them into the raw tables."""
    if not config.source and not config.collector:
        named = ", ".join(home.settings.collect.sources) or "none"
        return dg.MaterializeResult(
            metadata={"nothing was asked": f"the run names no source; collect.sources of upswell.yaml has {named}"}
        )
    if clock.mode(home.folder) == "replay":
        raise _permanent(
            context, "live counts would be stamped with the time of the replay clock; collect in a live home"
        )
    try:
        done = _collect(config, home, context.run_id)
    except (HeldError, UnderWayError) as held:
        if not config.source:
            raise _permanent(context, str(held)) from held
        context.log.info(str(held))
        return dg.MaterializeResult(metadata={"nothing was asked": str(held)})
    except WarehouseBusyError as busy:
        raise dg.RetryRequested(max_retries=_BUSY_TRIES, seconds_to_wait=_BUSY_WAIT_S) from busy
    except (base.CollectError, ValueError, OSError) as error:
        raise _permanent(context, redact(str(error))) from None
    except Exception as error:  # Dagster keeps words and trace of an error as they are: both may hold a secret
        context.log.error(redact(traceback.format_exc()))
        raise _permanent(context, redact(f"{type(error).__name__}: {error}")) from None
    warehouse = home.warehouse
    if done.results:
        run = context.instance.get_run_by_id(context.run_id)
        report_days(context.instance, warehouse, done.results, run=run, step="raw__collections")
        metadata = landing_metadata(warehouse, done.results, done.refused)
        context.log_event(dg.AssetMaterialization(["raw", "landings"], metadata=metadata))
    if done.failed:
        context.log_event(dg.AssetObservation(["raw", "collections"], metadata=_metadata(done)))
        raise _permanent(context, f"{done.row['collector']}: {done.row['reason']}: {done.row['detail']}")
    return dg.MaterializeResult(metadata=_metadata(done))


def _collect(config: Collecting, home: Home, run_id: str) -> Collected:
    settings = home.settings
    source = _source(settings, config.source) if config.source else None
    name = source.collector if source else config.collector
    collector = base.collector(name, home.folder, settings, home.now)
    collection = Collection(home.warehouse, settings, collector, home.now)
    if source is None:
        order = base.Order(
            topics=tuple(config.topics),
            channels=tuple(config.channels),
            videos=tuple(config.videos),
            parts=frozenset(part for part in collector.parts if part in config.parts),
        )
        return collection.on_demand(order, run_id)
    return collection.scheduled(config.source, source, run_id, links_of(source, collector.source))


def links_of(source: CollectedSource, platform: str) -> list[str]:
    """The videos of a platform that the links of a source mean."""
    wanted = by_platform(source.links, (), (), platform).get(platform)
    return wanted.videos if wanted else []


def _source(settings: Settings, name: str) -> CollectedSource:
    if name not in settings.collect.sources:
        known = ", ".join(settings.collect.sources) or "none"
        raise ValueError(f"collect.sources of upswell.yaml has no {name}; there are {known}")
    return settings.collect.sources[name]


def _permanent(context: dg.AssetExecutionContext, why: str) -> dg.Failure:
    """A failure that neither the step nor the run is tried again after."""
    context.instance.add_run_tags(context.run_id, {MAX_RETRIES_TAG: "0"})
    return dg.Failure(why, allow_retries=False)


def _metadata(done: Collected) -> dict[str, Any]:
    row = done.row
    states = ("live", "private", "removed", "age_restricted", "region_blocked", "unavailable")
    found = {
        **{name: row[name] for name in ("state", "asked", "due", "fetched", "replies")},
        **{f"found {state}": row[state] for state in states if row[state]},
        "missed": len(row["missed"] or ()),
        **({"what was missed": "\n".join(row["misses"])} if row.get("misses") else {}),
        "units": markdown(
            [{"bucket": bucket, "spent": units, "left": done.left.get(bucket)} for bucket, units in done.spent.items()]
        ),
        "landings": ", ".join(row["landings"] or ()),
    }
    return found | ({"why": f"{row['reason']}: {row['detail']}"} if row["reason"] else {})
