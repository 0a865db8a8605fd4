"""Who serves a cell: challengers judged, promotions and rollbacks by hand, and the champion that has fallen behind.

Loads what is judged and writes decision and alias in one transaction; the statistics are in `gate`. Nothing is fitted
again: the bundle that was judged is the one that serves.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from assets.evaluations.backtest import LeakError, channel_size, duration_bucket, fit, view_regime
from assets.evaluations.decisions import Decision, decisions, fingerprint, record
from assets.evaluations.gate import Difference, Verdict, absolute_error, compare, judge, log_loss
from assets.evaluations.grid import Cell
from assets.evaluations.served import frame_as_of, with_forecasts
from assets.features.frame import features_fingerprint
from assets.models.columns import channels_of
from assets.models.forecasters import naive_for
from assets.models.labels import ViralLabel
from assets.models.predictor import FOLDER, MODEL
from assets.models.registry import CHALLENGER, CHAMPION, EMOTIONS, TRAINING, registered, set_alias
from assets.models.task import Kind, Task
from assets.models.training_set import thaw
from resources import clock
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse

Vector = np.ndarray[Any, np.dtype[np.float64]]
Row = dict[str, Any]
Log = Callable[[str], None]
Guard = Callable[[], None]


class PromotionError(ValueError):
    """A model cannot be made champion, or there is none to go back to; says why, and the remedy."""


def unguarded() -> None:
    """The guard of what no Dagster run stands behind."""


def silent(message: str) -> None:
    """The log of who does not want one."""


@dataclass(frozen=True)
class Pair:
    """Challenger and champion of a cell, as registered.

    Attributes:
        challenger: Row of `models.versions`.
        champion: Row of `models.versions`; None where nothing serves.
        fault: Why the champion cannot be asked, or None.
    """

    challenger: Row
    champion: Row | None
    fault: str | None

    @property
    def against(self) -> str | None:
        """The champion's version."""
        return None if self.champion is None else str(self.champion["version"])

    @property
    def since(self) -> date:
        """Both were fitted on what had matured by then; videos published since are unseen by both."""
        origins: list[date] = [row["origin"] for row in (self.challenger, self.champion) if row is not None]
        return max(origins)

    @property
    def asked(self) -> Row | None:
        """The champion, where it can be asked."""
        return self.champion if self.fault is None else None


def undecided(warehouse: Warehouse, settings: Settings) -> list[Cell]:
    """Cells whose challenger has not been judged against what serves, and could be: enough videos have matured."""
    rows = warehouse.query(
        "SELECT source, target, cutoff FROM models.versions WHERE alias = $alias AND target <> $emotions ORDER BY ALL",
        {"alias": CHALLENGER, "emotions": EMOTIONS},
    ).to_pylist()
    return [cell for cell in (Cell(**row) for row in rows) if _is_open(warehouse, settings, cell)]


