"""`make loop`: shows that a home learns by itself. Files are dropped, the daemon does the rest, decisions are printed.

Once the daemon is up nothing here calls the platform: a landing file is moved into the inbox, the home's clock file is set to the
end of that period, the daemon's state is asked for over GraphQL until it has come to rest, and new decisions are read from the
published snapshot. One JSON object per decision goes to standard output; progress and a summary go to standard error. The exit
code is 1 where a period did not come to rest or a run failed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

SENSORS = ("landing_sensor", "arrivals", "next_stage", "training", "gate")
UNDER_WAY = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING", "MANAGED")
_DAY = re.compile(r"(20\d\d)(\d\d)(\d\d)")


Run = dict[str, Any]
"""A run as the daemon tells it: runId, jobName, status, endTime."""


class Daemon:
    """The web server of a home, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The data of a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.loads(reply.read())
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer["data"]

    def runs(self) -> list[Run]:
        """The newest runs."""
        found: list[Run] = self.ask(
            "{ runsOrError(limit: 100) { ... on Runs { results { runId jobName status endTime } } } }"
        )["runsOrError"]["results"]
        return found

    def ticks(self) -> dict[str, float]:
        """When each sensor last looked and found nothing to do, or asked for a run."""
        states = self.ask(
            """{ repositoriesOrError { ... on RepositoryConnection { nodes { sensors { name sensorState {
                   ticks(limit: 1) { timestamp status } } } } } } }"""
        )["repositoriesOrError"]["nodes"][0]["sensors"]
        return {
            state["name"]: state["sensorState"]["ticks"][0]["timestamp"]
            for state in states
            if state["sensorState"]["ticks"] and state["sensorState"]["ticks"][0]["status"] != "STARTED"
        }

    def at_rest(self, since: float) -> bool:
        """Whether no run is under way and every sensor has looked since the last run ended (and since `since`)."""
        runs = self.runs()
        if any(run["status"] in UNDER_WAY for run in runs):
            return False
        last = max([since, *(run["endTime"] or 0.0 for run in runs)])
        ticks = self.ticks()
        return all(ticks.get(name, 0.0) > last for name in SENSORS)

    def rest(self, since: float, inbox: Path, seconds: float) -> bool:
        """Waits until the inbox is empty and the daemon at rest; False where it is not within `seconds`.

        It has to be so twice: a sensor may have written, after the others looked, what they have to see.
        """
        deadline, before = time.monotonic() + seconds, False
        while time.monotonic() < deadline:
            with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if not any(inbox.iterdir()) and self.at_rest(since):
                    if before:
                        return True
                    since, before = time.time(), True
            time.sleep(1.0)
        return False


@contextmanager
def daemon(home: Path) -> Iterator[Daemon]:
    """`upswell up` on a home until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home / "up.log").open("a")
    command = [str(Path(sys.executable).with_name("upswell")), "up", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        found = Daemon(port)
        for _ in range(240):
            if process.poll() is not None:
                raise SystemExit(f"upswell up ended: see {home / 'up.log'}")
            with suppress(urllib.error.URLError, ConnectionError):
                found.ask("{ version }")
                break
            time.sleep(0.5)
        else:
            raise SystemExit(f"upswell up does not answer: see {home / 'up.log'}")
        _say(f"UI http://127.0.0.1:{port} · home {home}")
        yield found
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            os.killpg(process.pid, signal.SIGKILL)


def steps(files: Sequence[Path], first: int, every: int) -> list[tuple[date, list[Path]]]:
    """Files by the periods in which they arrive: the day after each period, and its files in order.

    Args:
        files: Landing files with their day in their name (YYYYMMDD).
        first: Days of the first period: what is known before the loop begins.
        every: Days of each later period.

    Raises:
        SystemExit: A file has no day in its name.
    """
    days = {}
    for path in files:
        found = _DAY.search(path.name)
        if found is None:
            raise SystemExit(f"{path}: no day (YYYYMMDD) in its name")
        days[path] = date(int(found[1]), int(found[2]), int(found[3]))
    if not days:
        raise SystemExit("no landing file")
    end = min(days.values()) + timedelta(days=first)
    periods: list[tuple[date, list[Path]]] = []
    while not periods or periods[-1][0] <= max(days.values()):
        start = periods[-1][0] if periods else date.min
        inside = sorted((day, path) for path, day in days.items() if start <= day < end)
        periods.append((end, [path for _, path in inside]))
        end += timedelta(days=every)
    return [(end, paths) for end, paths in periods if paths]


def drop(files: Sequence[Path], root: Path, inbox: Path) -> None:
    """Copies files beside the inbox, then renames them into it, so that none is seen half written."""
    scratch = inbox.parent / ".arriving"
    scratch.mkdir(exist_ok=True)
    for path in files:
        name = "__".join(path.relative_to(root).parts)
        shutil.copy(path, scratch / name)
        os.replace(scratch / name, inbox / name)


def set_clock(home: Path, moment: datetime) -> None:
    """Sets the home's replay clock."""
    scratch = home / "clock.loop"
    scratch.write_text(moment.isoformat())
    os.replace(scratch, home / "clock")


