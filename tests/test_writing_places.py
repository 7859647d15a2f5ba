"""Where nothing can be written, every command says so in one line with code 2, before its work (B-04, 21)."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import unwrap
from pathlib import Path
from typing import NamedTuple, get_type_hints

import polars as pl
import pytest
from tests.every_command import Run, as_nobody, commands, little_room, run
from tests.fuzzing.targets import CSV, SCI_TABLE
from tests.killing import make_commands

from neuneu.cli.options import changed_place, file_place, folder_place, named_place
from neuneu.errors import InputError
from neuneu.files import atomic_path, together, write_table, write_text

__all__ = ["run"]

READ = {
    "--against", "--batch-schedule", "--blimp", "--contamination", "--corpus", "--finished", "--from",
    "--generated", "--include", "--input", "--labels", "--losses", "--manifest", "--real", "--repetition",
    "--requests", "--root", "--selected", "--since", "--store", "--tokenizer", "cells", "checkpoint",
    "config", "curves", "design", "domains", "first", "folder", "ledger", "losses", "new", "old", "path",
    "paths", "place", "second", "source", "sources",
}  # fmt: skip
"""Paths that are only read, but for those of LATER; any other must know whether it can be written."""

STATUS = ("suite status", "--output")
"""A folder that is read, whatever its option is called."""

LATER = {
    ("suite run", "--output"): ("suite", "run", "TINY.yaml", "--output", "PLACE"),
    ("designs import", "--store"): ("designs", "import", "features", "FEATURES", "--store", "PLACE"),
    ("designs add", "--store"): ("designs", "add", "TEMPLATE", "--store", "PLACE"),
    ("designs alias", "--store"): ("designs", "alias", "--store", "PLACE", "a", "b"),
    ("designs migrate", "--store"): ("designs", "migrate", "--store", "PLACE"),
}
"""(Command, path) that is known to be writable once other arguments are read: with these."""

WRITES_NOTHING = (
    "completion",
    "designs profile",
    "designs template",
    "designs validate",
    "serve",
    "suite status",
)
"""Commands that print, or keep what they have in a temporary folder."""


class Place(NamedTuple):
    """A path that a command writes to: the arguments, with PLACE for it."""

    command: str
    name: str
    arguments: tuple[str, ...]
    folder: bool


def paths() -> Iterator[tuple[str, str, str]]:
    """(Command, path, callback) of every path on the command line."""
    for command, about in commands():
        hints = get_type_hints(unwrap(about.callback))
        for parameter in about.params:
            if "Path" in str(hints.get(parameter.name)):
                yield command, parameter.opts[0], getattr(parameter.callback, "__name__", "")


def places() -> list[Place]:
    """Every path that is written to."""
    kinds = {one.__name__: False for one in (file_place, changed_place, named_place)}
    kinds[folder_place.__name__] = True
    found = []
    for command, name, callback in paths():
        if (command, name) in LATER:
            found.append(Place(command, name, LATER[command, name], command == "suite run"))
        elif callback in kinds:
            given = (name, "PLACE") if name.startswith("-") else ("PLACE",)
            found.append(Place(command, name, (*command.split(), *given), kinds[callback]))
    return found


PLACES = places()


def test_every_path_of_every_command_is_read_or_asks_first() -> None:
    written = {(place.command, place.name) for place in PLACES}
    for command, name, _ in paths():
        assert (command, name) in written or name in READ or (command, name) == STATUS, (command, name)
    assert set(LATER) <= written


def test_every_command_writes_somewhere_or_nowhere() -> None:
    writing = {place.command for place in PLACES}
    assert not writing & set(WRITES_NOTHING)
    assert writing | set(WRITES_NOTHING) == {name for name, _ in commands()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands of LATER and WRITES read: word of their arguments → path."""
    import torch
    from tests.designs.database.test_contribute import GOOD
    from tests.forecasters.neuneu.test_convert import published
    from tests.fuzzing.targets import _zip

    from neuneu.curves.table import CurveTable
    from neuneu.designs.database.readers import read_features_csv
    from neuneu.designs.database.store import DesignStore
    from neuneu.forecasts.forecast import forecast
    from neuneu.taggers.run import tag

    folder = tmp_path_factory.mktemp("inputs")
    for command in make_commands(folder):
        LONG[command.name] = command.arguments
    names = {
        "CURVES": "curves.parquet", "SCI": "results-01-07.csv.zip", "FEATURES": "features.csv",
        "STORE": "d.duckdb", "TEMPLATE": "new.yaml", "TINY.yaml": "tiny/tiny.yaml", "EXPORT": "export",
        "PUBLISHED": "best_model.pt", "TEXTS": "text.jsonl", "TAGGED": "counts.parquet",
        "REPEATED": "repetition.parquet", "CELLS": "cells.parquet",
    }  # fmt: skip
    found = {name: str(folder / file) for name, file in names.items()}
    Path(found["SCI"]).write_bytes(_zip("results-01-07.csv", SCI_TABLE))
    Path(found["FEATURES"]).write_text(CSV["features.csv"])
    Path(found["TEMPLATE"]).write_text(GOOD)
    with DesignStore.create(found["STORE"]) as store:
        store.apply(read_features_csv(Path(found["FEATURES"])))
    torch.save(published("cnn")[0], found["PUBLISHED"])
    for feature, name in (("counts", "TAGGED"), ("repetition", "REPEATED")):
        tag(feature, Path(found["TEXTS"]), Path(found[name]))
    cells = forecast(CurveTable.read(found["CURVES"]), ["last-value"], context=0.5).cells
    write_table(found["CELLS"], cells)
    return found


