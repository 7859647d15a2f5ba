"""Parquet is unpacked in a process apart: what ends that one is an error of this one."""

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from neuneu.errors import InputError
from neuneu.files import apart, tables
from neuneu.files.tables import parquet_batches, parquet_columns, read_frame, read_parquet

ROWS = pl.DataFrame({"run": ["a"] * 12, "value": [number / 8 for number in range(12)]})


def packed(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream, compression="uncompressed")
    return stream.getvalue()


def fewer_than_none() -> bytes:
    """A page of -13 values, by one bit: Polars asks for 2^61 bytes, and gives up its process."""
    data = packed(ROWS.select("value"))
    twelve, minus_thirteen = b"\x2c\x15\x18\x15", b"\x2c\x15\x19\x15"
    assert data.count(twelve) == 1
    return data.replace(twelve, minus_thirteen)


def deep(levels: int = 100_000) -> bytes:
    """A footer of so many groups in each other: the stack of who descends by calls runs over."""
    groups = b"\x48\x01a\x15\x02\x00" * levels  # each: a name, one child
    leaf = b"\x15\x02\x25\x00\x18\x01a\x00"  # whole numbers, required, a name
    length, rest = bytearray(), levels + 1
    while rest:
        length.append(rest & 127 | (128 if rest > 127 else 0))
        rest >>= 7
    footer = b"\x15\x02" + b"\x19\xfc" + length + groups + leaf + b"\x16\x02\x19\x0c\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def endless_levels() -> bytes:
    """A page whose column has a run of 2^62 values that are there: Polars panics."""
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    table = pyarrow.table({"value": [float(number) for number in range(64)]})
    pyarrow.parquet.write_table(
        table, stream, compression="none", use_dictionary=False, write_statistics=False
    )
    data = bytearray(stream.getvalue())
    place = data.index(b"\x03\0\0\0\x80\x01\x01")
    levels = b"\x80" * 9 + b"\x01\x01"
    data[place : place + 4 + len(levels)] = len(levels).to_bytes(4, "little") + levels
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fewer_than_none, "unpacking it ended its process (SIGABRT)"),
        (deep, "unpacking it ended its process (SIGSEGV)"),
        (endless_levels, "cannot be read as parquet: "),
    ],
)
def test_damage_that_ends_a_process_is_an_error_that_names_the_file(
    tmp_path: Path, make: Callable[[], bytes], words: str
) -> None:
    (tmp_path / "bad.parquet").write_bytes(make())
    (tmp_path / "good.parquet").write_bytes(packed(ROWS))
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            read_parquet(tmp_path / "bad.parquet")
        assert str(caught.value).startswith(f"{tmp_path}/bad.parquet: ")
        assert words in str(caught.value)
        assert read_parquet(tmp_path / "good.parquet").equals(ROWS)  # by another process, where that ended
    with pytest.raises(InputError, match=r"bad\.parquet"):
        list(parquet_batches(tmp_path / "bad.parquet", ["value"], 5))


def test_a_command_says_so_in_one_line(
    tmp_path: Path, neuneu: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    (tmp_path / "bad.parquet").write_bytes(fewer_than_none())
    ended = neuneu("inspect", "bad.parquet", cwd=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "bad.parquet" in line


def test_every_type_comes_through_as_it_is(tmp_path: Path) -> None:
    one = pl.select(
        text=pl.lit("ä"), whole=pl.lit(2**62), large=pl.lit(1, pl.Int128), real=pl.lit(0.1),
        none=pl.lit(None), truth=pl.lit(True), day=pl.date(2026, 11, 29),
        at=pl.datetime(2026, 11, 29, time_zone="UTC"), small=pl.lit(1, pl.Int8),
        cents=pl.lit("1.25").cast(pl.Decimal(38, 2)), kind=pl.lit("a").cast(pl.Categorical), raw=pl.lit(b"x"),
        members=pl.concat_list(pl.lit(1), pl.lit(2)), pair=pl.struct(a=pl.lit(1), b=pl.lit("x")),
    )  # fmt: skip
    frame = pl.concat([one, one.clear(1), one])
    frame.write_parquet(tmp_path / "types.parquet")
    found = read_parquet(tmp_path / "types.parquet", nested=frame.columns)
    assert found.schema == frame.schema
    assert found.equals(frame)
    assert parquet_columns(tmp_path / "types.parquet") == tuple(frame.columns)


def test_batches_are_the_table_in_order(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet", row_group_size=5)
    parts = list(parquet_batches(tmp_path / "a.parquet", ["value", "run"], 4))
    assert [len(part) for part in parts] == [4, 4, 4]
    assert pl.concat(parts).equals(ROWS.select("value", "run"))


def test_memory_is_bounded_by_what_the_footer_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.select(value=pl.int_range(4_000_000).cast(pl.Float64))
    frame.write_parquet(tmp_path / "large.parquet", row_group_size=4_000_000)
    assert read_parquet(tmp_path / "large.parquet").equals(frame)
    monkeypatch.setattr(apart, "MEMORY", 2**20)
    monkeypatch.setattr(tables, "read_footer", lambda _: (1, {"value": 8}))  # as a footer that lies
    with pytest.raises(InputError, match=r"large\.parquet: cannot be read as parquet: "):
        read_parquet(tmp_path / "large.parquet")


def test_a_forked_process_unpacks_by_one_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(packed(ROWS))
    assert read_frame(tmp_path / "a.parquet").equals(ROWS)
    before: Any = apart._known
    child = os.fork()
    if not child:
        good = apart._known is None and len(apart.schema_of(tmp_path / "a.parquet")) == 2
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert apart._known is before
    assert read_frame(tmp_path / "a.parquet").equals(ROWS)


def test_a_process_that_somebody_ended_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(packed(ROWS))
    read_frame(tmp_path / "a.parquet")
    process: Any = apart._known
    process.process.kill()
    process.process.wait()
    assert read_frame(tmp_path / "a.parquet").equals(ROWS)


def test_a_process_that_stands_still_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "STILL", 1)
    (tmp_path / "a.parquet").write_bytes(packed(ROWS))
    read_frame(tmp_path / "a.parquet")
    process: Any = apart._known
    monkeypatch.setattr(process, "_questions", io.BytesIO())  # it is never asked, so it sleeps
    with pytest.raises(InputError, match=r"a\.parquet: .* ended its process \(SIGKILL\)"):
        read_frame(tmp_path / "a.parquet")
    assert read_frame(tmp_path / "a.parquet").equals(ROWS)
