"""What a tracker is told: project, name and configuration, then every record."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tests.forecasters.neuneu.small import make_config

from neuneu.errors import MissingExtraError
from neuneu.forecasters.neuneu.tracking import make_tracker


class Recorder(types.ModuleType):
    """Takes what wandb and trackio take, which are no dependencies of the tests."""

    def __init__(self) -> None:
        super().__init__("trackio")
        self.started: dict[str, Any] = {}
        self.records: list[tuple[int, dict[str, float]]] = []

    def init(self, **about: Any) -> "Recorder":
        self.started = about
        return self

    def log(self, record: dict[str, float], step: int) -> None:
        self.records.append((step, record))


@pytest.mark.parametrize(
    ("named", "project", "run"),
    [({}, "neuneu", "folder"), ({"tracker_project": "paper", "tracker_run": "cnn"}, "paper", "cnn")],
)
def test_project_and_run_are_named(
    monkeypatch: pytest.MonkeyPatch, named: dict[str, str], project: str, run: str
) -> None:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "trackio", recorder)
    config = make_config(training={"tracker": "trackio", **named})
    report = make_tracker(config, Path("out/folder"))
    report({"step": 7.0, "loss": 0.5})
    assert (recorder.started["project"], recorder.started["name"]) == (project, run)
    assert recorder.started["config"]["forecaster"] == "neuneu"
    assert recorder.records == [(7, {"loss": 0.5})]


def test_a_missing_tracker_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match="track"):
        make_tracker(make_config(training={"tracker": "wandb"}), Path("x"))
