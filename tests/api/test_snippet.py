"""The front door as it is promised: the whole tour, on files of these names."""

import json
from pathlib import Path

import numpy as np
import pytest

import neuneu as nn
from neuneu.forecasters.neuneu2.model import Neuneu2, TrainingSettings


@pytest.fixture
def folder(tmp_path: Path, home: nn.CurveTable, monkeypatch: pytest.MonkeyPatch) -> Path:
    """results/ of a run in flight, and old.parquet of a few finished runs; small fits."""
    for step in range(1000, 13_000, 1000):
        value = 0.7 - 0.4 * (step / 1000) ** -0.5
        path = tmp_path / "results" / f"step{step}" / "results.json"
        path.parent.mkdir(parents=True)
        scores = {task: {"acc,none": value + shift} for task, shift in (("hellaswag", 0.0), ("piqa", 0.1))}
        path.write_text(
            json.dumps({"results": scores, "config": {"model_args": f"pretrained=/c/step{step}"}})
        )
    old = home.one_metric()
    old.filter(run=[run for run in old.runs if "llama-50k" in run][:4], task=["piqa", "sciq"]).write(
        tmp_path / "old.parquet"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Neuneu2, "settings", TrainingSettings(families=4, process_steps=5, trees=10))
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_tour(folder: Path) -> None:
    curves = nn.read_lm_eval("results/", run="my-run", params=1.3e9, tokens_per_step=2_097_152)
    old = nn.read_curves("old.parquet")

    found = nn.forecast(curves, horizons=[1e11, 3e11], references=old)
    assert {"q10", "q50", "q90", "refused", "reason"} <= set(found.to_frame().columns)
    assert found.plot().axes
    assert found.report("report.html").is_file()

    class Mine(nn.Forecaster):
        def forecast_many(self, evidences, horizons):
            return [
                nn.Forecast(at, np.full((len(at), len(nn.LEVELS)), evidence.context.values[-1]))
                for evidence, at in zip(evidences, horizons, strict=True)
            ]

    board = nn.evaluate(old, ["neuneu-2", Mine()], context=0.2, references="smaller")
    assert {"neuneu-2", "Mine"} <= set(board.to_frame()["forecaster"])
    assert len(board.cells)
    assert board.plot("leaderboard").axes
    board.write("out/")
    assert nn.rank(curves, references=old)["run"].to_list() == ["my-run"]
    assert nn.advise(curves, target=0.6)["advice"][0] in ("stop", "go on")
    assert len(nn.inspect(curves).tasks) == 2
    nn.PowerLaw().fit(old).save("mine/")
    assert nn.load_forecaster("mine/").name == "power-law"
