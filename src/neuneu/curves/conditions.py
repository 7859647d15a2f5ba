"""How values were evaluated, as far as that is no part of a curve's key, and where it changes inside a curve.

The column `conditions` of the curve table holds pairs "name=value; name=value", written by readers
(`conditions_text`). Shots, filter and variant are part of the key: where they change, one curve ends and
another begins, which `setting_changes` finds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import polars as pl

SENTENCES = {
    "name": "evaluated under different names: {}",
    "generation": "evaluated by different generations of lm-eval: {}",
    "lm_eval": "different versions of lm-eval: {}",
    "version": "different versions of the task: {}",
    "hash": "different hashes of the task: {}",
    "items": "{} (`limit`)",
    "chat_template": "chat template {}",
    "system_prompt": "system prompt {}",
    "harness_model": "scored through {}",
}
"""Condition → how a change of it is told; another one is told by its name."""

HIDDEN = ("chat_template", "system_prompt")
"""Conditions whose values are hashes: shown only where there are several."""

NAME = "name"
"""The condition of a task that a harness calls otherwise than its canonical name."""

ALWAYS = ("items",)
"""Conditions that are told even where they do not change."""

MAX_VALUE = 80
"""Characters of a value that are kept."""

MAX_PARTS = 4
"""A change that takes more parts than this is told by its values and their numbers of checkpoints."""


_BREAKS = re.compile(r"[;=\s]+")


def conditions_text(said: Mapping[str, object]) -> str | None:
    """The column `conditions` of what is known; None values are left out."""
    pairs = (f"{name}={_plain(str(value))}" for name, value in said.items() if value is not None)
    return "; ".join(pairs) or None


@lru_cache(4096)
def _plain(text: str) -> str:
    """A value without what parts values."""
    return _BREAKS.sub(" ", text).strip()[:MAX_VALUE]


def read_conditions(text: str | None) -> dict[str, str]:
    """The conditions in a text."""
    pairs = (part.partition("=") for part in (text or "").split("; ") if "=" in part)
    return {name: value for name, _, value in pairs}


def condition_changes(frame: pl.DataFrame) -> pl.DataFrame:
    """Where a condition changes along a curve: run, task, step of the first change, condition, detail."""
    found: list[tuple[str, str, int | None, str, str]] = []
    if "conditions" in frame.columns and frame["conditions"].null_count() < len(frame):
        curve = ["run", "task", "n_shot", "variant"]
        some = (
            frame.select(*curve, "step", "conditions").unique().drop_nulls(["run", "task", "step"])
            .group_by(curve).agg(pl.col("step", "conditions").sort_by("step", "conditions"))
            .sort(curve, nulls_last=False)
        )  # fmt: skip
        for run, task, _, _, steps, texts in some.iter_rows():
            found += ((run, task, *change) for change in _changes(task, steps, texts))
    schema = {
        "run": pl.String,
        "task": pl.String,
        "step": pl.Int64,
        "condition": pl.String,
        "detail": pl.String,
    }
    return pl.DataFrame(found, schema=schema, orient="row").unique(maintain_order=True)


def setting_changes(frame: pl.DataFrame) -> pl.DataFrame:
    """Where one setting of a task (shots, variant) ends and another begins: run, task, step, detail.

    Two settings that both have values at some step are two curves, and no change.
    """
    schema = {"run": pl.String, "task": pl.String, "step": pl.Int64, "detail": pl.String}
    needed = ["run", "task", "metric", "n_shot", "variant", "step"]
    points = frame.select(needed).drop_nulls(["run", "task", "metric", "step"]).unique()
    key = ["run", "task", "metric"]
    parted = (
        points.group_by(key)
        .agg(
            pl.struct("n_shot", "variant").n_unique().alias("settings"),
            pl.len().alias("points"),
            pl.col("step").n_unique().alias("steps"),
        )
        .filter((pl.col("settings") > 1) & (pl.col("points") == pl.col("steps")))
    )
    found = []
    for (run, task, _), its in points.join(parted, on=key).sort("step").group_by(key, maintain_order=True):
        words = [_setting(n_shot, variant) for n_shot, variant in its.select("n_shot", "variant").iter_rows()]
        steps = its["step"].to_list()
        first = next(step for step, word in zip(steps, words, strict=True) if word != words[0])
        found.append((str(run), str(task), int(first), _told(steps, words)))
    return pl.DataFrame(found, schema=schema, orient="row").unique(maintain_order=True).sort("run", "task")


def _setting(n_shot: int | None, variant: str | None) -> str:
    shots = None if n_shot is None else f"{n_shot}-shot"
    return " ".join(filter(None, [shots, variant])) or "no shots or variant told"


def _changes(
    task: str, steps: Sequence[int], texts: Sequence[str | None]
) -> Iterable[tuple[int | None, str, str]]:
    """(step of the first change, condition, sentence) of one curve's conditions by step."""
    if len(set(texts)) == 1 and not any(f"{name}=" in (texts[0] or "") for name in ALWAYS):
        return
    said = [read_conditions(text) for text in texts]
    for name in dict.fromkeys(name for one in said for name in one):
        values = [one.get(name, task if name == NAME else None) for one in said]
        several = len(set(values)) > 1
        if not several and name not in ALWAYS:
            continue
        if name in HIDDEN and len({value for value in values if value is not None}) == 1:
            values = [None if value is None else "" for value in values]
        words = _told(steps, values) if several else f"{values[0]} at every step"
        sentence = SENTENCES.get(name, name.replace("_", " ") + " {}").format(words)
        first = next((step for step, value in zip(steps, values, strict=True) if value != values[0]), None)
        yield first, name, sentence


def _told(steps: Sequence[int], values: Sequence[str | None]) -> str:
    """Values and where they hold: "1.0 until step 2000, 2.0 from step 3000". None: nothing to tell there."""
    parts: list[tuple[str | None, int, int]] = []
    for step, value in zip(steps, values, strict=True):
        if parts and parts[-1][0] == value:
            parts[-1] = (value, parts[-1][1], step)
        else:
            parts.append((value, step, step))
    shown = [part for part in parts if part[0] is not None]
    if len(shown) > MAX_PARTS:
        numbers = {value: list(values).count(value) for value in dict.fromkeys(values) if value is not None}
        return ", ".join(f"{value} at {number} checkpoints".strip() for value, number in numbers.items())
    return ", ".join(f"{value} {_where(part, parts)}".strip() for part in shown for value in part[:1])


def _where(part: tuple[str | None, int, int], parts: Sequence[tuple[str | None, int, int]]) -> str:
    _, first, last = part
    if part == parts[0]:
        return f"at step {first}" if first == last else f"until step {last}"
    if part == parts[-1]:
        return f"from step {first}"
    return f"at step {first}" if first == last else f"from step {first} to {last}"
