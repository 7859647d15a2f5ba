"""Progress: what is counted is told to whoever listens, and shown on stderr where that is a terminal."""

import io
import sys
import time

import pytest
from tests.cli.terminal import Terminal

from neuneu.cli.bars import Bars, bars
from neuneu.progress import counted, heard, listening


class Ear:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def begin(self, what: str, total: int | None) -> str:
        self.heard.append(("begin", what, total))
        return what

    def at(self, work: str, done: int, now: str) -> None:
        self.heard.append((work, done, now))

    def end(self, work: str) -> None:
        self.heard.append(("end", work))


def test_nobody_listens_and_nothing_changes() -> None:
    assert not heard()
    assert list(counted(range(3), "things")) == [0, 1, 2]


def test_work_within_work_is_told_with_count_and_name() -> None:
    ear = Ear()
    with listening(ear):
        for _ in counted(["mean-k", "dot"], "forecasters"):
            assert list(counted(iter("xy"), "curves", 2)) == ["x", "y"]
    inner = [
        ("begin", "curves", 2),
        ("curves", 0, "x"),
        ("curves", 1, "y"),
        ("curves", 2, ""),
        ("end", "curves"),
    ]
    assert ear.heard == [
        ("begin", "forecasters", 2), ("forecasters", 0, "mean-k"), *inner, ("forecasters", 1, "dot"), *inner,
        ("forecasters", 2, ""), ("end", "forecasters"),
    ]  # fmt: skip
    assert not heard()


def test_an_error_ends_the_work() -> None:
    shown = Bars(patience=0)
    with pytest.raises(ZeroDivisionError), listening(shown):
        [1 // number for number in counted(range(3), "things")]
    shown.close()
    assert shown.progress is None


def test_bars_come_after_a_while_and_go_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    shown = Bars(patience=0.05)
    with listening(shown):
        list(counted(range(3), "quick things"))
        assert stream.getvalue() == ""
        for _ in counted(["power-law", "dot"], "forecasters"):
            for _ in counted(range(2), "curves"):
                time.sleep(0.1)
    text = stream.getvalue()
    for part in ("forecasters", "1/2", "0:00 left", "dot", "curves"):
        assert part in text
    assert "quick" not in text
    assert not shown.works


def test_without_a_terminal_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with bars():
        assert not heard()
        list(counted(range(3), "things"))
    assert stream.getvalue() == ""


def test_evaluation_counts_folds_forecasters_and_curves(home: object) -> None:
    from neuneu.evaluation.comparison import evaluate

    ear = Ear()
    curves = home.one_metric()  # type: ignore[attr-defined]
    with listening(ear):
        evaluate([curves.filter(task=curves.tasks[:1])], ["mean-k"], fit=False)
    begun = {told[1]: told[2] for told in ear.heard if told[0] == "begin"}
    assert begun["folds"] >= 1
    assert begun["forecasters"] == 3
    assert {told[2] for told in ear.heard if told[0] == "forecasters"} == {
        "last-value",
        "power-law",
        "mean-k",
        "",
    }
    assert "batches of curves" in begun
