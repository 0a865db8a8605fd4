"""A trainer's device is held by one process at a time, and a trainer ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resources.settings import load_settings
from resources.trainer.device import DeviceError, held, resolve
from resources.trainer.launcher import Launcher, launcher_for
from resources.trainer.stop import EXIT_STOPPED, STARTED_BY, Stop, lives, this_process, watched
from resources.trainer.telemetry import Meter

HOLDER = """
import sys, time
from pathlib import Path
from resources.trainer.device import held
with held(Path(sys.argv[1]), "cuda:1"):
    print("held", flush=True)
    time.sleep(60)
"""
ORPHAN = """
import sys, time
from resources.trainer.stop import Stop, watched
stop = Stop()
with watched(stop, grace_s=float(sys.argv[1])):
    print("watching", flush=True)
    while not (stop() and sys.argv[2] == "obedient"):
        time.sleep(0.05)
print(stop.why, flush=True)
"""


def python(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_held_device_names_its_holder_and_is_free_once_that_one_is_killed(tmp_path: Path) -> None:
    holder = python(HOLDER, str(tmp_path))
    with pytest.raises(DeviceError, match=f"cuda:1 is held by the trainer with PID {holder.pid} "):
        with held(tmp_path, "cuda:1"):
            pass
    with held(tmp_path, "cuda:0"), held(tmp_path, "cpu"):
        pass
    holder.kill()
    holder.wait()
    with held(tmp_path, "cuda:1", patience_s=5):
        assert (tmp_path / "devices" / "cuda_1.lock").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "devices" / "cuda_1.lock").exists(), "a lock file that is unlinked excludes nobody"


def test_a_child_does_not_keep_the_device(tmp_path: Path) -> None:
    with held(tmp_path, "cpu"):
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
    try:
        with held(tmp_path, "cpu", patience_s=10):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("wanted", ["cuda:99", "mps"])
def test_a_device_that_is_not_there_is_named(wanted: str) -> None:
    with pytest.raises(DeviceError, match=rf"training\.device {wanted}: .*set it to auto or cpu"):
        resolve(wanted)


def test_devices_are_resolved() -> None:
    assert resolve("cpu") == "cpu"
    assert resolve("auto") in ("cpu", "mps", "cuda:0")
    with pytest.raises(DeviceError, match="cuda:1 is one device for 2 processes"):
        resolve("cuda:1", processes=2)


def test_a_process_lives_until_it_ends_or_its_number_is_anothers() -> None:
    assert lives(this_process())
    assert not lives(f"{os.getpid()}/1")
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(f"{child.pid}/{Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()[19]}")
    child.wait()


def test_a_trainer_stops_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = Path(f"/proc/{parent.pid}/stat").read_text().rpartition(")")[2].split()[19]
    orphans = [python(ORPHAN, "0.2", kind, **{STARTED_BY: f"{parent.pid}/{started}"}) for kind in ("obedient", "deaf")]
    assert [orphan.poll() for orphan in orphans] == [None, None]
    parent.kill()
    said = [orphan.communicate(timeout=30)[0].strip() for orphan in orphans]
    assert said == [f"the process that started it ({parent.pid}) is gone", ""]
    assert [orphan.returncode for orphan in orphans] == [0, EXIT_STOPPED]
    parent.wait()


def test_a_signal_asks_to_stop_once() -> None:
    stop, before = Stop(), signal.getsignal(signal.SIGINT)
    with watched(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.why == "told to by SIGTERM"
    assert signal.getsignal(signal.SIGINT) is before


def test_the_launcher_is_that_of_the_settings(home: Path) -> None:
    order = Path("order.json")
    assert Launcher("local", 1).command(order)[1:] == ["-m", "assets.models.train", "order.json"]
    (home / "upswell.yaml").write_text("training: {launcher: torchrun, processes: 3}\n")
    training = load_settings(home).training
    command = launcher_for(training, uses_device=True).command(order)
    assert command[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    assert launcher_for(training, uses_device=False) == Launcher("local", 1)


def test_the_meter_counts_what_was_used() -> None:
    with Meter("cpu") as meter:
        begin = time.process_time()
        while time.process_time() - begin < 0.2:
            pass
        cost = meter.read()
    assert cost.seconds >= 0.2
    assert cost.peak_memory_bytes > 1e7
    assert cost.utilisation is not None
    assert 0 < cost.utilisation * (os.cpu_count() or 1) * cost.seconds >= 0.19
