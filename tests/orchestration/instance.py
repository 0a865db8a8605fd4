"""A real Dagster on a home, as `upswell up` starts it, driven through GraphQL over HTTP."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.orchestration.small_home import UPSWELL, environment

SELECTOR = {"repositoryLocationName": "orchestration.definitions", "repositoryName": "__repository__"}


class Running:
    """The web server of a home."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL query; errors raise."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.loads(reply.read())
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def until(self, what: Callable[[], Any], seconds: float) -> Any:
        """Waits for something true and returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := what():
                    return found
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.25)
        raise TimeoutError(f"not within {seconds} s")

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs, newest first."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        answer = self.ask(
            """query ($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
                 runId jobName status runConfigYaml creationTime tags { key value } } } } }""",
            filter={"tags": listed} if listed else {},
        )
        results: list[dict[str, Any]] = answer["runsOrError"]["results"]
        return results

    def finished(self, run_id: str, seconds: float = 240) -> str:
        """The status in which a run ends."""

        def status() -> str | None:
            [found] = [run["status"] for run in self.runs() if run["runId"] == run_id]
            return found if found in ("SUCCESS", "FAILURE", "CANCELED") else None

        return str(self.until(status, seconds))

    def launch(self, job: str, tags: Mapping[str, str]) -> str:
        """Launches a job as the UI does; returns the run's id."""
        answer = self.ask(
            """mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
                 ... on RunConfigValidationInvalid { errors { message } } } }""",
            params={
                "selector": {**SELECTOR, "jobName": job},
                "mode": "default",
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
            },
        )["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])


@contextmanager
def running(home: Path) -> Iterator[Running]:
    """`upswell up` on a home until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home.parent / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [UPSWELL, "up", "--port", str(port)],
            env=environment(home),
            cwd=home,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        server = Running(port)
        server.until(lambda: server.ask("{ version }"), 120)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
