"""The ingestion run: what leaves the inbox, what stays, what is refused, and what another run has taken."""

from pathlib import Path

import dagster as dg
import pytest

from assets.raw import assets as raw
from orchestration.definitions import build_definitions
from resources.home import Home
from tests.automation.files import complete
from tests.orchestration.small_home import contents, new_home
from warehouse.connection import Warehouse


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return new_home(tmp_path / "home") / "inbox"


def ingest(inbox: Path, *paths: Path) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(resource_overrides={"home": Home(path=str(inbox.parent))})
    config = {"ops": {"landings": {"config": {"paths": [str(path) for path in paths]}}}}
    job = definitions.resolve_job_def("ingestion")
    return job.execute_in_process(run_config=config if paths else None, raise_on_error=False)


def landings(inbox: Path) -> list[tuple[str, int]]:
    with Warehouse(inbox.parent).read() as con:
        return con.execute("SELECT names[1], accepted FROM raw.landings ORDER BY names").fetchall()


def test_without_paths_every_complete_file_is_taken(inbox: Path) -> None:
    complete(inbox / "a.csv", "v1")
    complete(inbox / "below" / "b.csv", "v2")
    complete(inbox / "c.csv.part", "v3")
    assert ingest(inbox).success
    assert landings(inbox) == [("a.csv", 1), ("b.csv", 1)]
    assert [path.name for path in inbox.rglob("*") if path.is_file()] == ["c.csv.part"]


def test_refused_file_is_set_aside_with_the_reason(inbox: Path) -> None:
    good, bad = complete(inbox / "good.csv", "v1"), complete(inbox / "bad.csv", "", text="colour,weight\nred,1\n")
    assert ingest(inbox, bad, good).success
    assert landings(inbox) == [("good.csv", 1)]
    refused = inbox.parent / "refused"
    assert (refused / "bad.csv").read_text() == "colour,weight\nred,1\n"
    assert "video_id" in (refused / "bad.csv.why").read_text()
    assert not list(inbox.iterdir())


def test_second_refused_file_of_a_name_does_not_replace_the_first(inbox: Path) -> None:
    for text in ("colour\nred\n", "colour\nblue\n"):
        assert ingest(inbox, complete(inbox / "bad.csv", "", text=text)).success
    kept = [path.read_text() for path in (inbox.parent / "refused").glob("*bad.csv")]
    assert sorted(kept) == ["colour\nblue\n", "colour\nred\n"]


def test_file_that_another_run_has_taken_is_no_failure(inbox: Path) -> None:
    path = complete(inbox / "a.csv", "v1")
    assert ingest(inbox, path).success
    assert ingest(inbox, path).success
    assert not (inbox.parent / "refused").exists()
    assert landings(inbox) == [("a.csv", 1)]


def test_file_stays_where_the_disk_is_at_fault(inbox: Path) -> None:
    path = complete(inbox / "a.csv", "v1")
    (inbox.parent / "landings").write_text("in the way of the folder")
    arrivals, home = raw.Arrivals(paths=[str(path)]), Home(path=str(inbox.parent))
    with pytest.raises(dg.Failure, match="stay in the inbox"):
        list(raw.landings(dg.build_asset_context(), arrivals, home))
    assert path.exists()
    (inbox.parent / "landings").unlink()
    assert ingest(inbox, path).success
    assert landings(inbox) == [("a.csv", 1)]


def test_file_that_replaced_another_during_the_run_stays(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = complete(inbox / "a.csv", "v1")
    ingest_all = raw.ingest_all

    def and_then_replaced(*arguments, **options):  # type: ignore[no-untyped-def]
        for pair in ingest_all(*arguments, **options):
            complete(inbox / "a.csv", "v2")
            yield pair

    monkeypatch.setattr(raw, "ingest_all", and_then_replaced)
    assert ingest(inbox, path).success
    assert path.exists()
    monkeypatch.undo()
    assert ingest(inbox, path).success
    assert landings(inbox) == [("a.csv", 1), ("a.csv", 1)]


def test_checks_run_after_the_rows_are_there(inbox: Path) -> None:
    result = ingest(inbox, complete(inbox / "a.csv", "v1"))
    found = {evaluation.asset_key.to_user_string() for evaluation in result.get_asset_check_evaluations()}
    assert {"raw/landings", "raw/quarantine", "raw/snapshots", "raw/videos", "raw/labels"} <= found
    rows = {
        evaluation.asset_key.to_user_string(): evaluation.metadata["rows"].value
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == "contract"
    }
    assert rows["raw/snapshots"] == 1


def test_same_file_twice_changes_nothing(inbox: Path) -> None:
    ingest(inbox, complete(inbox / "a.csv", "v1"))
    before = contents(inbox.parent, "raw")
    ingest(inbox, complete(inbox / "a.csv", "v1"))
    assert contents(inbox.parent, "raw") == before
