"""The front door: one call an act, natural mistakes answered in one line, frames in and out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import neuneu as nn

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def curves() -> nn.CurveTable:
    """A run in flight and three finished ones."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "run": run, "task": task, "metric": "acc", "step": 100 * k, "tokens": 10**9 * k, "family": "f",
            "params": params, "planned_tokens": 40 * 10**9,
            "value": float(np.clip(0.7 - 0.4 * k**-0.5 + rng.normal(0, 0.005), 0, 1)),
        }
        for run, params, n in (("new", 4e8, 15), ("a", 1e8, 40), ("b", 2e8, 40), ("c", 2e8, 40))
        for task in ("piqa", "hellaswag") for k in range(1, n + 1)
    ]  # fmt: skip
    return nn.CurveTable.from_frame(pl.DataFrame(rows).with_columns(pl.col("params").cast(pl.Int64)))


class Mine(nn.Forecaster):
    """Says the last value, a little wide."""

    def forecast_many(self, evidences, horizons):
        return [
            nn.Forecast(
                h,
                np.clip(
                    e.context.values[-1] + np.outer(np.ones(len(h)), np.array(nn.LEVELS) - 0.5) / 10, 0, 1
                ),
            )
            for e, h in zip(evidences, horizons, strict=True)
        ]


def test_every_public_name_is_there_and_listed() -> None:
    assert set(nn.__all__) <= set(dir(nn))
    for name in nn.__all__:
        assert getattr(nn, name) is not None
        assert getattr(nn, name).__doc__ or name == "LEVELS"
    with pytest.raises(AttributeError, match="nothing"):
        nn.nothing  # noqa: B018


def test_an_import_of_the_package_loads_no_library() -> None:
    code = "import sys, neuneu; dir(neuneu); print('polars' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_tables_paths_and_frames_of_three_libraries_are_taken_and_given(curves, tmp_path: Path) -> None:
    curves.write(tmp_path / "t.parquet")
    here = nn.forecast(curves, runs="new").to_frame()
    for given in (
        tmp_path / "t.parquet", str(tmp_path / "t.parquet"), curves.frame, curves.frame.to_pandas(),
        curves.frame.to_arrow(), [curves.filter(run="new"), curves.filter(run=["a", "b", "c"])],
    ):  # fmt: skip
        assert nn.forecast(given, runs="new").to_frame().equals(here)
    assert isinstance(nn.forecast(curves, runs="new").to_frame("pandas"), pd.DataFrame)
    assert nn.rank(curves, library="arrow").num_rows == 4
    with pytest.raises(nn.InputError, match="polars, pandas or arrow"):
        nn.forecast(curves, runs="new").to_frame("numpy")


def test_references_reach_the_front_door(curves) -> None:
    alone = nn.forecast(curves.filter(run="new"), horizons=[3e10])
    helped = nn.forecast(curves.filter(run="new"), horizons=[3e10], references=curves)
    by_rule = nn.forecast(curves, runs=["new"], horizons=[3e10], references="finished")
    assert helped.to_frame()["q50"].to_list() == by_rule.to_frame()["q50"].to_list()
    assert helped.to_frame()["q50"].to_list() != alone.to_frame()["q50"].to_list()


def test_an_own_forecaster_is_taken_wherever_a_name_is(curves, tmp_path: Path) -> None:
    board = nn.evaluate(curves, ["neuneu-2", Mine()], context=0.2, references="smaller", fit=False)
    assert {"neuneu-2", "Mine", "last-value", "power-law"} <= set(board.to_frame()["forecaster"])
    assert set(board.cells["forecaster"]) == {"neuneu-2", "Mine", "last-value", "power-law"}
    assert board.plot("leaderboard").axes
    assert sorted(path.name for path in board.write(tmp_path / "out").iterdir()) == [
        "cells.parquet", "leaderboard.json", "timings.json",
    ]  # fmt: skip
    assert "Mine" in board._repr_html_()
    assert nn.forecast(curves, forecasters=Mine(), runs="new").names == ["Mine"]
    assert len(nn.rank(curves, forecaster=Mine())) == 4
    assert len(nn.advise(curves, target=0.5, forecaster=Mine())) == 1


