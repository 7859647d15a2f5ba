"""Several processes on one run, as torchrun starts them: each takes a share of every batch."""

import os
from collections.abc import Iterable
from typing import Any


def join_processes() -> None:
    """Join the processes that torchrun started, if it did; the GPU is chosen by local rank."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def place() -> tuple[int, int]:
    """This process's rank and how many there are; (0, 1) for a process on its own."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def agree(value: bool) -> bool:
    """The first process's value, in all of them."""
    if place()[1] == 1:
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def add_up(parameters: Iterable[Any], loss: Any) -> None:
    """Sum gradients, and the loss, over processes, in place; a gradient that is absent counts as zero."""
    if place()[1] == 1:
        return
    import torch

    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        torch.distributed.all_reduce(parameter.grad)
    torch.distributed.all_reduce(loss)
