"""Runs that differ in their seed alone: which they are, and such runs as one, with a band.

Two runs differ in their seed alone where source, family, size, recipe and planned tokens agree, and either
their names are the same but for the seed (`seed13`, or the number in the column `seed`), or the names say
nothing of seeds but the columns do: recipe, size and seed are known of all of them, the seeds all different.
Whatever else two names tell, a learning rate or a stage, keeps them apart.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, count

import polars as pl

from neuneu.curves.broken import BrokenCurve
from neuneu.curves.columns import KEY, SCHEMA
from neuneu.curves.curve import CurveKey, Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, brief_name, how_many, some_of

FACTS = ("source", "family", "params", "recipe", "planned_tokens", "schedule")
"""What runs that differ in their seed alone have in common."""

_SEED = re.compile(r"(?<![a-z])seed[-_=. ]?(?P<seed>\d+)(?!\d)", re.IGNORECASE)
"""seed13, seed-13, seed_13, seed=13; not linseed13."""

_EDGES = "-_.=,+/ "

SHOWN = 3
"""So many members are named where there are many."""


class Seeds(StrEnum):
    """How runs that differ in their seed alone are shown: each by itself, or as one with a band."""

    each = "each"
    band = "band"


@dataclass(frozen=True)
class JoinedSeeds:
    """A table in which runs that differ in their seed alone are one run, the mean of its seeds.

    table: means at the checkpoints that all seeds of a run have, other runs as they were; single: the table
    before; members: joined run → its runs; band: a row a joined value (KEY, step, tokens) with low, high and
    spread (standard deviation, n − 1) over its seeds; left_out: joined run → what some of its seeds
    lack, for people.
    """

    table: CurveTable
    single: CurveTable
    members: Mapping[str, tuple[str, ...]]
    band: pl.DataFrame
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, run: str) -> str:
        """The name of a run here: that of the joined run where it is one of its seeds."""
        return next((name for name, runs in self.members.items() if run in runs), run)

    def count(self, run: str) -> int:
        """How many seeds a run is the mean of, 1 where it is a single run."""
        return len(self.members.get(run, (run,)))

    def edges(self, key: CurveKey) -> tuple[Floats, Floats, Floats]:
        """Step, lowest and highest value over the seeds of a curve, (n,) each; empty of a single run."""
        own = self.band.filter(
            pl.col(name).eq_missing(pl.lit(value)) for name, value in key._asdict().items()
        )
        step, low, high = (own[name].cast(pl.Float64).to_numpy() for name in ("step", "low", "high"))
        return step, low, high

    def in_words(self, runs: Collection[str] = ()) -> list[str]:
        """Which runs were joined, and what was left out. runs: only these; all where empty.

        A line each for the first SHOWN runs, one for how many more there are: a table stays in sight.
        """
        lines = []
        joined = {name: members for name, members in self.members.items() if not runs or name in runs}
        for number, (name, members) in enumerate(joined.items()):
            if number == SHOWN:
                lines.append(f"seeds: the same of {how_many(len(joined) - SHOWN, 'more run')}")
            lines += [f"left out: {name}: {what}" for what in self.left_out.get(name, ())]
            if number >= SHOWN:
                continue
            lines.append(f"seeds: {brief_name(name)} is the mean of {some_of(members, SHOWN)}")
        return lines


def seed_groups(frame: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Runs of a curve table that differ in their seed alone: joined name → its runs, two or more, sorted.

    The joined name is the common one without its seed, or where the names say no seed, the first run's with
    the number of others. It is no name of a run of the table.
    """
    facts = frame.group_by("run").agg(pl.col(*FACTS, "seed").drop_nulls().first()).sort("run")
    named: dict[tuple[object, ...], dict[str, str]] = {}
    told: dict[tuple[object, ...], dict[str, str | None]] = {}
    for row in facts.iter_rows(named=True):
        common = tuple(row[name] for name in FACTS)
        stem, seed = without_seed(row["run"], row["seed"])
        if seed is not None:
            named.setdefault((*common, stem), {})[row["run"]] = seed
        elif row["params"] is not None and row["recipe"] is not None:
            told.setdefault(common, {})[row["run"]] = row["seed"]
    taken = set(facts["run"])
    groups: dict[str, tuple[str, ...]] = {}
    for key, seeds in named.items():
        if _all_different(list(seeds.values())):
            groups[_free_name(str(key[-1]) or next(iter(seeds)), taken, len(seeds))] = tuple(sorted(seeds))
    for numbers in told.values():
        if _all_different(list(numbers.values())):
            first, *others = sorted(numbers)
            groups[_free_name(f"{first} and {len(others)} more", taken, len(numbers))] = (first, *others)
    return dict(sorted(groups.items()))


def without_seed(run: str, seed: str | None = None) -> tuple[str, str | None]:
    """A run's name without its seed, and the seed that it says; (name, None) where it says none.

    seed: of the column; the name says it where the last such number in it stands alone: a0 of seed 0, a-13 of
    seed 13, not a-130.
    """
    said = list(_SEED.finditer(run))
    if not said and seed is not None:
        said = list(re.finditer(rf"(?<![\d.])(?P<seed>{re.escape(seed)})(?![\d.])", run))
    if not said:
        return run, None
    last = said[-1]
    parts = run[: last.start()].rstrip(_EDGES), run[last.end() :].lstrip(_EDGES)
    return "-".join(part for part in parts if part), last["seed"]