def read(home: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of the published snapshot; none before it exists."""
    snapshot = home / "warehouse.snapshot.duckdb"
    if not snapshot.exists():
        return []
    with duckdb.connect(str(snapshot), read_only=True) as con:
        cursor = con.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def main() -> None:
    """Runs the loop over the files of a folder, or over simulated ones."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.loop", description=__doc__)
    parser.add_argument("--home", type=Path, help="a new home; else one in a temporary folder, removed at the end")
    parser.add_argument(
        "--landings", type=Path, help="folder of landing files with their day in their names; else simulated"
    )
    parser.add_argument("--settings", type=Path, help="upswell.yaml of the home")
    parser.add_argument("--days", type=int, default=120, help="days to simulate")
    parser.add_argument("--first", type=int, default=60, help="days of the first period")
    parser.add_argument("--every", type=int, default=14, help="days of each later period")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that a period may take")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemon is ended too
    folder = asked.home or Path(tempfile.mkdtemp(prefix="upswell-loop-"))
    folder.mkdir(parents=True, exist_ok=True)
    root = asked.landings or _simulated(folder, asked.days)
    if asked.settings:
        shutil.copy(asked.settings, folder / "upswell.yaml")
    files = sorted(path for path in root.rglob("*") if path.is_file() and _DAY.search(path.name))
    try:
        faults = _replay(folder, root, steps(files, asked.first, asked.every), asked.limit)
    finally:
        if asked.home is None:
            shutil.rmtree(folder, ignore_errors=True)
    if faults:
        raise SystemExit("\n".join(faults))


def _replay(home: Path, root: Path, periods: Sequence[tuple[date, list[Path]]], limit: float) -> list[str]:
    """Lets one period after the other happen; what went wrong, in words."""
    inbox, told, faults = home / "inbox", dict[str, dict[str, Any]](), list[str]()
    inbox.mkdir(exist_ok=True)
    set_clock(home, datetime.combine(periods[0][0], datetime.min.time()))
    runs: dict[str, Run] = {}
    with daemon(home) as running:
        start = time.time()
        for end, files in periods:
            began = time.time()
            set_clock(home, datetime.combine(end, datetime.min.time()))
            drop(files, root, inbox)
            rested = running.rest(began, inbox, limit)
            _say(
                f"{end}: {len(files)} files, {'at rest' if rested else 'NOT at rest'} after {time.time() - began:.0f} s"
            )
            if not rested:
                faults.append(f"{end}: not at rest within {limit:.0f} s")
            for row in read(home, "SELECT * FROM evaluations.decisions ORDER BY decided_at, decision_id"):
                if row["decision_id"] not in told:
                    told[row["decision_id"]] = row
                    print(json.dumps({**row, "numbers": json.loads(row["numbers"])}, default=str), flush=True)
            known = {name for name, run in runs.items() if run["status"] == "FAILURE"}
            runs |= {run["runId"]: run for run in running.runs()}
            failed = [run for name, run in runs.items() if run["status"] == "FAILURE" and name not in known]
            faults += [f"{end}: run {run['runId']} of {run['jobName']} failed" for run in failed]
    _say(summary(start, list(told.values()), list(runs.values())))
    return faults


def summary(start: float, decisions: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> str:
    """How long the first model took to be promoted, and the reports to be written, in seconds since the first file.

    Args:
        start: When the first file was dropped (seconds since the epoch).
        decisions: Rows of `evaluations.decisions`.
        runs: The runs of the daemon.
    """
    deciding = {row["run_id"] for row in decisions if row["outcome"] in ("first", "promoted")}
    promoted = sorted(run["endTime"] for run in runs if run["runId"] in deciding and run["endTime"])
    reports = sorted(run["endTime"] for run in runs if run["jobName"] == "evaluation" and run["status"] == "SUCCESS")
    if not promoted:
        return f"no model was promoted; {len(reports)} reports"
    line = f"from the first file: {promoted[0] - start:.0f} s to the first promoted model"
    after = [time for time in reports if time > promoted[0]]
    if not after:
        return f"{line}, no report since"
    return f"{line}, {after[0] - start:.0f} s to the first report on it, {after[-1] - start:.0f} s to the newest report"


def _simulated(home: Path, days: int) -> Path:
    """Simulated landing files, written before the loop begins."""
    from resources.simulator import SimulatorConfig, write_landings

    root = home / "simulated"
    write_landings(SimulatorConfig(days=days), root)
    return root


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
