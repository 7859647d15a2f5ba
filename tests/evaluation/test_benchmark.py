from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.benchmark import EvaluationSettings, run_benchmark
from neuneu.evaluation.leaderboard import ORACLE, Results, leaderboard, results_frame
from neuneu.evaluation.protocol import Protocol
from neuneu.evaluation.splits import Source, leave_source_out
from neuneu.evidence.finished import read_references
from neuneu.files import to_json
from neuneu.forecasters.base import LEVELS, REGISTRY, Forecast, Forecaster, Refusal

NAMES = ["last-value", "power-law"]


class Recorder(Forecaster):
    """Says the last value of the context; keeps what it was shown."""

    name = "recorder"
    learns = True
    shown: list = []  # noqa: RUF012
    fitted: list = []  # noqa: RUF012

    def fit(self, curves, losses=None, *, references=None, seed=0):
        Recorder.fitted.append(curves)
        return self

    def forecast_many(self, evidences, horizons):
        Recorder.shown += list(zip(evidences, horizons, strict=True))
        return [self.say(e, h) for e, h in zip(evidences, horizons, strict=True)]

    def say(self, evidence, horizons):
        last = evidence.context.values[-1] * 0.9
        return Forecast(np.asarray(horizons), np.full((len(horizons), len(LEVELS)), last))

    def load_shipped(self):
        return self


class Decliner(Recorder):
    """Declines mmlu tasks."""

    def say(self, evidence, horizons):
        if evidence.context.key.task.startswith("mmlu"):
            return Refusal("not this one")
        return super().say(evidence, horizons)


class Unfittable(Recorder):
    """Cannot be fitted on anything."""

    def fit(self, curves, losses=None, *, references=None, seed=0):
        raise InputError("needs references", field="forecaster", value=self.name)


@pytest.fixture
def recorder(monkeypatch):
    Recorder.shown, Recorder.fitted = [], []
    for kind in (Recorder, Decliner, Unfittable):
        monkeypatch.setitem(REGISTRY, kind.__name__.lower(), kind)
    return Recorder


def run(sources, names=NAMES, protocol=None, *, fit=False, **setting):
    made = EvaluationSettings(protocol or Protocol(), leave_source_out(sources), fit=fit, **setting)
    cells, answers = run_benchmark(names, sources, made)
    return Results(cells, answers, made)


def rows_of(document, source=None):
    rows = document["overall"] if source is None else document["sources"][source]
    return {row["forecaster"]: row for row in rows}


def test_nothing_after_the_context_end_is_shown(two_sources, recorder):
    for protocol in (Protocol(), Protocol("rolling"), Protocol("anchored"), Protocol("sequential")):
        recorder.shown.clear()
        results = run(two_sources, ["recorder"], protocol=protocol)
        ends = {(q.curve.key, q.end) for q in results.cells.questions}
        for evidence, horizons in recorder.shown:
            assert (horizons > evidence.end).all()
            key = evidence.context.key
            first_end = min(end for k, end in ends if k == key)
            if protocol.kind == "sequential":
                truth = next(q for q in results.cells.questions if q.curve.key == key)
                known = len(truth.context)
                np.testing.assert_array_equal(evidence.context.values[:known], truth.context.values)
                # what follows is what it said itself: 0.9 times the value before
                said = evidence.context.values[known - 1 :]
                np.testing.assert_allclose(said[1:], said[:-1] * 0.9)
                seen_until = first_end
            else:
                seen_until = evidence.end
                assert (key, evidence.end) in ends
            for other in evidence.other_tasks:
                assert other.clock[-1] <= seen_until


def test_sequential_with_the_truth_moves_the_context_end_and_says_that_it_sees_the_future(
    two_sources, recorder
):
    results = run(two_sources, ["recorder"], protocol=Protocol("sequential", feed="truth"))
    for evidence, _ in recorder.shown:
        whole = next(q.curve for q in results.cells.questions if q.curve.key == evidence.context.key)
        np.testing.assert_array_equal(evidence.context.values, whole.values[: len(evidence.context)])
    assert all(row["sees_future"] for row in leaderboard(results)["overall"])
    # one step ahead with the truth is easier than from the context end
    median = run(two_sources, protocol=Protocol("sequential"))
    errors = [rows_of(leaderboard(r))["last-value"]["mae"] for r in (results, median)]
    assert errors[0] < errors[1]


def test_learned_methods_never_see_the_tested_runs(two_sources, recorder):
    run(two_sources, ["recorder"], fit=True)
    assert [set(t.frame["source"].unique()) for t in recorder.fitted] == [{"b"}, {"a"}]


