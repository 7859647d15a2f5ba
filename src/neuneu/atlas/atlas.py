"""Atlas: laws of many families on many benchmarks, read from a small file; what a design will score."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.atlas.combine import SCORE_LEVELS, TaskLaw, combine
from neuneu.atlas.family_laws import KNOTS, Law, capability, fit_law
from neuneu.atlas.setting import Setting, setting_of, usual_format
from neuneu.curves.curve import CurveKey, Floats
from neuneu.curves.frames import read_frame
from neuneu.curves.table import KEY, CurveTable
from neuneu.curves.tasks import find_metric, find_task
from neuneu.errors import InputError, offered
from neuneu.files import write_table

SCALE = 10_000
"""Scores and spreads are stored in whole ten-thousandths."""
SCHEMA: dict[str, pl.DataType] = {
    "task": pl.String(), "format": pl.String(), "n_shot": pl.Int16(), "normalised": pl.Boolean(),
    "family": pl.String(), "runs": pl.Int16(), "knot": pl.UInt8(), "value": pl.UInt16(),
    "spread": pl.UInt16(),
}  # fmt: skip
"""Columns of an atlas's file: a row a knot of a law."""
LAW = ("task", "format", "n_shot", "normalised", "family", "runs")
PER_DOUBLING = 1.5
"""Of a run's checkpoints so many are read for each doubling of its tokens, the last of each."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What models of one design score on one task in one setting.

    levels, values: (n_levels,) quantiles of the score; chance: accuracy of guessing, None if unknown;
    above_chance: probability of `TAKEN_OFF` above chance; relatives: how many families say so, by nearness;
    families, runs: those behind it; shift: capability that the training data are worth,
    None where nothing is known of them.
    """

    task: str
    setting: Setting
    params: float
    tokens: float
    values: Floats
    mean: float
    deviation: float
    chance: float | None
    above_chance: float | None
    relatives: float
    families: int
    runs: int
    shift: float | None = None
    levels: tuple[float, ...] = SCORE_LEVELS


TAKEN_OFF = 0.05
"""A task has left chance where its score is so much above it."""


class Atlas:
    """Laws of families on benchmarks; answers what a family that is not among them would score."""

    def __init__(self, laws: dict[str, list[Law]]) -> None:
        """laws: by canonical task."""
        self.laws = laws
        self._known: dict[tuple[str, Setting, frozenset[str]], TaskLaw | None] = {}

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        return sorted(self.laws)

    @property
    def families(self) -> list[str]:
        """Names of the families, sorted."""
        return sorted({law.family for laws in self.laws.values() for law in laws})

    def law(self, task: str, setting: Setting, without: frozenset[str] = frozenset()) -> TaskLaw | None:
        """The distribution over capability for a family that is none of these; None where nothing is known.

        without: families that are left out, as a question's own is.
        """
        key = find_task(task).name, setting, without
        if key not in self._known:
            laws = [law for law in self.laws.get(key[0], ()) if law.family not in without]
            self._known[key] = combine(laws, setting)
        return self._known[key]

    def usual(self, task: str, *, normalised: bool = False) -> str | None:
        """The format in which a task is mostly asked: its usual one, unless the atlas has others only."""
        runs: dict[str | None, int] = defaultdict(int)
        for law in self.laws.get(find_task(task).name, ()):
            runs[law.setting.format] += law.runs
        usual = usual_format(task, normalised=normalised)
        return usual if usual in runs or not runs else max(runs, key=lambda name: runs[name])

    def scores(
        self,
        task: str,
        params: float,
        tokens: float,
        setting: Setting,
        without: Iterable[str] = (),
        shift: float | None = None,
    ) -> Scores:
        """What models of so many parameters score after so many tokens.

        shift: capability that the training data are worth (`Corpora.shift`). Raises InputError where the task
        is not in the atlas in a setting like this, or a number is not > 0.
        """
        for field, number in (("params", params), ("tokens", tokens)):
            if not (np.isfinite(number) and number > 0):
                raise InputError("must be a finite number above 0", field=field, value=number)
        known = find_task(task)
        law = self.law(task, setting, frozenset(without))
        if law is None:
            raise InputError(self._unknown(known.name), field="task", value=task)
        told = capability(params, tokens)
        x, values = told + (shift or 0.0), law.quantiles(told, shift)[0]
        off = None if known.chance is None else known.chance + TAKEN_OFF
        return Scores(
            task=known.name,
            setting=setting,
            params=float(params),
            tokens=float(tokens),
            values=values,
            mean=float(law.at(law.mean, x)),
            deviation=float(law.at(law.deviation, x)),
            chance=known.chance,
            above_chance=None if off is None else _above(values, off),
            relatives=float(law.at(law.relatives, x)),
            families=len(law.families),
            runs=law.runs,
            shift=shift,
        )

    def _unknown(self, task: str) -> str:
        if task in self.laws:
            others = sorted({str(law.setting.format) for law in self.laws[task]})
            return f"is in the atlas in other formats only: {', '.join(others)}"
        return f"not in the atlas of {len(self.laws)} tasks{offered(task, self.tasks)}"

    def extended(self, finished: CurveTable) -> "Atlas":
        """This atlas with the laws of a table's runs; a family that both have is the table's."""
        own = laws_of(finished)
        new = {law.family for laws in own.values() for law in laws}
        joined = {task: [law for law in laws if law.family not in new] for task, laws in self.laws.items()}
        for task, laws in own.items():
            joined.setdefault(task, []).extend(laws)
        return Atlas({task: laws for task, laws in joined.items() if laws})

    def write(self, path: str | Path) -> None:
        """Write the laws as a table (.parquet, .csv or .json), whole or not at all."""
        write_table(path, _frame(self.laws))

    @classmethod
    def read(cls, path: str | Path) -> "Atlas":
        """Read what `write` wrote. Raises InputError on a file that is not that."""
        frame = read_frame(path)
        missing = [name for name in SCHEMA if name not in frame.columns]
        if missing:
            raise InputError("the column is missing: not an atlas", where=path, field=missing[0])
        try:
            return cls(_laws(frame.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())))
        except (pl.exceptions.PolarsError, IndexError, ValueError) as error:
            raise InputError(f"not an atlas: {error}", where=path) from error


