"""Scoring on a Ray cluster of two nodes that loses one in the middle."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neuneu.losses.scoring import Scoring, score_checkpoints

pytest.importorskip("ray", reason="ray is not installed: pip install 'neuneu[cluster]'")

CODE = """
import sys
from ray.cluster_utils import Cluster
from neuneu.losses.scoring import Scoring, score_checkpoints

runs, corpus, output = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
lost = cluster.add_node(num_cpus=1)
done = []


def report(line):
    done.append(line)
    if len(done) == 2:  # both nodes are at work now; one goes
        cluster.remove_node(lost, allow_graceful=False)


score_checkpoints([runs], corpus, output, Scoring(window=32, stride=16), ray=cluster.address, report=report)
print(len(done))
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_lost_worker_loses_no_checkpoint(runs: Path, corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(runs), str(corpus), str(tmp_path / "ray")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == "6"
    alone = score_checkpoints([runs], corpus, tmp_path / "alone", Scoring(window=32, stride=16))
    together = score_checkpoints([runs], corpus, tmp_path / "ray", Scoring(window=32, stride=16))
    assert together.runs == alone.runs
    for run in alone.runs:
        assert together.steps(run).tolist() == alone.steps(run).tolist()
        for step in alone.steps(run):
            np.testing.assert_allclose(together.read(run, step), alone.read(run, step), atol=1e-2, rtol=0)
