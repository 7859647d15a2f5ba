"""Scoring on a local Ray of two workers that loses one in the middle."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints

pytest.importorskip("ray", reason="ray is not installed: pip install 'neuneu[cluster]'")

CODE = """
import sys
import threading
import time
from contextlib import suppress

import psutil
import ray
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints
from neuneu.progress import listening
from tests.hearing import Ear

runs, corpus, output = sys.argv[1:]
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
killed = []


def lose_one():
    while not killed:  # the first worker that is seen at work
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if not killed and "ray::_score" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process.pid)
        time.sleep(0.02)


threading.Thread(target=lose_one, daemon=True).start()
scoring = Scoring(window=32, stride=16, batch_tokens=32)
ear = Ear()
with listening(ear):
    score_checkpoints([runs], corpus, output, scoring, ray="local")
print(ear.told("checkpoints")[-1][0], len(killed))
"""


@pytest.mark.slow
def test_a_lost_worker_loses_no_checkpoint(runs: Path, corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(runs), str(corpus), str(tmp_path / "ray")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever Ray may have left
    assert process.returncode == 0, errors[-3000:]
    assert output.split()[-2:] == ["6", "1"]
    alone = score_checkpoints([runs], corpus, tmp_path / "alone", Scoring(window=32, stride=16))
    together = score_checkpoints([runs], corpus, tmp_path / "ray", Scoring(window=32, stride=16))
    assert together.runs == alone.runs
    for run in alone.runs:
        assert together.steps(run).tolist() == alone.steps(run).tolist()
        for step in alone.steps(run):
            np.testing.assert_allclose(together.read(run, step), alone.read(run, step), atol=1e-2, rtol=0)