def test_figures_reports_and_notebooks_come_from_tables_in_memory(curves, tmp_path: Path) -> None:
    found = nn.forecast(curves, runs="new", references="finished")
    assert len(found.plot(tmp_path / "fan.png", log=True).axes) == 2
    assert (tmp_path / "fan.png").stat().st_size > 10_000
    assert found.report(tmp_path / "r.html").read_text().count('"q":') == 2
    assert nn.report(curves, tmp_path / "all.html", context=0.2).is_file()
    assert nn.plot(curves, context=0.2).axes
    assert found._repr_html_().startswith("<iframe srcdoc=")
    assert "hellaswag" in curves._repr_html_()
    assert "runs" in nn.inspect(curves)._repr_html_()
    with pytest.raises(nn.InputError, match=r"\.html"):
        found.report(tmp_path / "r.pdf")


def test_forecasters_are_saved_and_loaded(curves, tmp_path: Path) -> None:
    law = nn.PowerLaw().fit(curves.filter(run=["a", "b", "c"]))
    law.save(tmp_path / "law")
    here = nn.forecast(curves, runs="new", forecasters=law).to_frame()
    again = nn.forecast(curves, runs="new", forecasters=tmp_path / "law").to_frame()
    assert here["q90"].to_list() == again["q90"].to_list()


def evidence(curves):
    curve = curves.filter(run="new", task="piqa").curves[0]
    return nn.EvidenceBuilder(curves).at(curve, curve.clock[-1])


def rule(one, other):
    return True


MISTAKES = [
    (lambda c: c.filter(run="nwe"), "run", "did you mean new"),
    (lambda c: c.one_metric("accuracy"), "metric", "known: acc"),
    (lambda c: nn.forecast(c, horizons=3e10), "horizons", "list of clock values"),
    (lambda c: nn.LastValue().load_shipped().forecast(evidence(c), 3e10), "horizons", "list of clock values"),
    (lambda c: nn.LastValue().load_shipped().forecast(evidence(c), [1e9]), "horizons", "ask for a later one"),
    (lambda c: nn.forecast(c, runs="new", horizons=[1e9]), "horizon", "in the past"),
    (lambda c: nn.EvidenceBuilder(c, rule), "losses", "`references`"),
    (lambda c: nn.forecast(c, losses="finished"), None, "no such folder"),
    (
        lambda c: nn.LastValue().load_shipped().forecast(evidence(c), [3e10]).quantile(np.array([0.1, 0.9])),
        "level", "one number",
    ),
    (lambda c: nn.load_forecaster("neuneu2"), "forecaster", "did you mean neuneu-2"),
    (lambda c: nn.read_curves("nowhere.parquet"), None, "no such file"),
    (lambda c: nn.forecast("nowhere.parquet"), None, "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "field", "words"), MISTAKES)
def test_a_natural_mistake_is_one_error_that_says_what_to_pass(curves, act, field, words) -> None:
    with pytest.raises(nn.InputError) as caught:
        act(curves)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert "--" not in str(caught.value)


def test_the_command_line_names_the_option_in_place_of_the_argument(curves, tmp_path: Path, neuneu) -> None:
    curves.write(tmp_path / "t.parquet")
    for arguments, option in (
        (["--run", "nwe"], "--run"),
        (["--forecaster", "neuneu-noloss"], "`--references`"),
        (["--references", "nonsense"], "--references"),
        (["--horizon", "soon"], "--horizon"),
        (["--metric", "acccuracy"], "--metric"),
    ):
        done = neuneu("forecast", tmp_path / "t.parquet", *arguments)
        assert done.returncode == 2
        assert option in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