def test_references_are_smaller_finished_runs_only_when_asked(two_sources, recorder):
    run(two_sources, ["recorder"])
    assert not any(evidence.references for evidence, _ in recorder.shown)
    recorder.shown.clear()
    run(two_sources, ["recorder"], references=read_references("smaller"))
    sizes = [(e.context.facts.params, r.facts.params) for e, _ in recorder.shown for r in e.references]
    assert sizes
    assert all(theirs < mine for mine, theirs in sizes)


def test_refusals_are_scored_with_the_last_value_and_counted(two_sources, recorder):
    results = run(two_sources, ["last-value", "decliner"])
    last, declined = results.answers[0], results.answers[2]
    mmlu = np.array([q.curve.key.task.startswith("mmlu") for q in results.cells.questions])[
        results.cells.owner
    ]
    assert (declined.refused == mmlu).all()
    np.testing.assert_array_equal(declined.quantiles[mmlu], last.quantiles[mmlu])
    assert (declined.quantiles[~mmlu] != last.quantiles[~mmlu]).any()
    assert declined.reasons == {"not this one": int(mmlu.sum())}
    document = leaderboard(results)
    row = rows_of(document)["decliner"]
    assert row["n_refused"] == mmlu.sum()
    assert row["n_cells"] == len(mmlu)
    assert rows_of(document["task_groups"]["mmlu"])["decliner"]["skill_vs_last_value"] == 0


def test_a_method_that_cannot_be_fitted_refuses_everything(two_sources, recorder):
    row = rows_of(leaderboard(run(two_sources, ["unfittable"], fit=True)))["unfittable"]
    assert row["n_refused"] == row["n_cells"]
    assert row["skill_vs_last_value"] == 0


def test_every_method_answers_the_same_cells_and_the_oracle_bounds_flat_ones(two_sources):
    results = run(two_sources, ["mean-k"])
    document = leaderboard(results)
    for rows in (document["overall"], *document["sources"].values()):
        assert [row["forecaster"] for row in rows] == ["last-value", "power-law", "mean-k", ORACLE]
        assert len({row["n_cells"] for row in rows}) == 1
        by_name = {row["forecaster"]: row for row in rows}
        assert by_name[ORACLE]["mae"] <= min(by_name["last-value"]["mae"], by_name["mean-k"]["mae"])
        assert by_name[ORACLE]["sees_future"]
        assert by_name["last-value"]["skill_vs_last_value"] == 0


def test_the_leaderboard_agrees_with_the_cells(two_sources):
    results = run(two_sources, protocol=Protocol("rolling"))
    cells, document = results_frame(results), leaderboard(results)
    curve = ["source", "run", "task", "metric"]
    by_hand = (
        cells.with_columns(error=(pl.col("value") - pl.col("q50")).abs())
        .group_by("forecaster", *curve).agg(pl.col("error").mean())
        .group_by("forecaster", "source").agg(pl.col("error").mean())
    )  # fmt: skip
    for name in NAMES:
        each = dict(by_hand.filter(forecaster=name).select("source", "error").iter_rows())
        for source, error in each.items():
            assert rows_of(document, source)[name]["mae"] == pytest.approx(error, rel=1e-12)
        overall = rows_of(document)[name]["mae"]
        assert overall == pytest.approx(sum(each.values()) / len(each), rel=1e-12)
    low, high = rows_of(document)["last-value"]["intervals"]["mae"]
    assert low <= rows_of(document)["last-value"]["mae"] <= high


def test_horizon_and_task_sections_part_the_cells(two_sources):
    results = run(two_sources)
    document = leaderboard(results)
    n = len(results.cells.values)
    for section in ("task_groups", "horizons"):
        assert sum(part["overall"][0]["n_cells"] for part in document[section].values()) == n
    assert set(document["task_groups"]) == {"core", "mmlu"}


def shuffled(source: Source) -> Source:
    return Source(
        source.name, CurveTable.from_frame(source.table.frame.sample(fraction=1, shuffle=True, seed=5))
    )


def test_the_order_of_rows_does_not_matter(two_sources):
    one, other = (run(each, fit=True) for each in (two_sources, [shuffled(s) for s in two_sources]))
    assert results_frame(one).equals(results_frame(other))
    assert to_json(leaderboard(one)) == to_json(leaderboard(other))


