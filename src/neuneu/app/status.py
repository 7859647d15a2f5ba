"""The status file of `watch`: what each run will score and what somebody should look at, as JSON."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from neuneu.errors import InputError
from neuneu.files import check_document, read_object

SCHEMA: Final = 1
"""Version of the status file: fields are only ever added within one."""


class _Part(BaseModel):
    """A part of the file; fields of later versions are let be."""

    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="null")


class StatusHorizon(_Part):
    """Quantiles of what a curve will be at a clock value."""

    clock: float
    q05: float | None
    q10: float | None
    q50: float | None
    q90: float | None
    q95: float | None


class CurveStatus(_Part):
    """A curve of a run: its last checkpoint, and forecasts; none where the forecaster declines."""

    run: str
    task: str
    metric: str
    n_shot: int | None
    variant: str | None
    step: int = Field(description="Of the last checkpoint.")
    value: float = Field(description="Measured there.")
    forecasts: list[StatusHorizon]


class RunStatus(_Part):
    """A run in flight, or one that has ended."""

    clock: float = Field(description="Of the last checkpoint.")
    clock_unit: str = Field(description="tokens, flops or step.")
    curves: list[CurveStatus]


class AlertStatus(_Part):
    """Something that somebody should look at."""

    kind: Literal["target", "outside", "outlier", "falls"]
    run: str
    task: str | None = Field(description="None where it is of the whole run.")
    step: int = Field(description="The checkpoint that shows it.")
    reason: str = Field(description="One sentence.")
    told: bool = Field(False, description="Whether the program and the webhook that are told have taken it.")


class Status(_Part):
    """The whole file."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_: Literal[1] = Field(
        SCHEMA, alias="schema", description="Version; fields are only added within one."
    )
    neuneu: str = Field(description="Version of neuneu that wrote it.")
    updated: str = Field(description="When, UTC, ISO 8601.")
    forecaster: str
    runs: dict[str, RunStatus]
    alerts: list[AlertStatus]
    problems: list[str] = Field(description="What could not be read or forecast, and what one should know.")
    folder: str | None = Field(None, description="What is watched. None in files of before.")
    target: float | None = Field(None, description="Mean over tasks that each run should reach, if any.")

    def same_watch(self, other: "Status") -> bool:
        """Whether both are of one folder, forecaster and target; files of before say the forecaster alone."""
        named = ("forecaster",) if self.folder is None else ("forecaster", "folder", "target")
        return all(getattr(self, name) == getattr(other, name) for name in named)


def read_status(path: str | Path) -> Status | None:
    """The status that is there; None where there is none, or what is there is no status of this schema."""
    if not Path(path).exists():
        return None
    try:
        return check_document(Status, read_object(path), path)
    except InputError:
        return None
