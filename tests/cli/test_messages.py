"""Messages of the command line say what to type next, in its own words."""

from pathlib import Path

import polars as pl
import pytest
from tests.cli.terminal import on_terminal

from neuneu.curves.table import CurveTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A curve table of one finished run, and a folder without an evaluation."""
    place = tmp_path_factory.mktemp("messages")
    rows = [
        {"run": "web-1b", "task": "piqa", "metric": "acc", "step": k, "tokens": 1000 * k,
         "value": 0.5 + 0.01 * k}
        for k in range(1, 12)
    ]  # fmt: skip
    CurveTable.from_frame(pl.DataFrame(rows)).write(place / "curves.parquet")
    (place / "results").mkdir()
    (place / "empty").mkdir()
    (place / "checkpoint.json").write_text('{"results": {"piqa": {"acc,none": 0.5}}}')
    (place / "results" / "notes.txt").write_text("none")
    return place


@pytest.mark.parametrize("command", ["import lm-eval {} -o out.parquet", "watch {} --once", "serve {}"])
def test_a_schedule_that_is_none_is_refused_before_anything_is_read(
    command: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = [*command.format(folder / "results").split(), "--schedule", "wsd"]
    told = on_terminal(monkeypatch, *line)
    assert "schedule = 'wsd': must be constant, cosine, linear, or wsd:" in " ".join(told.split())
    assert not list(tmp_path.iterdir())


DOORS = ("report", "rank", "advise --target 0.6", "evaluate", "inspect", "export neuneu-npy -o npy")
"""Commands that take a curve table last."""

MESSAGES = {
    "designs stats --store mine.duckdb": ["`neuneu designs import`", "`--store` home"],
    "forecast missing": ["missing: no such file or folder", ".parquet, .csv, .tsv or .json",
                         "`neuneu import auto RESULTS -o curves.parquet`"],
    **{f"{door} missing": ["missing: no such file or folder", "`neuneu import auto RESULTS"]
       for door in DOORS},
    **{f"{door} results": ["is a folder", "`neuneu import auto results -o curves.parquet`"]
       for door in DOORS},
    **{f"{door} checkpoint.json": ["one a row", "`neuneu import auto checkpoint.json -o curves.parquet`"]
       for door in DOORS},
    "plot fan missing -o f.png": ["missing: no such file or folder", "`neuneu import auto RESULTS"],
    "forecast results": ["is a folder", "`neuneu import auto results -o curves.parquet`"],
    "forecast curves.parqet": ["no such file", "did you mean curves.parquet?"],
    "forecast nowhere/c.csv": ["nor is the folder nowhere"],
    "forecast results/notes.txt": ["`neuneu import auto results/notes.txt -o curves.parquet`"],
    "advise curves.parquet --target 60": ["--target = 60.0", "if this is a percentage, write 0.6"],
    "advise curves.parquet": ["--target", "give a target or a rival run"],
    "advise curves.parquet --target 0.6 --horizon 11000": ["nothing left to stop; give a later one"],
    "forecast curves.parquet --losses losses.zarr": ["losses.zarr: no such folder", "`neuneu score`"],
    "words losses.zarr --corpus corpus": ["`neuneu score` makes one"],
    "settle forecasts.jsonl curves.parquet": ["no such ledger", "`neuneu forecast --ledger forecasts.jsonl`"],
    "plot leaderboard results -o board.png": ["no evaluation", "`neuneu evaluate CURVES -o results`"],
    "compare results results": ["--log_samples"],
    "evaluate curves.parquet -f powr-law": ["--forecasters = 'powr-law'", "did you mean power-law"],
    "forecast curves.parquet --run web-1": ["--run = 'web-1'", "did you mean web-1b?"],
    "forecast curves.parquet --task piqua": ["--task = 'piqua'", "did you mean piqa?"],
    "rank curves.parquet --metric accc": ["--metric = 'accc'", "did you mean acc?"],
    "forecast .": ["is a folder that holds curves.parquet: name one", "`neuneu import auto . -o"],
    "forecast nope.csv": ["no such file; no .csv file is here", "`neuneu import auto RESULTS"],
    "train nope.yaml": ["nope.yaml: no such file; no .yaml file is here"],
    "report curves.parquet --since x.parquet": ["x.parquet"],
    "evaluate curves.parquet --context 20": ["if this is a percentage, write 0.2"],
    "forecast curves.parquet --context 20": ["if this is a percentage, write 0.2"],
    "advise curves.parquet --target 0.6 --threshold 5": ["if this is a percentage, write 0.05"],
    "rank curves.parquet --horizon 1": ["is before the first checkpoint", "1.1e+04 tokens"],
    "atlas hellaswag --params 7B --tokens 2e12": ["--params: must be a number, such as 0.6 or 7e9"],
    "import auto results -o x.parquet": ["nothing", "results"],
    "import auto empty -o x.parquet": ["no file of a known format here; `neuneu import --help`"],
    "designs profile lama-50k --store home": ["did you mean home/llama-50k-balanced-seed0"],
    "designs predict --store home --task sciqq": ["did you mean sciq (0-shot)?"],
    "designs composition --store home": ["`neuneu designs generate`", "`neuneu designs import features`"],
    "designs query SELECT+*+FROM+models --store home": ["does not exist; tables: model_annotations"],
}  # fmt: skip
"""Command → what its message has to say."""


@pytest.mark.parametrize("line", MESSAGES)
def test_a_message_says_what_to_type_next(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shown = on_terminal(monkeypatch, *(part.replace("+", " ") for part in line.split())).splitlines()
    assert shown[-1] == "(exit 2)"
    assert max(map(len, shown)) <= 80 or " " not in max(shown, key=len)  # wrapped between words
    message = " ".join(shown[:-1])
    assert message.startswith("neuneu: ")
    for part in MESSAGES[line]:
        assert part in message


def test_one_of_a_thing_is_not_told_as_several(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shown = on_terminal(monkeypatch, "inspect", "curves.parquet")
    assert "1 run\n" in shown
    assert "1 task\n" in shown
    written = on_terminal(monkeypatch, "inspect", "curves.parquet", "--show", "runs", "-o", "runs.csv")
    assert "1 row → runs.csv" in written
    assert CurveTable.read("curves.parquet").in_words() == "11 values of 1 run on 1 task"
