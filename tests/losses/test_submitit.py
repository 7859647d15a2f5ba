"""The submitit script of docs/losses.md, which without SLURM runs its jobs on this machine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

from neuneu.losses.zarr_store import ZarrLossStore

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'neuneu[cluster]'")


@pytest.mark.slow
def test_a_job_a_checkpoint(runs: Path, corpus: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/losses.md").read_text(), re.DOTALL)
    (script,) = [block for block in blocks if "submitit" in block]
    shutil.copytree(corpus, tmp_path / "corpus")
    for step in (0, 5):
        shutil.copytree(runs / f"alpha/step{step}", tmp_path / f"runs/alpha/step{step}")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert ZarrLossStore(tmp_path / "losses.zarr").steps("alpha").tolist() == [0, 5]
    assert len(list((tmp_path / "jobs").glob("*_result.pkl"))) == 2
