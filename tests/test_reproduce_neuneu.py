"""Every command of docs/reproduce-neuneu.md, on stand-ins of the true layouts.

Bash runs the page with lists shortened as SHORTER says. There `neuneu` and `sbatch` are stand-ins that note
what they are asked, which is then run here, command by command, against a stand-in for the hub and GitHub.
"""

import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from tests.cluster import install
from tests.conftest import ROOT
from tests.forecasters.neuneu.test_convert import published
from tests.hub import Served
from tests.stand_ins import (
    datadecide_results,
    make_hf_olmo,
    make_neox,
    make_tokenizer,
    pythia_results,
    text_shard,
)

from neuneu.cli.main import COMMANDS
from neuneu.curves.readers.datadecide_models import RECIPES, SIZES
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import olmes_tasks
from neuneu.losses.hub_texts import DATASET
from neuneu.losses.open import open_losses

PAGE = ROOT / "docs/reproduce-neuneu.md"
SHORTER = {
    r'RECIPES="[^"]*"': 'RECIPES="dolma1_7 dclm-baseline-qc-7p-fw2"',
    r'SIZES="[^"]*"': 'SIZES="90M 1B"',
    r'SMALL="[^"]*"': 'SMALL="90M"',
    r'PYTHIA="[^"]*"': 'PYTHIA="70m"',
    r'HELD="[^"]*"': 'HELD="csqa, mmlu_management"',
    r"SEEDS=0,1,2,3,4": "SEEDS=0,1",
    r"--array=1-16": "--array=1-2",
    r"--array=1-4": "--array=1-1",
}
"""What the test replaces in the page; everything else is run as it stands."""

STEPS = [1250 * number for number in range(10)]
PYTHIA_STEPS = [3000 + 10_000 * number for number in range(9)]
TRAINED, HELD_OUT = ["arc_easy", "hellaswag", "boolq"], ["csqa", "mmlu_management"]
NETWORK = {"width": 16, "n_layers": 1, "n_heads": 2, "feed_forward": 32}
CNN = {"channels": [2, 4], "kernel": 16, "stride": 4, "input_length": 128}
TRAINING = {"batch_size": 16, "epochs": 1, "max_steps": 4, "evaluate_every": 4, "save_every": 4}


def blocks() -> list[str]:
    """The page's commands, shortened."""
    text = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for pattern, short in SHORTER.items():
        text, count = re.subn(pattern, short, text)
        assert count, f"{pattern} is not on the page"
    return [text]


def serve_models(hub: Served) -> None:
    tokenizer = make_tokenizer(hub.root / "models/allenai/OLMo-1B/main")
    shutil.copytree(tokenizer, hub.root / "models/EleutherAI/gpt-neox-20b/main")
    shutil.copytree(tokenizer, hub.root / "models/EleutherAI/pythia-70m/main")
    for number, (recipe, size, seed) in enumerate(runs()):
        for place, step in enumerate(STEPS):
            folder = hub.root / f"models/allenai/DataDecide-{recipe}-{size}" / f"step{step}-seed-{seed}"
            make_hf_olmo(folder, seed=number, scale=0.05 + 0.1 * place)
    for place, step in enumerate(PYTHIA_STEPS):
        make_neox(hub.root / f"models/EleutherAI/pythia-70m/step{step}", 5, 0.05 + 0.1 * place, tokenizer)


def runs() -> list[tuple[str, str, str]]:
    """Recipe, size and seed of each run, as the branches name them."""
    recipes = ["dolma1_7", "dclm-baseline-qc-7p-fw2", "c4"]
    default = [(recipe, size, "default") for recipe in recipes for size in ("90M", "1B")]
    return [*default, ("dclm-baseline", "90M", "small-aux-2")]


def serve_results(hub: Served) -> None:
    data = hub.root / "datasets/allenai/DataDecide-eval-results/main/data"
    data.mkdir(parents=True)
    named = [(size, RECIPES[recipe], seed.replace("-", " ")) for recipe, size, seed in runs()]
    tasks = [*TRAINED, *HELD_OUT]
    datadecide_results(named, tasks, STEPS).write_parquet(
        data / "train-00000-of-00001.parquet", row_group_size=len(tasks) * len(STEPS)
    )
    folder = hub.root / "github/EleutherAI/pythia/evals/pythia-v1/pythia-70m/zero-shot"
    pythia_results(folder, "70m", ["arc_easy", "hendrycksTest-management"], PYTHIA_STEPS)
    texts = hub.root / "datasets" / DATASET / "main/documents"
    text_shard(texts / "CC_shard_00000141_processed.jsonl.zst", seed=141)
    text_shard(texts / "CC_shard_00000142_processed.jsonl.zst", seed=142)


def shrink_configs(folder: Path) -> None:
    """The page's configurations with small networks and a few steps."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    for file in (folder / "configs").glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        model, probe = document.setdefault("model", {}), file.stem.startswith("probe")
        if model.get("channels"):
            model |= CNN | ({"features": 8} if probe else {})
        model |= {"hidden": [8] if file.stem == "probe-cnn" else [8, 8]} if probe else NETWORK
        document["training"] |= TRAINING | {"precision": "float32", "device": "cpu"}
        document["samples"]["validation_share"] = 0.25
        file.write_text(yaml.safe_dump(document, sort_keys=False))


def noted_commands(folder: Path) -> list[list[str]]:
    """Run the page with bash; what `neuneu` was asked, by the page itself and by sbatch's scripts."""
    bin_, notes = install(folder / "bin"), folder / "notes"
    (bin_ / "neuneu").write_text("#!/bin/bash\n{ printf '%s\\x1f' \"$@\"; printf '\\x1e'; } >> \"$NOTES\"\n")
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "NOTES": str(notes), "DEVICE": "cpu"}
    for block in blocks():
        command = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return [line.split("\x1f")[:-1] for line in notes.read_text().split("\x1e")[:-1]]


