"""Which device a trainer uses, and the lock that it holds on it for life.

The lock is an OS lock on a file of the home: the kernel frees it with the process, however that ends. What is trained is
not known here.
"""

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

FOLDER = "devices"
_PAUSE_S = 0.1
# A forked child closes its copies: it would keep the lock beyond the trainer's life.
_descriptors: set[int] = set()


class DeviceError(RuntimeError):
    """The device does not exist here, or another trainer holds it; says which, and the remedy."""


def resolve(wanted: str, local_rank: int = 0, processes: int = 1) -> str:
    """The device that a setting names on this machine: `cpu`, `cuda:0`, `mps`.

    Args:
        wanted: `auto` (the first of CUDA, MPS and CPU that there is), `cpu`, `cuda`, `cuda:1` or `mps`.
        local_rank: Number of this process among those of the machine; it chooses among the CUDA devices.
        processes: How many train together.

    Raises:
        DeviceError: There is no such device, or one device was named for several processes.
    """
    if wanted == "cpu" or (wanted == "auto" and find_spec("torch") is None):
        return "cpu"
    if find_spec("torch") is None:
        raise DeviceError(f"training.device {wanted} needs PyTorch: pip install 'upswell[network]', or set it to cpu")
    import torch

    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted == "cpu":
        return "cpu"
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("training.device mps: this machine has none; set it to auto or cpu")
        return "mps"
    kind, _, number = wanted.partition(":")
    if number and processes > 1:
        raise DeviceError(f"training.device {wanted} is one device for {processes} processes; set it to {kind}")
    index, there = int(number or local_rank), torch.cuda.device_count()
    if index >= there:
        raise DeviceError(f"training.device {wanted}: there are {there} CUDA devices here; set it to auto or cpu")
    return f"cuda:{index}"


def device_name(device: str) -> str:
    """What a device calls itself."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return platform.processor() or platform.machine()


@contextmanager
def held(home: Path, device: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a device of a home until the end of the block, or of the process.

    Args:
        home: The home; the lock is `devices/<device>.lock` in it, and is never unlinked.
        device: As `resolve` gives it.
        patience_s: Seconds to wait for another trainer to stop.

    Raises:
        DeviceError: Another process holds it; names its PID.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{device.replace(':', '_')}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _descriptors.add(descriptor)
    try:
        _take(descriptor, device, path, time.monotonic() + patience_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        if descriptor in _descriptors:
            _descriptors.discard(descriptor)
            os.close(descriptor)


def _take(descriptor: int, device: str, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode().strip() or "an unnamed process"
                raise DeviceError(
                    f"{device} is held by the trainer with PID {holder} ({path}); wait for it, or end it"
                ) from None
        time.sleep(_PAUSE_S)


def _close_in_child() -> None:
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)
