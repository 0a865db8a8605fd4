"""What Dagster loads: how heavy it is, how it describes itself, and that it fits together."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from orchestration.definitions import build_definitions
from tests.orchestration.small_home import environment
from warehouse.connection import Warehouse
from warehouse.contracts import load_tables

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions()


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def run(home: Path, *command: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment(home), cwd=cwd, capture_output=True, text=True, timeout=250)


def test_loading_imports_nothing_heavy(home: Path) -> None:
    heavy = "torch", "transformers", "sklearn", "scipy", "lightgbm", "matplotlib", "mlflow", "shap", "hypothesis"
    code = f"import sys; from orchestration.definitions import defs; defs(); print([m for m in {heavy} if m in sys.modules])"
    assert run(home, sys.executable, "-c", code).stdout.strip() == "[]"


def test_every_asset_says_what_it_is_and_whose(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        said = {
            "group": spec.group_name not in (None, "default"),
            "kinds": bool(spec.kinds),
            "owners": bool(spec.owners),
            "description": len(spec.description or "") > 20,
            "code_version": bool(spec.code_version),
        }
        assert all(said.values()), f"{name}: {said}"


def test_groups_follow_the_way_of_the_data(specs: dict[str, dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in specs.values()} == {
        "raw",
        "features",
        "language",
        "embeddings",
        "clusters",
        "models",
        "evaluations",
        "lineage",
        "serving",
    }
    assert all(spec.group_name == name.split("/")[0] for name, spec in specs.items())


def test_every_declared_table_has_a_blocking_contract_check(definitions: dg.Definitions) -> None:
    contracts = {key for key in checks(definitions) if key.endswith("contract")}
    beside = {
        "raw.landing_days": "raw/landings:landing_days_contract",
        "raw.duplicates": "raw/landings:duplicates_contract",
        "raw.quota": "raw/collections:quota_contract",
        "raw.forgettings": "raw/forgotten:forgettings_contract",
        "raw.rewritten": "raw/forgotten:rewritten_contract",
        "raw.withdrawn": "raw/forgotten:withdrawn_contract",
        "embeddings.failures": "embeddings/encoders:failures_contract",
        "embeddings.fusions": "embeddings/fused:fusions_contract",
        "models.curves": "models/runs:curves_contract",
        "language.course_scores": "language/course_forecasts:course_scores_contract",
        "lineage.partitions": "lineage/columns:partitions_contract",
    }
    expected = {beside.get(name, f"{name.replace('.', '/')}:contract") for name in load_tables()}
    assert contracts == expected
    assert all(checks(definitions)[key].blocking for key in contracts)


def checks(definitions: dg.Definitions) -> dict[str, dg.AssetCheckSpec]:
    specs = (spec for check in definitions.asset_checks or [] for spec in check.check_specs)  # type: ignore[union-attr]
    return {f"{spec.asset_key.to_user_string()}:{spec.name}": spec for spec in specs}


def test_every_derived_column_says_where_it_comes_from(specs: dict[str, dg.AssetSpec], home: Path) -> None:
    shown = {
        (name.replace("/", "."), column, ".".join(dep.asset_key.path), dep.column_name)
        for name, spec in specs.items()
        if "dagster/column_lineage" in spec.metadata
        for column, deps in spec.metadata["dagster/column_lineage"].deps_by_column.items()
        for dep in deps
    }
    with Warehouse(home).read() as con:
        stored = set(con.execute('SELECT "table", "column", from_table, from_column FROM lineage.columns').fetchall())
    assets = {name.replace("/", ".") for name in specs}
    assert {row for row in stored if row[0] in assets} == shown
    for table in (
        "features.content",
        "features.engagement",
        "features.channel",
        "features.context",
        "features.targets",
    ):
        assert any(row[0] == table for row in shown)
    known = {(name, column) for name, declared in load_tables().items() for column in declared.column_names}
    assert {(row[2], row[3]) for row in shown} <= known


def test_every_table_asset_shows_its_columns(specs: dict[str, dg.AssetSpec]) -> None:
    declared = {name: spec for name, spec in specs.items() if name.replace("/", ".") in load_tables()}
    assert set(specs) - set(declared) == {"serving/snapshot", "serving/mlflow"}
    for name, spec in declared.items():
        columns = [column.name for column in spec.metadata["dagster/column_schema"].columns]
        assert columns == list(load_tables()[name.replace("/", ".")].column_names)


def test_graph_is_as_it_was(
    definitions: dg.Definitions, specs: dict[str, dg.AssetSpec], snapshot: SnapshotAssertion
) -> None:
    repository = definitions.get_repository_def()
    graph: dict[str, Any] = {
        "assets": {
            name: {
                "group": spec.group_name,
                "kinds": sorted(spec.kinds),
                "owners": list(spec.owners),
                "partitions": type(spec.partitions_def).__name__ if spec.partitions_def else None,
                "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            }
            for name, spec in sorted(specs.items())
        },
        "checks": {name: spec.blocking for name, spec in sorted(checks(definitions).items())},
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: [schedule.cron_schedule, schedule.job_name, schedule.default_status.value]
            for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
        },
        "sensors": {
            sensor.name: [sensor.minimum_interval_seconds, sensor.default_status.value]
            for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
        },
    }
    assert graph == snapshot(extension_class=JSONSnapshotExtension)


def test_imports_point_one_way() -> None:
    done = subprocess.run([BIN / "lint-imports"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_dg_finds_nothing_wrong(home: Path) -> None:
    done = run(home, str(BIN / "dg"), "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_workspace_loads_from_any_folder(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "assets").mkdir(parents=True)
    (elsewhere / "assets" / "__init__.py").write_text("raise RuntimeError('not these assets')")
    workspace = str(REPOSITORY / "workspace.yaml")
    done = run(home, str(BIN / "dagster"), "definitions", "validate", "-w", workspace, cwd=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
