"""The registry of tasks and metrics, checked against what real results say of themselves."""

from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric, find_task, known_tasks, olmes_tasks


def test_the_suites_are_whole() -> None:
    assert len(olmes_tasks()) == 66
    assert len(known_tasks("core")) == 9
    subjects = [task for task in known_tasks("mmlu") if task.name in olmes_tasks()]
    assert len(subjects) == 57
    assert sum(task.n_items or 0 for task in subjects) == find_task("mmlu").n_items == 14_042
    paradigms = [task for task in known_tasks("blimp") if task.name != "blimp"]
    assert len(paradigms) == 67
    assert {(task.chance, task.n_items) for task in paradigms} == {(0.5, 1000)}


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("hendrycksTest-anatomy", "mmlu_anatomy"),
        ("hendrycksTest-us_foreign_policy", "mmlu_us_foreign_policy"),
        ("commonsense_qa", "csqa"),
        ("social_iqa", "socialiqa"),
        ("ARC-Challenge", "arc_challenge"),
        ("truthfulqa-mc1", "truthfulqa_mc1"),
        ("principle_A_case_1", "blimp_principle_A_case_1"),
        ("blimp_complex_NP_island", "blimp_complex_NP_island"),
    ],
)
def test_other_names_lead_to_the_task(name: str, canonical: str) -> None:
    assert find_task(name).name == canonical
    assert find_task(canonical) == find_task(name)


def test_an_unknown_name_is_kept_as_it_is() -> None:
    task = find_task("My-New-Task")
    assert (task.name, task.chance, task.n_items, task.group) == ("My-New-Task", None, None, "other")
    metric = find_metric("my_metric")
    assert (metric.low, metric.high, metric.accuracy) == (float("-inf"), float("inf"), False)


def test_directions_and_ranges_of_metrics() -> None:
    assert find_metric("acc").accuracy
    assert not find_metric("bpb").higher_is_better
    assert (find_metric("bpb").low, find_metric("soft_log").high) == (0, 0)
    assert (find_metric("soft").low, find_metric("soft").high) == (0, 1)
    assert not find_metric("soft").accuracy


def test_blimp_names_are_those_of_the_data(shared: Path) -> None:
    files = {f"blimp_{path.stem}" for path in (shared / "data" / "blimp").glob("*.jsonl")}
    assert files == {task.name for task in known_tasks("blimp")} - {"blimp"}


def test_items_agree_with_the_standard_errors_of_real_results(shared: Path) -> None:
    """se = sqrt(p (1 − p) / (n − 1)) gives n back: every task of Pythia has the items of the registry."""
    frame = pl.read_parquet(shared / "data" / "curves" / "pythia_v1.parquet")
    counted = (
        frame.filter(
            pl.col("metric").is_in(["acc", "pct_stereotype"]), pl.col("value").is_between(0.01, 0.99)
        )
        .group_by("task")
        .agg((pl.col("value") * (1 - pl.col("value")) / pl.col("stderr") ** 2 + 1).median().alias("n"))
    )
    assert len(counted) == 87
    assert {name: round(n) for name, n in counted.iter_rows()} == {
        name: find_task(name).n_items for name in counted["task"]
    }


def test_items_agree_with_the_fractions_of_real_results(shared: Path) -> None:
    """Accuracies of the OLMo ladder are multiples of 1 / n_items, validation splits included."""
    table = CurveTable.read(shared / "data" / "curves" / "olmo_ladder_moreeval.parquet").one_metric()
    share = pl.col("value") * pl.col("n_items")
    off = table.frame.select((share - share.round(0)).abs().max())
    assert off.item() < 2e-3
    assert table.frame["n_items"].null_count() == 0


def test_a_validation_split_is_told_by_its_values(shared: Path) -> None:
    """In-loop evaluations do not say that they took ARC's validation split; their fractions do."""
    frame = CurveTable.read(shared / "data" / "curves" / "olmo_ladder_final_new.parquet").one_metric().frame
    counts = frame.group_by("task", "variant").agg(pl.col("n_items").unique())
    told = {(task, variant): n for task, variant, n in counts.iter_rows()}
    assert told["arc_easy", "rc"] == [570]
    assert told["arc_challenge", None] == [299]
    assert told["mmlu_stem", "mc"] == [321]
    assert told["mmlu_stem", "mc_test"] == [3018]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("squad2", "squadv2"),
        ("truthfulqa_mc", "truthfulqa_mc1"),
        ("truthfulqa_mc1", "truthfulqa_mc2"),
        ("math_algebra", "hendrycks_math_algebra"),
        ("hendrycks_math_algebra", "minerva_math_algebra"),
    ],
)
def test_names_of_tasks_that_are_scored_otherwise_stay_apart(one: str, other: str) -> None:
    assert find_task(one).name != find_task(other).name
