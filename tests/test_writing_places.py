"""Where nothing can be written, every command says so in one line with code 2, before its work (B-04, 21)."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import typer
from tests.fuzzing.targets import CSV, SCI_TABLE

from neuneu.cli.main import COMMANDS, main
from neuneu.cli.options import file_place, folder_place, named_place
from neuneu.errors import InputError
from neuneu.files import write_table, write_text

NOBODY = 65534
"""The user that may write nowhere but where all may."""

READ_ONLY = ("suite status",)
"""Commands whose --output is a folder that they read."""

AFTER_CONFIGURATION = ("suite run",)
"""Commands that know their place only once their configuration is read; tested in tests/suite."""


class Place(NamedTuple):
    """An option of a command that names a place to write to."""

    command: str
    option: str
    folder: bool


def _walk(command: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _walk(inner, [*path, name])
    else:
        yield " ".join(path), command


def commands() -> list[tuple[str, Any]]:
    """Every command by name."""
    modules = sorted({module for module, _ in COMMANDS.values()})
    found = [pair for name in modules for pair in _walk(typer.main.get_command(import_module(name).app), [])]
    return [(name, command) for name, command in found if name.split()[0] in COMMANDS]


def places() -> list[Place]:
    """Every option whose callback knows whether its place can be written."""
    kinds = {file_place.__name__: False, folder_place.__name__: True, named_place.__name__: False}
    return [
        Place(name, parameter.opts[0], kinds[callback])
        for name, command in commands()
        for parameter in command.params
        if (callback := getattr(parameter.callback, "__name__", "")) in kinds
        and parameter.opts[0].startswith("-")
    ]


PLACES = places()


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, list[str]]]:
    """Run a command here; its exit code and the lines on stderr."""

    def call(*arguments: object) -> tuple[Any, list[str]]:
        monkeypatch.setattr(sys, "argv", ["neuneu", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, capsys.readouterr().err.splitlines()

    return call


Run = Callable[..., tuple[Any, list[str]]]


def test_every_command_that_writes_asks_first() -> None:
    asked = {place.command for place in PLACES}
    for name, command in commands():
        if any(parameter.opts[0] == "--output" for parameter in command.params):
            assert name in asked or name in (*READ_ONLY, *AFTER_CONFIGURATION), name
    assert len(asked) > 40


def refused(run: Run, place: Place, target: Path, words: str) -> None:
    code, lines = run(*place.command.split(), place.option, target)
    assert code == 2, (place, lines)
    assert len(lines) == 1, (place, lines)
    assert words in lines[0], (place, lines)


def test_what_is_in_the_way_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.rglob("*"))
    for place in PLACES:
        target = tmp_path / ("file" if place.folder else "folder.csv")
        refused(run, place, target, f"{target}: is")
        refused(run, place, tmp_path / "file" / "below.csv", "file: is in the way")
        refused(run, place, tmp_path / "pipe.csv", "pipe.csv: is")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "x"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the powers of root, who may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_folder_is_named(run: Run) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with as_nobody():
            for place in PLACES:
                target = folder / "new" / "a.csv"
                refused(run, place, target, f"{target}: cannot be written: Permission denied")
        assert not list(folder.iterdir())
        folder.chmod(0o755)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without room for another file; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=2", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    (folder / "fill").touch()
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_without_room_is_named(run: Run, full_disk: Path) -> None:
    for place in PLACES:
        refused(run, place, full_disk / "a.csv", "a.csv: cannot be written: No space left on device")
    assert [path.name for path in full_disk.iterdir()] == ["fill"]


@contextmanager
def little_room(size: int = 100) -> Iterator[None]:
    """As on a disk that fills up while a file is written: none may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITES = {
    "forecast parquet": ("forecast", "CURVES", "-f", "last-value", "--context", "0.5", "-o", "OUT/f.parquet"),
    "forecast csv": ("forecast", "CURVES", "-f", "last-value", "--context", "0.5", "-o", "OUT/f.csv"),
    "forecast json": ("forecast", "CURVES", "-f", "last-value", "--context", "0.5", "-o", "OUT/f.json"),
    "evaluate": ("evaluate", "CURVES", "-f", "last-value", "--context", "0.5", "-o", "OUT/ev"),
    "inspect": ("inspect", "CURVES", "--show", "runs", "-o", "OUT/r.csv"),
    "import": ("import", "open-sci-ref", "RESULTS", "-o", "OUT/c.parquet"),
    "export": ("export", "neuneu-npy", "CURVES", "-o", "OUT/npy"),
    "report": ("report", "CURVES", "-f", "last-value", "--context", "0.5", "-o", "OUT/r.html"),
    "plot": ("plot", "fan", "CURVES", "-f", "last-value", "--context", "0.5", "-o", "OUT/f.png"),
    "designs import": ("designs", "import", "features", "FEATURES", "--store", "OUT/d.duckdb"),
    "designs export": ("designs", "export", "--store", "STORE", "OUT/export"),
    "train": ("train", "TRAIN", "-o", "OUT/model"),
}
"""Commands that come as far as writing."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the commands of WRITES read."""
    import yaml
    from tests.forecasters.neuneu.small import make_config, make_table
    from tests.fuzzing.targets import _zip

    from neuneu.designs.database.readers import read_features_csv
    from neuneu.designs.database.store import DesignStore

    folder = tmp_path_factory.mktemp("inputs")
    names = {
        "CURVES": "curves.parquet", "RESULTS": "results-01-07.csv.zip", "FEATURES": "features.csv",
        "STORE": "d.duckdb", "TRAIN": "train.yaml",
    }  # fmt: skip
    found = {name: folder / file for name, file in names.items()}
    make_table(n_runs=2).write(found["CURVES"])
    found["RESULTS"].write_bytes(_zip("results-01-07.csv", SCI_TABLE))
    found["FEATURES"].write_text(CSV["features.csv"])
    with DesignStore.create(found["STORE"]) as store:
        store.apply(read_features_csv(found["FEATURES"]))
    make_table().write(folder / "train.parquet")
    config = make_config(
        "neuneu-noloss", data={"curves": [str(folder / "train.parquet")]}, model={"encoder": "none"}
    )
    found["TRAIN"].write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return found


