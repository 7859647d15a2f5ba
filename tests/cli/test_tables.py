"""Every table at 80 columns as a person sees it, and into a pipe as a program reads it."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.terminal import Terminal, check_snapshot, in_pipe, on_terminal

from neuneu.cli.tables import NAME, PROSE, SENTENCES, lay_out, note, piped
from neuneu.curves.table import CurveTable
from neuneu.suite.home import read_home_curves

NAMES = ("olmo-ladder-1B-5xC-dolma17-no-math-code", "olmo-ladder-760M-10xC", "tiny")
SETTINGS = (("acc", 5, "mc"), ("len_norm", 0, "rc"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curves of three runs in flight on two tasks in two settings, two of another source, items, a ledger."""
    place = tmp_path_factory.mktemp("terminal")
    CurveTable.from_frame(pl.DataFrame(rows("ladder", NAMES))).write(place / "curves.parquet")
    CurveTable.from_frame(pl.DataFrame(rows("another-source", ("a", "b")))).write(place / "more.parquet")
    early = [row for row in rows("ladder", NAMES) if row["step"] <= 1000]
    CurveTable.from_frame(pl.DataFrame(early)).write(place / "early.parquet")
    for name, right in (("old", (0, 1, 0, 1)), ("new", (1, 1, 0, 1))):
        items = [{"doc_id": i, "acc": float(hit), "doc": {}} for i, hit in enumerate(right * 5)]
        (place / name).mkdir()
        path = place / name / "samples_hellaswag_2024-01-01T00-00-00.jsonl"
        path.write_text("\n".join(map(json.dumps, items)))
    read_home_curves().filter(task=["sciq", "text_prose"]).write(place / "home.parquet")
    (place / "results").mkdir()
    CurveTable.from_frame(pl.DataFrame(early)).write(place / "results" / "early.parquet")
    with pytest.MonkeyPatch.context() as patch:
        on_terminal(patch, "designs", "predict", "--store", "home", "--predictor", "median", "--seeds", "1",
                    *SCIQ, "--workers", "1", "--cells", place / "cells.parquet")  # fmt: skip
        on_terminal(patch, "forecast", place / "early.parquet", "--horizon", "1.2e10", "--horizon", "1.8e10",
                    "-f", "last-value", "--ledger", place / "ledger.jsonl")  # fmt: skip
    return place


def rows(source: str, names: tuple[str, ...]) -> list[dict[str, object]]:
    return [
        {
            "run": run, "task": task, "metric": metric, "n_shot": shots, "variant": variant, "source": source,
            "family": source, "step": 100 * k, "tokens": 10**9 * k, "params": 10**9, "recipe": run,
            "planned_tokens": 4 * 10**10,
            "value": 0.6 - 0.3 * (1 + k) ** -0.5 + 0.01 * number + 0.003 * (k % 3),
        }
        for number, run in enumerate(names) for task in ("hellaswag", "openbookqa")
        for metric, shots, variant in SETTINGS for k in range(1, 21)
    ]  # fmt: skip


SCIQ = ("--task", "sciq")

