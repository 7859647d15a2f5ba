"""Curve tables for tests: small ones by hand, any valid one by Hypothesis."""

from typing import Any

import polars as pl
from hypothesis import strategies as st

NAMES = st.text("abcXYZ019 _./()%'\"<>,;é漢", min_size=1, max_size=12).filter(
    lambda name: name.strip() != "" and ".." not in name
)


def rows(n: int = 4, **changes: Any) -> pl.DataFrame:
    """A valid curve of n points; `changes` replace columns."""
    columns: dict[str, Any] = {
        "run": ["a"] * n,
        "task": ["arc_easy"] * n,
        "metric": ["acc"] * n,
        "step": [100 * i for i in range(n)],
        "value": [0.25 + 0.01 * i for i in range(n)],
    }
    return pl.DataFrame(columns | changes)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Any valid table: several runs, tasks and metrics, some facts missing, rows in any order."""
    keys = draw(
        st.lists(
            st.tuples(
                NAMES,
                st.sampled_from(["arc_easy", "hellaswag", "mmlu_anatomy", "my task"]),
                st.sampled_from(["acc", "len_norm", "bpb", "soft_log", "margin"]),
                st.sampled_from([None, 0, 5]),
                st.sampled_from([None, "rc_val", "mc"]),
            ),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    ranges = {"bpb": (0, 10), "soft_log": (-5, 0), "margin": (-3, 3)}
    per_step = draw(st.sampled_from([None, 1, 524_288]))
    table = []
    for run, task, metric, n_shot, variant in keys:
        steps = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=6, unique=True))
        low, high = ranges.get(metric, (0, 1))
        for step in steps:
            value = draw(st.floats(low, high, allow_nan=False))
            stderr = draw(st.sampled_from([None, 0.01]))
            tokens = None if per_step is None else step * per_step
            table.append((run, task, metric, n_shot, variant, step, value, stderr, tokens))
    names = {
        "run": pl.String, "task": pl.String, "metric": pl.String, "n_shot": pl.Int64,
        "variant": pl.String, "step": pl.Int64, "value": pl.Float64, "stderr": pl.Float64,
        "tokens": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(draw(st.permutations(table)), schema=names, orient="row")
