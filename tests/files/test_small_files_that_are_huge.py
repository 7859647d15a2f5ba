"""Small files that hold more than memory or patience: siblings of case B-02, refused while they are read."""

import gzip
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from neuneu.curves.readers.formats import read_format
from neuneu.errors import InputError, TooLargeError
from neuneu.files import parse_json, read_lines
from neuneu.files import reading as guard
from neuneu.files.arrays import load_arrays
from neuneu.files.tables import TableLimits, read_frame

SECONDS = 5
"""No input may take longer, of the processor."""


def zstd(path: Path, part: bytes, times: int) -> None:
    import zstandard

    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as stream:
        for _ in range(times):
            stream.write(part)


def endless_line(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(70):
            stream.write(b"a" * 2**20)


def blank_lines(path: Path) -> None:
    zstd(path, b"\n" * 2**20, 40)


def table_in_a_zip(path: Path) -> None:
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(path.stem, "w") as stream:
        for _ in range(300):
            stream.write(b"a" * 2**20)


def array_in_a_zip(path: Path) -> None:
    header = {"descr": "<i8", "fortran_order": False, "shape": (140_000_000,)}
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("steps.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[no-untyped-call]
        for _ in range(1070):
            stream.write(bytes(2**20))


CASES: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], Any], str]] = {
    "an endless line": ("a.jsonl.gz", endless_line, lambda p: list(read_lines(p)), "is longer than 64 MB"),
    "blank lines": ("a.jsonl.zst", blank_lines, lambda p: list(read_lines(p)), "1,000,000 blank lines"),
    "a table in a zip": (
        "results-01-07.csv.zip", table_in_a_zip, lambda p: read_format("open-sci-ref", [p]),
        "unpacks to more",
    ),
    "an array in a zip": ("one.npz", array_in_a_zip, load_arrays, "unpacks to more than 1 GB"),
    "columns of a CSV": (
        "a.csv", lambda p: p.write_text(",".join(f"c{i}" for i in range(10**6)) + "\n"), read_frame,
        "has 1,000,000 columns, more than 20,000",
    ),
    "columns of objects": (
        "a.json", lambda p: p.write_text(json.dumps([{f"c{i}": 0 for i in range(20_001)}])), read_frame,
        "has 20,001 columns",
    ),
}  # fmt: skip
"""What is huge → file, how it is made, what reads it, how it is refused."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_huge_is_refused_at_once(tmp_path: Path, name: str) -> None:
    file, make, read, words = CASES[name]
    make(tmp_path / file)
    began = time.process_time()
    with pytest.raises(TooLargeError, match=words) as caught:
        read(tmp_path / file)
    assert time.process_time() - began < SECONDS
    assert file in str(caught.value)


def test_columns_of_parquet_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({f"c{i}": [0] for i in range(30)}).write_parquet(path)
    assert len(read_frame(path).columns) == 30
    with pytest.raises(TooLargeError, match="has 30 columns, more than 29"):
        read_frame(path, limits=TableLimits(columns=29))


def test_a_key_among_very_many_that_is_given_twice_is_found_at_once() -> None:
    text = "{" + ",".join(f'"k{i}": 0' for i in range(200_000)) + ', "k7": 1}'
    began = time.process_time()
    with pytest.raises(InputError, match="key = 'k7': must not be given twice"):
        parse_json(text, "a.json")
    assert time.process_time() - began < SECONDS


def test_blank_lines_between_texts_are_counted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BLANK", 3)
    path = tmp_path / "a.txt"
    path.write_text("a\n\n\n\nb\n\n\n\nc\n")
    assert [text.strip() for _, text in read_lines(path)] == ["a", "b", "c"]
    path.write_text("a\n\n\n\n\nb\n")
    with pytest.raises(TooLargeError, match=r"a\.txt:5: holds more than 3 blank lines"):
        list(read_lines(path))
