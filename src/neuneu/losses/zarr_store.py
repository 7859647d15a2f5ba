"""Losses on disk: one Zarr array a checkpoint, each written whole or not at all."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from neuneu.curves.curve import Floats, Integers
from neuneu.errors import InputError
from neuneu.files import (
    atomic_path,
    check_document,
    check_file,
    read_object,
    refuse_library_errors,
    remove_leftovers,
)
from neuneu.losses.loss_store import LossStore

FORMAT = "neuneu-losses"
VERSION = 1
GROUPS = "_groups"
CODECS = ("bytes", "zstd")
"""How stores are packed: others are not unpacked, though Zarr could."""

MAX_POSITIONS = 2**33
"""Of one checkpoint's losses: 16 GB as float16."""


class _Header(BaseModel):
    """What zarr.json says of a store."""

    format: Literal["neuneu-losses"]
    version: Literal[1]
    unit: str
    fingerprint: str
    n_positions: int = Field(ge=1, le=MAX_POSITIONS)
    dtype: Literal["float16", "float32", "float64"]
    settings: dict[str, Any]


class _Array(BaseModel):
    """What zarr.json says of an array, as far as it chooses code that unpacks it."""

    codecs: list[dict[str, Any]]


class ZarrLossStore(LossStore):
    """A Zarr group (version 3) of runs; each run a group of arrays `step<N>`, one chunk each.

    unit: what a position is ("token", "word" or "item"); settings: whatever else two stores must share for
    their losses to be comparable (window, stride, …). A checkpoint exists once its `zarr.json` does, which
    is written last, so that any number of processes may write to one store and be killed at any time.
    Raises InputError where the folder is not such a store.
    """

    path: Path

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        header = self._header
        self.fingerprint: str = header["fingerprint"]
        self.n_positions: int = header["n_positions"]
        self.unit: str = header["unit"]
        self.settings: dict[str, Any] = header["settings"]
        self.dtype = np.dtype(header["dtype"])

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        fingerprint: str,
        n_positions: int,
        unit: str = "token",
        groups: list[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        dtype: str = "float16",
    ) -> "ZarrLossStore":
        """Make a store, or open one that is there already and holds losses of the same validation set.

        dtype: float16 (absolute error up to 0.004 for losses under 16) or float32. Raises InputError where
        the store holds another validation set or was made with other settings.
        """
        if n_positions < 1:
            raise InputError("must have at least one position", where=path, field="n_positions")
        if groups is not None and len(groups) != n_positions:
            raise InputError("must have one label a position", where=path, field="groups", value=len(groups))
        header = {
            "format": FORMAT,
            "version": VERSION,
            "unit": unit,
            "fingerprint": fingerprint,
            "n_positions": n_positions,
            "dtype": np.dtype(dtype).name,
            "settings": dict(settings or {}),
        }
        path = Path(path)
        if not (path / "zarr.json").exists():
            memory = MemoryStore()
            zarr.create_group(memory, attributes=header)
            if groups is not None:
                names, codes = np.unique(groups, return_inverse=True)
                labels = {"names": [str(name) for name in names]}
                zarr.create_array(memory, name=GROUPS, data=codes.astype(np.int32), attributes=labels)
            _copy(memory, path)
        store = cls(path)
        for field, value in header.items():
            if store._header[field] != value:
                raise InputError(
                    f"the store has {store._header[field]!r}: losses of another validation set or made with "
                    "other settings go into another store",
                    where=path,
                    field=field,
                    value=value,
                )
        remove_leftovers(path)
        return store

    @cached_property
    def _header(self) -> dict[str, Any]:
        if not (self.path / "zarr.json").is_file():
            raise InputError(
                "no loss store is here (zarr.json is missing); `neuneu score` makes one", where=self.path
            )
        about = read_object(self.path / "zarr.json").get("attributes")
        return check_document(_Header, about, self.path / "zarr.json").model_dump()

    @cached_property
    def groups(self) -> list[str] | None:  # type: ignore[override]
        """A label for each position, or None."""
        if not (self.path / GROUPS / "zarr.json").is_file():
            return None
        with refuse_library_errors(self.path / GROUPS, "groups of positions"):
            _check_files(self.path / GROUPS)
            codes = zarr.open_array(self.path / GROUPS, mode="r")
            _check_size(codes, self.n_positions)
            names = list(map(str, codes.attrs["names"]))
            return [names[code] for code in np.asarray(codes[:])]

    @property
    def runs(self) -> list[str]:
        """Names of the runs that have losses, sorted."""
        folders = [folder for folder in self.path.iterdir() if folder.is_dir() and folder.name != GROUPS]
        return sorted(unquote(folder.name) for folder in folders if any(folder.glob("step*/zarr.json")))

    def steps(self, run: str) -> Integers:
        """Steps of this run that have losses, increasing; empty for an unknown run."""
        found = self.path.joinpath(_folder(run)).glob("step*/zarr.json")
        return np.array(sorted(_step(file.parent.name) for file in found), dtype=np.int64)

    def has(self, run: str, step: int) -> bool:
        """Whether this checkpoint has losses."""
        return (self._array_path(run, step) / "zarr.json").is_file()

    def read(self, run: str, step: int) -> Floats:
        """Losses in nats of one checkpoint, (n_positions,); NaN where a position has no loss.

        Raises InputError where the checkpoint has no losses, or its file is damaged or lost.
        """
        array, where = self._open(run, step), self._array_path(run, step)
        with refuse_library_errors(where, "losses; it is damaged"):
            losses = np.asarray(array[:], dtype=np.float64)
        if np.isnan(losses).all():  # what Zarr makes of a chunk that is not there
            raise InputError("is damaged: its chunk is missing", where=where)
        return losses

    def facts(self, run: str, step: int) -> dict[str, Any]:
        """What was noted of a checkpoint when its losses were written: model, precision, versions."""
        return dict(self._open(run, step).attrs)

    def write(
        self,
        run: str,
        step: int,
        losses: NDArray[Any],
        facts: Mapping[str, Any] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Write the losses of one checkpoint, whole or not at all; one that is there is left as it is.

        losses: (n_positions,), NaN where a position has none; replace: one that is there, too, whose facts
        are replaced last. Raises InputError on infinite losses, on
        losses beyond the store's precision, and where there is none at all.
        """
        if self.has(run, step) and not replace:
            return
        if losses.shape != (self.n_positions,):
            raise InputError(f"must be ({self.n_positions},)", where=run, field="shape", value=losses.shape)
        with np.errstate(over="ignore"):
            values = losses.astype(self.dtype)
        if np.isinf(values).any() or np.isnan(values).all():
            raise InputError(
                "must be finite, and not all missing", where=f"{run} step {step}", field="losses"
            )
        memory = MemoryStore()
        array = zarr.create_array(
            memory,
            name=f"{_folder(run)}/step{step}",
            data=values,
            chunks=values.shape,
            compressors=ZstdCodec(level=3),
            fill_value=np.nan,
            attributes={"run": run, "step": step, **(facts or {})},
        )
        array.store.close()
        run_file = self.path / _folder(run) / "zarr.json"
        if not run_file.exists():
            group = MemoryStore()
            zarr.create_group(group, attributes={"run": run})
            _copy(group, run_file.parent)
        _copy(memory, self.path, under=f"{_folder(run)}/step{step}/")

    def _open(self, run: str, step: int) -> "zarr.Array[Any]":
        if not self.has(run, step):
            raise InputError(
                "no losses of this checkpoint",
                where=self.path,
                field="checkpoint",
                value=f"{run} step {step}",
            )
        path = self._array_path(run, step)
        with refuse_library_errors(path, "an array of losses"):
            _check_files(path)
            array = zarr.open_array(path, mode="r")
            _check_size(array, self.n_positions)
            return array

    def _array_path(self, run: str, step: int) -> Path:
        return self.path / _folder(run) / f"step{step}"


def _check_files(folder: Path) -> None:
    """What Zarr opens by itself: regular files, unpacked by nothing but what stores are packed with."""
    for file in folder.rglob("*"):
        if not file.is_dir():
            check_file(file, empty=True)
    about = check_document(_Array, read_object(folder / "zarr.json"), folder / "zarr.json")
    for codec in about.codecs:
        if codec.get("name") not in CODECS:
            rule = f"must be one of {', '.join(CODECS)}"
            raise InputError(rule, where=folder / "zarr.json", field="codecs", value=codec.get("name"))


def _check_size(array: "zarr.Array[Any]", n_positions: int) -> None:
    """An array of another size would be made in memory before it is known to be wrong."""
    if array.shape != (n_positions,) or array.dtype.kind not in "fiu":
        raise ValueError(f"must be {n_positions} numbers, not {array.dtype} of shape {array.shape}")


def _copy(memory: MemoryStore, path: Path, under: str = "") -> None:
    """Copy a store in memory to a folder: chunks first, metadata last, each file by an atomic rename."""
    files = {key: value.to_bytes() for key, value in memory._store_dict.items() if key.startswith(under)}
    for key in sorted(files, key=lambda name: (name.endswith("zarr.json"), -name.count("/"))):
        with atomic_path(path / key) as temporary:
            temporary.write_bytes(files[key])


def _folder(run: str) -> str:
    """The run's name as a folder name that any file system takes and Zarr does not reserve."""
    if not run:
        raise InputError("must not be empty", field="run")
    name = quote(run, safe=" +,=@")
    return f"%{ord(name[0]):02X}{name[1:]}" if name[0] in "._" else name


def _step(folder: str) -> int:
    return int(folder.removeprefix("step"))
