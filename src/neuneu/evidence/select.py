"""Which curves are asked: runs, tasks, metric, shots and variant by name; the one choice that all use."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError, check_known


@dataclass(frozen=True)
class Selection:
    """The curves that are asked: of these runs and tasks, in one metric, in this setting.

    runs, tasks: names, all where empty; metric: None takes the preferred accuracy of each curve
    (`curves.tasks.ACCURACIES`); n_shot, variant: None takes every setting, each as a curve of its own.
    """

    runs: Sequence[str] = ()
    tasks: Sequence[str] = ()
    metric: str | None = None
    n_shot: int | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        """Refuse a name where a list of names belongs."""
        for field, value in (("run", self.runs), ("task", self.tasks)):
            if isinstance(value, str):
                raise InputError("must be a list of names, such as ['a']", field=field, value=value)

    def of(self, table: CurveTable) -> CurveTable:
        """The chosen curves of a table.

        Raises InputError on a name that the table has not (near ones are offered) and where no curve is left.
        """
        self.check_sound(table)
        self.check([table])
        chosen = self.narrowed(table)
        if not len(chosen):
            rule = "no such curve with an accuracy; name a metric of the table: "
            raise InputError(rule + ", ".join(table.metrics), field="metric")
        return chosen

    def check_sound(self, table: CurveTable) -> None:
        """Raise what is wrong with a broken curve of the table, if these curves include it."""
        for key, error in table.broken:
            metric = key.metric == self.metric if self.metric else find_metric(key.metric).accuracy
            wanted = (not self.runs or key.run in self.runs) and (not self.tasks or key.task in self.tasks)
            setting = self.n_shot in (None, key.n_shot) and self.variant in (None, key.variant)
            if wanted and setting and metric:
                raise error

    def check(self, tables: Sequence[CurveTable]) -> None:
        """Raise InputError, with near names, on a name that none of these tables has."""
        wanted: dict[str, Sequence[object]] = {
            "run": list(self.runs), "task": list(self.tasks),
            **{name: [value] for name, value in self.setting.items()},
        }  # fmt: skip
        for field, values in wanted.items():
            known = sorted({name for t in tables for name in t.frame[field].unique().drop_nulls()})
            for value in values:
                check_known(value, known, field)

    def narrowed(self, table: CurveTable) -> CurveTable:
        """The chosen curves of a table, which may be none; names are not checked."""
        frame = table.frame
        for field, values in (("run", self.runs), ("task", self.tasks)):
            frame = frame.filter(pl.col(field).is_in(list(values))) if values else frame
        for field, value in (("n_shot", self.n_shot), ("variant", self.variant)):
            frame = frame.filter(pl.col(field) == value) if value is not None else frame
        narrow = table if len(frame) == len(table.frame) else CurveTable(frame)
        if self.metric is not None and self.metric not in narrow.metrics:
            return CurveTable(frame.clear())
        return narrow.one_metric(self.metric)

    @property
    def setting(self) -> dict[str, object]:
        """What is said of the setting in words: metric, shots and variant where they were named."""
        named = {"metric": self.metric, "n_shot": self.n_shot, "variant": self.variant}
        return {name: value for name, value in named.items() if value is not None}

    def named(self) -> list[tuple[str, str]]:
        """What was chosen as (option, value), in the order of the command line's options."""
        pairs = [("run", run) for run in self.runs] + [("task", task) for task in self.tasks]
        return pairs + [(name.replace("_", "-"), str(value)) for name, value in self.setting.items()]
