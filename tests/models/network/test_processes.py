"""Real processes: one that is killed in mid-epoch and goes on, and two that train together."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assets.models.fit_run import FitRun
from assets.models.network.checkpoint import Checkpoints
from tests.models.network.child import fitted, sha256

PRESET = "epochs: 4\nbatch_size: 32\ncheckpoint_steps: 7\npatience: 10\n"
ROOT = Path(__file__).parents[3]
CHILD = "tests.models.network.child"


@pytest.fixture
def preset(tmp_path) -> Path:
    path = tmp_path / "preset.yaml"
    path.write_text(PRESET)
    return path


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_killed_in_mid_epoch_it_goes_on_to_the_same_weights(preset, tmp_path):
    ended = start(CHILD, str(preset), str(tmp_path), "30")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (tmp_path / "fit.json").exists()
    (own,) = (tmp_path / "checkpoints").iterdir()
    state = Checkpoints(own).latest("cpu")
    assert state is not None
    assert (state["progress"]["step"], state["progress"]["in_epoch"]) == (28, 6), "eleven steps are an epoch"
    told = []
    resumed = fitted(preset, FitRun(checkpoints=tmp_path / "checkpoints", report=told.append))
    assert told[0]["epoch"] == 2
    whole = fitted(preset, FitRun())
    assert sha256(resumed) == sha256(whole)
    assert resumed.curve_ == whole.curve_


def test_two_processes_give_the_curve_of_one_with_accumulation(preset, tmp_path):
    arguments = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", CHILD)
    ended = start(*arguments, str(preset), str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    together = json.loads((tmp_path / "fit.json").read_text())["curve"]
    preset.write_text(PRESET + "accumulate: 2\n")
    alone = fitted(preset, FitRun()).curve_
    assert len(together) == len(alone) == 4
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
