"""Where networks work: the one owner of the names of devices."""

import os
from typing import TYPE_CHECKING

from neuneu.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import torch


def find_device(name: str, field: str = "device", *, several: bool = False) -> "torch.device":
    """The device of this name; `auto` is a GPU where there is one. Raises InputError where it is not here.

    several: this is one of several processes on this machine, and `cuda` the GPU that torchrun gave it.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "neural") from error
    given = name
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and several:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        here = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise InputError(f"no such device here; there is {here}", field=field, value=given) from error
    return device
