"""Each benchmark counts once in a mean: groups, parts, averages, known families."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.groups import benchmarks_of, is_group, members_in, members_text
from neuneu.curves.tasks import known_tasks

MMLU = [task.name for task in known_tasks("mmlu")]
AREAS = ["mmlu_stem", "mmlu_humanities", "mmlu_social_sciences", "mmlu_other"]
SUBJECTS = [name for name in MMLU if name not in {"mmlu", "mmlu_average", *AREAS}]


@pytest.mark.parametrize(
    ("tasks", "members", "parts"),
    [
        # the whole of a benchmark in parts counts, its areas and subjects do not
        (["mmlu", *AREAS, *SUBJECTS], {}, {"mmlu": ["mmlu"]}),
        (["mmlu_average", *SUBJECTS], {}, {"mmlu": ["mmlu_average"]}),
        (["mmlu_overall", "mmlu_stem", "mmlu_other"], {}, {"mmlu": ["mmlu_overall"]}),
        (["mmlu:_average", "mmlu_anatomy"], {}, {"mmlu": ["mmlu:_average"]}),
        # where it is missing, the mean of its parts does
        (SUBJECTS, {}, {"mmlu": SUBJECTS}),
        ([*AREAS, "mmlu_anatomy"], {}, {"mmlu": AREAS}),
        (["mmlu_stem", "mmlu_anatomy", "mmlu_virology"], {}, {"mmlu": ["mmlu_anatomy", "mmlu_virology"]}),
        (["mmlu_stem"], {}, {"mmlu": ["mmlu_stem"]}),
        (["mmlu", "mmlu_pro", "mmlu_pro_law"], {}, {"mmlu": ["mmlu"], "mmlu_pro": ["mmlu_pro"]}),
        (["bbh_navigate", "bbh_snarks"], {}, {"bbh": ["bbh_navigate", "bbh_snarks"]}),
        (["blimp", "blimp_causative"], {}, {"blimp": ["blimp"]}),
        # a collection counts only where none of its members is there
        (["ai2_arc", "arc_easy", "arc_challenge"], {},
         {"arc_easy": ["arc_easy"], "arc_challenge": ["arc_challenge"]}),
        (["ai2_arc", "piqa"], {}, {"ai2_arc": ["ai2_arc"], "piqa": ["piqa"]}),
        (["leaderboard", "leaderboard_bbh", "leaderboard_bbh_snarks", "leaderboard_ifeval"], {},
         {"leaderboard_bbh": ["leaderboard_bbh"], "leaderboard_ifeval": ["leaderboard_ifeval"]}),
        (["average", "piqa", "boolq"], {}, {"piqa": ["piqa"], "boolq": ["boolq"]}),
        (["average"], {}, {"average": ["average"]}),
        # what only the files know
        (["ours", "piqa", "boolq"], {"ours": ["piqa", "boolq"]}, {"piqa": ["piqa"], "boolq": ["boolq"]}),
        (["xnli", "xnli_de", "xnli_fr", "piqa"], {"xnli": ["xnli_de", "xnli_fr"]},
         {"xnli": ["xnli"], "piqa": ["piqa"]}),
        (["all", "x_a", "x", "piqa"], {"x": ["x_a"], "all": ["x", "piqa"]}, {"x": ["x"], "piqa": ["piqa"]}),
    ],
)  # fmt: skip
def test_each_benchmark_once(
    tasks: list[str], members: dict[str, list[str]], parts: dict[str, list[str]]
) -> None:
    found = benchmarks_of(tasks, members)
    assert {name: sorted(some) for name, some in found.parts.items()} == {
        name: sorted(some) for name, some in parts.items()
    }
    assert set(found.left_out) == set(tasks) - {task for some in parts.values() for task in some}
    assert all(found.left_out.values())


def test_the_mean_of_the_case_that_flipped_the_winner() -> None:
    """org/b leads by 1.3 points over MMLU, ARC-Easy and ARC-Challenge; over all rows org/a led."""
    a = {"mmlu": 0.28, "mmlu_stem": 0.28, "mmlu_anatomy": 0.28, "ai2_arc": 0.38, "arc_easy": 0.48,
         "arc_challenge": 0.28}  # fmt: skip
    b = a | {"mmlu": 0.26, "mmlu_stem": 0.26, "mmlu_anatomy": 0.26, "ai2_arc": 0.41, "arc_easy": 0.51,
             "arc_challenge": 0.31}  # fmt: skip
    told = {"mmlu": ["mmlu_stem"], "mmlu_stem": ["mmlu_anatomy"], "ai2_arc": ["arc_easy", "arc_challenge"]}
    found = benchmarks_of(a, told)
    assert len(found) == 3
    gain = sum(weight * (b[task] - a[task]) for task, weight in found.weights().items())
    assert gain == pytest.approx(0.04 / 3)
    assert found.in_words() == (
        "3 benchmarks: arc_challenge, arc_easy, mmlu; without ai2_arc (a group of arc_challenge, arc_easy); "
        "without mmlu_anatomy, mmlu_stem (part of mmlu, which counts as a whole)"
    )


NAMES = st.sampled_from(
    [
        *MMLU,
        "piqa",
        "boolq",
        "ai2_arc",
        "arc_easy",
        "average",
        "overall",
        "ours",
        "x",
        "x_a",
        "x_b",
        "bbh_snarks",
    ]
)


@given(st.sets(NAMES, min_size=1), st.dictionaries(NAMES, st.sets(NAMES), max_size=5))
def test_every_task_counts_or_is_left_out_and_something_counts(
    tasks: set[str], members: dict[str, set[str]]
) -> None:
    found = benchmarks_of(tasks, members)
    counted = [task for some in found.parts.values() for task in some]
    assert sorted([*counted, *found.left_out]) == sorted(tasks)
    assert sum(found.weights().values()) == pytest.approx(1.0) if found.parts else counted == []
    assert all(found.parts.values())
    assert found.parts


def test_members_go_through_the_table() -> None:
    text = members_text("mmlu_stem", ["hendrycksTest-anatomy", "mmlu_astronomy", "mmlu_stem"])
    assert text == "mmlu_anatomy,mmlu_astronomy"
    assert members_text("mmlu_anatomy", []) is None
    frame = pl.DataFrame({"task": ["mmlu_stem", "mmlu_stem", "piqa"], "members": [text, text, None]})
    assert members_in(frame) == {"mmlu_stem": ("mmlu_anatomy", "mmlu_astronomy")}
    assert members_in(frame.drop("members")) == {}
    groups = ["mmlu", "mmlu_stem", "ai2_arc", "average", "arc_easy", "mmlu_anatomy"]
    assert [is_group(name) for name in groups] == [True] * 4 + [False] * 2
