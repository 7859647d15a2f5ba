"""What figures are drawn from: curve tables, and evaluations side by side, with labels and seeds."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.broken import broken_in_words
from neuneu.curves.seeds import JoinedSeeds
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.published_results import is_published, read_published
from neuneu.evaluation.side_by_side import (
    Evaluation,
    average_seeds,
    join_cells,
    join_leaderboards,
    name_apart,
    parse_label,
)
from neuneu.files import read_json, read_object
from neuneu.files.tables import parquet_columns
from neuneu.forecasts.cells import check_cells, read_cells

CELLS_FILE, LEADERBOARD_FILE, DECISIONS_FILE = "cells.parquet", "leaderboard.json", "decisions.json"


@dataclass
class Inputs:
    """What the given files hold.

    cells, leaderboard: of all evaluations together, forecasters named apart; decisions: what each
    evaluation's decisions.json holds; notes: for people, on what was left out or taken together; seeds: which
    runs of the curves are the mean of several.
    """

    curves: CurveTable | None = None
    cells: pl.DataFrame | None = None
    leaderboard: dict[str, Any] | None = None
    decisions: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seeds: JoinedSeeds | None = None


def read_inputs(paths: Sequence[str | Path]) -> Inputs:
    """Tell curve tables, cells, leaderboards and published results apart and read them.

    paths: files, folders that `evaluate` or NeuNeu's evaluator wrote (directly, or in seed folders), or
    LABEL=PATH. Raises InputError on what is none of these, and where evaluations have no cell in common.
    """
    curves: list[Path] = []
    evaluations: list[Evaluation] = []
    decisions: list[dict[str, Any]] = []
    for given in paths:
        label, path = parse_label(str(given))
        if (path / DECISIONS_FILE).is_file():
            decisions.append(read_object(path / DECISIONS_FILE))
        found = list(_evaluations(path))
        if not found and label is None:
            curves.append(path)
        elif not found:
            raise InputError("a label is for an evaluation; here is none", where=path, field="path")
        evaluations += [replace(each, label=label) for each in found]
    inputs = Inputs(CurveTable.read_sound(*curves) if curves else None, decisions=decisions)
    inputs.notes += broken_in_words(inputs.curves.broken) if inputs.curves is not None else []
    if evaluations:
        _join(inputs, evaluations)
    return inputs


def _join(inputs: Inputs, evaluations: list[Evaluation]) -> None:
    evaluations = _apart(evaluations)
    names = name_apart(evaluations)
    with_cells = [i for i, each in enumerate(evaluations) if each.cells is not None]
    if with_cells:
        inputs.cells, notes = join_cells([evaluations[i] for i in with_cells], [names[i] for i in with_cells])
        inputs.notes += notes
    with_boards = [i for i, each in enumerate(evaluations) if each.leaderboard is not None]
    if with_boards:
        inputs.leaderboard = join_leaderboards(
            [evaluations[i] for i in with_boards], [names[i] for i in with_boards]
        )
        without = [each.label or each.folder for each in evaluations if each.leaderboard is None]
        if without:
            inputs.leaderboard = None


def _apart(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Folders of one name are told apart by their place."""
    known: dict[str, set[str]] = {}
    for each in evaluations:
        known.setdefault(each.folder, set()).add(each.where)
    return [
        each if len(known[each.folder]) == 1 else replace(each, folder=each.where) for each in evaluations
    ]


def _evaluations(path: Path) -> Iterator[Evaluation]:
    """The evaluations at a path: none where it is a curve table."""
    if path.is_dir():
        seeds = [folder for folder in sorted(path.glob("seed*")) if re.fullmatch(r"seed\d+", folder.name)]
        inside = [folder for folder in seeds if (folder / CELLS_FILE).is_file() or is_published(folder)]
        if inside and not (path / CELLS_FILE).is_file():
            for folder in inside:
                seed = int(folder.name.removeprefix("seed"))
                yield replace(_folder(folder), folder=path.resolve().name, where=str(path), seed=seed)
        else:
            yield _folder(path)
    elif path.suffix == ".json" and is_published(path):
        yield Evaluation(path.stem, check_cells(read_published(path), path), where=str(path))
    elif path.suffix == ".json" and path.is_file() and isinstance(read_json(path), dict):
        yield Evaluation(path.stem, None, _read_leaderboard(path), where=str(path))
    elif _is_cells(path):
        yield Evaluation(path.stem, read_cells(path), where=str(path))


def _folder(path: Path) -> Evaluation:
    board = path / LEADERBOARD_FILE
    document = _read_leaderboard(board) if board.is_file() else None
    published = not (path / CELLS_FILE).is_file() and is_published(path)
    if not published and not (path / CELLS_FILE).is_file():
        rule = f"holds no evaluation ({CELLS_FILE}): `neuneu evaluate CURVES -o {path}` writes one"
        raise InputError(rule, where=path)
    cells = check_cells(read_published(path), path) if published else read_cells(path)
    return Evaluation(path.resolve().name, cells, document, where=str(path))


def _is_cells(path: Path) -> bool:
    """Whether a Parquet file has forecasts in it; anything unreadable is left to the reader of curves."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return "forecaster" in parquet_columns(path)
    except InputError:
        return False


def _read_leaderboard(path: Path) -> dict[str, Any]:
    document = read_object(path)
    for name in ("overall", "sources"):
        if not document.get(name):
            raise InputError("is missing; a leaderboard comes from `neuneu evaluate`", where=path, field=name)
    sources = {name: average_seeds(rows, keep=False) for name, rows in document["sources"].items()}
    return {**document, "overall": average_seeds(document["overall"], keep=False), "sources": sources}
