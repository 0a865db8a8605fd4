"""The training sensor: whom it waits for."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.evaluations.decisions import decisions
from assets.language.emotion_model.registry import CELL
from orchestration.definitions import build_definitions
from resources.home import Home
from tests.emotions.test_training import add_texts
from tests.orchestration.small_home import new_home


@pytest.mark.parametrize("job", ["training", "emotions", "gate"])
def test_no_training_is_asked_for_beside_a_run_that_trains_or_judges(job: str, tmp_path: Path) -> None:
    home = Home(path=str(new_home(tmp_path / "home")))
    definitions = build_definitions(resource_overrides={"home": home})
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(definitions.resolve_job_def(job), status=dg.DagsterRunStatus.NOT_STARTED)
        repository = definitions.get_repository_def()
        context = dg.build_sensor_context(instance=instance, repository_def=repository, resources={"home": home})
        asked = repository.get_sensor_def("training").evaluate_tick(context)
    assert not asked.run_requests
    assert asked.skip_message == f"run {run.run_id} of {job} is under way"


def test_the_emotion_model_is_asked_for_by_the_same_sensor_once(tmp_path: Path) -> None:
    home = Home(path=str(new_home(tmp_path / "home")))
    add_texts(home.warehouse, "train", 180, 0, home.now() - timedelta(days=1))
    add_texts(home.warehouse, "dev", 60, 1, home.now() - timedelta(days=1))
    definitions = build_definitions(resource_overrides={"home": home})
    repository = definitions.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, repository_def=repository, resources={"home": home})
        sensor = repository.get_sensor_def("training")
        first, again = (sensor.evaluate_tick(context).run_requests for _ in range(2))
    emotions = [request for request in first or () if request.job_name == "emotions"]
    assert len(emotions) == 1
    [decision] = decisions(home.warehouse, CELL, "training")
    assert decision.outcome == "fired" and decision.numbers["because"] == "first"
    assert emotions[0].run_config["ops"]["models__emotions"]["config"] == {"decision_id": decision.decision_id}
    assert [request.run_key for request in again or () if request.job_name == "emotions"] == [emotions[0].run_key]
