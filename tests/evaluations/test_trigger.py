"""A training is asked for when there is a reason and nothing holds it back: the rule over random histories, then the rows."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from assets.evaluations.decisions import Decision, record
from assets.evaluations.grid import Cell
from assets.evaluations.trigger import Fate, State, Try, choose, should_train
from assets.features.frame import features_fingerprint
from tests.evaluations.live_world import world_settings
from tests.features.raw_rows import insert
from warehouse.connection import Warehouse

CELL = Cell("demo", "views_7d", "24h")
T0 = datetime(2024, 3, 1)
SETTINGS = world_settings(min_matured=50)
SETTINGS = SETTINGS.model_copy(update={"gate": SETTINGS.gate.model_copy(update={"rows": 100})})
RULES = SETTINGS.training.trigger
HOUR = timedelta(hours=1)


class History:
    """A cell whose labels arrive, whose sensor ticks and whose runs end, in any order."""

    def __init__(self) -> None:
        self.now, self.trainable, self.trained = T0, 150, None
        self.tries: list[Try] = []
        self.started: list[str] = []

    def state(self) -> State:
        return State(
            data_version=str(self.trainable),
            champion="champion" if self.trained else None,
            fitted=self.trained or 0,
            trainable=self.trainable,
            trained=self.trained,
            tries=tuple(self.tries),
        )

    def tick(self, dies: bool = False) -> None:
        """A sensor that may die after it wrote its decision and before it asked for the run."""
        choice = choose(self.state(), RULES, self.now)
        if choice.outcome == "waited":
            return
        decision = choice.again
        if decision is None:
            decision = f"d{len(self.tries)}"
            self.tries.append(Try(decision, self.now, str(self.trainable), "unheard"))
        if not dies and decision not in self.started:  # the run's key is used once
            self.started.append(decision)
            self.became(decision, "running")

    def became(self, decision: str, fate: Fate) -> None:
        self.tries = [
            Try(one.decision_id, one.at, one.data_version, fate) if one.decision_id == decision else one
            for one in self.tries
        ]

    def end(self, fate: Fate) -> None:
        for one in self.tries:
            if one.fate == "running":
                self.became(one.decision_id, fate)
                self.trained = int(one.data_version) if fate == "done" else self.trained

    def happen(self, event: tuple[str, int]) -> None:
        what, amount = event
        if what == "labels":
            self.trainable += amount
        elif what in ("done", "ended"):
            self.end("done" if what == "done" else "ended")
        else:
            self.now += amount * HOUR
            self.tick(dies=what == "tick that dies")


events = st.lists(
    st.tuples(st.sampled_from(["labels", "tick", "tick", "tick that dies", "done", "ended"]), st.integers(1, 40)),
    max_size=60,
)


@hypothesis_settings(max_examples=150, deadline=None)
@given(events)
def test_never_two_at_once_nor_inside_the_cool_down_nor_more_than_the_cap_nor_beyond_the_attempts(happened):
    history = History()
    for event in happened:
        history.happen(event)
        assert sum(one.fate in ("unheard", "running") for one in history.tries) <= 1
    times = [one.at for one in history.tries]
    assert all(later - earlier >= RULES.cool_down for earlier, later in pairwise(times))
    for position, start in enumerate(times):
        assert sum(time < start + RULES.window for time in times[position:]) <= RULES.most
    for version in {one.data_version for one in history.tries}:
        assert sum(one.data_version == version for one in history.tries) <= RULES.attempts
    assert len(history.started) == len(set(history.started))


@hypothesis_settings(max_examples=100, deadline=None)
@given(events, st.integers(1, 300))
def test_no_arrival_is_lost(happened, last):
    history = History()
    for event in happened:
        history.happen(event)
    history.happen(("labels", last))
    for _ in range(20 * 12):  # three weeks in which every run ends well
        history.happen(("tick", 2))
        history.end("done")
    gained = history.trainable - (history.trained or 0)
    never = history.trained is None and history.trainable < 200
    assert never or gained < RULES.min_matured or gained < RULES.matured_share * history.trained
    assert all(one.fate in ("done", "ended") for one in history.tries)


class TestReasons:
    BASE = State("v", champion="m", fitted=1000, trainable=1060, trained=1000)

    def because(self, **changes: Any) -> str:
        return choose(replace(self.BASE, **changes), RULES, T0).because

    def test_each_measure_fires_at_its_threshold_and_not_below(self):
        where = {name: "views_log" for name in ("psi", "ks", "mmd")}
        assert self.because() == "nothing"
        for name in ("error", "psi", "ks", "mmd"):
            threshold = getattr(RULES, name)
            assert self.because(measures={name: threshold}, features=where) == name
            assert self.because(measures={name: threshold * 0.999}, features=where) == "nothing"
        assert self.because(trainable=1200) == "matured_share"
        assert self.because(trainable=1199) == "nothing"

    def test_the_error_comes_first(self):
        where = {"psi": "views_log"}
        assert self.because(measures={"psi": 9.0, "error": 2.0}, features=where, trainable=2000) == "error"
        assert self.because(measures={"psi": 9.0}, features=where, trainable=2000) == "matured_share"

    def test_few_new_labels_decide_nothing_however_far_things_drift(self):
        assert self.because(trainable=1049, measures={"error": 9.0}) == "few_labels"

    def test_a_model_made_for_other_features_is_replaced_at_once(self):
        assert self.because(outdated=True, trainable=1000) == "features"

    def test_a_training_by_hand_starts_the_cool_down_too(self):
        assert self.because(measures={"error": 2.0}, others=(T0 - HOUR,)) == "cool_down"
        assert self.because(measures={"error": 2.0}, others=(T0 - RULES.cool_down,)) == "error"

    def test_one_training_is_enough_for_a_state_of_the_data(self):
        lost = Try("d", T0 - timedelta(days=3), "v", "done")  # its model did not win
        assert self.because(measures={"error": 2.0}, tries=(lost,)) == "done"
        assert self.because(measures={"error": 2.0}, tries=(lost,), data_version="w") == "error"


class TestRows:
    """The state as the warehouse has it, and the decision as a row."""

    @pytest.fixture
    def warehouse(self, home) -> Warehouse:
        return Warehouse(home, patience_s=10)

    def labels(self, warehouse: Warehouse, count: int, first: int = 0) -> None:
        """Videos published every two hours, matured a week later."""
        rows = []
        for number in range(first, first + count):
            anchor = datetime(2024, 1, 1) + number * 2 * HOUR
            matured = anchor + timedelta(days=7)
            key = {"source": "demo", "video_id": f"v{number:04d}", "target": "views_7d"}
            times = {"anchor_day": anchor.date(), "anchor_at": anchor, "observed_at": matured, "matured_at": matured}
            rows.append({**key, **times, "status": "matured", "value": 1.0})
        with warehouse.write() as con:
            insert(con, "features.targets", rows)

    def model(self, warehouse: Warehouse, n_train: int, alias: str | None = "champion", **changes: Any) -> None:
        key = vars(CELL) | {"forecaster": "ridge", "origin": date(2024, 1, 20), "run_id": "run"}
        texts = dict.fromkeys(("training_set_id", "schema_fingerprint", "data_version", "uri", "sha256"), "x")
        row = {**key, **texts, "version": f"m{n_train}", "n_train": n_train, "made_by": "training", "alias": alias}
        row |= {"feature_fingerprint": features_fingerprint(), "created_at": T0} | changes
        with warehouse.write() as con:
            insert(con, "models.versions", [row])

    def run(self, warehouse: Warehouse, decision_id: str | None, state: str) -> None:
        key = vars(CELL) | {"forecaster": "ridge", "origin": date(2024, 1, 20), "run_id": "run"}
        texts = dict.fromkeys(("training_set_id", "launcher", "device", "device_name", "precision"), "x")
        counts = {"processes": 1, "rows": 1, "resumed": 0, "seconds": 1.0, "started_at": T0, "ended_at": T0}
        row = {**key, **texts, **counts, "training_id": f"t{decision_id}", "decision_id": decision_id, "state": state}
        with warehouse.write() as con:
            insert(con, "models.runs", [row])

    def drift(self, warehouse: Warehouse, measure: str, value: float, feature: str = "all", n_recent: int = 50) -> None:
        key = vars(CELL) | {"version": "m308", "data_version": "d1", "clock": "live", "run_id": "run"}
        row = {**key, "measure": measure, "feature": feature, "value": value, "measured_at": T0}
        with warehouse.write() as con:
            insert(con, "evaluations.drift", [row | {"n_reference": 300, "n_recent": n_recent}])

    def ask(self, warehouse: Warehouse, now: datetime = T0, fate: Fate = "unheard") -> Decision:
        decision = should_train(warehouse, SETTINGS, CELL, now, lambda decision_id: fate)
        with warehouse.write() as con:
            record(con, decision)
        return decision

    def stored(self, warehouse: Warehouse) -> list[tuple[str, str]]:
        rows = warehouse.query(
            "SELECT outcome, json_extract_string(numbers, '$.because') AS because FROM evaluations.decisions ORDER BY decided_at"
        ).to_pylist()
        return [(row["outcome"], row["because"]) for row in rows]

    def test_the_first_training_waits_for_enough_to_train_on_and_to_judge_by(self, warehouse):
        assert "0 training rows" in self.ask(warehouse).why
        self.labels(warehouse, 300)
        assert self.ask(warehouse).outcome == "waited"  # 100 are kept for the gate, and the week before has not matured
        self.labels(warehouse, 100, first=300)
        decision = self.ask(warehouse)
        assert (decision.outcome, decision.why) == ("fired", "no champion yet")
        # of the 400, the latest 100 judge; of those before them, 217 had matured by the day that these begin
        assert decision.numbers["training_rows"] == 217

    def test_labels_that_mature_after_the_homes_time_do_not_count_yet(self, warehouse):
        self.labels(warehouse, 560)
        early = datetime(2024, 1, 29)  # 253 have matured
        waited = self.ask(warehouse, early)
        assert (waited.outcome, waited.numbers["training_rows"]) == ("waited", 61)
        assert self.ask(warehouse).outcome == "fired"

    def test_ticks_over_one_state_make_one_row_and_one_key(self, warehouse):
        self.labels(warehouse, 400)
        asked = [self.ask(warehouse, T0 + number * HOUR) for number in range(3)]
        assert {one.decision_id for one in asked} == {asked[0].decision_id}
        assert self.stored(warehouse) == [("fired", "first")]

    def test_a_failed_training_is_tried_again_after_the_cool_down_but_not_for_ever(self, warehouse):
        self.labels(warehouse, 400)
        keys = {self.ask(warehouse).decision_id}
        assert self.ask(warehouse, T0 + HOUR, "ended").numbers["because"] == "cool_down"
        for attempt in (2, 3):
            decision = self.ask(warehouse, T0 + attempt * timedelta(days=1), "ended")
            assert (decision.outcome, decision.numbers["attempt"]) == ("fired", attempt)
            keys.add(decision.decision_id)
        assert len(keys) == 3
        later = T0 + timedelta(days=30)
        assert self.ask(warehouse, later, "ended").numbers["because"] == "given_up"
        self.labels(warehouse, 12, first=400)  # what arrives opens the question anew
        assert self.ask(warehouse, later, "ended").numbers["attempt"] == 1

    def test_a_failed_row_of_the_training_is_enough_to_know_that_it_ended(self, warehouse):
        self.labels(warehouse, 400)
        self.run(warehouse, self.ask(warehouse).decision_id, "failed")
        again = self.ask(warehouse, T0 + timedelta(days=1))
        assert (again.outcome, again.numbers["attempt"]) == ("fired", 2)

    def test_new_labels_count_from_what_the_latest_model_saw(self, warehouse):
        self.labels(warehouse, 500)
        self.model(warehouse, 300)
        assert self.ask(warehouse).numbers["because"] == "few_labels"
        self.labels(warehouse, 60, first=500)
        decision = self.ask(warehouse)
        assert decision.numbers["labels_gained"] == 373 - 300
        assert (decision.outcome, decision.version) == ("fired", "m300")
        assert "73 newly matured labels are 0.243 of the champion's training rows" in decision.why

    def test_a_challenger_that_did_not_win_starts_the_count_anew(self, warehouse):
        self.labels(warehouse, 560)
        self.model(warehouse, 300)
        self.model(warehouse, 370, alias=None, created_at=T0 + HOUR)
        assert self.ask(warehouse).numbers["because"] == "few_labels"

    def test_without_a_winner_the_next_training_waits_for_new_labels(self, warehouse):
        self.labels(warehouse, 500)
        self.model(warehouse, 300, alias="challenger")
        assert self.ask(warehouse).numbers["because"] == "few_labels"
        self.labels(warehouse, 60, first=500)
        assert self.ask(warehouse).numbers["because"] == "none_serves"

    def test_drift_fires_and_names_the_feature(self, warehouse):
        self.labels(warehouse, 544)
        self.model(warehouse, 308)
        assert self.ask(warehouse).numbers["because"] == "nothing"
        self.drift(warehouse, "psi", 0.1, "duration_s")
        self.drift(warehouse, "psi", 0.4, "title_length")
        decision = self.ask(warehouse)
        assert decision.why == "psi of title_length is 0.4 (threshold 0.25)"
        assert decision.numbers["measures"] == {"psi": 0.4}

    def test_an_error_over_few_labels_is_noise(self, warehouse):
        self.labels(warehouse, 544)
        self.model(warehouse, 308)
        self.drift(warehouse, "error", 3.0, n_recent=49)
        assert self.ask(warehouse).numbers["because"] == "nothing"
        with warehouse.write() as con:
            con.execute("UPDATE evaluations.drift SET n_recent = 50")
        decision = should_train(warehouse, SETTINGS, CELL, T0)
        assert decision.numbers["because"] == "error"

    def test_a_change_of_the_features_asks_for_a_model_that_can_read_them(self, warehouse):
        self.labels(warehouse, 500)
        self.model(warehouse, 316, feature_fingerprint="older")
        assert self.ask(warehouse).numbers["because"] == "features"
