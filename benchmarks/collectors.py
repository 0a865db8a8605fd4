"""10,000 requests of the Data API's collector to a server that misbehaves in a fifth of its answers.

What the server knows, and what it logged, is the judge: the state of every video, the time between requests on a clock
that both share and that only waiting moves, and whether anything was asked again that no further try could mend.
"""

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.figures import row
from resources.collectors.base import Missed, Order, Reply
from resources.collectors.etags import Etags
from resources.collectors.web import Client
from resources.collectors.youtube import YouTubeApi
from tests.collectors.server import KEY, Asked, Server, Time, World, serving

SEED = 5
FAULTY = 0.2
INTERVAL_S = 0.1
# What becomes of a request that was hit by a fault in its last try.
TRANSIENT = {
    "busy": "rate-limited",
    "busy_date": "rate-limited",
    "error": "server-error",
    "half": "network",
    "dropped": "network",
    "cut": "malformed",
    "malformed": "malformed",
    "page": "malformed",
    "slow": "network",
}
LASTING = {"changed": "unexpected", "withheld": "unexpected", "outside": "refused"}
NAMES = (*TRANSIENT, *LASTING, "moved")
WEIGHTS = [0.02 if name == "slow" else 0.4 if name in LASTING else 1.0 for name in NAMES]


def _faults() -> Callable[[Asked, int], str | None]:
    random = Random(SEED)

    def fault(asked: Asked, attempt: int) -> str | None:
        return random.choices(NAMES, WEIGHTS)[0] if random.random() < FAULTY else None

    return fault


def _world(batches: int, commented: int) -> tuple[World, list[str], list[str]]:
    """A world of videos, a tenth of which are gone, and those whose comments are read, a tenth of which are off."""
    random = Random(SEED)
    asked = [f"v{number:010d}" for number in range(50 * batches)]
    there = {each for each in asked if random.random() > 0.1}
    read = sorted(there)[:commented]
    world = World(videos=there, faults=_faults(), disabled=set(read[::10]))
    world.quota = {"search": 0, "units": 10**9}
    return world, asked, read


class _Unlimited:
    """A budget without end; what is asked is counted by the server."""

    def spend(self, bucket: str, units: int = 1) -> None:
        """Lets it be."""


def _outcomes(said: Iterable[Reply | Missed], part: str) -> Counter[tuple[str, str]]:
    """How often each (video, what was told of it) came."""
    told: Counter[tuple[str, str]] = Counter()
    for each in said:
        if isinstance(each, Missed):
            told[(each.subject, each.reason.value)] += 1
        elif part == "comments":
            told[(each.line["request"]["videoId"], "came")] += 1
        else:
            told.update((item["id"], item["status"]["privacyStatus"]) for item in each.line["reply"]["items"])
    return told


def _chains(server: Server) -> dict[str, list[list[Asked]]]:
    """The tries of each thing that was asked for; a redirect and what follows it are one try."""
    chains: dict[str, list[list[Asked]]] = defaultdict(list)
    for asked in server.asked:
        what = asked.query.get("id") or asked.query["videoId"]
        if "moved" in asked.query:
            chains[what][-1].append(asked)
        else:
            chains[what].append([asked])
    return chains


def _truth(chains: dict[str, list[list[Asked]]], world: World) -> Counter[tuple[str, str]]:
    """What should have been told of each video, by what the server knows and did."""
    told: Counter[tuple[str, str]] = Counter()
    for what, tries in chains.items():
        last = tries[-1][-1].fault
        for video in what.split(","):
            if last is not None:
                told[(video, (TRANSIENT | LASTING).get(last, "refused"))] += 1
            elif "videoId" in tries[0][0].query:
                told[(video, "comments-disabled" if video in world.disabled else "came")] += 1
            else:
                told[(video, "public" if video in world.videos else "unavailable")] += 1
    return told