def decide(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    now: datetime,
    run_id: str | None,
    guard: Guard = unguarded,
    log: Log = silent,
) -> Decision | None:
    """Judge a cell's challenger on the videos published after both models' origins, and let it serve if it passes.

    A challenger is judged once against a champion: to look again whenever more has matured would promote equal models
    more often than the settings say. Where nothing serves, or what serves cannot be asked (it was made for other features, or its
    bundle is gone), it is judged against the best of the naive forecasters on the same videos. A challenger that cannot be
    asked, or was fitted on what would judge it, is kept back by a decision too, so that nothing asks again.

    Args:
        warehouse: Where models and features are read and the decision is written.
        settings: What a challenger has to show.
        cell: The cell.
        now: Home's time: outcomes known by then count.
        run_id: Dagster run.
        guard: Raises where that run has ended; called before anything is written.
        log: Told why nothing is decided.

    Returns:
        The decision; None where there is nothing to decide, or not yet enough to decide it on.

    Raises:
        LeakError: A video that would judge a model was in its fit; the decision that keeps it back is written.
        ModelError: A bundle was changed.
    """
    pair = _pair(warehouse, cell)
    if pair is None:
        log(f"{cell}: no challenger")
        return None
    if _was_judged(warehouse, cell, pair):
        log(
            f"{cell}: {pair.challenger['version']} was judged against {pair.against or 'the naive forecasters'} already"
        )
        return None
    if fault := _unusable(warehouse, pair.challenger):
        decision = _kept(warehouse, cell, pair, fault, now, run_id)
        return decision if _write(warehouse, cell, pair, decision, guard, log) else None
    seen = frame_as_of(warehouse, settings, cell, pair.challenger["origin"])
    judged = seen[_matured(seen, pair.since, now)]
    if len(judged) < settings.gate.rows:
        log(f"{cell}: {len(judged)} videos published since {pair.since} have matured; {settings.gate.rows} are needed")
        return None
    refused = _seen_before(warehouse, pair, judged)
    if refused is None:
        decision = _judged(warehouse, settings, cell, pair, judged, now, run_id)
    else:
        decision = _kept(warehouse, cell, pair, f"{refused}: it is not judged; train it anew", now, run_id)
    written = _write(warehouse, cell, pair, decision, guard, log)
    if refused is not None:
        raise LeakError(decision.why)
    return decision if written else None


def promote(warehouse: Warehouse, version: str, reason: str) -> Decision:
    """Let a registered model serve, on a person's word.

    Raises:
        PromotionError: There is no such model, it was made by a backtest, it serves already, or it cannot read today's features.
    """
    rows = warehouse.query("SELECT * FROM models.versions WHERE version = $version", {"version": version}).to_pylist()
    if not rows or rows[0]["made_by"] != TRAINING:
        made = "was made by a backtest, to explain an evaluation" if rows else "is no model of this home"
        raise PromotionError(f"{version} {made}; {_registered_text(warehouse)}")
    row = rows[0]
    cell = Cell(row["source"], row["target"], row["cutoff"])
    champion = registered(warehouse, cell, CHAMPION)
    if champion is not None and champion["version"] == version:
        raise PromotionError(f"{version} serves {cell} already")
    if reason_not := _unusable(warehouse, row):
        raise PromotionError(reason_not)
    against = None if champion is None else str(champion["version"])
    decision = _by_hand(warehouse, cell, "promoted", version, against, reason)
    with warehouse.write() as con:
        record(con, decision)
        set_alias(con, cell, version, CHAMPION)
    return decision


def rollback(warehouse: Warehouse, cell: Cell, reason: str) -> Decision:
    """Let the champion before this one serve again, on a person's word.

    Raises:
        PromotionError: Nothing serves the cell, or no champion before can serve.
    """
    champion = registered(warehouse, cell, CHAMPION)
    if champion is None:
        raise PromotionError(f"nothing serves {cell}; see `upswell status` for what does")
    before = next(earlier_champions(warehouse, cell, champion["version"]), None)
    if before is None:
        raise PromotionError(
            f"no champion of {cell} before {champion['version']} can serve; choose a model with `upswell promote VERSION`"
        )
    decision = _by_hand(warehouse, cell, "rolled_back", champion["version"], before["version"], reason)
    with warehouse.write() as con:
        record(con, decision)
        set_alias(con, cell, before["version"], CHAMPION)
    return decision


