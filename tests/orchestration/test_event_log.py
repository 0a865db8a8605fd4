"""Events written in batches are the events that Dagster's own storage would hold."""

from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.event_log import EventLog
from orchestration.instance import log_kept_open, open_instance

PARTITIONS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-03-01")
FIRST, LAST = "2025-01-10", "2025-02-10"
A, B = dg.AssetKey("a"), dg.AssetKey("b")


@dg.multi_asset(
    specs=[dg.AssetSpec(key, partitions_def=PARTITIONS, code_version="1") for key in (A, B)],
    check_specs=[dg.AssetCheckSpec("fine", asset=A)],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def tables() -> Any:
    """Two tables and a check over a range of days."""
    yield dg.MaterializeResult(asset_key=A, metadata={"rows": 3}, tags={"upswell/kind": "test"})
    yield dg.MaterializeResult(asset_key=B, metadata={"rows": 4})
    yield dg.AssetCheckResult(asset_key=A, check_name="fine", passed=True)


def recorded(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What an instance holds after the range was materialized, without times and ids."""
    job = dg.Definitions(assets=[tables], jobs=[dg.define_asset_job("all", "*")]).resolve_job_def("all")
    tags = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": LAST}
    run = job.execute_in_process(instance=instance, tags=tags)
    newest = instance.get_latest_materialization_events([A, B])
    return {
        "of the run": Counter(event.dagster_event_type for event in instance.all_logs(run.run_id)),
        "partitions": {key: instance.get_materialized_partitions(key) for key in (A, B)},
        "newest": {key: event and event.asset_materialization for key, event in newest.items()},
        "tags": [
            (record.partition_key, record.asset_materialization and record.asset_materialization.tags)
            for record in instance.fetch_materializations(A, limit=1000).records
        ],
        "newest run": {
            record.asset_entry.asset_key: record.asset_entry.last_run_id == run.run_id
            for record in instance.get_asset_records([A, B])
        },
        "checks": [
            check.status
            for check in instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(A, "fine"), 10)
        ],
    }


def test_batches_are_stored_like_single_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "20")
    with dg.instance_for_test(temp_dir=str(tmp_path)) as single:
        expected = recorded(single)
    with open_instance(tmp_path / "home") as batched:
        assert isinstance(batched.event_log_storage, EventLog)
        found = recorded(batched)
    assert len(found["partitions"][A]) == 32
    assert found == expected


def test_batch_is_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    opened: list[str] = []
    connect = EventLog._connect
    monkeypatch.setattr(EventLog, "_connect", lambda log, shard: opened.append(shard) or connect(log, shard))  # type: ignore[func-returns-value]
    with open_instance(tmp_path / "home") as batched:
        recorded(batched)
    assert len(opened) < 2 * 32  # one by one: several for each of the 128 events


def test_databases_stay_open_only_when_told_and_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    runs = tmp_path / "home" / "dagster" / "history" / "runs"
    with open_instance(tmp_path / "other") as instance:
        expected = recorded(instance)
    with open_instance(tmp_path / "home") as instance:
        with log_kept_open(instance):
            found = recorded(instance)
            assert len(list(runs.glob("*.db-wal"))) == 2  # the index, and the run
        assert list(runs.glob("*.db-wal")) == []
    assert found == expected
