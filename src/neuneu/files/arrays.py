"""Arrays of other people's files: NumPy's .npy and .npz and safetensors, never unpickled."""

import math
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError, NeuneuError, TooLargeError
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

_HEADERS: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, "np.dtype[Any]"]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Version of a .npy file → reader of its header; 3.0 is for records with names that are not ASCII."""


def load_array(path: str | Path, *, kinds: str = _KINDS, n_dim: int | None = None) -> NDArray[Any]:
    """A .npy array, memory-mapped; its header is checked before anything is loaded.

    kinds: NumPy's letters of what it may hold; n_dim: axes that it must have. Raises InputError where it is
    none: text, records, objects (never unpickled), an archive by the name of an array, a header that does not
    end, more or less data than the header says.
    """
    path = check_file(path)
    try:
        with open_file(path) as stream:
            version = np.lib.format.read_magic(stream)
            if version not in _HEADERS:
                raise InputError("unknown .npy version", where=path, field="version", value=version)
            shape, _, dtype = _HEADERS[version](stream)
            size = path.stat().st_size - stream.tell()
    except NeuneuError:
        raise
    except Exception as error:  # NumPy parses the header as Python: many kinds, not only ValueError
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"not a .npy array: {reason}", where=path) from error
    _check_kind(dtype, len(shape), path, None, kinds, n_dim)
    if size != math.prod(shape) * dtype.itemsize:
        raise InputError(
            "the file is cut short or too long for its shape", where=path, field="shape", value=shape
        )
    with refuse_library_errors(path, "a .npy array"):
        array: NDArray[Any] = np.load(path, mmap_mode="r" if size else None, allow_pickle=False)
        return array


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz archive, by name; what each holds is left to `check_array`.

    Raises InputError on a damaged archive and on a member that is no array, TooLargeError beyond
    MIN_UNPACKED and MAX_RATIO times its size.
    """
    path = check_file(path)
    with open_file(path) as stream, refuse_library_errors(path, "a .npz archive"):
        _check_archive(path)
        with np.load(stream, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    for name, array in found.items():
        if not isinstance(array, np.ndarray):  # NumPy gives the bytes of what does not begin as one
            raise InputError("must be an array", where=path, field=name)
    return found


def check_array(
    array: object, path: str | Path, name: str | None = None, *, kinds: str = _KINDS, n_dim: int | None = None
) -> NDArray[Any]:
    """The array, if it holds numbers and has `n_dim` axes. Raises InputError naming file and array."""
    if not isinstance(array, np.ndarray):
        raise InputError("is missing" if array is None else "must be an array", where=path, field=name)
    _check_kind(array.dtype, array.ndim, path, name, kinds, n_dim)
    return array


def _check_kind(
    dtype: "np.dtype[Any]", axes: int, path: str | Path, name: str | None, kinds: str, n_dim: int | None
) -> None:
    if dtype.hasobject or dtype.fields is not None or dtype.kind not in kinds:
        what = "floats" if kinds == "f" else "numbers"
        raise InputError(f"must be an array of {what}", where=path, field=name or "dtype", value=str(dtype))
    if n_dim is not None and axes != n_dim:
        raise InputError(f"must have {n_dim} axes", where=path, field=name or "axes", value=axes)


def load_tensors(path: str | Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file as NumPy arrays, by name. Raises InputError where it is none."""
    from safetensors.numpy import load_file

    path = check_file(path)
    with refuse_library_errors(path, "safetensors"):
        tensors: dict[str, NDArray[Any]] = load_file(path)
    return tensors


def load_torch(path: str | Path) -> Any:
    """What a file of torch.save holds, as weights only: no code in it is run, whatever it asks for.

    Raises InputError where it holds more than weights, or is no such file; torch's own advice to read it
    without this care is not passed on.
    """
    import pickle

    import torch

    path = check_file(path)
    with warnings.catch_warnings(), refuse_library_errors(path, "a checkpoint of weights"):
        warnings.simplefilter("ignore")
        _check_archive(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            rule = "holds more than weights, or is damaged; code in it is not run, so it is not read"
            raise InputError(rule, where=path) from error


def _check_archive(path: Path) -> None:
    """TooLargeError where a zip archive unpacks to much more than its size."""
    limit = max(MIN_UNPACKED, MAX_RATIO * path.stat().st_size)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > limit:
                raise TooLargeError(f"unpacks to more than {size_text(limit)}", where=path)