def roll_back_if_worse(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    now: datetime,
    run_id: str | None,
    guard: Guard = unguarded,
    log: Log = silent,
) -> Decision | None:
    """Take a champion from service whose forecasts in the ledger are worse than naive ones by more than the noise.

    Looked at are the forecasts scored since the last look, so that each counts once and many looks do not add up to a
    false alarm. The latest earlier champion whose loss on the same videos is smaller than the naive one serves instead;
    where there is none, nothing does: a model that is worse than a naive forecast is not served for want of another.

    Returns:
        The decision (`rolled_back` or `kept`); None where nothing serves, or too little was scored since the last look.
    """
    champion = registered(warehouse, cell, CHAMPION)
    if champion is None:
        log(f"{cell}: nothing serves")
        return None
    scored = _scored(warehouse, cell, champion["version"])
    if len(scored) < settings.gate.rows:
        log(f"{cell}: {len(scored)} forecasts of {champion['version']} scored since; {settings.gate.rows} are needed")
        return None
    rows = scored.rename(columns={"naive_error": "loss", "error": "other_loss"})
    found = compare(rows, settings.gate.false_promotion)
    tried: dict[str, float] = {}
    instead = _instead(warehouse, settings, cell, champion["version"], scored, tried) if found.better else None
    decision = Decision(
        decision_id=fingerprint("rollback", cell, champion["version"], _rows_version(scored)),
        kind="rollback",
        **asdict(cell),
        outcome="rolled_back" if found.better else "kept",
        why=_why_rollback(found, instead),
        numbers={
            **_champion_first(found),
            "scored_until": scored["scored_at"].max().isoformat(),
            "earlier_champions": tried,
        },
        clock=clock.mode(warehouse.home),
        decided_at=now,
        version=champion["version"],
        against=instead,
        run_id=run_id,
    )
    with warehouse.write() as con:
        guard()
        if registered(warehouse, cell, CHAMPION) != champion:
            log(f"{cell}: another model took its place meanwhile; nothing is decided")
            return None
        if record(con, decision) and found.better:
            if instead is None:
                set_alias(con, cell, champion["version"], None)
            else:
                set_alias(con, cell, instead, CHAMPION)
    return decision


def earlier_champions(warehouse: Warehouse, cell: Cell, version: str) -> Iterator[Row]:
    """The models that served before a champion and still can, latest first; each is the one that the next replaced."""
    replaced = {
        decision.version: decision.against
        for decision in decisions(warehouse, cell)
        if decision.outcome in ("first", "promoted")
    }
    seen = {version}
    before = replaced.get(version)
    while before is not None and before not in seen:
        seen.add(before)
        rows = warehouse.query(
            "SELECT * FROM models.versions WHERE version = $version", {"version": before}
        ).to_pylist()
        if rows and _unusable(warehouse, rows[0]) is None:
            yield rows[0]
        before = replaced.get(before)


def _pair(warehouse: Warehouse, cell: Cell) -> Pair | None:
    challenger = registered(warehouse, cell, CHALLENGER)
    if challenger is None:
        return None
    champion = registered(warehouse, cell, CHAMPION)
    return Pair(challenger, champion, None if champion is None else _unusable(warehouse, champion))


def _write(warehouse: Warehouse, cell: Cell, pair: Pair, decision: Decision, guard: Guard, log: Log) -> bool:
    """Decision and alias in one transaction; False where the aliases are no longer those that were judged."""
    with warehouse.write() as con:
        guard()
        if _pair(warehouse, cell) != pair:
            log(f"{cell}: another model took an alias meanwhile; nothing is decided")
            return False
        if record(con, decision) and decision.outcome in ("first", "promoted"):
            set_alias(con, cell, pair.challenger["version"], CHAMPION)
    return True


def _kept(warehouse: Warehouse, cell: Cell, pair: Pair, why: str, now: datetime, run_id: str | None) -> Decision:
    """The decision on a challenger that cannot be judged."""
    return Decision(
        decision_id=fingerprint("gate", cell, pair.challenger["version"], pair.against, why),
        kind="gate",
        **asdict(cell),
        outcome="kept",
        why=why,
        numbers={},
        clock=clock.mode(warehouse.home),
        decided_at=now,
        version=pair.challenger["version"],
        against=pair.against,
        run_id=run_id,
    )


