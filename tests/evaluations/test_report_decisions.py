"""The section on who serves: champions over time, what the gate saw, every decision; the same to the byte, and in its clock."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.evaluations.decisions import Decision, fingerprint, record
from assets.evaluations.gate import judge
from assets.evaluations.report import render
from assets.evaluations.report_decisions import decisions, spells
from resources.settings import load_settings
from tests.evaluations.test_gate import GATE, losses
from tests.evaluations.test_report import fill, tables_of, text_of
from warehouse.connection import Warehouse

START = datetime(2024, 4, 1)


def decision(day: int, kind: Any, outcome: str, version: str | None, against: str | None, **more: Any) -> Decision:
    cell = {"source": "demo", "target": "log_views_7d", "cutoff": "24h"}
    asked = fingerprint(
        kind,
        Decision("", kind, **cell, outcome="", why="", numbers={}, clock="", decided_at=START).cell,
        day,
        outcome,
        version,
    )
    row = {"numbers": {}, "why": f"day {day} <b>", "clock": "replay", "decided_at": START + timedelta(days=day)} | more
    return Decision(asked, kind, **cell, outcome=outcome, version=version, against=against, **row)  # fmt: skip


def story() -> list[Decision]:
    numbers = judge(losses(gain=0.12), GATE, "regression").numbers()
    name = "demo-log_views_7d-24h-{}-2024-03-{:02d}-abcdef"
    first, second = name.format("ridge", 4), name.format("lightgbm", 18)
    return [
        decision(0, "training", "fired", None, None),
        decision(1, "gate", "first", first, None, numbers=numbers | {"judged_against": "growth_curve"}),
        decision(5, "training", "waited", first, None),
        decision(9, "gate", "promoted", second, first, numbers=numbers),
        decision(9, "hand", "rolled_back", second, first),
        decision(12, "gate", "kept", name.format("ridge", 25), first, numbers=numbers),
    ]


def write(warehouse: Warehouse, rows: list[Decision]) -> None:
    with warehouse.write() as con:
        for row in rows:
            record(con, row)


def test_spells_follow_the_decisions_that_changed_who_serves() -> None:
    rows = story()
    found = [(spell.version[-17:-7], (spell.start - START).days, (spell.end - START).days) for spell in spells(rows)]
    assert found == [("2024-03-04", 1, 9), ("2024-03-18", 9, 9), ("2024-03-04", 9, 12)]
    assert spells([rows[0]]) == []
    nobody = decision(11, "rollback", "rolled_back", rows[1].version, None)
    assert [(spell.end - START).days for spell in spells([*rows[:5], nobody])] == [9, 9, 11]
    assert spells(rows) == spells([*rows[:3], rows[4], rows[3], rows[5]]), "at one moment, each follows on the other"


def test_the_page_shows_every_decision_with_its_numbers(tmp_path: Path) -> None:
    warehouse, settings = fill(tmp_path, tables_of()), load_settings(tmp_path)
    before = render(warehouse, settings)
    write(warehouse, story())
    page = render(warehouse, settings)
    assert page.made_from != before.made_from
    assert render(Warehouse(tmp_path), settings).html == page.html, "the same to the byte"
    section = page.html.split('<section id="decisions">')[1].split("</section>")[0]
    shown = text_of(section)
    loss, other = (story()[1].numbers[name] for name in ("loss", "other_loss"))
    assert f"ridge-2024-03-04 against growth_curve {loss:.3f} not {other:.3f} 80.0 %" in shown
    assert re.search("rolled back hand, .{16} log_views_7d .* lightgbm-2024-03-18 against ridge-2024-03-04 – –", shown)
    assert "demo/log_views_7d/24h 1 1" in shown, "training was asked for once, and once not"
    assert "Champions (replay)" in shown and section.count("<rect") == 3
    saved = re.search(r"2024-04-10 demo/log_views_7d/24h promoted</text>.*?>([\d.]+) %</text>", section, re.DOTALL)
    assert saved is not None and float(saved[1]) == pytest.approx(100 * (1 - loss / other), abs=0.06)
    assert "new channel: True 60" in shown and "<b>" not in section


def test_live_and_replayed_decisions_stand_apart_and_other_sources_stay_out(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    write(
        warehouse,
        [decision(1, "hand", "promoted", "a", None), decision(2, "hand", "promoted", "b", None, clock="live")],
    )
    headings = [part.heading for part in decisions(warehouse, ["demo"])]
    assert headings == ["Champions (live)", "Decisions (live)", "Champions (replay)", "Decisions (replay)"]
    assert decisions(warehouse, ["other"]) == []