def join_seeds(table: CurveTable) -> JoinedSeeds:
    """Runs that differ in their seed alone as one: means over the seeds at checkpoints that all of them have.

    Standard errors are those of the mean. A curve that some seed lacks is left out of the joined run, and so
    are checkpoints; both are told. Raises InputError where no two runs differ in their seed alone.
    """
    groups = seed_groups(table.frame)
    if not groups:
        rule = "no two runs differ in their seed alone (names or the column `seed` tell); leave it out"
        raise InputError(rule, field="seeds", value=Seeds.band.value)
    joined = {run: name for name, runs in groups.items() for run in runs}
    own = table.frame.filter(pl.col("run").is_in(list(joined)))
    renamed = own.with_columns(pl.col("run").replace(joined), pl.col("run").alias("_seed"))
    sizes = pl.DataFrame({"run": list(groups), "_size": [len(runs) for runs in groups.values()]})
    values = (
        renamed.group_by([*KEY, "step"])
        .agg(
            *(_common(name) for name in SCHEMA if name not in (*KEY, "step", "value", "stderr", "seed")),
            pl.col("value").mean(),
            (pl.col("stderr").pow(2).sum().sqrt() / pl.len()).alias("stderr"),
            pl.col("stderr").is_null().any().alias("_unknown"),
            pl.col("value").min().alias("low"),
            pl.col("value").max().alias("high"),
            pl.col("value").std().alias("spread"),
            pl.len().alias("seeds"),
            pl.col("tokens").n_unique().alias("_clocks"),
        )
        .join(sizes, on="run")
        .with_columns(pl.when(~pl.col("_unknown")).then("stderr").alias("stderr"))
    )
    whole = (pl.col("seeds") == pl.col("_size")) & (pl.col("_clocks") == 1)
    kept = values.filter(whole).sort([*KEY, "step"], nulls_last=False)
    if not len(kept):
        raise InputError("the seeds have no checkpoint in common", field="seeds", value=Seeds.band.value)
    frame = kept.with_columns(pl.lit(None, SCHEMA["seed"]).alias("seed")).select(list(SCHEMA))
    rest = table.frame.filter(~pl.col("run").is_in(list(joined)))
    every = pl.concat([rest, frame]).sort([*KEY, "step"], nulls_last=False)
    band = kept.select(*KEY, "step", "tokens", "low", "high", "spread", "seeds")
    broken = [(key._replace(run=joined.get(key.run, key.run)), error) for key, error in table.broken]
    means = CurveTable(every, [BrokenCurve(*each) for each in broken])
    return JoinedSeeds(means, table, groups, band, _lacking(values, whole))


def show_seeds(
    table: CurveTable, seeds: str, runs: Collection[str] = ()
) -> tuple[CurveTable, Sequence[str], JoinedSeeds | None]:
    """What `--seeds` asks for: the table, the chosen runs by their names in it, and the seeds where joined.

    runs: chosen by name, a joined run by its own name or one of its seeds; all where empty.
    """
    if seeds not in list(Seeds):
        raise InputError(f"must be one of {', '.join(Seeds)}", field="seeds", value=seeds)
    if seeds == Seeds.each:
        return table, list(runs), None
    found = join_seeds(table)
    return found.table, list(dict.fromkeys(found.of(run) for run in runs)), found


def _common(name: str) -> pl.Expr:
    """What all seeds say of a column, null where they differ."""
    column = pl.col(name)
    return pl.when(column.n_unique() == 1).then(column.first()).alias(name)


def _lacking(values: pl.DataFrame, whole: pl.Expr) -> dict[str, list[str]]:
    """Joined run → what some of its seeds lack, at most two lines."""
    curves = values.group_by(KEY).agg(whole.any().alias("kept"), (~whole).sum().alias("lost"))
    found: dict[str, list[str]] = {}
    for own in curves.sort(KEY, nulls_last=False).partition_by("run", maintain_order=True):
        lines = found.setdefault(own["run"][0], [])
        gone = own.filter(~pl.col("kept"))["task"].unique(maintain_order=True).to_list()
        if gone:
            lines.append(f"{some_of(gone, SHOWN)}: not all seeds have it")
        short = own.filter(pl.col("kept") & (pl.col("lost") > 0))
        if len(short):
            lost = max(short["lost"].to_list())
            lines.append(f"up to {how_many(lost, 'checkpoint')} a curve that not all seeds have")
    return found


def _all_different(seeds: Sequence[str | None]) -> bool:
    return len(seeds) > 1 and None not in seeds and len(set(seeds)) == len(seeds)


def _free_name(name: str, taken: set[str], n: int) -> str:
    """A name for a joined run that no run has."""
    further = (f"{name} ({n} seeds, {i})" for i in count(2))
    free = next(each for each in chain((name, f"{name} ({n} seeds)"), further) if each not in taken)
    taken.add(free)
    return free