def _was_judged(warehouse: Warehouse, cell: Cell, pair: Pair) -> bool:
    return any(
        decision.version == pair.challenger["version"] and decision.against == pair.against
        for decision in decisions(warehouse, cell, "gate")
    )


def _is_open(warehouse: Warehouse, settings: Settings, cell: Cell) -> bool:
    pair = _pair(warehouse, cell)
    if pair is None or _was_judged(warehouse, cell, pair):
        return False
    count = warehouse.query(
        """SELECT count(*) AS matured FROM features.targets t
           JOIN features.content c ON c.source = t.source AND c.video_id = t.video_id
           JOIN features.channel h ON h.source = t.source AND h.video_id = t.video_id AND h.cutoff = $cutoff
           WHERE t.source = $source AND t.target = $measured AND t.status = 'matured' AND t.value IS NOT NULL
             AND (t.observed_at > h.as_of OR $cutoff = 'pre') AND t.matured_at <= $now AND c.anchor_at >= $since""",
        {
            "source": cell.source,
            "measured": settings.parts(cell.target)[0] if _is_class(settings, cell) else cell.target,
            "cutoff": cell.cutoff,
            "now": clock.now(warehouse.home),
            "since": midnight(pair.since),
        },
    ).to_pylist()
    return bool(count[0]["matured"] >= settings.gate.rows)


def _is_class(settings: Settings, cell: Cell) -> bool:
    return Task.of(settings, cell.target, cell.cutoff).kind == "class"


def _matured(frame: pd.DataFrame, since: date, now: datetime) -> pd.Series:
    """Which videos can judge: published since, with an outcome that was known by now."""
    known = (frame["status"] == "matured") & frame["value"].notna() & (frame["matured_at"] <= pd.Timestamp(now))
    return known & (frame["anchor_at"] >= pd.Timestamp(midnight(since)))


def _seen_before(warehouse: Warehouse, pair: Pair, judged: pd.DataFrame) -> str | None:
    """Which videos that would judge a model are among those that it, or its training set, says it was fitted on, or None."""
    for row in (pair.challenger, pair.asked):
        if row is None:
            continue
        bundle = joblib.load(warehouse.home / FOLDER / row["version"] / MODEL)
        fitted = {*bundle["trained_on"], *thaw(warehouse.home, row["training_set_id"])["video_id"]}
        if shared := sorted(fitted & set(judged["video_id"])):
            examples = ", ".join(shared[:3])
            return f"{row['version']} was fitted on {len(shared)} of the {len(judged)} videos that would judge it, e.g. {examples}"
    return None


def _judged(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    pair: Pair,
    judged: pd.DataFrame,
    now: datetime,
    run_id: str | None,
) -> Decision:
    """The decision on a pair, not written yet."""
    task = Task.of(settings, cell.target, cell.cutoff)
    train = thaw(warehouse.home, pair.challenger["training_set_id"])
    label = _label(warehouse, task, pair, train, judged)
    naive = _naive_losses(task, train, judged, label)
    champion, against = pair.asked, min(naive, key=lambda name: (float(naive[name].mean()), name))
    said = with_forecasts(warehouse, pair.challenger["version"], judged)
    rows = _with_slices(said, train, task.kind).assign(loss=_loss(task.kind, said, label), other_loss=naive[against])
    if champion is not None:
        against = champion["version"]
        frame = frame_as_of(warehouse, settings, cell, champion["origin"])
        frame = frame.set_index("video_id", drop=False).loc[judged["video_id"]].reset_index(drop=True)
        rows["other_loss"] = _loss(task.kind, with_forecasts(warehouse, against, frame), label)
    verdict = judge(rows, settings.gate, task.kind)
    outcome = "kept" if not verdict.promoted else "first" if pair.champion is None else "promoted"
    return Decision(
        decision_id=fingerprint("gate", cell, pair.challenger["version"], pair.against, _rows_version(judged)),
        kind="gate",
        **asdict(cell),
        outcome=outcome,
        why=_why(verdict, pair, against),
        numbers={
            **verdict.numbers(),
            "judged_against": against,
            "naive": {name: float(loss.mean()) for name, loss in naive.items()},
            "challenger_origin": pair.challenger["origin"].isoformat(),
            "champion_origin": None if pair.champion is None else pair.champion["origin"].isoformat(),
            "first_video": judged["anchor_at"].min().isoformat(),
            "last_video": judged["anchor_at"].max().isoformat(),
        },
        clock=clock.mode(warehouse.home),
        decided_at=now,
        version=pair.challenger["version"],
        against=pair.against,
        run_id=run_id,
    )


