"""The scripts under configs/slurm: what their bodies do, run by a stand-in for sbatch."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.cluster import header, install, read_options
from tests.conftest import ROOT
from tests.forecasters.neuneu.small import make_config, make_table
from tests.losses.conftest import tokenizer  # noqa: F401

from neuneu.losses.published_corpus import import_token_files
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints
from neuneu.losses.zarr_store import ZarrLossStore

SCRIPTS = sorted((ROOT / "configs/slurm").glob("*.sbatch"))
GOLDENS = ROOT / "tests/goldens/hf_olmo"


def sbatch(folder: Path, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{install(folder / 'bin')}:{os.environ['PATH']}", **variables}
    return subprocess.run(
        ["sbatch", *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts_may_be_requeued(script: Path) -> None:
    options = read_options(header(script))
    assert {"requeue", "gpus", "time", "mem", "output"} <= options.keys()
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()


def test_score_spreads_checkpoints_over_its_tasks(tmp_path: Path, tokenizer: Path) -> None:  # noqa: F811
    ids = np.array(json.loads((GOLDENS / "datadecide/expected.json").read_text())["input_ids"]).ravel()
    np.save(tmp_path / "val_0_tokens.npy", ids)
    np.save(tmp_path / "val_0_boundaries.npy", np.array([0, 17]))
    import_token_files([tmp_path / "val_0_tokens.npy"], tmp_path / "corpus", str(tokenizer))
    for step in (0, 10, 20):
        shutil.copytree(GOLDENS / "datadecide", tmp_path / f"runs/a/step{step}")
    script = ROOT / "configs/slurm/score.sbatch"
    done = sbatch(tmp_path, "--array=0-1", script, "runs/a", "--window", "32", LOSSES="other.zarr")
    assert done.returncode == 0, done.stderr
    store = ZarrLossStore(tmp_path / "other.zarr")
    assert store.steps("a").tolist() == [0, 10, 20]
    alone = score_checkpoints(
        [tmp_path / "runs/a"], tmp_path / "corpus", tmp_path / "alone", Scoring(window=32)
    )
    np.testing.assert_array_equal(store.read("a", 10), alone.read("a", 10))
    failed = sbatch(tmp_path, "--array=1-2", script, "runs/none")
    assert failed.returncode == 2  # the array fails where a task does
    assert "runs/none" in failed.stderr


@pytest.mark.slow
def test_train_and_evaluate_a_seed_a_task(tmp_path: Path) -> None:
    make_table(n_steps=8).write(tmp_path / "curves.parquet")
    model = {"encoder": "none", "channels": [8, 16, 32, 64], "kernel": 64, "stride": 16}
    config = make_config(
        "neuneu-noloss", data={"curves": ["curves.parquet"]}, samples={"validation_share": 0.3}, model=model
    )
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    train = ROOT / "configs/slurm/train.sbatch"
    done = sbatch(tmp_path, "--array=0-1", train, "config.yaml", "models/noloss")
    assert done.returncode == 0, done.stderr
    weights = [tmp_path / f"models/noloss/seed{seed}/model.safetensors" for seed in (0, 1)]
    assert weights[0].read_bytes() != weights[1].read_bytes()
    done = sbatch(tmp_path, "--array=2-2", "--gpus=2", train, "config.yaml", "models/two")
    assert done.returncode == 0, done.stderr  # through torchrun, two processes
    assert (tmp_path / "models/two/seed2/model.safetensors").is_file()
    evaluate = ROOT / "configs/slurm/evaluate.sbatch"
    asked = ["--no-fit", "--forecasters", "models/noloss", "-o", "results"]
    done = sbatch(tmp_path, evaluate, "curves.parquet", *asked, DEVICE="cpu")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "results/leaderboard.json").read_text())["overall"]
    assert {"models/noloss/seed0", "models/noloss/seed1"} < {row["forecaster"] for row in rows}
    assert max(row.get("n_seeds") or 0 for row in rows) == 2  # both tasks' seeds are noted
