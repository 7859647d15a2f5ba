"""What rank and advise must hold, clause by clause, through the Python functions and the command line."""

import polars as pl
import pytest

import neuneu as nn
from neuneu.cli import decide
from neuneu.curves.table import CurveTable
from neuneu.decisions.choices import advise, compare_runs, rank
from neuneu.evidence.select import Selection
from neuneu.suite.home import read_home_losses

RUNS = ["home/llama-200k-prose-seed0", "home/llama-200k-code-seed0", "home/llama-200k-words-seed0"]


@pytest.mark.parametrize("ask", [nn.rank, lambda *a, **k: nn.advise(*a, target=0.5, **k)])
def test_references_context_and_losses_reach_the_forecaster(table, home, steady, ask):
    ask(table, forecaster=steady, references="none")
    assert not any(evidence.references for evidence in steady.seen)
    steady.seen.clear()
    ask(table, forecaster=steady, references="smaller", context=0.5, tasks="piqa")
    assert {each.key.run for evidence in steady.seen for each in evidence.references} == {"small"}
    assert {evidence.context.clock[-1] for evidence in steady.seen} == {10, 20}
    steady.seen.clear()
    asked = {"runs": RUNS, "tasks": "text_prose", "context": 0.5, "forecaster": steady}
    ask(home, losses=read_home_losses(), **asked)
    assert len(steady.seen) == 3
    assert all(evidence.losses is not None for evidence in steady.seen)
    steady.seen.clear()
    ask(home, **asked)
    assert all(evidence.losses is None for evidence in steady.seen)


def test_the_command_line_says_what_the_functions_say(home, tmp_path):
    """Every option of both commands at once; the tables agree to the last digit."""
    home.write(tmp_path / "home.parquet")
    options = {
        "run": RUNS,
        "task": ["text_prose"],
        "metric": "token_accuracy",
        "forecaster": "mean-k",
        "context": "0.5",
    }
    asked = {
        "runs": RUNS,
        "tasks": ["text_prose"],
        "metric": "token_accuracy",
        "forecaster": "mean-k",
        "context": 0.5,
    }
    more = {"references": "smaller", "horizon": 900_000.0}
    decide.rank(tmp_path / "home.parquet", output=tmp_path / "r.parquet", **options, **more)
    assert pl.read_parquet(tmp_path / "r.parquet").equals(nn.rank(home, **asked, **more))
    decide.advise(tmp_path / "home.parquet", target=0.3, output=tmp_path / "a.parquet", **options, **more)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(nn.advise(home, target=0.3, **asked, **more))


def test_advise_on_the_ladder_averages_no_settings_and_agrees_with_the_metric_named(shared):
    """The help's own example: hellaswag is there in several metrics and settings."""
    table = CurveTable.read(shared / "data" / "curves" / "olmo_ladder_final_new.parquet")
    held = table.filter(task="hellaswag").frame.select("metric", "n_shot", "variant").unique()
    assert len(held) > 1
    asked = {"context": 0.5, "in_flight": True, "forecaster": "mean-k"}
    plain = compare_runs(table, selection=Selection(tasks=["hellaswag"]), **asked)
    named = compare_runs(table, selection=Selection(tasks=["hellaswag"], metric="len_norm"), **asked)
    assert [setting[:2] for setting in plain.shared.settings] == [("hellaswag", "len_norm")]
    assert plain.shared.settings == named.shared.settings
    assert advise(plain, target=0.6).equals(advise(named, target=0.6))
    assert rank(plain).equals(rank(named))
    every = compare_runs(table, **asked).shared
    tasks = [setting[0] for setting in every.settings]
    assert len(tasks) == len(set(tasks))
    assert sum(every.weights.values()) == pytest.approx(1)
    assert "mmlu" in every.in_words or "benchmarks" in every.in_words
