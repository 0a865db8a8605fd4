"""One clock per home: the wall, or one replay file that every process reads whole."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources import clock


def test_without_a_file_it_is_the_wall_in_naive_utc(tmp_path: Path) -> None:
    assert clock.mode(tmp_path) == "live"
    time = clock.now(tmp_path)
    assert time.tzinfo is None
    assert abs(time - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=5)


def test_replay_stands_still_until_it_is_moved(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    clock.set_replay(home, datetime(2025, 3, 1, 12, 30))
    assert clock.mode(home) == "replay"
    assert clock.now(home) == clock.now(home) == datetime(2025, 3, 1, 12, 30)
    clock.set_replay(home, datetime(2025, 2, 1))
    assert clock.now(home) == datetime(2025, 2, 1)
    assert [path.name for path in home.iterdir()] == ["clock"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-03-01T00:00:00\n", datetime(2025, 3, 1)),
        (" 2025-03-01 ", datetime(2025, 3, 1)),
        ("2025-03-01T02:00:00Z", datetime(2025, 3, 1, 2)),
        ("2025-03-01T02:00:00+07:00", datetime(2025, 2, 28, 19)),
    ],
)
def test_what_the_file_may_say(tmp_path: Path, text: str, expected: datetime) -> None:
    (tmp_path / "clock").write_text(text)
    assert clock.now(tmp_path) == expected


@pytest.mark.parametrize("text", ["", "noon", "1740787200"])
def test_another_text_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "clock").write_text(text)
    with pytest.raises(ValueError, match=r"clock: .* is no ISO time"):
        clock.now(tmp_path)


def test_an_aware_time_is_stored_as_the_same_moment(tmp_path: Path) -> None:
    clock.set_replay(tmp_path, datetime.fromisoformat("2025-03-01T02:00:00+07:00"))
    assert clock.now(tmp_path) == datetime(2025, 2, 28, 19)


def test_a_reader_never_sees_half_a_time(tmp_path: Path) -> None:
    times = [datetime(2025, 1, 1), datetime(2026, 12, 31, 23, 59, 59, 999999)]
    clock.set_replay(tmp_path, times[0])
    done = threading.Event()

    def move() -> None:
        for turn in range(300):
            clock.set_replay(tmp_path, times[turn % 2])
        done.set()

    mover = threading.Thread(target=move)
    mover.start()
    while not done.is_set():
        assert clock.now(tmp_path) in times
    mover.join()
