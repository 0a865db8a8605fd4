"""The processes that train one network together: which this one is, and what they have to agree on.

torch at the top: imported lazily only. `torchrun` starts them; alone, every question has the plain answer.
"""

import atexit
import os

import torch
from torch import Tensor, distributed


def join(device: str) -> None:
    """Meets the other processes that `torchrun` started, once per process; without `torchrun` nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank_and_world() -> tuple[int, int]:
    """The number of this process and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def own_device(device: str) -> torch.device:
    """The device of this process: of several processes on CUDA, each has the one of its local number."""
    if rank_and_world()[1] > 1 and device.startswith("cuda"):
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(device)


def any_of(asked: bool, device: torch.device) -> bool:
    """Whether it is so in any process; all of them have to ask."""
    if rank_and_world()[1] == 1:
        return asked
    flag = torch.tensor(float(asked), device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag.item())


def added(values: Tensor) -> Tensor:
    """The sum over the processes; all of them have to ask."""
    if rank_and_world()[1] > 1:
        values = values.clone()
        distributed.all_reduce(values)
    return values
