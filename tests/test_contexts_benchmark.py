"""The benchmark of contexts: how branches begin with their trunk, and what each ablation lacks."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from benchmarks._ablations import ABLATED
from benchmarks._schedules import BRANCHES, TRUNKS, with_schedules
from benchmarks.apart import measure
from benchmarks.contexts import Bench
from benchmarks.ship import without
from tests.forecasters.forecaster_cases import family

from neuneu.curves.table import CurveTable
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.questions import ask_questions
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.neuneu2.candidates import make_candidates
from neuneu.forecasters.neuneu2.learned import process_of
from neuneu.forecasters.neuneu2.model import Neuneu2

SHIPPED = load_forecaster("neuneu-2")


def rows(source: str, run: str, tokens: list[int], task: str = "piqa") -> pl.DataFrame:
    return pl.DataFrame({
        "run": run, "source": source, "task": task, "metric": "acc", "step": tokens, "tokens": tokens,
        "value": [0.5 + t / 1000 for t in tokens],
    })  # fmt: skip


def test_a_branch_begins_with_what_its_trunk_measured_before_it() -> None:
    trunk, branch = "ladder/1B-10xC-const", "ladder/1B-2xC-decay"
    table = CurveTable.from_frame(pl.concat([
        rows(TRUNKS, trunk, [10, 20, 80, 90, 100]), rows(TRUNKS, trunk, [10, 20], "boolq"),
        rows(TRUNKS, "ladder/3B-10xC-const", [15, 25]), rows(BRANCHES, branch, [85, 100]),
        rows("open_sci_ref", "a", [10, 20]), rows("gemstones", "b", [10]),
    ]))  # fmt: skip
    found = CurveTable.from_frame(with_schedules(table.frame))
    own = found.frame.filter(run=branch)
    assert own["tokens"].to_list() == [10, 20, 80, 85, 100]
    assert own["value"].to_list() == pytest.approx([0.51, 0.52, 0.58, 0.585, 0.6])
    assert own.select("source", "task", "schedule").unique().rows() == [(BRANCHES, "piqa", "wsd:0.8")]
    assert found.frame.filter(run=trunk).equals(table.frame.filter(run=trunk))
    told = dict(found.frame.select("run", "schedule").unique().iter_rows())
    assert (told["a"], told["b"], told[trunk]) == ("wsd:0.8", None, None)


@pytest.fixture(scope="module")
def asked() -> tuple[list[Evidence], list[np.ndarray]]:
    table = family()
    known = table.frame.with_columns(planned_tokens=pl.col("tokens").max().over("run"))
    questions = ask_questions(
        CurveTable.from_frame(known), None, lambda one, other: True, whole_evidence=True, fractions=(0.5,)
    )
    return list(questions.evidences)[:4], list(questions.horizons)[:4]


def answers(name: str, asked: tuple[list[Evidence], list[np.ndarray]]) -> np.ndarray:
    less, fewer = ABLATED[name]
    found = less(SHIPPED).forecast_many(fewer(asked[0]), asked[1])
    return np.concatenate([answer.values for answer in found])


def test_every_ablation_changes_something_and_leaves_the_forecaster_as_it_was(asked) -> None:
    before = SHIPPED.forecast_many(*asked)
    for name in ABLATED:
        found = answers(name, asked)
        changed = not np.array_equal(found, np.concatenate([answer.values for answer in before]))
        assert changed == (name != "without the atlas"), name  # made-up tasks: it knows none
    after = SHIPPED.forecast_many(*asked)
    assert all((a.values == b.values).all() for a, b in zip(before, after, strict=True))


def test_evidence_lacks_what_is_switched_off(asked) -> None:
    evidences, _ = asked
    for evidence in ABLATED["without other tasks"][1](evidences):
        assert {curve.key.task for curve in evidence.run_curves} == {evidence.context.key.task}
        assert {curve.key.metric for curve in evidence.run_curves} == {"acc", "bpb"}
    for evidence in ABLATED["without finer metrics"][1](evidences):
        assert {curve.key.metric for curve in evidence.run_curves} == {"acc"}
        assert len({curve.key.task for curve in evidence.run_curves}) > 1
    assert all(evidence.planned_end for evidence in evidences)
    assert not any(evidence.planned_end for evidence in ABLATED["without the plan"][1](evidences))


def test_without_trees_the_process_speaks_and_without_its_share_the_trees(asked) -> None:
    batch = make_batch(*asked)
    models = {name: ABLATED[name][0](SHIPPED).model for name in ABLATED}
    cells = make_candidates(batch, SHIPPED.model.process)
    rising = replace(cells, better=np.zeros_like(cells.better))  # no decline is halved
    found = models["without trees"].point(rising, batch.cell)
    assert found == pytest.approx(process_of(rising))
    trees = models["without the process's share"].point(rising, batch.cell)
    assert trees == pytest.approx(SHIPPED.model.bare.point(rising, batch.cell))


def test_past_errors_only_stretch(asked) -> None:
    plain = np.concatenate([a.values for a in Neuneu2().load_shipped().forecast_many(*asked)])
    found = answers("without past errors", asked)
    np.testing.assert_array_equal(found[:, 3], plain[:, 3])


def fitted_on(bench: Bench, family: str) -> CurveTable:
    return without(bench.all, {family})


def test_everything_is_fitted_on_own_runs_too_and_never_on_the_family_that_is_asked() -> None:
    curves = family()
    asked, other = curves.runs[0], curves.runs[1]
    frame = curves.frame.with_columns(
        family=pl.when(pl.col("run") == asked).then(pl.lit("a")).otherwise(pl.lit("b"))
    )
    own = CurveTable(frame.filter(run=other).with_columns(run=pl.lit("own"), family=pl.lit("home")))
    bench = Bench(CurveTable(frame.filter(pl.col("run").is_in([asked, other]))), own)
    assert bench.families == ["a", "b"]
    assert fitted_on(bench, "a").runs == sorted([other, "own"])
    assert fitted_on(bench, "b").runs == sorted([asked, "own"])


def test_runs_kept_apart_are_asked_with_the_forecaster_that_has_not_seen_them() -> None:
    few = family().filter(run=family().runs[:2])
    rows = list(measure(few, load_forecaster("last-value")))
    alone = [row for row in rows if row["references"] == "none" and row["curves"]]
    by = {(row["context"], row["forecaster"]): row["mae"] for row in alone}
    assert by
    assert all(by[context, "neuneu-2"] == by[context, "last-value"] for context, _ in by)
