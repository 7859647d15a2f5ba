"""`neuneu suite` end to end: run, kill, resume, status, evaluate, package."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import load_file
from tests.cli.terminal import check_snapshot, on_terminal
from tests.watching import paths_now

from neuneu.curves.table import CurveTable
from neuneu.losses.open import open_losses

from .tiny import TINY, write_tiny

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def arguments(root: Path, folder: Path) -> list[str]:
    paths = {"--blimp": root / "blimp", "--requests": root / "requests", "--root": root, "--output": folder}
    options = [str(part) for pair in paths.items() for part in pair]
    return ["suite", "run", str(root / "tiny.yaml"), *options]


@pytest.fixture(scope="module")
def trained(root: Path, neuneu: Run) -> Path:
    """The tiny suite trained without interruption."""
    done = neuneu(*arguments(root, root / "straight"))
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs done → " in done.stderr
    return root / "straight"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def test_killed_at_random_moments_it_ends_in_the_same_bytes(root: Path, trained: Path) -> None:
    command = [sys.executable, "-m", "neuneu", *arguments(root, root / "killed")]
    source = random.Random(5)
    kills = 0
    for _ in range(30):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        runs = root / "killed" / "runs"
        # Wait for work to have begun, then strike within the next half second.
        known = len(paths_now(runs, "**/*.json"))
        while process.poll() is None and kills < 2 and len(paths_now(runs, "**/*.json")) <= known:
            time.sleep(0.02)
        if kills < 2:
            time.sleep(source.random() * 0.4)
        else:
            process.wait(120)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.returncode == 0
    assert kills >= 1
    assert digests(root / "killed") == digests(trained)


def test_two_processes_on_a_run_train_as_one_does(root: Path, trained: Path) -> None:
    command = arguments(root, root / "parallel")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, "-m", "neuneu", *command, "--only", "*-seed0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name = "runs/llama-s-even-seed0/scores/00000032.json"
    together, alone = (json.loads((folder / name).read_text()) for folder in (root / "parallel", trained))
    assert together["train_loss"] == pytest.approx(alone["train_loss"], abs=1e-3)
    assert not list((root / "parallel" / "runs").glob("*-seed1"))


def test_two_seeds_differ_and_files_are_there(trained: Path) -> None:
    first, second = (trained / "runs" / f"llama-s-even-seed{seed}" for seed in (0, 1))
    for kind, ending in (("scores", "json"), ("items", "safetensors"), ("losses", "npy")):
        assert len(list((first / kind).glob(f"*.{ending}"))) == 6
    last = "00000032"
    assert (first / "weights" / "step32" / "model.safetensors").exists()
    losses = [np.load(run / "losses" / f"{last}.npy") for run in (first, second)]
    assert losses[0].shape == (2 * 4 * 63,)
    assert losses[0].dtype == np.float16
    assert not np.array_equal(losses[0], losses[1])


def test_scores_follow_from_the_items(trained: Path) -> None:
    place = trained / "runs" / "llama-s-even-seed0"
    rows = json.loads((place / "scores" / "00000032.json").read_text())["rows"]
    items = load_file(place / "items" / "00000032.safetensors")
    found = {(row["task"], row["metric"]): row for row in rows}
    row = found["blimp_agreement", "acc"]
    scores = items["blimp_agreement"]
    assert row["value"] == np.mean(scores[:, 0] > scores[:, 1])
    assert (row["n_items"], row["chance"]) == (5, 0.5)
    gold = np.array([0, 1, 0, 1])
    assert found["toy", "acc"]["value"] == np.mean(np.nanargmax(items["toy"], axis=1) == gold)
    losses = np.load(place / "losses" / "00000032.npy").astype(float)
    assert 1 < found["text_code", "bpb"]["value"] < 8
    # float16 losses give the same bits per byte to the precision of float16
    ratio = found["text_code", "bpb"]["value"] / found["text_prose", "bpb"]["value"]
    assert ratio > 1
    assert losses[: 4 * 63].mean() > losses[4 * 63 :].mean()


def test_what_people_see_of_a_suite(root: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_terminal(monkeypatch, "suite", "status", root / "tiny.yaml", "--output", trained)
    check_snapshot("suite-status", shown)
    weights = trained / "runs" / "llama-s-even-seed0" / "weights" / "step32"
    asked = ("--blimp", root / "blimp", "--tokenizer", trained / "text" / "tokenizer.json")
    check_snapshot("suite-evaluate", on_terminal(monkeypatch, "suite", "evaluate", weights, *asked))


def test_status_counts_checkpoints(root: Path, trained: Path, neuneu: Run) -> None:
    done = neuneu("suite", "status", root / "tiny.yaml", "--output", trained, "--json")
    rows = json.loads(done.stdout)
    assert [(row["run"], row["checkpoints"], row["of"], row["state"]) for row in rows] == [
        ("llama-s-even-seed0", 6, 6, "done"),
        ("llama-s-even-seed1", 6, 6, "done"),
    ]
    empty = neuneu("suite", "status", root / "tiny.yaml", "--output", root / "none", "--json")
    assert {row["state"] for row in json.loads(empty.stdout)} == {"to do"}


def test_package_holds_curves_losses_and_no_text(trained: Path, tmp_path: Path, neuneu: Run) -> None:
    done = neuneu("suite", "package", trained, "--output", tmp_path / "a", "--losses")
    assert done.returncode == 0, done.stderr
    table = CurveTable.read(tmp_path / "a" / "curves.parquet")
    assert table.runs == ["tiny/llama-s-even-seed0", "tiny/llama-s-even-seed1"]
    assert {"blimp_agreement", "toy", "text_code", "continuation_prose", "word_order_prose"} <= set(
        table.tasks
    )
    assert all(len(curve) == 6 and curve.clock_unit == "tokens" for curve in table)
    facts = table.curves[0].facts
    assert (facts.family, facts.source, facts.recipe) == ("neuneu-tiny-llama", "tiny", "even")
    assert facts.planned_tokens == 32 * 4 * 64
    store = open_losses(tmp_path / "a" / "losses", table.runs)
    assert store.runs == table.runs
    assert store.groups == ["text_code"] * (4 * 63) + ["text_prose"] * (4 * 63)
    for run in store.runs:
        assert store.steps(run).tolist() == table.filter(run=run).curves[0].steps.tolist()
        full = np.load(trained / "runs" / run.split("/")[1] / "losses" / "00000032.npy").astype(float)
        np.testing.assert_allclose(store.read(run, 32), full, atol=1 / 256 + 1e-6)
    provenance = json.loads((tmp_path / "a" / "provenance.json").read_text())
    assert {row["licence"] for row in provenance["licences_of_texts"]} == {"PSF-2.0", "made up"}
    packed = b"".join(path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert b"In the year" not in packed
    neuneu("suite", "package", trained, "--output", tmp_path / "b", "--losses")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_folder_is_packaged_again_and_losses_of_before_do_not_stay(
    trained: Path, tmp_path: Path, neuneu: Run
) -> None:
    command = ("suite", "package", trained, "--output", tmp_path / "out")
    for options in ((), (), ("--losses",), ("--losses",)):
        done = neuneu(*command, *options)
        assert done.returncode == 0, done.stderr
    before = digests(tmp_path / "out")
    assert "losses/tiny-llama-s-even-seed0.npz" in before
    done = neuneu(*command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "tiny-llama-s-even-seed0.npz" in done.stderr
    assert "give `--losses`" in done.stderr
    assert digests(tmp_path / "out") == before


def test_losses_that_are_missing_or_of_other_runs_are_refused(
    trained: Path, tmp_path: Path, neuneu: Run
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    (broken / "runs" / "llama-s-even-seed1" / "losses" / "00000032.npy").unlink()
    done = neuneu("suite", "package", broken, "--output", tmp_path / "a", "--losses")
    assert done.returncode == 2
    assert "seed1/losses/00000032.npy" in done.stderr
    assert not (tmp_path / "a").exists()
    (tmp_path / "b" / "losses").mkdir(parents=True)
    (tmp_path / "b" / "losses" / "other.npz").touch()
    done = neuneu("suite", "package", trained, "--output", tmp_path / "b", "--losses")
    assert done.returncode == 2
    assert "other.npz" in done.stderr
    assert [path.name for path in (tmp_path / "b").rglob("*.*")] == ["other.npz"]


def test_evaluate_gives_a_kept_checkpoint_the_scores_it_had(
    root: Path, trained: Path, tmp_path: Path, neuneu: Run
) -> None:
    weights = trained / "runs" / "llama-s-even-seed0" / "weights" / "step32"
    output = tmp_path / "scores.parquet"
    done = neuneu(
        "suite", "evaluate", weights, "--blimp", root / "blimp", "--requests", root / "requests",
        "--task", "toy/rc_0shot", "--items", 4, "--pairs", 5,
        "--tokenizer", trained / "text" / "tokenizer.json", "-o", output,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = CurveTable.read(output).frame
    assert again["run"].unique().to_list() == ["llama-s-even-seed0"]
    assert again["step"].unique().to_list() == [32]
    rows = json.loads((trained / "runs/llama-s-even-seed0/scores/00000032.json").read_text())["rows"]
    before = {(row["task"], row["metric"]): row["value"] for row in rows}
    for task, metric, value in again.select("task", "metric", "value").iter_rows():
        assert value == pytest.approx(before[task, metric], abs=1e-6)
    assert isinstance(again, pl.DataFrame)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"held_out": 0.2}, "other settings"), ({"schedule": {"tokens": 5}}, "schedule.learning_rate")],
)
def test_bad_or_changed_settings_are_refused(
    root: Path, trained: Path, tmp_path: Path, neuneu: Run, change: dict[str, object], named: str
) -> None:
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump({**TINY, **change}), encoding="utf-8")
    before = digests(trained)
    command = arguments(root, trained)
    command[2] = str(path)
    for asked in (command, ("suite", "status", path, "--output", trained)):
        done = neuneu(*asked)
        assert done.returncode == 2
        assert named in done.stderr
        assert done.stderr.count("\n") == 1
    assert digests(trained) == before


@pytest.mark.parametrize("only", ["*", "*seed1"])
def test_other_questions_are_refused(
    root: Path, trained: Path, tmp_path: Path, neuneu: Run, only: str
) -> None:
    shutil.copytree(trained, tmp_path / "suite")
    shutil.rmtree(tmp_path / "suite/runs/llama-s-even-seed1")
    before = digests(tmp_path / "suite")
    command = ("suite", "run", root / "tiny.yaml", "-o", tmp_path / "suite", "--root", root, "--only", only)
    done = neuneu(*command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "exam" in done.stderr
    assert "give `--blimp` and `--requests` as then" in done.stderr
    assert digests(tmp_path / "suite") == before


def test_other_texts_are_refused_and_none_go_on_with_those_prepared(
    root: Path, trained: Path, tmp_path: Path, neuneu: Run
) -> None:
    shutil.copytree(root / "prose", tmp_path / "moved" / "prose")
    shutil.copytree(root / "prose", tmp_path / "changed" / "prose")
    (tmp_path / "changed" / "prose" / "07.txt").write_text("Another text. " * 40)
    before = digests(trained)

    def run_below(place: Path) -> "subprocess.CompletedProcess[str]":
        return neuneu(*arguments(root, trained), "--root", place)

    done = run_below(tmp_path / "changed")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "sources = 'prose': has other files below" in done.stderr
    assert "give `--root` as then" in done.stderr
    for place in (tmp_path / "moved", tmp_path / "none"):
        done = run_below(place)
        assert done.returncode == 0, done.stderr
    assert digests(trained) == before


def test_runs_that_were_asked_different_questions_are_not_packaged_as_one(
    trained: Path, tmp_path: Path, neuneu: Run
) -> None:
    shutil.copytree(trained, tmp_path / "suite")
    facts = tmp_path / "suite/runs/llama-s-even-seed1/run.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"exam": "another"}))
    done = neuneu("suite", "package", tmp_path / "suite", "--output", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "seed1/run.json" in done.stderr
    assert "other questions" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_refused_without_the_network(root: Path, neuneu: Run) -> None:
    done = neuneu("suite", "evaluate", "nowhere", "--blimp", root / "blimp")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--hub" in done.stderr


def test_packaging_nothing_is_refused(tmp_path: Path, neuneu: Run) -> None:
    done = neuneu("suite", "package", tmp_path, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "suite.json" in done.stderr
    assert not (tmp_path / "out").exists()
