"""Averages and intervals over sources with runs of unequal length, against their definitions written out."""

import numpy as np
import polars as pl
import pytest
from tests.unequal import SHAPES, unequal_tables

from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import leaderboard, results_frame
from neuneu.evaluation.metrics import Grouping, average, curve_means, draw_runs

NAMES = ("last-value", "power-law")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """leaderboard.json and cells.parquet of the two sources."""
    folder = tmp_path_factory.mktemp("unequal")
    for source, table in unequal_tables().items():
        table.write(folder / f"{source}.parquet")
    paths = [folder / f"{source}.parquet" for source in SHAPES]
    results = evaluate(paths, list(NAMES))
    return leaderboard(results), results_frame(results)


def errors_by_curve(cells, name):
    """A row a curve: source, run, task and mean absolute error."""
    error = (pl.col("value") - pl.col("q50")).abs().mean()
    return (
        cells.filter(forecaster=name).group_by("source", "run", "task", maintain_order=True).agg(error=error)
    )


def mae(rows, name):
    return next(row["mae"] for row in rows if row["forecaster"] == name)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_the_mean_of_its_curves_and_all_is_the_mean_of_sources(evaluated, name):
    document, cells = evaluated
    curves = errors_by_curve(cells, name)
    by_source = {source: curves.filter(source=source)["error"].mean() for source in SHAPES}
    for source, error in by_source.items():
        assert curves.filter(source=source).height == sum(tasks for tasks, _ in SHAPES[source])
        assert mae(document["sources"][source], name) == pytest.approx(error, rel=1e-12)
    assert mae(document["overall"], name) == pytest.approx(np.mean(list(by_source.values())), rel=1e-12)
    pooled = curves["error"].mean()
    assert abs(pooled - np.mean(list(by_source.values()))) > 1e-4  # the sources are unequal indeed


@pytest.mark.parametrize("source", [*SHAPES, None])
def test_intervals_take_whole_runs_with_all_their_curves(evaluated, source):
    """Each draw is the mean over the curves of the runs that were drawn: of many curves where those have."""
    document, cells = evaluated
    curves = errors_by_curve(cells, "last-value")
    order = sorted(SHAPES)
    run_source = np.repeat([0, 1], [len(SHAPES[name]) for name in order])
    taken = draw_runs(run_source, document["protocol"]["seed"]).astype(int)
    draws = {}
    for code, name in enumerate(order):
        own = curves.filter(source=name)
        of_run = [own.filter(run=f"{name}-{run}")["error"].to_list() for run in range(len(SHAPES[name]))]
        draws[name] = [
            np.mean([e for r, n in enumerate(row) for e in n * of_run[r]])
            for row in taken[:, run_source == code]
        ]
    drawn = np.mean(list(draws.values()), axis=0) if source is None else draws[source]
    rows = document["overall"] if source is None else document["sources"][source]
    found = next(row["intervals"]["mae"] for row in rows if row["forecaster"] == "last-value")
    assert found == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=1e-9)


def test_draws_are_means_over_what_was_drawn():
    """A run with one curve and a run with three: drawn twice, each gives its own mean."""
    grouping = Grouping(np.arange(4), np.array([0, 1, 1, 1]), np.array([0, 0]))
    per_curve = curve_means(np.array([[1.0], [3.0], [4.0], [5.0]]), grouping)
    found = average(per_curve, grouping, np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    assert found.draws[:, 0, 0].tolist() == pytest.approx([1.0, 4.0, 13 / 4])
    assert found.point[0, 0] == pytest.approx(13 / 4)
