"""Arrays of other people's files: NumPy's .npy and .npz and safetensors, never unpickled."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError, TooLargeError
from neuneu.files.reading import (
    MAX_RATIO,
    MIN_UNPACKED,
    check_file,
    open_file,
    refuse_library_errors,
    size_text,
)

_KINDS = "fiub"
"""NumPy's kinds of arrays that hold numbers: floats, whole numbers with and without sign, booleans."""


def load_array(path: str | Path, *, kinds: str = _KINDS, n_dim: int | None = None) -> NDArray[Any]:
    """A .npy array, memory-mapped.

    kinds: NumPy's letters of what it may hold; n_dim: axes that it must have. Raises InputError where it is
    none: text, records, objects (never unpickled), an .npz by another name, a header that does not end.
    """
    path = check_file(path)
    with refuse_library_errors(path, "a .npy array"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError("is a .npz archive by the name of a .npy array", where=path)
    check_array(array, path, kinds=kinds, n_dim=n_dim)
    return array


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz archive, by name; what each holds is left to `check_array`.

    Raises InputError on a damaged archive, TooLargeError beyond MIN_UNPACKED and MAX_RATIO times its size.
    """
    path = check_file(path)
    limit = max(MIN_UNPACKED, MAX_RATIO * path.stat().st_size)
    with open_file(path) as stream, refuse_library_errors(path, "a .npz archive"):
        with zipfile.ZipFile(stream) as archive:
            if sum(member.file_size for member in archive.infolist()) > limit:
                raise TooLargeError(f"unpacks to more than {size_text(limit)}", where=path)
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def check_array(
    array: object, path: str | Path, name: str | None = None, *, kinds: str = _KINDS, n_dim: int | None = None
) -> NDArray[Any]:
    """The array, if it holds numbers and has `n_dim` axes. Raises InputError naming file and array."""
    if not isinstance(array, np.ndarray):
        raise InputError("is missing" if array is None else "must be an array", where=path, field=name)
    if array.dtype.kind not in kinds or array.dtype.fields is not None:
        raise InputError(f"must hold numbers, not {array.dtype}", where=path, field=name)
    if n_dim is not None and array.ndim != n_dim:
        raise InputError(f"must have {n_dim} axes, not {array.ndim}", where=path, field=name)
    return array


def load_tensors(path: str | Path) -> Mapping[str, NDArray[Any]]:
    """The tensors of a safetensors file as NumPy arrays, by name. Raises InputError where it is none."""
    from safetensors.numpy import load_file

    path = check_file(path)
    with refuse_library_errors(path, "safetensors"):
        tensors: dict[str, NDArray[Any]] = load_file(path)
    return tensors
