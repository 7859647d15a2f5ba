"""What is asked of the page's API and what it answers: documents, and of them its description."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

MOST_NAMES = 2_000
"""Runs, tasks and settings of a table that are listed to choose from; all can be asked for by name."""

AT_ONCE = 600
"""Curves that a page shows without being asked for more: a second's work."""


OFFERED: dict[str, tuple[str, str | None]] = {
    "neuneu-2": ("The forecaster to use: the curve, the run's other tasks, finished runs, the atlas.", None),
    "last-value": ("The value at the context end, for ever.", None),
    "mean-k": ("The mean of the last five values, for ever.", None),
    "log-linear": ("A line in log-clock through all points.", None),
    "power-law": ("A power law of the clock, by least squares.", None),
    "broken-power-law": ("A power law whose exponent changes once inside the context.", None),
    "gaussian-process": ("A power law and a Matérn process for what departs from it.", None),
    "lightgbm": ("What trees add to the mean of both power laws.", "lightgbm"),
    "lc-pfn": ("A transformer that read made-up curves goes on with this one.", "torch"),
    "damped-holt": ("Exponential smoothing with a damped trend.", "statsforecast"),
    "dot": ("The dynamic optimised theta model.", "statsforecast"),
}
"""Forecasters that answer as they ship, from a curve alone → what each is, and the library that it needs.
They are written down, since to find them each would have to be loaded; a test asks every one."""


def offered() -> Iterator[str]:
    """Forecasters that can answer here: their library is installed."""
    return (name for name, (_, library) in OFFERED.items() if library is None or _is_here(library))


def _is_here(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ImportError:
        return False


@dataclass(frozen=True)
class Started:
    """What the server was started with. losses: of its table's checkpoints; references: as in `forecast`."""

    losses: Path | None = None
    references: str = "none"


class Asked(BaseModel):
    """What is asked of a curve table."""

    forecaster: str = Field(
        default="",
        max_length=500,
        description="Of /api/forecasters, several with commas; else the default.",
    )
    context: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of each run's clock that is seen: 1 is all.",
    )
    beyond: float | None = Field(
        default=None,
        gt=1,
        le=1000,
        description="Up to this multiple of the clock; else to the planned end.",
    )
    metric: str | None = Field(default=None, description="One accuracy a curve where not given.")
    run: list[str] = Field(default=[], description="Only these runs.")
    task: list[str] = Field(default=[], description="Only these tasks.")
    n_shot: int | None = Field(default=None, ge=0, le=2**31, description="Only with this number of shots.")
    variant: str | None = Field(default=None, description="Only this variant of the tasks.")
    references: Literal["", "none", "smaller", "finished"] = Field(
        default="",
        description="Finished runs that may be looked at; empty: as the server was started.",
    )
    table: str = Field(
        default="",
        max_length=64,
        description="A table that was sent before, by its id, in place of a body.",
    )


class Sent(BaseModel):
    """How the files of a body are to be read, as `neuneu import` takes it."""

    name: str = Field(
        default="curves.parquet", max_length=500, description="The file's name, for a body that is one file."
    )
    format: str = Field(default="auto", max_length=100, description="A format of /api/formats, or auto.")
    run_name: str | None = Field(default=None, max_length=500, description="The run, where there is one.")
    params: int | None = Field(default=None, ge=1, lt=2**62, description="The model's parameters.")
    tokens_per_step: int | None = Field(default=None, ge=1, lt=2**62, description="Batch size in tokens.")
    planned_tokens: int | None = Field(default=None, ge=1, lt=2**62, description="Where the run will end.")
    schedule: str | None = Field(
        default=None, max_length=50, description="Of the learning rate: constant, cosine, linear, wsd:0.8."
    )
    keep: Literal["first", "last"] | None = Field(
        default=None, description="Which of two different values of one step stays; else they are refused."
    )

    @property
    def says_nothing(self) -> bool:
        """Whether the files speak for themselves."""
        return self.model_copy(update={"name": ""}) == Sent(name="")


class Sending(Asked, Sent):
    """A question about files that come with it, or about a table that is here."""

    @property
    def asked(self) -> Asked:
        """The question."""
        return Asked.model_validate(self.model_dump(include=set(Asked.model_fields)))

    @property
    def sent(self) -> Sent:
        """How its files are read."""
        return Sent.model_validate(self.model_dump(include=set(Sent.model_fields)))


class Message(BaseModel):
    """What is wrong with a request, in one line."""

    error: str


class ForecasterInfo(BaseModel):
    """A forecaster that can answer here."""

    name: str
    description: str
    default: bool


class FormatInfo(BaseModel):
    """A format of result files; names: patterns of its files' names."""

    name: str
    about: str
    names: list[str]


class RunInfo(BaseModel):
    """A run of a table; clock: of its last checkpoint; planned: where it will end, null where unknown."""

    name: str
    tasks: int
    checkpoints: int
    clock: float
    clock_unit: str
    planned: float | None


class SettingInfo(BaseModel):
    """A metric, number of shots and variant that a table holds."""

    metric: str
    n_shot: int | None
    variant: str | None
    curves: int
    tasks: int


class TableInfo(BaseModel):
    """What was read, and what there is to choose from.

    read: what was recognised, skipped and noted, a line each; suggested: a question that is answered in about
    a second.
    """

    id: str
    name: str
    n_values: int
    n_runs: int
    n_tasks: int
    n_curves: int = Field(description="With an accuracy, one metric each: what a forecast is of.")
    read: list[str]
    runs: list[RunInfo]
    tasks: list[str]
    settings: list[SettingInfo]
    suggested: dict[str, list[str]]


@dataclass(frozen=True)
class Followed:
    """News of followed files. info: of the table at `path`, None where nothing can be read; changed: runs,
    the first of n_changed; problems: what was skipped, or why nothing can be read.
    """

    info: TableInfo | None
    path: Path
    changed: list[str]
    n_changed: int
    problems: list[str]


class Score(BaseModel):
    """A forecaster's scores where the truth is known; errors in points for accuracies, null where unknown."""

    forecaster: str
    mae: float | None
    mae_low: float | None = Field(description="95 % interval by bootstrap over runs")
    mae_high: float | None
    pinball: float | None
    coverage80: float | None
    n_refused: int


class ForecastAnswer(BaseModel):
    """Forecasts of a table's curves."""

    forecaster: str
    context: float
    n_curves: int
    n_left_out: int
    noise_floor: float | None
    scores: list[Score]
    cells: list[dict[str, Any]] = Field(description="A row a forecaster and horizon, as in cells.parquet.")


class RankedRun(BaseModel):
    """A run at the common horizon: mean over tasks (q10, q50, q90), P(best), P(beats the favourite)."""

    run: str
    q10: float
    q50: float
    q90: float
    p_best: float
    p_beats_favourite: float | None
    at: float
    finished: bool


class Pair(BaseModel):
    """P(run beats other)."""

    run: str
    other: str
    p_run_wins: float


class Ranking(BaseModel):
    """Which run wins, with what probability. at: clock of the comparison; shared: what it is a mean over."""

    forecaster: str
    at: float
    shared: str
    lower_is_better: bool
    runs: list[RankedRun]
    pairs: list[Pair] = Field(description="Of up to twenty runs; else empty.")
    left_out: dict[str, str]


class PageInfo(BaseModel):
    """What the page starts with. served: the table that the server offers; follows: whether it grows."""

    version: str
    default: str
    served: TableInfo | None
    trouble: str | None = Field(description="Why the served files cannot be read now; null where they can.")
    follows: bool
    max_bytes: int
    references: str