def _label(warehouse: Warehouse, task: Task, pair: Pair, train: pd.DataFrame, judged: pd.DataFrame) -> Vector | None:
    """The class of each video by the threshold of the later of the two training sets; None for a number."""
    if task.kind == "regression":
        return None
    champion = pair.asked
    if champion is not None and champion["origin"] > pair.challenger["origin"]:
        train = thaw(warehouse.home, champion["training_set_id"])
    return np.asarray(ViralLabel.of(task).fit(train).label(judged), dtype=np.float64)


def _loss(kind: Kind, rows: pd.DataFrame, label: Vector | None) -> Vector:
    if kind == "class":
        assert label is not None
        return log_loss(label, rows["probability"].to_numpy(dtype=np.float64))
    return absolute_error(rows["value"].to_numpy(dtype=np.float64), rows["point"].to_numpy(dtype=np.float64))


def _naive_losses(task: Task, train: pd.DataFrame, judged: pd.DataFrame, label: Vector | None) -> Mapping[str, Vector]:
    """The losses of the naive forecasters, fitted on what the challenger was fitted on."""
    with threadpool_limits(1):  # more threads than free cores make small fits many times slower
        return {
            name: _loss(task.kind, judged.assign(**fit(name, task, train).predict(judged)), label)
            for name in naive_for(task)
        }


