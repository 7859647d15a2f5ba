"""Archives of arrays: what in them is no array is refused by its name."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuneu.errors import InputError
from neuneu.files.arrays import load_arrays
from neuneu.losses.open import open_losses


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    np.savez(path, steps=np.array([10, 20]), arcc=np.ones((2, 3), np.float16))
    assert set(load_arrays(path)) == {"steps", "arcc"}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("mmlu.npy", b"no array")
    for read, place in ((load_arrays, path), (open_losses, tmp_path)):
        with pytest.raises(InputError, match=r"one\.npz: mmlu: must be an array"):
            read(place)
    with pytest.raises(InputError, match=r"one\.npz: is a file: losses are a folder"):
        open_losses(path)
