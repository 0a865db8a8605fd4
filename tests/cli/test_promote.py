"""`upswell promote` and `upswell rollback`: who serves changes, the decision is a row, bad input is one line."""

import json
from datetime import date
from pathlib import Path

from assets.models.registry import CHAMPION
from tests.cli.conftest import Upswell
from tests.evaluations.served_home import aliases, new_home, register
from tests.models.frames import make_frame

CELL = ("--source", "simulator", "--target", "log_views_7d", "--cutoff", "24h")


def test_promote_and_roll_back(upswell: Upswell, tmp_path: Path) -> None:
    warehouse = new_home(tmp_path / "home", make_frame(400, "24h", seed=3))
    home = ("--home", str(warehouse.home))
    first, second = register(warehouse, date(2024, 2, 20)), register(warehouse, date(2024, 3, 5))
    said = upswell("promote", first, "--reason", "to begin with", *home)
    assert said.code == 0 and "by hand: to begin with" in said.out and aliases(warehouse) == {CHAMPION: first}
    said = upswell("promote", second, *home, "--json")
    decision = json.loads(said.out)
    assert (decision["outcome"], decision["version"], decision["against"]) == ("promoted", second, first)
    said = upswell("rollback", *CELL, "--reason", "worse", *home, "--json")
    assert json.loads(said.out)["against"] == first and aliases(warehouse) == {CHAMPION: first}
    for arguments, named in [
        (("promote", "nothing"), "nothing is no model of this home; the latest that can serve"),
        (("promote", first), "serves simulator/log_views_7d/24h already"),
        (("rollback", *CELL), "no champion of simulator/log_views_7d/24h before"),
        (("rollback", *CELL[:-1], "72h"), "nothing serves simulator/log_views_7d/72h"),
    ]:
        said = upswell(*arguments, *home)
        assert said.code == 2 and said.out == "" and named in said.err and len(said.err.splitlines()) == 1, said
    rows = warehouse.query("SELECT outcome, why FROM evaluations.decisions ORDER BY ALL").to_pylist()
    assert [row["outcome"] for row in rows] == ["promoted", "promoted", "rolled_back"]
    assert rows[2]["why"] == "by hand: worse"