def test_names_of_runs_do_not_matter(two_sources):
    def renamed(source: Source) -> Source:
        label = "z" + pl.col("run").str.reverse()
        return Source(source.name, CurveTable.from_frame(source.table.frame.with_columns(run=label)))

    one, other = leaderboard(run(two_sources)), leaderboard(run([renamed(s) for s in two_sources]))
    for source in ("a", "b", None):
        for name in NAMES:
            mine, theirs = rows_of(one, source)[name], rows_of(other, source)[name]
            for score in ("mae", "pinball", "coverage80", "width80", "ranking_within_size"):
                assert mine[score] == pytest.approx(theirs[score], rel=1e-6)


@pytest.mark.parametrize("factor", [1000, 7])
def test_the_unit_of_the_clock_does_not_matter(two_sources, factor):
    def scaled(source: Source) -> Source:
        return Source(
            source.name, CurveTable.from_frame(source.table.frame.with_columns(pl.col("tokens") * factor))
        )

    one, other = leaderboard(run(two_sources)), leaderboard(run([scaled(s) for s in two_sources]))
    for name in NAMES:
        assert rows_of(one)[name]["mae"] == pytest.approx(rows_of(other)[name]["mae"], rel=1e-6)
        # calibration is an iterative fit: its last digits may move with rounding of the clock
        assert rows_of(one)[name]["pinball"] == pytest.approx(rows_of(other)[name]["pinball"], rel=0.01)


def test_ranking_pairs_are_runs_of_one_budget(make_table):
    table = make_table("a", n_runs=4, tasks=("hellaswag",))
    document = leaderboard(run([Source("a", table)]))
    row = rows_of(document)["last-value"]
    # runs 0, 1 and 2, 3 share a size and differ in recipe; the other four pairs differ in size
    assert (row["n_pairs_ranking_within_size"], row["n_pairs_ranking_across_sizes"]) == (2, 4)
    longer = table.frame.with_columns(
        tokens=pl.when(pl.col("run").str.ends_with("run3")).then(pl.col("tokens") * 2).otherwise("tokens")
    )
    row = rows_of(leaderboard(run([Source("a", CurveTable.from_frame(longer))])))["last-value"]
    assert (row["n_pairs_ranking_within_size"], row["n_pairs_ranking_across_sizes"]) == (1, 2)


def test_ranking_of_curves_that_keep_their_order_is_perfect(make_table):
    table = make_table("a", n_runs=4, tasks=("hellaswag",))
    flat = table.frame.with_columns(value=0.3 + pl.col("run").str.slice(-1).cast(pl.Float64) / 10)
    row = rows_of(leaderboard(run([Source("a", CurveTable.from_frame(flat))])))["last-value"]
    assert row["ranking_within_size"] == row["ranking_across_sizes"] == 1
    assert row["mae"] == 0


def test_one_curve_alone_is_scored_and_learners_refuse(make_table, recorder):
    sources = [Source("a", make_table("a", n_runs=1, tasks=("hellaswag",)))]
    document = leaderboard(run(sources, ["last-value", "recorder"], fit=True))
    assert rows_of(document)["last-value"]["n_refused"] == 0
    assert rows_of(document)["recorder"]["n_refused"] == rows_of(document)["recorder"]["n_cells"]
    assert rows_of(document)["last-value"]["intervals"]["mae"] is None


def test_too_little_to_ask_is_an_error(make_table):
    with pytest.raises(InputError, match="8 checkpoints"):
        run([Source("a", make_table("a", n_checkpoints=7))])
    with pytest.raises(InputError, match="name one twice"):
        run([Source("a", make_table("a"))], ["mean-k", "mean-k"])


def test_the_seed_moves_the_bootstrap_and_nothing_else(two_sources):
    results = run(two_sources)
    other = leaderboard(replace(results, setting=replace(results.setting, seed=9)))
    mine, theirs = rows_of(leaderboard(results))["power-law"], rows_of(other)["power-law"]
    assert mine["mae"] == theirs["mae"]
    assert mine["intervals"]["mae"] != theirs["intervals"]["mae"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("none", "none"),
        ("smaller", "smaller finished runs of the same family"),
        ("finished", "all finished runs of the same family"),
    ],
)
def test_the_leaderboard_says_which_references_there_were(two_sources, rule, words):
    document = leaderboard(run(two_sources, references=read_references(rule)))
    assert document["protocol"]["references"] == words


def test_references_of_a_table_are_named_by_its_file(two_sources, make_table, tmp_path):
    make_table("old").write(tmp_path / "old.parquet")
    given = read_references(tmp_path / "old.parquet")
    document = leaderboard(run(two_sources, references=given))
    assert document["protocol"]["references"] == "old.parquet (4 finished runs)"
