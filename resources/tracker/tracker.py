"""MLflow behind four calls: open, what is kept of a model, keep a version, set aliases. Each can be repeated at will.

Always by explicit URIs: MLflow's own default would write `mlflow.db` into the working directory. It is imported late, since that
takes seconds.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

EXPERIMENT = "upswell"
FOLDER = "mlflow"
MODEL = "model"
"""Artifact folder that holds the model itself."""
_IDENTITY, _FINGERPRINT = "upswell.version", "upswell.mirrored"
_IN_ONE_REQUEST = 500
# An unreachable server is noticed within seconds and nothing is printed among the output of a command; whoever wants it otherwise
# sets these in the environment.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class TrackerError(RuntimeError):
    """MLflow cannot be reached or refuses what it is told; says where, why and the remedy."""


@dataclass(frozen=True)
class Figure:
    """One value of a metric.

    Attributes:
        name: Name of the metric.
        value: Its value.
        step: Position on the curve.
        at: When it was measured (naive UTC).
    """

    name: str
    value: float
    step: int
    at: datetime


@dataclass(frozen=True)
class Record:
    """Everything that is kept of one version of a model.

    Attributes:
        identity: Our name of the version; there is never a second run or version of the same.
        model: Name of the registered model.
        fingerprint: Changes when anything of the record does.
        description: One sentence for the list of versions.
        parameters: What it was made with.
        tags: What else is known of it.
        figures: Metrics and curves.
        texts: Small files by name.
        write_model: Writes the model as an MLflow model into an absent folder; called only where none is kept yet.
        started_at: When its training began (naive UTC).
        ended_at: When it ended.
    """

    identity: str
    model: str
    fingerprint: str
    description: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    figures: Sequence[Figure]
    texts: Mapping[str, str]
    write_model: Callable[[Path], None]
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class Kept:
    """What is kept of a version: its number in the registry, and the fingerprint of the record that was kept whole, if any."""

    number: str
    fingerprint: str | None


class Tracker:
    """One MLflow, by URI. Use `open`."""

    def __init__(self, client: Any, uri: str, experiment_id: str) -> None:
        self._client, self.uri, self._experiment = client, uri, experiment_id

    @classmethod
    def open(cls, home: Path, uri: str | None) -> Self:
        """The MLflow that the settings name; None is `mlflow/mlflow.db` in the home, with its artifacts beside it.

        Raises:
            TrackerError: It cannot be reached.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        folder = home / FOLDER
        if uri is None:
            folder.mkdir(parents=True, exist_ok=True)
        where = uri or f"sqlite:///{folder / 'mlflow.db'}"
        # A server has its own place for artifacts; without one between, this process writes them.
        artifacts = (
            None if urlsplit(where).scheme in ("http", "https", "databricks") else (folder / "artifacts").as_uri()
        )
        with _explained(where):
            client = MlflowClient(tracking_uri=where, registry_uri=where)
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                return cls(client, where, client.create_experiment(EXPERIMENT, artifact_location=artifacts))
            return cls(client, where, found.experiment_id)

    def kept(self, model: str) -> dict[str, Kept]:
        """What is kept of a registered model, by our names of its versions."""
        found: dict[str, Kept] = {}
        token: str | None = None
        while True:
            with _explained(self.uri):
                page = self._client.search_model_versions(f"name = '{model}'", page_token=token)
            for version in page:
                if identity := version.tags.get(_IDENTITY):
                    found[identity] = Kept(str(version.version), version.tags.get(_FINGERPRINT))
            token = page.token
            if not token:
                return found

    def keep(self, record: Record, scratch: Path) -> None:
        """Keep a record; whatever an interrupted call has left of it is completed, never doubled.

        Args:
            record: What to keep.
            scratch: An empty folder, on the caller to remove.

        Raises:
            TrackerError: It cannot be reached or refuses the record.
        """
        with _explained(self.uri):
            self._registered_model(record.model)
            kept = self.kept(record.model).get(record.identity)
            run = self._run(record)
            self._log(run.info.run_id, record)
            if kept is None:
                record.write_model(scratch / MODEL)
                self._client.log_artifacts(run.info.run_id, str(scratch / MODEL), MODEL)
            for name, text in record.texts.items():
                self._client.log_text(run.info.run_id, text, name)
            self._client.set_terminated(run.info.run_id, "FINISHED", _milliseconds(record.ended_at))
            number = kept.number if kept else self._version(run, record)
            self._client.set_model_version_tag(record.model, number, _FINGERPRINT, record.fingerprint)

    def set_aliases(self, model: str, aliases: Mapping[str, str | None]) -> int:
        """Give each alias to the version of a number, or to none; says how many were changed.

        A registered model that does not exist has no aliases to take away.
        """
        with _explained(self.uri):
            if not self._client.search_registered_models(f"name = '{model}'"):
                return 0
            now = {alias: str(number) for alias, number in self._client.get_registered_model(model).aliases.items()}
            changed = {alias: number for alias, number in aliases.items() if now.get(alias) != number}
            for alias, number in changed.items():
                if number is None:
                    self._client.delete_registered_model_alias(model, alias)
                else:
                    self._client.set_registered_model_alias(model, alias, number)
        return len(changed)

    def _registered_model(self, model: str) -> None:
        if not self._client.search_registered_models(f"name = '{model}'"):
            self._client.create_registered_model(model)

    def _run(self, record: Record) -> Any:
        """The run of a record, begun if there is none."""
        name = record.identity.replace("'", "''")
        found = self._client.search_runs([self._experiment], f"tags.`{_IDENTITY}` = '{name}'", max_results=1)
        if found:
            return found[0]
        return self._client.create_run(
            self._experiment,
            start_time=_milliseconds(record.started_at),
            tags={_IDENTITY: record.identity, "mlflow.source.name": EXPERIMENT},
            run_name=record.identity,
        )

    def _log(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(each.name, each.value, _milliseconds(each.at), each.step) for each in record.figures]
        parameters = [Param(name, value) for name, value in record.parameters.items()]
        tags = [RunTag(name, value) for name, value in record.tags.items()]
        self._client.log_batch(run_id, params=parameters, tags=tags)
        for first in range(0, len(metrics), _IN_ONE_REQUEST):
            self._client.log_batch(run_id, metrics=metrics[first : first + _IN_ONE_REQUEST])

    def _version(self, run: Any, record: Record) -> str:
        created = self._client.create_model_version(
            record.model,
            f"{run.info.artifact_uri}/{MODEL}",
            run.info.run_id,
            tags={_IDENTITY: record.identity},
            description=record.description,
        )
        return str(created.version)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Say in one line that MLflow is the trouble, where it is, and what happens next."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (
        MlflowException,
        RequestException,
        SQLAlchemyError,
        ImportError,
    ) as error:  # a database's driver may be absent
        why = _without_password(uri, str(error).strip().splitlines()[0][:300])
        raise TrackerError(
            f"MLflow at {_without_password(uri, uri)}: {why}; nothing is lost: start it or correct tracking.uri in "
            "upswell.yaml, the next call catches up"
        ) from error


def _without_password(uri: str, text: str) -> str:
    """A text about a URI without the password that the URI may hold."""
    password = urlsplit(uri).password
    return text.replace(password, "***") if password else text


def _milliseconds(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp() * 1000)
