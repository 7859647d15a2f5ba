"""Several evaluations side by side: who is called what, seeds of one method, and the cells that all answered.

The same forecaster of two evaluations is two rows unless it answered the same; nothing is pooled in silence.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import polars as pl

from neuneu.errors import InputError
from neuneu.evaluation.benchmark import YARDSTICKS
from neuneu.forecasts.cells import CURVE, QUANTILES

CELL = (*CURVE, "context_clock", "clock")
"""What makes a cell one cell, whoever answers it."""

SEED = re.compile(r"(?P<name>.+)/seed(?P<seed>\d+)")
"""A forecaster under one seed; the others of the same name are averaged with it."""

AVERAGED = re.compile(r"mae|rmse|pinball|coverage\d+|width\d+|skill_.*|ranking_[a-z_]+|pearson|spearman")
"""Numbers of a leaderboard's row that are averaged over seeds."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one evaluation gave.

    label: as it was given (`CNN=results/cnn`), None where it was not; folder: its name, for people; seed: of
    the seed folder that it is from, None otherwise; where: its path.
    """

    folder: str
    cells: pl.DataFrame | None = None
    leaderboard: dict[str, Any] | None = None
    label: str | None = None
    seed: int | None = None
    where: str = ""

    @property
    def forecasters(self) -> list[str]:
        """Who answered, in the order of the file."""
        if self.cells is not None:
            return [str(name) for name in self.cells["forecaster"].unique(maintain_order=True)]
        rows = (self.leaderboard or {}).get("overall", [])
        return [str(row["forecaster"]) for row in rows]


def parse_label(text: str) -> tuple[str | None, Path]:
    """`CNN=results/cnn` → its label and path; a path that exists is taken as it is."""
    label, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        return None, Path(text)
    if not label.strip() or not path:
        raise InputError("must be a path, or LABEL=PATH", field="path", value=text)
    return label.strip(), Path(path)


Names = list[dict[str, str]]
"""Of each evaluation: forecaster → what it is called beside the others."""


def name_apart(evaluations: Sequence[Evaluation]) -> Names:
    """What each forecaster of each evaluation is called beside the others.

    With a label, an evaluation's own forecaster goes by it (by label and name where there are several). A
    forecaster that gave the same answer wherever it was asked the same keeps its name and is one; otherwise
    the evaluation's name stands before it. Seeds of one evaluation keep one name and their number.
    """
    agrees = _agreement(evaluations)
    names: Names = []
    for evaluation in evaluations:
        own = [name for name in evaluation.forecasters if name not in YARDSTICKS]
        called: dict[str, str] = {}
        for name in evaluation.forecasters:
            where, base = evaluation.label or evaluation.folder, name
            found = SEED.fullmatch(name)
            if found and evaluation.seed == int(found["seed"]):
                base = found["name"]  # the folder of a seed, asked under that seed
            if agrees[name] and (name in YARDSTICKS or evaluation.label is None):
                called[name] = name
                continue
            if evaluation.label is not None and len(own) == 1 and name in own:
                full = evaluation.label
            elif len(_places(evaluations, name)) == 1 and evaluation.label is None:
                full = base
            else:
                full = f"{where}: {base}"
            called[name] = full if evaluation.seed is None else f"{full}/seed{evaluation.seed}"
        names.append(called)
    return names


def join_cells(evaluations: Sequence[Evaluation], names: Names) -> tuple[pl.DataFrame, list[str]]:
    """The cells that all forecasters answered, under their names here, and notes on what was left out.

    Raises InputError where they have no cell in common.
    """
    parts, notes = [], []
    for evaluation, called in zip(evaluations, names, strict=True):
        if evaluation.cells is None:
            raise InputError("this figure needs the cells of an evaluation", where=evaluation.folder)
        parts.append(evaluation.cells.with_columns(pl.col("forecaster").replace_strict(called)))
    cells = pl.concat(parts, how="diagonal_relaxed") if len(parts) > 1 else parts[0]
    cells = cells.unique([*CELL, "forecaster"], keep="first", maintain_order=True)
    n_names = cells["forecaster"].n_unique()
    answered = cells.group_by(CELL).agg(pl.col("forecaster").n_unique().alias("n"))
    common = answered.filter(n=n_names)
    if not len(common):
        known = ", ".join(dict.fromkeys(evaluation.label or evaluation.folder for evaluation in evaluations))
        raise InputError(f"{known} have no cell in common; evaluate the same curves", field="cells")
    if len(common) < len(answered):
        left = len(answered) - len(common)
        notes.append(f"{left} of {len(answered)} cells are left out: not all evaluations asked them")
        cells = cells.join(common.select(CELL), on=CELL, how="semi", nulls_equal=True, maintain_order="left")
    joined = sorted(
        {
            name
            for name in cells["forecaster"].unique().to_list()
            if sum(name in called.values() for called in names) > 1 and not _overlap(evaluations, names, name)
        }
    )
    if joined:
        notes.append(f"{', '.join(joined)}: asked other cells in each evaluation; taken together")
    return cells, notes


def average_seed_cells(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells with the seeds of each method as one: the mean of their quantiles."""
    members = {
        member: name
        for name, group in of_seeds(cells["forecaster"].unique().to_list()).items()
        for member in group
    }
    if not members:
        return cells
    named = cells.with_columns(pl.col("forecaster").replace(members))
    kept = [name for name in cells.columns if name not in (*CELL, "forecaster")]
    means = {name: pl.col(name).mean() for name in QUANTILES if name in kept}
    firsts = {name: pl.col(name).first() for name in kept if name not in means}
    averaged = named.group_by([*CELL, "forecaster"], maintain_order=True).agg(**means, **firsts)
    return averaged.select(cells.columns)