def run(arguments: list[str]) -> None:
    """One command, in this process."""
    import_module(COMMANDS[arguments[0]][0]).app(arguments, prog_name="neuneu", standalone_mode=False)


@pytest.mark.slow
def test_every_command_of_the_page(
    hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    serve_models(hub)
    serve_results(hub)
    shrink_configs(folder)
    torch.save(published("cnn")[0], folder / "best_model.pt")
    hub.use(monkeypatch, tmp_path)
    monkeypatch.chdir(folder)
    for arguments in noted_commands(folder):
        run(arguments)
    capsys.readouterr()
    check_inputs(folder)
    check_results(folder)
    check_published_layout(folder)


def check_inputs(folder: Path) -> None:
    """Curves and losses of the same runs, whichever family."""
    curves = {
        name: CurveTable.read(folder / f"{name}.parquet") for name in ("curves", "corpus", "seed", "family")
    }
    assert curves["curves"].runs == [
        f"datadecide/{data}-{size}-seed0"
        for data in ("DCLM-Baseline (QC 7%, FW2)", "Dolma1.7")
        for size in ("1B", "90M")
    ]
    assert curves["seed"].runs == ["datadecide/DCLM-Baseline-90M-seed1"]
    assert curves["family"].runs == ["pythia-v1/pythia-70m"]
    losses = open_losses(folder / "losses.zarr")
    assert losses.runs == sorted(run for table in curves.values() for run in table.runs)
    assert losses.steps("datadecide/C4-1B-seed0").tolist() == STEPS
    assert losses.steps("pythia-v1/pythia-70m").tolist() == PYTHIA_STEPS
    tokens = {name: np.load(folder / name / "tokens.npy") for name in ("corpus", "corpus-from-ids")}
    np.testing.assert_array_equal(tokens["corpus"], tokens["corpus-from-ids"])
    for name in ("corpus-pythia", "corpus-from-ids", "corpus-pythia-from-ids"):
        facts = [json.loads((folder / n / "corpus.json").read_text()) for n in (name, "corpus")]
        assert facts[0]["word_fingerprint"] == facts[1]["word_fingerprint"]
    kept = open_losses(folder / "results/summaries", losses.runs)
    np.testing.assert_allclose(kept.mean("pythia-v1/pythia-70m"), losses.mean("pythia-v1/pythia-70m"))


def check_published_layout(folder: Path) -> None:
    """The published scripts' files, under the names that they look for, read back too."""
    root = folder / "datadecide_dataset_test"
    assert sorted(path.name for path in root.iterdir()) == ["DataDecide-c4-1B", "DataDecide-c4-90M"]
    model = root / "DataDecide-c4-90M"
    files = {path.name for path in model.iterdir() if path.is_file()}
    summaries = {"avg_losses_by_step.npy", "histograms_by_step.npz", "histograms_by_step_invp.npz"}
    assert files == summaries | {f"{task}.npy" for task in [*TRAINED, *HELD_OUT]}
    losses = {path.name for path in (model / "step1250").iterdir()}
    assert losses == {"eval_losses_shard_00000141.npy", "word_losses_shard_00000141.npy"}
    assert np.load(model / "arc_easy.npy").shape == (2, len(STEPS))
    assert open_losses(root).runs == ["DataDecide-c4-1B", "DataDecide-c4-90M"]
    assert sorted(path.name for path in (folder / "val-published").iterdir()) == [
        "val_00000141_boundaries.npy", "val_00000141_tokens.npy"
    ]  # fmt: skip


def check_results(folder: Path) -> None:
    """Every method answered the same cells of each set, and the tasks held out are those that were asked."""
    for name in ("corpus", "seed", "family"):
        for folder_name, least in ((name, 12), (f"{name}-every", 13)):
            cells = pl.read_parquet(folder / f"results/{folder_name}/cells.parquet")
            assert cells["forecaster"].n_unique() >= least
            assert cells.group_by("forecaster").len()["len"].n_unique() == 1
            assert cells["source"].unique().to_list() == [name]
        assert len(list((folder / f"figures/{name}").rglob("*.png"))) > 3
    rows = json.loads((folder / "results/corpus/leaderboard.json").read_text())["overall"]
    assert [row["n_seeds"] for row in rows if row["forecaster"] == "models/neuneu"] == [2]
    cells = pl.read_parquet(folder / "results/tasks/cells.parquet")
    assert sorted(cells["task"].unique()) == sorted(HELD_OUT)
    document: dict[str, Any] = json.loads((folder / "models/neuneu/seeds.json").read_text())
    assert [row["seed"] for row in document["seeds"]] == [0, 1]
    for name in ("corpus", "tasks", "runs-from-10000", "held-out-tasks"):
        assert (folder / f"figures/{name}.png").stat().st_size > 1000


def test_the_page_names_what_exists() -> None:
    text = PAGE.read_text()
    recipes = re.search(r'RECIPES="([^"]*)"', text)
    sizes = re.search(r'SIZES="([^"]*)"', text)
    assert recipes is not None
    assert sizes is not None
    assert set(recipes[1].split()) < set(RECIPES)
    assert "c4" not in recipes[1].split()  # held out
    assert len(recipes[1].split()) == 23
    assert set(sizes[1].split()) < set(SIZES)
    held_out = re.search(r'HELD="([^"]*)"', text)
    assert held_out is not None
    assert len(held_out[1].split(", ")) == 13
    assert set(held_out[1].split(", ")) < set(olmes_tasks())
    for name in re.findall(r"configs/[\w./-]+", text):
        assert (ROOT / name).exists() or "$" in name or name.endswith(("/", ".")), name