def _ended(tries: list[list[Asked]], world: World) -> int:
    """Requests that were made after an answer, or after a failure that no further try mends."""
    for number, chain in enumerate(tries):
        if chain[-1].fault not in TRANSIENT:
            return sum(len(later) for later in tries[number + 1 :])
    return 0


def _measure(batches: int, commented: int) -> dict[str, Any]:
    world, asked, read = _world(batches, commented)
    clock = Time()
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home, serving(world, clock) as server:
        web = Client(interval_s=INTERVAL_S, timeout_s=2.0, monotonic=clock.monotonic, sleep=clock.sleep, jitter=Random(SEED).random)  # fmt: skip
        api = YouTubeApi(KEY, "salt" * 8, web, Etags(Path(home)), clock.now, base_url=server.api, pages=1)
        started = time.perf_counter()
        told = _outcomes(api.collect(Order(videos=tuple(asked)), _Unlimited()), "videos")
        chains = _chains(server)
        wrong = (told - _truth(chains, world)).total() + (_truth(chains, world) - told).total()
        videos = len({video for video, _ in told})
        first = list(server.asked)
        server.asked.clear()
        told = _outcomes(
            api.collect(Order(videos=tuple(read), parts=frozenset({"comments"})), _Unlimited()), "comments"
        )
        measured["seconds"] = time.perf_counter() - started
        of_comments = _chains(server)
        truth = _truth(of_comments, world)
        measured["wrong"] = wrong + (told - truth).total() + (truth - told).total() + (len(asked) - videos)
        every = [*chains.values(), *of_comments.values()]
        requests = [*first, *server.asked]
        measured["requests"] = len(requests)
        measured["videos"] = len(asked) + len(read)
        measured["faulty"] = sum(1 for each in requests if each.fault) / len(requests)
        measured["kinds"] = Counter(each.fault or "answered" for each in requests)
        measured["missed"] = sum(count for (_, outcome), count in _truth(chains, world).items() if outcome in {*TRANSIENT.values(), *LASTING.values()})  # fmt: skip
        gaps = [later.at - earlier.at for earlier, later in pairwise(requests)]
        measured["too_soon"] = sum(1 for gap in gaps if gap < INTERVAL_S - 1e-9)
        measured["fourth"] = sum(1 for tries in every if len(tries) > 3)
        measured["again"] = sum(_ended(tries, world) for tries in every)
        for fault in ("expired", "quota"):
            server.asked.clear()
            world.faults = lambda asked, attempt, fault=fault: fault  # type: ignore[misc]
            try:
                for _ in api.collect(Order(videos=tuple(asked)), _Unlimited()):
                    pass
            except Exception as error:
                measured[fault] = (len(server.asked) - 1, str(error))
    return measured


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Counts against the server's truth and log."""
    found = _measure(300, 100) if quick else _measure(7_200, 1_500)
    shown = f"{found['requests']:,} requests, {found['faulty']:.0%} faulty"
    kinds = ", ".join(f"{name} {count:,}" for name, count in found["kinds"].most_common())
    return [
        row("collectors", f"{shown} ({kinds})", found["seconds"] * 1e3 / found["requests"], "ms each", None,
            "10,000 requests, a fifth faulty", quick or (found["requests"] >= 10_000 and 0.18 < found["faulty"] < 0.22)),
        row("collectors", f"{found['videos']:,} videos and comments asked for, {found['missed']:,} of the videos missed: told otherwise than the server knows",
            found["wrong"], "of them", None, "0", found["wrong"] == 0),
        row("collectors", "requests sooner than the rate allows", found["too_soon"], "requests", None, "0", found["too_soon"] == 0),
        row("collectors", "things asked for more than three times", found["fourth"], "things", None, "0", found["fourth"] == 0),
        row("collectors", "requests after an answer or a permanent failure", found["again"], "requests", None, "0", found["again"] == 0),
        row("collectors", "requests after an expired key, and after the quota's end", sum(found[each][0] for each in ("expired", "quota")),
            "requests", None, "0", all(found[each][0] == 0 for each in ("expired", "quota"))),
    ]  # fmt: skip