def join_leaderboards(evaluations: Sequence[Evaluation], names: Names) -> dict[str, Any]:
    """One document with the rows of all leaderboards, under their names here; the same name once.

    Raises InputError where an evaluation has no leaderboard.
    """
    documents = []
    for evaluation in evaluations:
        if evaluation.leaderboard is None:
            raise InputError("has no leaderboard.json", where=evaluation.folder)
        documents.append(evaluation.leaderboard)
    joined: dict[str, Any] = {**documents[0], "overall": [], "sources": {}, "noise_floor": {}}
    for document, called in zip(documents, names, strict=True):
        _add_rows(joined["overall"], document["overall"], called)
        for source, rows in document["sources"].items():
            _add_rows(joined["sources"].setdefault(source, []), rows, called)
        joined["noise_floor"] = {**document.get("noise_floor", {}), **joined["noise_floor"]}
    joined["overall"] = average_seeds(joined["overall"], keep=False)
    joined["sources"] = {name: average_seeds(rows, keep=False) for name, rows in joined["sources"].items()}
    return joined


def average_seeds(rows: Iterable[Mapping[str, Any]], *, keep: bool = True) -> list[dict[str, Any]]:
    """The rows, and one for each method under several seeds: means, and the standard deviation as `spread`.

    keep: whether the rows of the single seeds stay as well.
    """
    every = [dict(row) for row in rows]
    found = of_seeds(str(row["forecaster"]) for row in every)
    by_name = {str(row["forecaster"]): row for row in every}
    averaged = [
        _averaged(name, [by_name[member] for member in members])
        for name, members in found.items()
        if name not in by_name
    ]
    members = {member for group in found.values() for member in group}
    return [row for row in every if keep or row["forecaster"] not in members] + averaged


def of_seeds(names: Iterable[str]) -> dict[str, list[str]]:
    """Method → its names under several seeds, in order; methods without seeds are not there."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found = SEED.fullmatch(name)
        if found:
            groups[found["name"]].append(name)
    return dict(groups)


def _averaged(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {**rows[0], "forecaster": name, "n_seeds": len(rows), "intervals": {}}
    spread: dict[str, float | None] = {}
    for field in rows[0]:
        values = [each.get(field) for each in rows]
        if not AVERAGED.fullmatch(field):
            continue
        known = [float(value) for value in values if isinstance(value, int | float) and isfinite(value)]
        row[field] = mean(known) if len(known) == len(values) else None
        if len(known) == len(values) > 1:
            spread[field] = stdev(known)
    return {**row, "spread": spread}


def _add_rows(
    rows: list[dict[str, Any]], new: Iterable[Mapping[str, Any]], called: Mapping[str, str]
) -> None:
    known = {row["forecaster"] for row in rows}
    for row in new:
        name = called.get(str(row["forecaster"]), str(row["forecaster"]))
        if name not in known:
            rows.append({**row, "forecaster": name})


def _places(evaluations: Sequence[Evaluation], forecaster: str) -> list[str]:
    """Evaluations that have this forecaster, seeds of one counted once."""
    return list(dict.fromkeys(e.label or e.folder for e in evaluations if forecaster in e.forecasters))


def _agreement(evaluations: Sequence[Evaluation]) -> dict[str, bool]:
    """Whether a forecaster answered the same in every evaluation, wherever two asked the same cell."""
    every = dict.fromkeys(name for evaluation in evaluations for name in evaluation.forecasters)
    return {name: _said_the_same(evaluations, name) for name in every}


def _said_the_same(evaluations: Sequence[Evaluation], forecaster: str) -> bool:
    own = [e for e in evaluations if forecaster in e.forecasters]
    if len(own) == 1:
        return own[0].seed is None
    if all(e.cells is not None for e in own):
        cells = pl.concat(
            [e.cells.filter(forecaster=forecaster) for e in own if e.cells is not None],
            how="diagonal_relaxed",
        )
        present = [name for name in QUANTILES if name in cells.columns]
        return cells.unique([*CELL, *present]).height == cells.unique(CELL).height
    rows = [_row_of(e, forecaster) for e in own]
    return all(row == rows[0] for row in rows)


def _row_of(evaluation: Evaluation, forecaster: str) -> Any:
    rows = (evaluation.leaderboard or {}).get("overall", [])
    return next((row for row in rows if row["forecaster"] == forecaster), None)


def _overlap(evaluations: Sequence[Evaluation], names: Names, name: str) -> bool:
    """Whether two evaluations asked one cell of what is called so."""
    parts = [
        e.cells.filter(
            pl.col("forecaster").is_in([old for old, new in called.items() if new == name])
        ).select(CELL)
        for e, called in zip(evaluations, names, strict=True)
        if e.cells is not None and name in called.values()
    ]
    cells = pl.concat(parts, how="diagonal_relaxed")
    return cells.n_unique() < len(cells)
