"""Which curves a forecaster may be fitted on when others are forecast: manifests and held-out groups."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, check_known
from neuneu.evaluation.protocol import MIN_CHECKPOINTS
from neuneu.files import read_document

FIELDS = {
    "run": "run",
    "family": "family",
    "recipe": "recipe",
    "size": "params",
    "task": "task",
    "source": "source",
}
"""What a manifest may split by → the column of the curve table."""

MAX_FOLDS = 5


@dataclass(frozen=True)
class Source:
    """A named set of curves: what one leaderboard section is about."""

    name: str
    table: CurveTable


@dataclass(frozen=True)
class Fold:
    """Runs forecast together, and what may be fitted on for them.

    test: (source, run) pairs; train: makes the curves that no tested run is in, None where none of them is
    long enough to learn from (made when asked for, since each is about as large as all of the data).
    """

    test: frozenset[tuple[str, str]]
    train: Callable[[], CurveTable | None]


@dataclass(frozen=True)
class Split:
    """How the harness fits: `rule` says it in words; tasks: the only tasks asked, all where None."""

    rule: str
    folds: tuple[Fold, ...]
    tasks: frozenset[str] | None = None


def read_sources(curves: Sequence[Any]) -> list[Source]:
    """Part curve tables by their `source` column; where that is empty, the file's stem, or `table`.

    curves: paths, curve tables or frames. Those that hold the same source are joined. Curves of a file that
    break a rule of rows are `broken` in the tables of its sources. The sources come sorted by name.
    """
    if isinstance(curves, str | Path | CurveTable):
        curves = [curves]
    if not curves:
        raise InputError("at least one table or file is needed", field="curves")
    parts: dict[str, list[CurveTable]] = defaultdict(list)
    for given in curves:
        stem = Path(given).stem if isinstance(given, str | Path) else "table"
        table = CurveTable.sound(given)
        frame = table.frame.with_columns(pl.col("source").fill_null(stem))
        for (name,), part in frame.partition_by("source", as_dict=True, maintain_order=True).items():
            parts[str(name)].append(CurveTable(part, table.broken))
    return [Source(name, parts[name][0] if len(parts[name]) == 1 else CurveTable.concat(parts[name]))
            for name in sorted(parts)]  # fmt: skip


def leave_source_out(sources: Sequence[Source], seed: int = 0) -> Split:
    """Each group of sources is forecast by methods fitted on all other groups.

    Sources that share a family, or a source without families its name, are one group; sources without a
    long enough curve are not asked. With one group only, its runs are dealt into up to five folds instead.
    """
    sources = [source for source in sources if _has_long_curves(source.table)] or sources
    groups = _groups(sources)
    if len(groups) == 1:
        return _folds_by_run(sources, seed)
    folds = []
    for group in groups:
        outside = [source for source in sources if source.name not in group]
        test = frozenset((s.name, run) for s in sources if s.name in group for run in s.table.runs)
        folds.append(Fold(test, partial(join_sources, outside)))
    names = "; ".join(" + ".join(sorted(group)) for group in groups)
    return Split(f"leave one group of sources out ({names})", tuple(folds))


def _groups(sources: Sequence[Source]) -> list[set[str]]:
    """Names of sources that share a family, directly or through another source; sorted."""
    groups: list[tuple[set[str], set[str]]] = []
    for source in sources:
        names, families = {source.name}, {str(f) for f in source.table.frame["family"].unique().drop_nulls()}
        families = families or {source.name}
        apart = []
        for other_names, other_families in groups:
            if other_families & families:
                names, families = names | other_names, families | other_families
            else:
                apart.append((other_names, other_families))
        groups = [*apart, (names, families)]
    return sorted((names for names, _ in groups), key=min)


def _folds_by_run(sources: Sequence[Source], seed: int) -> Split:
    runs = sorted({run for source in sources for run in source.table.runs})
    count = min(MAX_FOLDS, len(runs))
    dealt = np.random.default_rng(seed).permutation(len(runs)) % count
    folds = []
    for fold in range(count):
        tested = {run for run, at in zip(runs, dealt, strict=True) if at == fold}
        train = [
            Source(s.name, CurveTable(s.table.frame.filter(~pl.col("run").is_in(sorted(tested)))))
            for s in sources
        ]
        test = frozenset((s.name, run) for s in sources for run in s.table.runs if run in tested)
        folds.append(Fold(test, partial(join_sources, train)))
    return Split(f"{count} folds by run (one group of sources only)", tuple(folds))


def join_sources(sources: Sequence[Source]) -> CurveTable | None:
    """One table of several sources; a run name that two of them use becomes `source:run` in both.

    None where no curve is long enough to learn from.
    """
    frames = [source.table.frame for source in sources if _has_long_curves(source.table)]
    if not frames:
        return None
    count: dict[str, int] = defaultdict(int)
    for frame in frames:
        for run in frame["run"].unique():
            count[run] += 1
    twice = sorted(run for run, times in count.items() if times > 1)
    apart = pl.when(pl.col("run").is_in(twice)).then(pl.col("source") + ":" + pl.col("run"))
    joined = [frame.with_columns(apart.otherwise(pl.col("run")).alias("run")) for frame in frames]
    keys = ["run", "task", "metric", "n_shot", "variant", "step"]
    return CurveTable(pl.concat(joined).sort(keys, nulls_last=False))


def _has_long_curves(table: CurveTable) -> bool:
    lengths = table.frame.group_by("run", "task", "metric", "n_shot", "variant").len()["len"]
    return bool((lengths >= MIN_CHECKPOINTS).any())


def read_manifest(path: str | Path) -> dict[str, dict[str, list[Any]]]:
    """Read a split from JSON or YAML.

    `{"train": {FIELD: [value, …], …}, "test": {FIELD: [value, …], …}}` with FIELD among run, family, recipe,
    size (parameters), task and source; a row is on a side where every field named there has one of the
    values. Raises InputError where it is not of this form.
    """
    path = Path(path)
    document = read_document(path)
    if not isinstance(document, dict) or set(document) != {"train", "test"}:
        raise InputError("must hold `train` and `test` and nothing else", where=path, field="manifest")
    for side, conditions in document.items():
        if not isinstance(conditions, dict) or not conditions:
            raise InputError("must map fields to lists", where=path, field=side, value=conditions)
        for name, values in conditions.items():
            check_known(name, FIELDS, side, "unknown", path)
            if not isinstance(values, list) or not values:
                raise InputError(
                    "must be a list with a value", where=path, field=f"{side}.{name}", value=values
                )
    return document


def split_by_manifest(sources: Sequence[Source], manifest: dict[str, dict[str, list[Any]]]) -> Split:
    """One fold: fitted on the train side, asked on the test side.

    Raises InputError where a value is not in the data, a side is empty or a run is on both sides.
    """
    sides: dict[str, list[Source]] = {}
    for side, conditions in manifest.items():
        for name, values in conditions.items():
            known = {v for s in sources for v in s.table.frame[FIELDS[name]].unique().to_list()}
            for value in values:
                check_known(value, sorted(known, key=str), f"{side}.{name}", "is not in these curves")
        rule = [pl.col(FIELDS[name]).is_in(values) for name, values in conditions.items()]
        sides[side] = [Source(s.name, s.table.filter(*rule)) for s in sources]
    runs = {
        side: {(s.name, run) for s in chosen if len(s.table) for run in s.table.runs}
        for side, chosen in sides.items()
    }
    for side, found in runs.items():
        if not found:
            raise InputError("no curve satisfies all of its conditions", field=side, value=manifest[side])
    both = sorted({run for _, run in runs["train"]} & {run for _, run in runs["test"]})
    if both:
        raise InputError("is on both sides; a run belongs to one", field="run", value=both[0])
    tasks = manifest["test"].get("task")
    fold = Fold(frozenset(runs["test"]), partial(join_sources, sides["train"]))
    rule_text = "manifest: fitted on the train side, asked on the test side"
    return Split(rule_text, (fold,), None if tasks is None else frozenset(tasks))
