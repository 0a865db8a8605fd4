"""SIGKILL at random moments of a write path; the benchmark does the same fifty times for each."""

import pytest

from benchmarks.durability import (
    LANDINGS,
    PARTITIONS,
    PUBLISHING,
    WritePath,
    crowded,
    killed,
    landing_faults,
    partition_faults,
    publish_faults,
)


@pytest.mark.parametrize(
    "path",
    [
        WritePath("replace_partition", PARTITIONS, partition_faults),
        WritePath("publish", PUBLISHING, publish_faults),
        WritePath("ingest", LANDINGS, landing_faults),
    ],
    ids=lambda path: path.name,
)
def test_nothing_is_lost_or_half_written(path: WritePath) -> None:
    faults, committed, _ = killed(path, kills=4)
    assert faults["ok"], faults
    assert committed["value"] > 0


def test_crowd_loses_nothing() -> None:
    lost = crowded(seconds=2)[0]
    assert lost["figure"] == "acknowledged writes lost"
    assert lost["ok"]
