"""The packaged home curves are what they say: counts, chance, clocks, provenance."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.ship import own_runs

from neuneu.curves.tasks import find_metric
from neuneu.forecasters.fitted import is_fitted_on
from neuneu.reports.demo import home_curves
from neuneu.suite.home import CURVES, LOSSES, read_home_curves, read_home_losses


def test_every_accuracy_is_a_whole_number_of_items() -> None:
    frame = read_home_curves().frame
    accuracies = frame.filter(
        pl.col("metric").is_in([m for m in frame["metric"].unique() if find_metric(m).accuracy])
    )
    counts = accuracies["value"].to_numpy() * accuracies["n_items"].to_numpy()
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    expected = (accuracies["value"] * (1 - accuracies["value"]) / accuracies["n_items"]).sqrt()
    np.testing.assert_allclose(accuracies["stderr"], expected, atol=1e-9)


def test_every_run_has_every_task_on_one_clock() -> None:
    table = read_home_curves()
    for run in table.runs:
        curves = list(table.filter(run=run))
        assert len({curve.key.task for curve in curves if curve.key.task.startswith("blimp_")}) == 67
        assert len({tuple(curve.clock) for curve in curves}) == 1
        assert all(curve.clock_unit == "tokens" for curve in curves)
        assert all(
            curve.facts.planned_tokens and curve.clock[-1] <= curve.facts.planned_tokens for curve in curves
        )
        bits = next(c for c in curves if (c.key.task, c.key.metric) == ("text_dictionary", "bpb"))
        assert bits.values[-1] < bits.values[0]


def test_provenance_covers_the_runs_and_names_licences() -> None:
    provenance = json.loads(Path(CURVES.parent / "provenance.json").read_text(encoding="utf-8"))
    assert {f"home/{name}" for name in provenance["runs"]} == set(read_home_curves().runs)
    assert all(row["licence"] for row in provenance["licences_of_texts"])


def test_every_checkpoint_has_its_token_losses() -> None:
    table, store = read_home_curves(), read_home_losses()
    assert store.runs == table.runs
    assert store.n_positions == 5 * 26 * 127
    assert store.groups is not None
    groups = np.array(store.groups)
    for run in table.runs:
        curve = next(c for c in table.filter(run=run) if c.key.task == "text_code")
        assert store.steps(run).tolist() == curve.steps.tolist()
    # Bits per byte are the mean loss but for a factor that is the text's own.
    run = table.runs[0]
    for source in ("prose", "code"):
        bits = next(
            c for c in table.filter(run=run) if (c.key.task, c.key.metric) == (f"text_{source}", "bpb")
        )
        means = [store.read(run, int(step))[groups == f"text_{source}"].mean() for step in bits.steps]
        ratio = np.array(means) / bits.values
        np.testing.assert_allclose(ratio, ratio[0], rtol=2e-3)


def test_the_package_is_small_and_holds_numbers_only() -> None:
    files = [path for path in CURVES.parent.iterdir() if path.suffix not in (".py", "")]
    assert sorted(path.name for path in files if path.is_file()) == ["curves.parquet", "provenance.json"]
    assert CURVES.stat().st_size < 1_500_000
    assert sum(path.stat().st_size for path in LOSSES.glob("*.npz")) < 25_000_000
    frame = read_home_curves().frame
    strings = [name for name, kind in frame.schema.items() if kind == pl.String]
    assert max(len(value) for name in strings for value in frame[name].drop_nulls().unique()) < 80


def test_the_demo_asks_about_runs_that_nothing_that_ships_was_trained_on() -> None:
    trained, asked = set(own_runs().runs), set(home_curves().runs)
    assert (len(trained), len(asked)) == (24, 18)
    assert trained | asked == set(read_home_curves().runs)
    facts = {run: read_home_curves().filter(run=run).curves[0].facts for run in trained}
    assert all(is_fitted_on("neuneu-2", run, facts[run]) for run in trained)
