"""Inputs that broke the product once (tests/cases/hostile, each with its `expect.md`) end in one line."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import torch

from neuneu.cli.main import main
from neuneu.errors import InputError, TooLargeError
from neuneu.files.tables import TableLimits, read_frame
from neuneu.losses.open import open_losses
from neuneu.losses.text_files import read_documents

CASES = Path(__file__).parent / "cases" / "hostile"
SECONDS = 20
"""Any of these commands ends at once; a busy machine starts Python slowly."""


class Ended(NamedTuple):
    """How a command ended: its exit code, and the lines that it printed on stderr."""

    code: int
    lines: list[str]


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command of neuneu in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["neuneu", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        return Ended(code, capsys.readouterr().err.splitlines())

    return run


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A copy of a case's folder, which is the working directory from then on."""

    def enter(name: str) -> Path:
        (source,) = CASES.glob(f"{name}-*")
        folder = tmp_path / "case"
        shutil.copytree(source, folder)
        monkeypatch.chdir(folder)
        return folder

    return enter


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended
    assert len(ended.lines) == 1, ended
    for word in words:
        assert word in ended.lines[0]


Case = Callable[[str], Path]


def test_every_case_has_a_test() -> None:
    here = Path(__file__).parent
    files = [
        Path(__file__),
        here / "test_writing_places.py",
        here / "app/test_limits.py",
        here / "cli/test_train.py",
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    for folder in sorted(CASES.iterdir()):
        assert f"def test_{folder.name[:4].replace('-', '').lower()}_" in text, folder.name


def test_b01_a_store_without_a_table_is_taken_as_new(case: Case, command: Command) -> None:
    import duckdb

    case("B-01")
    duckdb.connect("d.duckdb").close()  # what the first version left when it was killed
    assert command("designs", "import", "export", "export", "--store", "d.duckdb").code == 0
    assert command("designs", "import", "export", "export", "--store", "whole.duckdb").code == 0
    assert command("designs", "diff", "d.duckdb", "whole.duckdb", "-o", "diff.csv").code == 0
    assert len(pl.read_csv("diff.csv")) == 0


def test_b02_long_text_is_refused_column_by_column(tmp_path: Path) -> None:
    n, text = 1_000, pl.lit("C" * 5_000)
    pl.select(step=pl.int_range(n), recipe=text).write_parquet(tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 20_000
    assert len(read_frame(tmp_path / "bomb.parquet")) == n
    for limits, words in (
        (TableLimits(text=4_999_999), "recipe: holds more than"),
        (TableLimits(cell=4_999), "recipe: holds a text longer than"),
        (TableLimits(rows=999), "1,000 rows"),
        (TableLimits(unpacked=1_000), "unpacks to"),
    ):
        with pytest.raises(TooLargeError, match=words):
            read_frame(tmp_path / "bomb.parquet", limits=limits)


def test_b03_aliases_of_yaml(case: Case, command: Command) -> None:
    case("B-03")
    refused(command("suite", "status", "suite.yaml", "--output", "x"), "suite.yaml", "YAML aliases")
    refused(command("train", "train.yaml"), "train.yaml", "YAML aliases")


def test_b03_a_value_larger_than_memory_is_cut_before_it_is_printed() -> None:
    value: list[object] = ["x"] * 9
    for _ in range(40):
        value = [value] * 9
    assert len(str(InputError("is large", field="f", value=value))) < 150


def test_b06_versions_that_are_no_object(case: Case, command: Command) -> None:
    case("B-06")
    refused(command("import", "lm-eval", "r.json", "-o", "o.csv"), "r.json", "versions", "must be an object")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("date", "date = "),
        ("params", "config.model_num_parameters = "),
        ("shots", "n-shot.piqa = "),
        ("step", "step = '99999999999999999999'"),
        ("value", "results.piqa.acc = "),
    ],
)
def test_b07_whole_numbers_of_any_size(case: Case, command: Command, name: str, field: str) -> None:
    case("B-07")
    refused(command("import", "lm-eval", f"{name}.json", "-o", "o.csv"), f"{name}.json: {field}")
    assert not Path("o.csv").exists()


def test_b07_documents_of_a_corpus(case: Case) -> None:
    folder = case("B-07")
    with pytest.raises(InputError, match=r"docs\.jsonl:1: .* = '9+…: must be a finite number"):
        list(read_documents([folder / "docs.jsonl"]))