def _with_slices(said: pd.DataFrame, train: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """The judged videos with the parts that they belong to, and whether the 80 % interval holds the outcome."""
    seen = set(channels_of(train))
    rows = said.loc[:, ["source", "channel_id", "anchor_at"]].assign(
        new_channel=[int(channel not in seen) for channel in channels_of(said)],
        channel_size=channel_size(train, said),
        duration=duration_bucket(said),
        view_regime=view_regime(said),
    )
    if kind == "regression":
        rows["covered"] = said["value"].between(said["lower_80"], said["upper_80"])
    return rows


def _rows_version(rows: pd.DataFrame) -> str:
    """Fingerprint of which videos judged, and of their outcomes."""
    chosen = rows[["video_id", "value"]].sort_values("video_id")
    return hashlib.sha256(pd.util.hash_pandas_object(chosen, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _why(verdict: Verdict, pair: Pair, against: str) -> str:
    if pair.champion is None:
        return f"nothing serves, so against the best naive forecaster, {against}: {verdict.why}"
    if pair.asked is None:
        return f"{pair.fault}; so against the best naive forecaster, {against}: {verdict.why}"
    return verdict.why


def _scored(warehouse: Warehouse, cell: Cell, version: str) -> pd.DataFrame:
    """The ledger's forecasts of a champion that were scored since the last look at it, by the home's clock."""
    looks = [
        decision.numbers["scored_until"]
        for decision in decisions(warehouse, cell, "rollback")
        if decision.version == version
    ]
    scored: pd.DataFrame = warehouse.query(
        """SELECT s.video_id, f.channel_id, f.anchor_at, s.value, s.label, s.error, s.naive_error, s.scored_at
           FROM evaluations.scores s JOIN evaluations.forecasts f USING (source, video_id, target, cutoff)
           WHERE s.source = $source AND s.target = $target AND s.cutoff = $cutoff AND s.version = $version
             AND s.clock = $clock AND s.naive_error IS NOT NULL AND ($since IS NULL OR s.scored_at > $since::TIMESTAMP)
           ORDER BY f.anchor_at, s.video_id""",
        {**asdict(cell), "version": version, "clock": clock.mode(warehouse.home), "since": max(looks, default=None)},
    ).to_pandas()
    return scored


def _instead(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    version: str,
    scored: pd.DataFrame,
    tried: dict[str, float],
) -> str | None:
    """The latest earlier champion that beats the naive forecasts on the same videos; the losses are noted in `tried`."""
    task = Task.of(settings, cell.target, cell.cutoff)
    naive = scored.set_index("video_id")["naive_error"]
    for row in earlier_champions(warehouse, cell, version):
        frame = frame_as_of(warehouse, settings, cell, row["origin"])
        frame = frame[frame["video_id"].isin(scored["video_id"]) & (frame["anchor_at"] >= pd.Timestamp(row["origin"]))]
        if len(frame) < settings.gate.rows:
            continue
        outcome = scored.set_index("video_id").loc[frame["video_id"]]
        said = with_forecasts(warehouse, row["version"], frame).assign(value=outcome["value"].to_numpy())
        label = outcome["label"].to_numpy(dtype=np.float64) if task.kind == "class" else None
        tried[row["version"]] = loss = float(_loss(task.kind, said, label).mean())
        if loss < float(naive.loc[frame["video_id"]].mean()):
            return str(row["version"])
    return None


def _champion_first(found: Difference) -> dict[str, Any]:
    """The numbers of a comparison in which the naive forecasts came first, under names that say so."""
    numbers = asdict(found)
    return {"naive_loss": numbers.pop("loss"), "champion_loss": numbers.pop("other_loss"), **numbers}


def _why_rollback(found: Difference, instead: str | None) -> str:
    losses = f"error {found.other_loss:.4g} in the ledger against {found.loss:.4g} of the naive forecasts on {found.rows:,} videos"
    if not found.better:
        return f"{losses}: not behind by more than the noise"
    serves = "no earlier champion does better than naive, so nothing serves" if instead is None else f"{instead} serves"
    return f"{losses}: behind by {found.statistic:.2f} standard errors, more than the {found.needed:.2f} of the noise; {serves}"


def _by_hand(
    warehouse: Warehouse, cell: Cell, outcome: str, version: str, against: str | None, reason: str
) -> Decision:
    """A person's decision; the same words twice are two decisions."""
    earlier = len(decisions(warehouse, cell, "hand"))
    return Decision(
        decision_id=fingerprint("hand", cell, outcome, version, against, earlier),
        kind="hand",
        **asdict(cell),
        outcome=outcome,
        why=f"by hand: {reason}",
        numbers={},
        clock=clock.mode(warehouse.home),
        decided_at=clock.now(warehouse.home),
        version=version,
        against=against,
    )


def _unusable(warehouse: Warehouse, row: Row) -> str | None:
    """Why a registered model cannot serve, or None."""
    if row["target"] == EMOTIONS:  # reads texts: no feature of a video can be another one
        return None if (warehouse.home / row["uri"]).exists() else f"{row['version']} has no bundle; train it anew"
    if row["feature_fingerprint"] != features_fingerprint():
        return f"{row['version']} was made for other features than today's; train it anew"
    if not (warehouse.home / FOLDER / row["version"] / MODEL).exists():
        return f"{row['version']} has no bundle in {warehouse.home / FOLDER}; train it anew"
    return None


def _registered_text(warehouse: Warehouse) -> str:
    rows = warehouse.query(
        "SELECT version FROM models.versions WHERE made_by = $made_by ORDER BY created_at DESC, version LIMIT 5",
        {"made_by": TRAINING},
    ).to_pylist()
    names = ", ".join(row["version"] for row in rows)
    return f"the latest that can serve: {names}" if names else "no training run has registered one yet"
