"""The training sensor: whom it waits for."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import instance_for_test

from orchestration.definitions import build_definitions
from resources.home import Home
from tests.orchestration.small_home import new_home


@pytest.mark.parametrize("job", ["training", "gate"])
def test_no_training_is_asked_for_beside_a_run_that_trains_or_judges(job: str, tmp_path: Path) -> None:
    home = Home(path=str(new_home(tmp_path / "home")))
    definitions = build_definitions(resource_overrides={"home": home})
    with instance_for_test() as instance:
        run = instance.create_run_for_job(definitions.resolve_job_def(job), status=dg.DagsterRunStatus.NOT_STARTED)
        repository = definitions.get_repository_def()
        context = dg.build_sensor_context(instance=instance, repository_def=repository, resources={"home": home})
        asked = repository.get_sensor_def("training").evaluate_tick(context)
    assert not asked.run_requests
    assert asked.skip_message == f"run {run.run_id} of {job} is under way"