def test_b08_a_header_that_does_not_end(case: Case, command: Command) -> None:
    case("B-08")
    refused(command("import", "neuneu-npy", ".", "-o", "o.csv"), "arc_easy.npy: not a .npy array")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bytes-data", "data: must be text or numbers, not Binary"),
        ("list-seed", "seed: must be text or numbers, not List"),
        ("text-compute", "compute = 'x': must be a number"),
    ],
)
def test_b10_columns_of_datadecide(case: Case, command: Command, name: str, words: str) -> None:
    case("B-10")
    refused(command("import", "datadecide", f"{name}.parquet", "-o", "o.csv"), f"{name}.parquet", words)


def test_b10_compute_that_is_not_known(case: Case, command: Command) -> None:
    case("B-10")
    assert command("import", "datadecide", "nan-compute.parquet", "-o", "o.parquet").code == 0
    assert "flops" not in pl.read_parquet_schema("o.parquet")


@pytest.mark.parametrize("verb", ["forecast", "inspect"])
@pytest.mark.parametrize("name", ["object-value.json", "struct-tokens.parquet", "struct-value.parquet"])
def test_b11_nested_columns(case: Case, command: Command, verb: str, name: str) -> None:
    case("B-11")
    refused(command(verb, name), name, "must be text or")


def test_b11_a_metric_that_is_missing_is_a_problem_that_inspect_names(
    tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "m.json"
    path.write_text('[{"run": "a", "task": "piqa", "metric": null, "step": 1, "value": 0.5}]')
    assert command("inspect", path, "--show", "problems", "-o", tmp_path / "p.csv").code == 0
    assert pl.read_csv(tmp_path / "p.csv")["problem"].to_list() == ["missing metric"]


def read_first(folder: Path) -> None:
    losses = open_losses(folder)
    losses.read(losses.runs[0], int(losses.steps(losses.runs[0])[0]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("infinite", "must be finite"),
        ("notasks", "no task is here"),
        ("npz-as-npy", "not a .npy array"),
        ("records", "must be an array of floats"),
        ("rows", "must have a row a step"),
        ("subjects", "subject_lengths"),
        ("text", "must be an array of floats"),
        ("texts", "must be an array of numbers"),
        ("textsteps", "steps"),
    ],
)
def test_b12_published_losses(case: Case, name: str, words: str) -> None:
    folder = case("B-12") / name
    with pytest.raises(InputError, match=words) as caught:
        read_first(folder)
    assert ".np" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "lm-eval", "fifo/b.json", "-o", "o.csv"),
        ("import", "lm-eval", "fifo", "-o", "o.csv"),
        ("designs", "import", "features", "fifo/b.json", "--store", "d.duckdb"),
        ("designs", "import", "lm-eval", "fifo", "--store", "d.duckdb"),
        ("train", "fifo/b.json"),
        ("designs", "validate", "fifo/b.json"),
        ("inspect", "fifo/b.json"),
    ],
)
def test_b15_pipes(
    case: Case, neuneu: Callable[..., "subprocess.CompletedProcess[str]"], arguments: tuple[str, ...]
) -> None:
    folder = case("B-15")
    subprocess.run(["sh", "make.sh"], cwd=folder, check=True)
    ended = neuneu(*arguments, cwd=folder, timeout=SECONDS)
    refused(Ended(ended.returncode, ended.stderr.splitlines()), "b.json", "is no regular file")
    assert sorted(path.name for path in folder.iterdir()) == ["expect.md", "fifo", "make.sh"]


def test_b17_text_that_a_spreadsheet_runs(case: Case, command: Command) -> None:
    case("B-17")
    refused(command("inspect", "facts.parquet", "--show", "runs", "-o", "o.csv"), "o.csv", "spreadsheets run")
    refused(command("forecast", "facts.parquet", "-o", "o.csv"), "facts.parquet", "spreadsheets run")
    ended = command("designs", "import", "features", "features.csv", "--store", "d.duckdb")
    refused(ended, "features.csv", "id = '=cmd|calc'", "spreadsheets run")
    assert not Path("d.duckdb").exists()


def test_b19_no_advice_to_read_unsafely(tmp_path: Path, command: Command) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path}/pwned",)

    torch.save({"model_state_dict": Runs()}, tmp_path / "best_model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a second line would be a warning
        ended = command("convert", tmp_path / "best_model.pt", "-o", tmp_path / "m")
    refused(ended, "best_model.pt", "more than weights")
    assert "weights_only" not in ended.lines[0]
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "m").exists()


def test_b21_a_folder_in_the_way_is_named_before_the_work(tmp_path: Path, command: Command) -> None:
    (tmp_path / "od.parquet").mkdir()
    ended = command("forecast", tmp_path / "no-such-curves.parquet", "-o", tmp_path / "od.parquet")
    refused(ended, f"{tmp_path}/od.parquet: is a folder")


def test_arrays_of_numpy_are_shortened_in_errors() -> None:
    assert len(str(InputError("is large", field="f", value=np.zeros(10**6)))) < 200