@cache
def shipped_atlas() -> Atlas:
    """The atlas that ships with the package; see docs/atlas.md for its sources and licences."""
    return Atlas.read(Path(str(files("neuneu.atlas").joinpath("shipped", "atlas.parquet"))))


def laws_of(table: CurveTable) -> dict[str, list[Law]]:
    """Laws of the families of a table, by task: of every accuracy of every checkpoint whose size and tokens
    are known.

    A run's family is its own, else its source, else itself. Raises InputError where no row tells enough.
    """
    frame = table.filter(
        pl.col("metric").is_in([name for name in table.metrics if find_metric(name).accuracy]),
        pl.col("params") > 0,
        pl.col("tokens") > 0,
    ).frame.with_columns(pl.coalesce("family", "source", "run").alias("family"))
    if not len(frame):
        raise InputError("needs accuracies of runs whose params and tokens are known", field="curves")
    doubling = (pl.col("tokens").log(2) * PER_DOUBLING).round().alias("doubling")
    frame = frame.with_columns(doubling).group_by(*KEY, "doubling", maintain_order=True).last()
    laws: dict[str, list[Law]] = defaultdict(list)
    keys = frame.select("task", "metric", "n_shot", "variant").unique(maintain_order=True)
    settings = {row: setting_of(CurveKey("", *row)) for row in keys.iter_rows()}
    of_law: dict[tuple[str, str, Setting], list[pl.DataFrame]] = defaultdict(list)
    for key, part in frame.group_by("task", "metric", "n_shot", "variant", "family", maintain_order=True):
        task, family = str(key[0]), str(key[4])
        of_law[task, family, settings[key[:4]]].append(part)
    for (task, family, setting), parts in of_law.items():
        rows = pl.concat(parts)
        x = capability(rows["params"].to_numpy(), rows["tokens"].to_numpy())
        laws[task].append(fit_law(family, setting, rows["run"].n_unique(), x, rows["value"].to_numpy()))
    return dict(laws)


def _above(values: Floats, bar: float) -> float:
    """Probability that a score is above the bar, from its quantiles; tails as far as the outermost levels."""
    if values[-1] <= values[0]:
        return float(values[0] > bar)
    return float(1.0 - np.interp(bar, values, SCORE_LEVELS, left=0.0, right=1.0))


def _frame(laws: dict[str, list[Law]]) -> pl.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for task in sorted(laws):
        for law in sorted(laws[task], key=lambda law: (law.family, str(law.setting))):
            told = law.setting
            head = (task, told.format, told.n_shot, told.normalised, law.family, law.runs)
            values, spread = (np.round(part * SCALE).astype(int) for part in (law.values, law.spread))
            rows += [(*head, *row) for row in zip(law.knots.tolist(), values, spread, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _laws(frame: pl.DataFrame) -> dict[str, list[Law]]:
    if not len(frame) or frame["knot"].max() >= len(KNOTS):  # type: ignore[operator]
        raise ValueError("no laws, or knots beyond the last")
    laws: dict[str, list[Law]] = defaultdict(list)
    for key, part in frame.group_by(*LAW, maintain_order=True):
        task, form, shots, normalised, family, runs = key
        knots = part["knot"].to_numpy().astype(np.intp)
        if (np.diff(knots) != 1).any():
            raise ValueError("a law's knots must follow each other")
        values, spread = (part[name].to_numpy() / SCALE for name in ("value", "spread"))
        laws[str(task)].append(
            Law(str(family), Setting(form, shots, normalised), int(runs), knots, values, spread)
        )
    return dict(laws)
