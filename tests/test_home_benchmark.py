"""The benchmark of the home suite: what is measured again replaces its rows alone."""

from benchmarks.home import together

SPLIT = {"train": {"run": ["a"]}, "test": {"run": ["b"]}}


def row(name: str, mae: float) -> dict[str, object]:
    return {"forecaster": name, "mae": mae}


def test_rows_of_other_forecasters_stay_where_the_runs_are_the_same() -> None:
    known = {"manifest": SPLIT, "rows": [row("neuneu", 0.04), row("neuneu-2", 0.05)]}
    again = [row("neuneu-2", 0.03)]
    assert together(known, SPLIT, again) == [row("neuneu-2", 0.03), row("neuneu", 0.04)]
    assert together(known, {**SPLIT, "test": {"run": ["c"]}}, again) == again
    assert together(None, SPLIT, again) == again