@pytest.mark.parametrize("name", WRITES)
def test_b04_a_disk_that_fills_up_while_writing(
    run: Run, inputs: dict[str, Path], tmp_path: Path, name: str
) -> None:
    arguments = [str(inputs.get(part, part)).replace("OUT", str(tmp_path / "out")) for part in WRITES[name]]
    with little_room():
        code, lines = run(*arguments)
    assert code == 2, lines
    assert "cannot be written: File too large" in lines[-1]
    assert str(tmp_path / "out") in lines[-1]
    assert not any(line.startswith("Traceback") for line in lines)
    assert not list(tmp_path.iterdir())
    assert run(*arguments)[0] == 0  # and there it works


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


def test_stdout_that_cannot_be_written_is_one_line(inputs: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "neuneu", "inspect", str(inputs["CURVES"]), "--json"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["neuneu: output: cannot be used: No space left on device"]


STORED = ("--store", "IN.duckdb")
READS = {
    "atlas": ("piqa", "--params", "1e8", "--tokens", "1e9", "--finished", "IN.parquet"),
    "compare": ("IN.jsonl", "IN.jsonl"),
    "import": ("lm-eval", "IN.json", "-o", "OUT/c.csv"),
    "inspect": ("IN.parquet",),
    "data get": ("pythia", "--from", "IN", "-o", "OUT/c.parquet"),
    "rank": ("IN.json",),
    "advise": ("IN.parquet",),
    "evaluate": ("IN.parquet",),
    "export": ("neuneu-npy", "IN.parquet", "-o", "OUT/npy"),
    "forecast": ("IN.csv",),
    "tokenize": ("IN.jsonl", "-t", "nowhere", "-o", "OUT/c"),
    "score": ("IN", "--corpus", "IN", "-o", "OUT/l.zarr"),
    "words": ("IN.zarr", "--corpus", "IN.zarr"),
    "plot": ("fan", "IN.parquet", "-o", "OUT/f.png"),
    "report": ("IN.parquet", "-o", "OUT/r.html"),
    "serve": ("IN.parquet", "--port", "0"),
    "train": ("IN.yaml", "-o", "OUT/m"),
    "convert": ("IN.pt", "-o", "OUT/m"),
    "watch": ("IN", "--status", "OUT/status.json"),
    "settle": ("IN.jsonl", "IN.parquet"),
    "suite run": ("IN.yaml", "-o", "OUT"),
    "suite status": ("IN.yaml", "-o", "OUT"),
    "suite evaluate": ("IN", "--blimp", "IN"),
    "suite harness": ("IN", "--task", "piqa", "-o", "OUT/h"),
    "suite package": ("IN", "-o", "OUT/p"),
    "designs import": ("lm-eval", "IN.json", "--store", "OUT/d.duckdb"),
    "designs stats": STORED,
    "designs query": ("SELECT 1", *STORED),
    "designs profile": ("m", *STORED),
    "designs conflicts": STORED,
    "designs gaps": STORED,
    "designs export": (*STORED, "OUT"),
    "designs finished": (*STORED, "-o", "OUT/f.parquet"),
    "designs diff": ("IN.duckdb", "IN.duckdb"),
    "designs migrate": STORED,
    "designs alias": (*STORED, "a", "b"),
    "designs template": ("--checkpoint", "IN"),
    "designs validate": ("IN.yaml",),
    "designs add": ("IN.yaml", "--store", "OUT/d.duckdb"),
    "designs record": ("IN.csv", "-o", "OUT/r.yaml"),
    "designs sheet": STORED,
    "designs predict": STORED,
    "designs facts": ("nowhere.parquet", *STORED, "-o", "OUT/f.parquet"),
    "designs explain": STORED,
    "designs select": STORED,
    "designs sweep": ("m", "params", *STORED),
    "designs forecast": ("IN.yaml",),
    "designs composition": STORED,
    "designs correlate": STORED,
    "designs components": STORED,
    "designs coverage": STORED,
    "designs errors": ("IN.parquet",),
    "designs ablate": STORED,
    "designs tree": STORED,
    "designs generate": ("IN", "-o", "OUT/g.jsonl"),
    "designs tag": ("entropy", "--input", "IN.jsonl", "-o", "OUT/t.json"),
    "designs aggregate": ("m", "--tagged", "counts=IN.parquet", "-o", "OUT/a.csv"),
    "designs filter": ("IN.jsonl", "--repetition", "IN.jsonl", "--kept", "OUT/k.jsonl"),
    "designs sample": ("IN.jsonl", "-n", "5", "-o", "OUT/s.jsonl"),
    "designs cost": ("IN.jsonl", "--price", "1"),
    "designs agreement": ("IN.parquet", "--labels", "IN.csv"),
    "designs realism": ("--real", "IN.parquet", "--generated", "IN.parquet"),
    "designs distributions": ("--tagged", "mine=IN.parquet", "--column", "num_tokens"),
}
"""Command → arguments with an input that is no regular file, is not there, or may not be read."""

FOLDERS = (
    "score",
    "words",
    "data get",
    "suite evaluate",
    "suite harness",
    "suite package",
    "designs generate",
)
"""Those whose input is a folder, so that a pipe in its place is none."""

SAID_BEFORE = {"data get": 2}
"""Lines that tell what is fetched, before anything is."""

READ_NOTHING = ("completion", "data list", "demo", "designs fetch", "designs home")
"""Commands without an input of the user's."""


def test_every_command_that_reads_is_tried() -> None:
    assert {name for name, _ in commands()} == {*READS, *READ_NOTHING}


@pytest.mark.parametrize("name", READS)
def test_pipes_folders_and_unreadable_files_are_named(run: Run, inputs: dict[str, Path], name: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        folder.chmod(0o777)
        for kind, words in (
            ("pipe", "is no regular file"),
            ("none", "no such"),
            ("secret", "Permission denied"),
        ):
            arguments = [
                str(inputs.get(part, part.replace("IN", f"{folder}/{kind}").replace("OUT", f"{folder}/out")))
                for part in (*name.split(), *READS[name])
            ]
            path = next(Path(part.split("=")[-1]) for part in arguments if f"{folder}/{kind}" in part)
            if kind == "pipe":
                os.mkfifo(path)
            if kind == "secret":
                path.write_text("{}")
                path.chmod(0)
            with as_nobody() if kind == "secret" else nullcontext():
                code, lines = run(*arguments)
            assert code == 2, lines
            assert [line for line in lines if line.startswith("neuneu: ")] == lines[-1:], lines
            assert len(lines) == 1 + SAID_BEFORE.get(name, 0), lines
            assert name in FOLDERS or words in lines[-1]
            assert path.name in lines[-1]
            path.unlink(missing_ok=True)
        assert not list(folder.iterdir())
