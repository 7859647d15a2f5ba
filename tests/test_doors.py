"""Every door asks the same: of one question, forecast, report, plot, rank, page and evaluate say the same.

The table holds other tasks, other metrics and finished smaller runs, so that a door that loses a piece of
evidence, a filter that hides other tasks, or another cut of the context changes the last bits.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.decisions.choices import compare_runs
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import results_frame
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import LEVELS
from neuneu.forecasts.cells import QUANTILES
from neuneu.forecasts.forecast import forecast
from neuneu.forecasts.horizons import Horizon, given
from neuneu.reports.answer import ask
from neuneu.reports.figure_inputs import Inputs
from neuneu.reports.figures import Options, make_panels

TASKS = ("hellaswag", "piqa", "arc_easy")
SHARE = 0.35
"""With steps such as Pythia's, share × last clock falls just below a checkpoint: rounding is forgiven."""
RUN, TASK = "big", "piqa"


@pytest.fixture(scope="module")
def table() -> CurveTable:
    """A run with finished smaller ones of its family; three tasks, each with a loss-like metric too."""
    rng = np.random.default_rng(4)
    rows = []
    for run, params, n in (("big", 4e8, 20), ("mid", 2e8, 20), ("small", 1e8, 18), ("other", 1e8, 20)):
        family = "g" if run == "other" else "f"
        for task in TASKS:
            top, rate = rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.7)
            for k in range(1, n + 1):
                value = top - (top - 0.25) * k**-rate + rng.normal(0, 0.008)
                head = {
                    "run": run, "task": task, "step": 1000 * k, "tokens": 2_097_152_000 * k,
                    "params": int(params), "family": family, "source": family,
                    "planned_tokens": 2_097_152_000 * n, "schedule": "wsd:0.8",
                }  # fmt: skip
                rows.append({**head, "metric": "acc", "value": float(np.clip(value, 0, 1))})
                rows.append({**head, "metric": "bpb", "value": float(2.5 - 2 * value)})
    return CurveTable.from_frame(pl.DataFrame(rows))


def quantiles(cells: pl.DataFrame, clock: float) -> list[float]:
    """The quantiles of neuneu-2 for the run and task at a clock."""
    row = cells.filter(run=RUN, task=TASK, forecaster="neuneu-2", clock=clock)
    assert len(row) == 1
    return [row[name][0] for name in QUANTILES]


def rank_quantiles(table: CurveTable, clock: float, references: str, tasks: list[str]) -> list[float]:
    """What rank says of the run on the task alone."""
    found = compare_runs(
        table, selection=Selection(tasks=tasks), horizon=clock, context=SHARE, references=references
    )
    run = next(run for run in found.runs if run.run == RUN)
    return [run.quantile(level) for level in LEVELS]


@pytest.mark.parametrize("references", ["none", "smaller", "finished"])
def test_every_door_gives_the_same_quantiles_to_the_last_bit(table: CurveTable, references: str) -> None:
    curve = Selection([RUN], [TASK]).of(table).curves[0]
    clock = float(curve.clock[-1])
    asked = {"context": SHARE, "references": references}
    whole = quantiles(forecast(table, **asked).cells, clock)
    one = Selection(tasks=[TASK])
    results = evaluate([table], ["neuneu-2"], fit=False, **asked)
    answers = {
        "forecast --task": forecast(table, selection=one, **asked).cells,
        "forecast --horizon": forecast(table, plan=given([Horizon(clock)]), **asked).cells,
        "report": ask(table, **asked).cells,
        "report --task": ask(table, selection=one, **asked).cells,
        "evaluate": results_frame(results),
        "evaluate --task": results_frame(evaluate([table], ["neuneu-2"], fit=False, selection=one, **asked)),
    }
    for door, cells in answers.items():
        assert quantiles(cells, clock) == whole, door
    for tasks in ([], [TASK]):
        options = Options(context=SHARE, references=references, tasks=tasks)
        panel = next(p for p in make_panels(Inputs(table), options) if p.curve.key == curve.key)
        assert panel.answered["neuneu-2"].values[-1].tolist() == whole, "plot"
    assert rank_quantiles(table, clock, references, [TASK]) == whole, "rank"


def test_the_page_gives_the_same(table: CurveTable, tmp_path: Path) -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    from neuneu.app.asked import Started
    from neuneu.app.server import Settings, make_app

    table.write(tmp_path / "t.parquet")
    client = testclient.TestClient(make_app(), base_url="http://127.0.0.1")
    body = (tmp_path / "t.parquet").read_bytes()
    clock = float(Selection([RUN], [TASK]).of(table).curves[0].clock[-1])
    table.write(tmp_path / "old.parquet")
    started = testclient.TestClient(
        make_app(Settings(started=Started(references=str(tmp_path / "old.parquet")))),
        base_url="http://127.0.0.1",
    )
    alone = table.filter(run=[RUN])
    alone.write(tmp_path / "alone.parquet")
    helped = forecast(alone, context=SHARE, references=tmp_path / "old.parquet")
    answer = started.post(
        f"/api/forecast?name=a.parquet&context={SHARE}", content=(tmp_path / "alone.parquet").read_bytes()
    )
    cells = pl.DataFrame(answer.json()["cells"], infer_schema_length=None)
    assert quantiles(cells, clock) == quantiles(helped.cells, clock)
    for references in ("none", "smaller"):
        here = quantiles(forecast(table, context=SHARE, references=references).cells, clock)
        for query in ("", f"&task={TASK}&run={RUN}"):
            answer = client.post(
                f"/api/forecast?name=t.parquet&context={SHARE}&references={references}{query}", content=body
            )
            assert answer.status_code == 200, answer.text
            cells = pl.DataFrame(answer.json()["cells"], infer_schema_length=None)
            assert quantiles(cells, clock) == here


def test_the_command_line_gives_the_same(table: CurveTable, tmp_path: Path, neuneu) -> None:  # type: ignore[no-untyped-def]
    table.write(tmp_path / "t.parquet")
    done = neuneu(
        "forecast", tmp_path / "t.parquet", "--task", TASK, "--context", SHARE, "--references", "smaller",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = pl.DataFrame(json.loads(done.stdout), infer_schema_length=None)
    clock = float(Selection([RUN], [TASK]).of(table).curves[0].clock[-1])
    here = forecast(table, context=SHARE, references="smaller").cells
    assert quantiles(cells, clock) == quantiles(here, clock)


@pytest.mark.parametrize("references", ["smaller", "finished"])
def test_evidence_of_every_kind_reaches_the_answer(table: CurveTable, references: str) -> None:
    """What the doors agree on does depend on each piece of evidence, else agreement would say nothing."""
    clock = float(Selection([RUN], [TASK]).of(table).curves[0].clock[-1])
    whole = quantiles(forecast(table, context=SHARE, references=references).cells, clock)
    for poorer in (
        table.filter(task=TASK),
        table.filter(metric="acc"),
        table.filter(run=[RUN]),
    ):
        assert quantiles(forecast(poorer, context=SHARE, references=references).cells, clock) != whole
