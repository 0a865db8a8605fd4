"""The failure sensor: told once per job and error until it is mended, whatever the webhook does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest

from resources.home import Home
from resources.secrets import conceal
from sensors.failures import TRIES, failure_sensor


class Webhook(HTTPServer):
    """Takes alerts, or answers with an error."""

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.answer, self.asked = 200, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked += 1
                if server.answer == 200:
                    server.taken.append(body)
                self.send_response(server.answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


class Desk:
    """Runs jobs that fail as told, and ticks the sensor."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, webhook: Webhook) -> None:
        self.instance, self.webhook, self.home = instance, webhook, Home(path=str(home))
        self.cursor: str | None = None
        (home / "upswell.yaml").write_text(f"alerts: {{webhook: 'http://127.0.0.1:{webhook.server_port}/T0K3N'}}")

    def run(self, name: str, error: str | None) -> None:
        @dg.op(name=f"{name}_op")
        def step() -> None:
            if error:
                raise dg.Failure(error, allow_retries=False)

        @dg.job(name=name)
        def job() -> None:
            step()

        job.execute_in_process(instance=self.instance, raise_on_error=False)

    def tick(self) -> list[str]:
        """Ticks the sensor; the alerts that the webhook took meanwhile."""
        before = len(self.webhook.taken)
        context = dg.build_sensor_context(instance=self.instance, resources={"home": self.home}, cursor=self.cursor)
        self.cursor = failure_sensor().evaluate_tick(context).cursor
        return [alert["text"] for alert in self.webhook.taken[before:]]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    webhook = Webhook()
    Thread(target=webhook.serve_forever, args=(0.01,), daemon=True).start()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Desk(tmp_path, instance, webhook)
    webhook.shutdown()
    webhook.server_close()


def test_a_failure_is_told_once_until_the_job_succeeds_again(desk: Desk) -> None:
    desk.run("collection", "the key has expired (try 1)")
    assert [text.startswith("collection failed: ") and "expired" in text for text in desk.tick()] == [True]
    desk.run("collection", "the key has expired (try 2)")
    assert desk.tick() == [] and desk.tick() == []
    desk.run("collection", None)
    assert desk.tick() == []
    desk.run("collection", "the key has expired (try 3)")
    assert len(desk.tick()) == 1


def test_other_errors_and_other_jobs_are_told(desk: Desk) -> None:
    desk.run("collection", "the key has expired")
    desk.run("collection", "no space left")
    desk.run("features", "the key has expired")
    assert len(desk.tick()) == 3 and desk.tick() == []


def test_what_has_been_mended_before_the_first_look_is_not_told(desk: Desk) -> None:
    desk.run("collection", "the key has expired")
    desk.run("collection", None)
    assert desk.tick() == []


def test_a_webhook_that_is_down_is_tried_three_times(desk: Desk) -> None:
    desk.webhook.answer = 503
    desk.run("collection", "the key has expired")
    for _ in range(TRIES + 2):
        assert desk.tick() == []
    assert desk.webhook.asked == TRIES
    desk.run("features", "another")
    desk.tick()
    desk.webhook.answer = 200
    assert [text.split()[0] for text in desk.tick()] == ["features"]


def test_secrets_and_the_address_of_the_webhook_stay_out(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    conceal("AIzaSyPlanted0000000000", "youtube_api_key")
    desk.run("collection", "refused: key=AIzaSyPlanted0000000000")
    [text] = desk.tick()
    assert "AIzaSy" not in text and "refused" in text
    desk.webhook.answer = 500
    desk.run("features", "again: AIzaSyPlanted0000000000")
    capfd.readouterr()
    desk.tick()
    told = capfd.readouterr()
    assert "T0K3N" not in told.err + told.out + str(desk.cursor) and "AIzaSy" not in told.err + told.out + str(
        desk.cursor
    )