COMMANDS = {
    "inspect": ("inspect", "curves.parquet"),
    "inspect-problems": ("inspect", "curves.parquet", "--show", "problems"),
    "forecast": ("forecast", "curves.parquet", "-f", "last-value", "--context", "0.2"),
    "forecast-in-flight": ("forecast", "curves.parquet", "-f", "last-value", "--run", "tiny"),
    "rank": ("rank", "curves.parquet", "-f", "last-value", "--metric", "len_norm"),
    "rank-pairs": ("rank", "curves.parquet", "-f", "last-value", "--pairs"),
    "advise": ("advise", "curves.parquet", "-f", "last-value", "--target", "0.55"),
    "evaluate": ("evaluate", "curves.parquet", "more.parquet", "-f", "mean-k", "--no-fit"),
    "compare": ("compare", "old", "new"),
    "inspect-trust": ("inspect", "home.parquet", "--trust"),
    "watch": ("watch", "results", "--once", "-f", "last-value", "--target", "0.5"),
    "settle": ("settle", "ledger.jsonl", "curves.parquet", "--by", "task,horizon"),
    "atlas": ("atlas", "hellaswag", "mmlu", "--params", "7e9", "--tokens", "2e12"),
    "data-list": ("data", "list"),
    "designs-stats": ("designs", "stats", "--store", "home"),
    "designs-query": ("designs", "query", "SELECT * FROM model_annotations ORDER BY id", "--store", "home"),
    "designs-profile": ("designs", "profile", "home/llama-50k-prose-seed0", "--store", "home"),
    "designs-gaps": ("designs", "gaps", "--facts", "--store", "home"),
    "designs-conflicts": ("designs", "conflicts", "--store", "home"),
    "designs-coverage": ("designs", "coverage", "--store", "home"),
    "designs-sheet": ("designs", "sheet", "--store", "home"),
    "designs-facts": ("designs", "facts", "home.parquet", "--store", "home", "-o", "facts.parquet"),
    "designs-finished": ("designs", "finished", "--store", "home", "-o", "finished.parquet"),
    "designs-diff": ("designs", "diff", "home", "home"),
    "designs-correlate": ("designs", "correlate", "--store", "home"),
    "designs-components": ("designs", "components", "--store", "home", "--count", "2"),
    "designs-select": ("designs", "select", "--store", "home", "--split", "recipe", *SCIQ),
    "designs-explain": ("designs", "explain", "--store", "home", "--seeds", "1", *SCIQ),
    "designs-against": (
        "designs", "explain", "--store", "home", "--against", "code", "--seeds", "1", "--draws", "2", *SCIQ,
    ),
    "designs-ablate": (
        "designs", "ablate", "--store", "home", "--split", "recipe", "--seeds", "1",
        "--predictor", "log-linear", "--workers", "1", *SCIQ,
    ),
    "designs-tree": ("designs", "tree", "--store", "home", "--seeds", "1", *SCIQ, "--task", "arc_easy"),
    "designs-errors": ("designs", "errors", "cells.parquet"),
    "designs-errors-against": ("designs", "errors", "cells.parquet", "--against", "code", "--store", "home"),
    "designs-predict": (
        "designs", "predict", "--store", "home", "--predictor", "median,log-linear", "--seeds", "1",
        "--workers", "1", *SCIQ,
    ),
    "designs-sweep": (
        "designs", "sweep", "home/llama-200k-code-seed0", "code", "--store", "home", "--split", "recipe",
        "--task", "sciq", "--predictor", "median", "--steps", "3",
    ),
}  # fmt: skip
"""Name of the snapshot → the command."""


SEVERAL = ("inspect", "designs-profile", "designs-predict", "designs-ablate", "watch", "designs-finished")
"""Commands of several tables, or of none."""


@pytest.mark.parametrize("name", COMMANDS)
def test_tables_fit_80_columns(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shown = on_terminal(monkeypatch, *COMMANDS[name])
    assert "(exit" not in shown
    too_long = [line for line in shown.splitlines() if len(line) > 80 and not line.startswith("left out")]
    assert not too_long
    check_snapshot(name, shown)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in SEVERAL])
def test_pipes_get_a_line_a_row(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = in_pipe(monkeypatch, *COMMANDS[name])
    lines = text.splitlines()
    assert len({line.count("\t") for line in lines}) == 1
    if name == "forecast":
        read = pl.read_csv(io.StringIO(text), separator="\t")
        assert len(read) == len(lines) - 1 == 192
        assert read["q50"][0] == CurveTable.read("curves.parquet").frame.filter(
            pl.col("step") == 400, run=read["run"][0], task=read["task"][0], metric=read["metric"][0]
        )["value"][0]  # fmt: skip


def test_three_tables_into_a_pipe_are_parted_by_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = in_pipe(monkeypatch, "inspect", folder / "curves.parquet")
    heads = [part.split("\t")[0] for part in text.split("\n\n")]
    assert heads == ["run", "task", "problem"]


def test_a_real_terminal_of_80_columns(folder: Path) -> None:
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\x00\x00\x00\x00")
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "neuneu", "inspect", str(folder / "curves.parquet"), "--show", "tasks"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**environment, "NO_COLOR": "1"}) as run:
        os.close(theirs)
        text = ""
        while part := _read(ours):
            text += part
    assert run.returncode == 0
    assert any(line.startswith("hellaswag") for line in text.splitlines())
    plain = text.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")
    assert max(map(len, plain.splitlines())) <= 80


