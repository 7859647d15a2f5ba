"""Devices by name: those that are not here are refused, with those that are."""

import pytest
import torch

from neuneu.errors import InputError
from neuneu.losses.devices import find_device


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_what_is_not_here_is_refused_with_what_is(name: str) -> None:
    with pytest.raises(InputError, match=f"training.device = '{name}': no such device here; there is cpu"):
        find_device(name, "training.device")
