"""neuneu-2: any evidence may be absent, useless evidence is harmless, what ships needs no torch."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecasters.forecaster_cases import family, make_curve

from neuneu.curves.curve import Facts, Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.evidence.finished import smaller_finished_runs
from neuneu.forecasters.base import Forecast, load_forecaster
from neuneu.forecasters.neuneu2.candidates import CANDIDATES, make_candidates
from neuneu.forecasters.neuneu2.forest import forest_of, train_forest
from neuneu.forecasters.neuneu2.learned import DECLINE_BELIEVED
from neuneu.forecasters.neuneu2.model import Neuneu2, TrainingSettings
from neuneu.forecasters.neuneu2.prior import synthetic_curves

SHIPPED = load_forecaster("neuneu-2")
KINDS = ("references", "run_curves", "reference_metrics", "planned_end")


def evidences(table: CurveTable, share: float = 0.2) -> tuple[list[Evidence], list[Floats], list[Floats]]:
    """Evidence, horizons and truths of a table's accuracies."""
    builder = EvidenceBuilder(table, references=smaller_finished_runs)
    asked = [curve for curve in table.one_metric() if len(curve.until(share * curve.clock[-1]))]
    later = [curve.after(share * curve.clock[-1]) for curve in asked]
    return (
        [builder.at(curve, share * curve.clock[-1]) for curve in asked],
        [curve.clock for curve in later],
        [curve.values for curve in later],
    )


def mean_error(given: list[Evidence], horizons: list[Floats], truths: list[Floats]) -> float:
    answers = SHIPPED.forecast_many(given, horizons)
    errors = []
    for answer, truth in zip(answers, truths, strict=True):
        assert isinstance(answer, Forecast)
        errors.append(np.abs(answer.median - truth).mean())
    return float(np.mean(errors))


@settings(max_examples=25)
@given(absent=st.sets(st.sampled_from(KINDS)), references=st.integers(0, 3), points=st.integers(1, 6))
def test_any_evidence_may_be_absent(absent: set[str], references: int, points: int) -> None:
    whole = evidences(family(), share=0.5)[0][-1]
    whole = replace(whole, references=whole.references[:references])
    context = whole.context.until(float(whole.context.clock[points - 1]))
    gone = {kind: None if kind == "planned_end" else () for kind in absent}
    forecast = SHIPPED.forecast(
        replace(whole, context=context, **gone), context.clock[-1] * np.array([1.5, 30.0])
    )
    assert np.isfinite(forecast.values).all()


def test_a_horizon_is_answered_alike_alone_and_among_others() -> None:
    given, horizons, _ = evidences(family())
    together = SHIPPED.forecast(given[0], horizons[0])
    alone = [SHIPPED.forecast(given[0], [h]).values[0] for h in horizons[0]]
    np.testing.assert_allclose(together.values, alone, atol=1e-9)