LONG: dict[str, tuple[str, ...]] = {}
"""Arguments of the long commands, known once their inputs are made."""


def refused(run: Run, inputs: dict[str, str], place: Place, target: Path, words: str) -> None:
    given = [str(target) if part == "PLACE" else inputs.get(part, part) for part in place.arguments]
    code, lines = run(*given)
    assert code == 2, (place, lines)
    assert len(lines) == 1, (place, lines)
    assert words in lines[0], (place, lines)


def test_what_is_in_the_way_is_named(run: Run, inputs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.rglob("*"))
    for place in PLACES:
        target = tmp_path / ("file" if place.folder else "folder.csv")
        refused(run, inputs, place, target, f"{target}: is")
        refused(run, inputs, place, tmp_path / "file" / "below.csv", "file: is in the way")
        refused(run, inputs, place, tmp_path / "pipe.csv", "pipe.csv: is")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "x"


def test_a_read_only_folder_is_named(run: Run, inputs: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        for path in (Path(given).parent for given in inputs.values()):
            for above in (path, *path.parents[:3]):
                above.chmod(0o755)
        with as_nobody():
            for place in PLACES:
                target = folder / "new" / "a.csv"
                refused(run, inputs, place, target, f"{target}: cannot be written: Permission denied")
        assert not list(folder.iterdir())
        folder.chmod(0o755)


@contextmanager
def small_disk(folder: Path, *, size: int, files: int = 0) -> Iterator[Path]:
    """A file system of so many bytes, and of so many files where given; skips where none can be mounted."""
    folder.mkdir(exist_ok=True)
    room = f"size={size}" + (f",nr_inodes={files + 1}" if files else "")
    command = ["mount", "-t", "tmpfs", "-o", room, "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_without_room_is_named(run: Run, inputs: dict[str, str], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size=2**16, files=1) as disk:
        (disk / "fill").touch()
        for place in PLACES:
            refused(run, inputs, place, disk / "a.csv", "a.csv: cannot be written: No space left on device")
        assert [path.name for path in disk.iterdir()] == ["fill"]


OLD = {
    "designs import": ("designs", "import", "export", "EXPORT", "--store"),
    "designs add": ("designs", "add", "TEMPLATE", "--store"),
    "designs alias": ("designs", "alias", "a", "b", "--store"),
}
"""Commands that change a database that is there."""


@pytest.mark.parametrize("name", [*OLD, "designs migrate"])
def test_a_database_that_cannot_be_changed_stays_as_it_is(
    run: Run, inputs: dict[str, str], tmp_path: Path, name: str
) -> None:
    arguments = [inputs.get(part, part) for part in OLD.get(name, ("designs", "migrate", "--store"))]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)
        shutil.copy(inputs["STORE"], folder / "d.duckdb")
        for mode, file in ((0o444, "d.duckdb"), (0o555, "")):
            before = contents(folder)
            (folder / file).chmod(mode)
            with as_nobody():
                code, lines = run(*arguments, folder / "d.duckdb")
            assert (code, len(lines)) == (2, 1), lines
            assert "d.duckdb: cannot be written: Permission denied" in lines[0]
            (folder / file).chmod(0o777)
            assert contents(folder) == before
    if name not in OLD:  # without a row to write, it needs no room
        return
    with small_disk(tmp_path / "disk", size=2**24) as disk:
        shutil.copy(inputs["STORE"], disk / "d.duckdb")
        fill(disk)
        before = contents(disk)
        code, lines = run(*arguments, disk / "d.duckdb")
        assert (code, len(lines)) == (2, 1), lines
        assert "d.duckdb: cannot be written: No space left on device" in lines[0]
        assert contents(disk) == before
        (disk / "fill").unlink()
        assert run(*arguments, disk / "d.duckdb")[0] == 0


def fill(disk: Path) -> None:
    """Leave no byte free."""
    free = os.statvfs(disk)
    (disk / "fill").write_bytes(bytes(free.f_bavail * free.f_frsize))


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


FORECAST = ("forecast", "CURVES", "-f", "last-value", "--context", "0.5")
WRITES = {
    **{f"forecast {ending}": (*FORECAST, "-o", f"OUT/f.{ending}") for ending in ("parquet", "csv", "json")},
    "forecast ledger": (*FORECAST, "--ledger", "OUT/ledger.jsonl"),
    "evaluate": ("evaluate", *FORECAST[1:], "--published", "-o", "OUT/ev"),
    "inspect": ("inspect", "CURVES", "--show", "runs", "-o", "OUT/r.csv"),
    "import": ("import", "open-sci-ref", "SCI", "-o", "OUT/c.parquet"),
    "export": ("export", "neuneu-npy", "CURVES", "-o", "OUT/npy"),
    "report": ("report", *FORECAST[1:], "-o", "OUT/r.html"),
    "plot": ("plot", "fan", *FORECAST[1:], "-o", "OUT/f.png"),
    "plot trajectories": ("plot", "trajectories", "CELLS", "CURVES", "-o", "OUT/figures"),
    "convert": ("convert", "PUBLISHED", "-o", "OUT/m"),
    "designs import": ("designs", "import", "features", "FEATURES", "--store", "OUT/d.duckdb"),
    "designs add": ("designs", "add", "TEMPLATE", "--store", "OUT/d.duckdb"),
    "designs home": ("designs", "home", "OUT/d.duckdb"),
    "designs export": ("designs", "export", "--store", "STORE", "OUT/export"),
    "designs tag entropy": ("designs", "tag", "entropy", "--input", "TEXTS", "-o", "OUT/e.json"),
    "designs filter": ("designs", "filter", "TEXTS", "--repetition", "REPEATED", "--kept", "OUT/k.jsonl"),
    "designs sample": ("designs", "sample", "TEXTS", "-n", "5", "-o", "OUT/s.jsonl"),
    "designs aggregate": ("designs", "aggregate", "m", "--tagged", "counts=TAGGED", "-o", "OUT/a.csv"),
    **dict.fromkeys(("tokenize", "score", "words", "train", "watch", "designs tag", "suite run"), ()),
}
"""Commands that come as far as writing, each way of writing at least once; those without arguments are the
long ones of tests/killing.py."""

ALERTED = 3
"""How `watch --once` ends where there are alerts."""


def given(name: str, inputs: dict[str, str], out: Path) -> list[str]:
    """The arguments of a command of WRITES."""
    parts = [inputs.get(part, part) for part in WRITES[name] or LONG[name]]
    parts = [part.replace("TAGGED", inputs["TAGGED"]) for part in parts]
    return [part.replace("OUT", str(out)) for part in parts]


def left(folder: Path) -> list[str]:
    """What is in a folder, but for locks, which hold nothing."""
    return [str(path) for path in folder.rglob("*") if path.suffix != ".lock"]


@pytest.mark.parametrize("name", WRITES)
def test_b04_a_disk_that_fills_up_while_writing(
    run: Run, inputs: dict[str, str], tmp_path: Path, name: str
) -> None:
    arguments = given(name, inputs, tmp_path / "out")
    with little_room():
        code, lines = run(*arguments)
    assert code == 2, lines
    assert re.search("cannot be written: (File too large|No room for all of it)", lines[-1])
    assert str(tmp_path / "out") in lines[-1]
    assert [line for line in lines if line.startswith(("neuneu: ", "Traceback"))] == lines[-1:]
    assert not left(tmp_path)
    assert run(*arguments)[0] in (0, ALERTED)  # and there it works


GOES_ON = ("tokenize", "score", "words", "train", "designs tag", "designs tag entropy", "suite run")
"""Commands that keep what is sure, to go on from there."""

BLOCK = 512
"""Bytes of what st_blocks counts (stat(2)); a database has holes, which take none."""

LEDGERS = ("watch",)
"""Commands that write a file whenever one is due."""


@pytest.mark.parametrize("name", WRITES)
def test_b04_a_disk_with_room_for_a_part(run: Run, inputs: dict[str, str], tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(*given(name, inputs, whole))[0] in (0, ALERTED)
    page = os.sysconf("SC_PAGE_SIZE")
    pages = sum(-(-path.stat().st_blocks * BLOCK // page) for path in whole.rglob("*") if path.is_file())
    if pages == 1:  # a disk of none is one that fills up at once
        return
    with small_disk(tmp_path / "disk", size=page * (pages // 2)) as disk:
        code, lines = run(*given(name, inputs, disk / "out"))
        assert code == 2, lines
        assert re.search("cannot be written: No (space left on device|room for all of it)", lines[-1])
        assert str(disk) in lines[-1]
        assert [line for line in lines if line.startswith(("neuneu: ", "Traceback"))] == lines[-1:]
        assert name in (*GOES_ON, *LEDGERS) or not left(disk)
        assert not [path for path in disk.rglob(".*.partial") if path.name != ".corpus.partial"]


def test_files_of_one_result_appear_together(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        with together(folder):
            write_text(folder / "a.txt", "first")
            write_text(folder / "below" / "b.txt", "x" * 100)

    (tmp_path / "old").mkdir()
    write_text(tmp_path / "old" / "a.txt", "old")
    for name in ("old", "new"):
        with little_room(10), pytest.raises(InputError, match=r"b\.txt: cannot be written: File too large"):
            write(tmp_path / name)
    assert left(tmp_path) == [str(tmp_path / "old"), str(tmp_path / "old" / "a.txt")]
    assert (tmp_path / "old" / "a.txt").read_text() == "old"
    for name in ("old", "new"):
        write(tmp_path / name)
        assert (tmp_path / name / "a.txt").read_text() == "first"
        assert len(left(tmp_path / name)) == 3


@pytest.mark.parametrize("there", [True, False])
def test_a_file_of_a_result_may_be_written_by_what_writes_whole_files(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "out").mkdir()
    with together(tmp_path / "out"), atomic_path(tmp_path / "out" / "a.csv") as temporary:
        write_text(temporary, "whole")
        assert temporary.read_text() == "whole"  # at once, so that its writer can look at it
        assert not (tmp_path / "out" / "a.csv").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.csv"]
    assert (tmp_path / "out" / "a.csv").read_text() == "whole"


def test_what_fails_in_a_result_leaves_the_rest_of_it(tmp_path: Path) -> None:
    with together(tmp_path / "new"):
        write_text(tmp_path / "new" / "a.txt", "first")
        with suppress(ZeroDivisionError), atomic_path(tmp_path / "new" / "c.txt") as temporary:
            temporary.write_text("cut")
            raise ZeroDivisionError
        write_text(tmp_path / "elsewhere.txt", "at once")
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["elsewhere.txt"]
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["a.txt"]


def test_an_old_file_stays_where_a_new_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with little_room(), pytest.raises(InputError, match=r"a\.txt: cannot be written: File too large"):
        write_text(path, "x" * 1000)
    for formula in ("-x", "\t=x", "\r\n@x", "＝x"):
        with pytest.raises(InputError, match="spreadsheets run"):
            write_table(tmp_path / "b.csv", pl.DataFrame({"a": [formula]}))
    write_table(tmp_path / "c.csv", pl.DataFrame({"a": ["-1.5"]}))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "c.csv"]
    assert path.read_text() == "old"


def test_stdout_that_cannot_be_written_is_one_line(inputs: dict[str, str]) -> None:
    command = [sys.executable, "-m", "neuneu", "inspect", inputs["CURVES"], "--json"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["neuneu: output: cannot be used: No space left on device"]
