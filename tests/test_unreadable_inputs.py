"""Pipes, folders and files that may not be read: every command says so in one line with code 2."""

import os
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.every_command import Run, as_nobody, commands, run

__all__ = ["run"]

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
def test_pipes_folders_and_unreadable_files_are_named(run: Run, name: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        folder.chmod(0o777)
        for kind, words in (
            ("pipe", "is no regular file"),
            ("none", "no such"),
            ("secret", "Permission denied"),
        ):
            arguments = [
                part.replace("IN", f"{folder}/{kind}").replace("OUT", f"{folder}/out")
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