def test_what_ships_answers_without_torch_and_lightgbm() -> None:
    code = (
        "import sys, numpy as np; from neuneu.suite.home import read_home_curves;"
        "from neuneu.forecasters.base import load_forecaster;"
        "from neuneu.evidence.evidence import Evidence;"
        "curve = read_home_curves().one_metric().curves[0];"
        "load_forecaster('neuneu-2').forecast(Evidence(curve), [2 * curve.clock[-1]]);"
        "sys.exit(int(bool({'torch', 'lightgbm', 'scipy.optimize'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_thread_says_what_two_say() -> None:
    code = (
        "import hashlib, numpy as np; from neuneu.forecasters.base import load_forecaster;"
        "from neuneu.evidence.evidence import EvidenceBuilder;"
        "from neuneu.evidence.finished import smaller_finished_runs;"
        "from neuneu.forecasters.neuneu2.prior import synthetic_curves;"
        "table = synthetic_curves(0, families=12);"
        "builder = EvidenceBuilder(table, references=smaller_finished_runs);"
        "curves = [c for c in table.one_metric() if len(c) > 15];"
        "asked = [builder.at(c, c.clock[8]) for c in curves];"
        "said = load_forecaster('neuneu-2').forecast_many(asked, [c.clock[9:] for c in curves]);"
        "print(hashlib.sha256(np.concatenate([f.values for f in said]).tobytes()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in (1, 2)
    }
    assert len(said) == 1


def made_up(turns: bool) -> tuple[list[Evidence], list[Floats], list[Floats]]:
    """Curves that fall, or fall and rise again anywhere in the run, asked from a fifth of their clock."""
    clock = np.geomspace(0.01, 1, 40) * 1e10
    rng = np.random.default_rng(0)
    given, horizons, truths = [], [], []
    for _ in range(120):
        start, fall = rng.uniform(0.4, 0.8), rng.uniform(0.05, 0.3)
        x = np.log10(clock / 1e8)
        turn, width = rng.uniform(0.0, 2.0), rng.uniform(0.3, 1.2)
        middle = turn - width / 2 if turns else rng.uniform(0.5, 1.5)
        values = start - fall / (1 + np.exp(-4 * (x - middle)))
        if turns:
            values += rng.uniform(0.5, 1.5) * fall / (1 + np.exp(-4 * (x - turn - width / 2)))
        curve = make_curve(clock, np.clip(values + 0.004 * rng.standard_normal(40), 0, 1))
        given.append(Evidence(curve.until(2e9), planned_end=1e10))
        horizons.append(curve.after(2e9).clock)
        truths.append(curve.after(2e9).values)
    return given, horizons, truths


@pytest.mark.parametrize(("turns", "cost"), [(False, 0.9), (True, 1.0)])
def test_falling_and_turning_curves_are_forecast_no_worse_than_by_the_last_value(
    turns: bool, cost: float
) -> None:
    given, horizons, truths = made_up(turns)
    last = np.mean([np.abs(t - e.context.values[-1]).mean() for e, t in zip(given, truths, strict=True)])
    assert mean_error(given, horizons, truths) <= cost * last


def test_only_declines_are_believed_in_part_where_no_finished_run_shows_them() -> None:
    """Bits per byte fall as models get better: what is believed in part there is a rise."""
    rising = family().one_metric().curves[0]
    evidence = Evidence(rising.until(float(rising.clock[5])))
    table = make_candidates(make_batch([evidence], [rising.clock[6:]]), SHIPPED.model.process)
    cell = np.zeros(len(rising.clock[6:]), dtype=np.intp)
    level = table.values[:, CANDIDATES.index("end_value")]
    up, down = (
        SHIPPED.model.point(replace(table, better=np.array([sign])), cell) - level for sign in (1.0, -1.0)
    )
    assert (up > 0).any()
    np.testing.assert_allclose(np.where(up > 0, DECLINE_BELIEVED * up, up / DECLINE_BELIEVED), down)
    assert DECLINE_BELIEVED < 1


@pytest.mark.parametrize(("same_task", "cost"), [(True, 1.03), (False, 1.03)])
def test_references_of_another_family_cost_little(shared: Path, same_task: bool, cost: float) -> None:
    """True but useless evidence: another family's curves, of the same task or of any, given as references."""
    table = CurveTable.read(shared / "data/curves/gemstones.parquet")
    given, horizons, truths = evidences(table)
    others = CurveTable.read(shared / "data/curves/open_sci_ref.parquet").one_metric().curves
    rng = np.random.default_rng(0)
    alone = [replace(evidence, references=()) for evidence in given]
    unrelated = []
    for evidence in given:
        pool = [c for c in others if not same_task or c.key.task == evidence.context.key.task]
        drawn = rng.choice(len(pool), min(3, len(pool)), replace=False) if pool else []
        unrelated.append(replace(evidence, references=tuple(pool[i] for i in drawn)))
    assert mean_error(unrelated, horizons, truths) <= cost * mean_error(alone, horizons, truths)


def test_runs_of_another_family_that_do_not_fit_are_not_looked_at() -> None:
    given, horizons, _ = evidences(family(), share=0.5)
    clock = given[-1].context.clock
    waves = make_curve(clock[0] * np.geomspace(1, 60, 30), 0.5 + 0.3 * np.sin(np.arange(30.0)))
    other = replace(waves, key=given[-1].context.key._replace(run="wave"), facts=Facts(family="waves"))
    alone = replace(given[-1], references=())
    np.testing.assert_array_equal(
        SHIPPED.forecast(replace(alone, references=(other,)), horizons[-1]).values,
        SHIPPED.forecast(alone, horizons[-1]).values,
    )


def test_reference_runs_help(shared: Path) -> None:
    """The shipped weights have seen these runs: this says that references are read, not how well."""
    given, horizons, truths = evidences(CurveTable.read(shared / "data/curves/gemstones.parquet"))
    alone = [replace(evidence, references=()) for evidence in given]
    assert mean_error(given, horizons, truths) < mean_error(alone, horizons, truths)


class Small(Neuneu2):
    """Trains in seconds."""

    settings = TrainingSettings(families=3, process_steps=8, trees=20)


@pytest.fixture(scope="module")
def fitted() -> Neuneu2:
    return Small().fit(family(), references=smaller_finished_runs)


def test_the_same_seed_gives_the_same_bytes(fitted: Neuneu2, tmp_path: Path) -> None:
    fitted.save(tmp_path / "a")
    Small().fit(family(), references=smaller_finished_runs).save(tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_saved_model_forecasts_the_same(fitted: Neuneu2, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    given, horizons, _ = evidences(family())
    loaded = load_forecaster(tmp_path)
    np.testing.assert_allclose(
        loaded.forecast(given[0], horizons[0]).values,
        fitted.forecast(given[0], horizons[0]).values,
        atol=1e-5,
    )


def test_what_reads_the_atlas_is_trained_where_it_knows_tasks(fitted: Neuneu2, tmp_path: Path) -> None:
    frame = family().frame.with_columns(task=pl.lit("hellaswag"), run=pl.concat_str("run", "task"))
    known = CurveTable.from_frame(frame.with_columns(metric=pl.col("metric").replace("acc", "acc_norm")))
    assert fitted.model
    assert fitted.model.informed is None
    learner = Small().fit(known, seed=0)
    learner.save(tmp_path)
    loaded = Neuneu2().load(tmp_path)
    bare = Neuneu2().load(tmp_path)
    assert bare.model
    bare.model = replace(bare.model, informed=None)
    for table, same in ((family(), True), (known, False)):
        asked, horizons = evidences(table)[:2]
        told, stored, untold = (one.forecast(asked[0], horizons[0]).values for one in (learner, loaded, bare))
        np.testing.assert_allclose(stored, told, atol=1e-9)
        assert np.allclose(untold, stored, atol=1e-12) is same


@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_a_damaged_model_is_refused(fitted: Neuneu2, tmp_path: Path, damage: str) -> None:
    fitted.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "other":
        weights.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    else:
        weights.unlink()
    with pytest.raises(InputError, match=str(tmp_path)):
        load_forecaster(tmp_path)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_trees_say_what_lightgbm_says(seed: int) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((1500, 6))
    features[rng.random(features.shape) < 0.2] = np.nan
    features[:, 5] = rng.standard_normal(1500)
    target = np.nan_to_num(features[:, 0]) * 2 + features[:, 5]
    booster = lightgbm.train(
        {"num_leaves": 9, "verbosity": -1, "num_threads": 1}, lightgbm.Dataset(features, target), 12
    )
    asked = rng.standard_normal((300, 6))
    asked[rng.random(asked.shape) < 0.3] = np.nan
    said = booster.predict(asked)
    np.testing.assert_allclose(forest_of(booster).predict(asked), said, atol=1e-12)
    question = np.repeat(np.arange(75), 4)
    asked[:, :3] = asked[::4, :3][question]
    said = booster.predict(asked)
    np.testing.assert_allclose(forest_of(booster).predict(asked, question), said, atol=1e-12)


def test_trees_learn_a_step() -> None:
    pytest.importorskip("lightgbm")
    x = np.linspace(-1, 1, 4000)[:, None]
    forest = train_forest(x, np.where(x[:, 0] > 0, 1.0, 0.0), np.ones(4000), 0)
    np.testing.assert_allclose(forest.predict(np.array([[-0.5], [0.5]])), [0.0, 1.0], atol=0.02)


def test_synthetic_families_rise_fall_and_turn() -> None:
    table = synthetic_curves(0, families=12)
    changes = [c.values[-1] - c.values[0] for c in table.one_metric()]
    assert min(changes) < -0.1
    assert max(changes) > 0.3
    assert {c.key.metric for c in table} == {"acc", "bpb"}
    assert synthetic_curves(0, families=12).frame.equals(table.frame)