def _read(end: int) -> str:
    try:
        return os.read(end, 65536).decode()
    except OSError:
        return ""


words = st.text(st.characters(categories=("L", "Nd", "Zs", "Cc", "So")), max_size=60)


@given(
    st.lists(st.tuples(words, words, st.floats(), st.none() | st.integers(-(10**9), 10**9)), max_size=8),
    st.integers(40, 160),
)
def test_any_table_fits_and_keeps_its_numbers(
    cells: list[tuple[str, str, float, int | None]], width: int
) -> None:
    names = ("name", "detail", "share", "count")
    kinds = (pl.String, pl.String, pl.Float64, pl.Int64)
    frame = pl.DataFrame(cells, schema=dict(zip(names, kinds, strict=True)), orient="row")
    found = lay_out(frame, width)
    from rich.cells import cell_len

    longest = max((cell_len(word) for row in cells for word in row[1].split()), default=0)
    assert max(map(cell_len, found.lines)) <= max(width, width - PROSE + longest)
    shown = set(names) - set(found.dropped) - set(found.constant)
    assert "name" in shown or "name" in found.constant
    assert set(found.lines[0].split()) == shown
    if "count" in shown:
        assert all("–" if count is None else str(count) in "\n".join(found.lines) for *_, count in cells)


@given(st.lists(st.tuples(words, st.floats(), st.lists(st.floats(), max_size=3)), max_size=8))
def test_any_table_comes_out_of_a_pipe_as_it_went_in(cells: list[tuple[str, float, list[float]]]) -> None:
    schema = {"a": pl.String, "b": pl.Float64, "c": pl.List(pl.Float64)}
    text = piped(pl.DataFrame(cells, schema=schema, orient="row"))
    read = list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert read[0] == ["a", "b", "c"]
    assert len(read) == len(cells) + 1
    assert len(text.splitlines()) == len(cells) + 1
    np.testing.assert_array_equal([float(row[1]) for row in read[1:]], [row[1] for row in cells])


def test_long_names_are_cut_in_the_middle_and_stay_apart() -> None:
    names = [f"{'x' * 70}{number}{'y' * 25}" for number in range(3)]
    found = lay_out(pl.DataFrame({"run": names, "value": [0.1, 0.2, 0.3]}), 80)
    assert found.cut
    assert not found.dropped
    cut = [line.split()[0] for line in found.lines[1:]]
    assert len(set(cut)) == 3
    assert all(len(text) >= NAME for text in cut)


def test_what_all_rows_share_goes_first_and_is_told_once() -> None:
    frame = pl.DataFrame(
        {"task": ["a" * 10, "b" * 10], "metric": ["acc_norm"] * 2, "n": [1, 2], "m": [3.5, 4.0]}
    )
    found = lay_out(frame, 25)
    assert found.constant == {"metric": "acc_norm"}
    assert not found.dropped
    assert lay_out(frame, 16, least=["n"]).dropped == ["n", "m"]
    assert lay_out(frame, 17, least=["n"]).dropped == ["n"]
    assert "detail" in SENTENCES


def test_no_other_module_prints_tables() -> None:
    import neuneu

    root = Path(neuneu.__file__).parent
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    own = {name for name, text in texts.items() if "rich.table" in text or "import Console" in text}
    assert own <= {"cli/tables.py", "cli/bars.py", "cli/train.py"}


def test_notes_wrap_between_words_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "left out: " + "a run with words " * 8 + "/a/path/that/stays/whole/" + "x" * 80
    monkeypatch.setenv("COLUMNS", "80")
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        note(text)
        lines = stream.getvalue().splitlines()
        assert " ".join(lines) == text
        assert (len(lines) > 1) is stream.isatty()
        assert all(len(line) <= 80 for line in lines[:-1])
