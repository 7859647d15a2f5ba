"""The law of one moment of the losses: finds its numbers again, masks own items, sees no future."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.evidence import EvidenceBuilder, LossView
from neuneu.forecasters.base import load_forecaster, make_forecaster
from neuneu.forecasters.loss_law import MomentLaw, RiseLaw, mean_probability
from neuneu.losses.loss_store import MemoryLossStore

STEPS = np.arange(1, 21) * 100
TASKS = {"arc_easy": 0.10, "piqa": 0.02}
"""What a unit of log-clock adds to each task where m is 1."""
N_POSITIONS = 40


NOISE = 0.01


def world(n_runs: int = 24, seed: int = 0) -> tuple[CurveTable, MemoryLossStore]:
    """Runs that rise by their task's rate times a moment of their own, which only their losses tell."""
    rng = np.random.default_rng(seed)
    rows, arrays = [], {}
    for run in range(n_runs):
        m = rng.uniform(0.2, 0.8)
        for task, rate in TASKS.items():
            values = 0.3 + rate * m * np.log(STEPS / STEPS[0]) + NOISE * rng.standard_normal(len(STEPS))
            rows += [
                {"run": f"run-{run}", "task": task, "metric": "acc", "step": int(step), "value": float(value),
                 "tokens": int(step) * 1000, "source": "made-up"}
                for step, value in zip(STEPS, values, strict=True)
            ]  # fmt: skip
        arrays[f"run-{run}"] = STEPS, np.full((len(STEPS), N_POSITIONS), -np.log(m))
    return CurveTable.from_frame(pl.DataFrame(rows)), MemoryLossStore(arrays, "made-up")


def test_what_only_the_losses_tell_is_learned() -> None:
    table, store = world()
    held_out = [f"run-{run}" for run in range(8)]
    train = CurveTable(table.frame.filter(~pl.col("run").is_in(held_out)))
    builder, errors = EvidenceBuilder(table, store), []
    for forecaster in (MomentLaw().fit(train, store), RiseLaw().fit(train, store)):
        curves = [curve for curve in table.one_metric() if curve.key.run in held_out]
        answers = [forecaster.forecast(builder.at(c, c.clock[3]), c.clock[4:]) for c in curves]
        off = [np.abs(a.median - c.values[4:]).mean() for a, c in zip(answers, curves, strict=True)]
        errors.append(float(np.mean(off)))
    assert errors[0] < 1.2 * NOISE
    assert errors[0] < 0.9 * errors[1]


def test_losses_after_the_context_end_change_nothing() -> None:
    table, store = world()
    law = MomentLaw().fit(table, store)
    curve = table.one_metric().curves[0]
    changed = {run: (STEPS, np.array([store.read(run, int(s)) for s in STEPS])) for run in store.runs}
    changed[curve.key.run][1][5:] = 9.0
    later = MemoryLossStore(changed, "made-up")
    one, two = (
        law.forecast(EvidenceBuilder(table, s).at(curve, curve.clock[4]), curve.clock[5:]).values
        for s in (store, later)
    )
    np.testing.assert_array_equal(one, two)
    changed[curve.key.run][1][4] = 9.0
    seen = MemoryLossStore(changed, "made-up")
    three = law.forecast(EvidenceBuilder(table, seen).at(curve, curve.clock[4]), curve.clock[5:]).values
    assert not np.array_equal(one, three)


@settings(max_examples=25)
@given(losses=st.lists(st.one_of(st.floats(0, 20), st.just(float("nan"))), min_size=12, max_size=12))
def test_the_moment_is_the_mean_of_exp_minus_loss_over_what_is_not_the_tasks_own(losses: list[float]) -> None:
    groups = ["mmlu_law", "mmlu_art", "piqa"] * 4
    values = np.array([losses])
    view = LossView(MemoryLossStore({"run": (np.array([7]), values)}, "made-up", groups), "run")
    own = np.array([group.startswith("mmlu") for group in groups])
    kept = np.exp(-values[0][~own])
    if np.isnan(values).mean() > 0.5:
        with pytest.raises(InputError, match="missing"):
            mean_probability(view, "mmlu")
    elif np.isnan(kept).all():
        with pytest.raises(InputError, match="own items"):
            mean_probability(view, "mmlu")
    else:
        assert mean_probability(view, "mmlu") == pytest.approx(np.nanmean(kept))
        assert mean_probability(view, "other") == pytest.approx(np.nanmean(np.exp(-values)))


def test_a_checkpoint_is_read_once_and_its_labels_are_sorted_once_for_all_tasks() -> None:
    asked: list[str] = []

    class Counting(MemoryLossStore):
        groups = property(lambda _: asked.append("groups") or ["mmlu_law", "piqa"], lambda *_: None)  # type: ignore[assignment]

        def read(self, run: str, step: int) -> Floats:
            asked.append("losses")
            return super().read(run, step)

    view = LossView(Counting({"run": (np.array([7]), np.ones((1, 2)))}, "made-up"), "run")
    for task in ("mmlu", "piqa", "other"):
        mean_probability(view, task)
    assert asked.count("losses") == 1
    assert asked.count("groups") <= 2


def test_without_losses_it_declines_and_cannot_be_fitted() -> None:
    table, store = world()
    law = MomentLaw().fit(table, store)
    curve = table.one_metric().curves[0]
    with pytest.raises(CannotForecastError, match="losses of a checkpoint"):
        law.forecast(EvidenceBuilder(table).at(curve, curve.clock[4]), curve.clock[5:])
    with pytest.raises(InputError, match="losses"):
        MomentLaw().fit(table)
    with pytest.raises(InputError, match="nothing ships"):
        load_forecaster("loss-law")


def test_an_unknown_task_is_forecast_by_what_all_tasks_share(tmp_path: Path) -> None:
    table, store = world()
    law = MomentLaw().fit(CurveTable(table.frame.filter(pl.col("task") == "piqa")), store)
    curve = next(c for c in table.one_metric() if c.key.task == "arc_easy")
    evidence = EvidenceBuilder(table, store).at(curve, curve.clock[9])
    before = law.forecast(evidence, curve.clock[10:]).values
    law.save(tmp_path)
    after = load_forecaster(tmp_path).forecast(evidence, curve.clock[10:]).values
    np.testing.assert_array_equal(before, after)
    assert make_forecaster("rise-law").reads == frozenset()
