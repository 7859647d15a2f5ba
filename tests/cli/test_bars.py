"""Progress: what is counted is told to whoever listens, and shown on stderr where that is a terminal."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal
from tests.hearing import Ear

from neuneu.cli.bars import Bars, Lines, Works, bars
from neuneu.progress import counted, counting, heard, listening


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


def test_work_that_tells_by_itself() -> None:
    with counting("tokens", 10) as tell:
        tell(3)  # nobody listens
    ear = Ear()
    with listening(ear), counting("tokens", 10) as tell:
        tell(3, "run-1")
    assert ear.heard == [("begin", "tokens", 10), ("tokens", 3, "run-1"), ("end", "tokens")]


def test_an_error_ends_the_work() -> None:
    shown = Bars(patience=0)
    with pytest.raises(ZeroDivisionError), listening(shown):
        [1 // number for number in counted(range(3), "things")]
    shown.close()
    assert shown.live is None


def test_one_line_comes_after_a_while_and_goes_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    shown = Bars(patience=0.05)
    with listening(shown):
        list(counted(range(3), "quick things"))
        assert stream.getvalue() == ""
        for _ in counted(["power-law", "dot"], "forecasters"):
            for _ in counted(range(4), "curves"):
                time.sleep(0.1)
    text = stream.getvalue()
    for part in ("forecasters 1/2 (dot) · curves ", " 0:00 left", " %"):
        assert part in text
    assert "quick" not in text
    assert text.count("\n") == 1  # the one below which the cursor goes when the line is wiped
    assert not shown.works.stack


def works(*told: tuple[str, int | None, int], seconds: float = 60) -> Works:
    """Work within work, as it is after so many seconds; told: what, how many, how many are done."""
    found = Works()
    for what, total, done in told:
        work = found.begin(what, total)
        work.at(0, "")
        work.at(done, "")
    found.began = time.monotonic() - seconds
    return found


def test_the_time_left_is_of_all_the_work_also_before_the_first_part_is_done() -> None:
    found = works(("folds", 2, 0), ("forecasters", 3, 1), ("curves", 10, 5))
    assert found.share() == pytest.approx((1 + 0.5) / 3 / 2)
    assert found.per_cent() == "25 %"
    assert found.left() == "3:00 left"
    assert works(("files", None, 7)).per_cent() == ""
    assert works(("files", None, 7)).left() == ""
    assert works(("files", 4, 0)).left() == ""
    assert works(("files", 4, 1), seconds=3600).left() == "3:00:00 left"


def test_the_share_never_falls() -> None:
    found = works(("forecasters", 2, 0), ("steps of the fit", 10, 10))
    assert found.per_cent() == "50 %"
    found.end(found.stack[1])
    found.begin("curves", 10)
    assert found.per_cent() == "50 %"


def test_what_was_done_by_an_earlier_call_took_no_time_of_this_one() -> None:
    found = Works()
    work = found.begin("steps", 1000)
    work.at(800, "")
    found.began = time.monotonic() - 30
    work.at(900, "")
    assert str(work) == "steps 900/1,000"
    assert found.per_cent() == "50 %"
    assert found.left() == "0:30 left"


@pytest.mark.parametrize("width", [40, 80])
def test_names_are_cut_before_per_cent_and_time_left(width: int) -> None:
    shown = Bars()
    shown.works = works(("models", 3, 1))
    shown.works.stack[0].at(1, "a-folder/" * 20 + "\x1b[2J")
    text = shown.line(width).plain
    assert len(text) == width - 1
    assert "…" in text
    assert text.endswith("33 % 2:00 left")
    assert "\x1b" not in text


def test_in_a_pipe_there_are_few_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    shown = Lines(first=0.02)
    with listening(shown):
        for _ in counted(["power-law", "dot"], "forecasters"):
            for _ in counted(range(100), "curves"):
                time.sleep(0.002)
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 5  # each wait is twice the one before
    for line in lines:
        told = r"forecasters [01]/2 \((power-law|dot)\), curves \d+/100, \d+ %, \d+:\d\d left"
        assert re.fullmatch(told, line)


def test_quick_work_says_nothing_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with bars():
        assert heard()
        list(counted(range(3), "things"))
    assert stream.getvalue() == ""


def test_of_several_processes_the_first_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with bars():
        assert not heard()


@pytest.fixture
def slow(tmp_path: Path) -> list[str]:
    """A command that takes about two seconds: a tagger of one's own that sleeps over each block."""
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n' * 12_000)
    (tmp_path / "slow.py").write_text(
        "import time\n\ndef tagger(block):\n    time.sleep(0.3)\n    return block.select('id')\n"
    )
    where = ["--input", str(tmp_path / "texts.jsonl"), "--output", str(tmp_path / "out.parquet")]
    return [sys.executable, "-m", "neuneu", "designs", "tag", "slow:tagger", *where]


def test_a_command_on_a_terminal_shows_the_time_left(slow: list[str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(slow, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        parts = []
        with suppress(OSError):  # Linux ends a terminal with EIO
            while part := os.read(ours, 4096):
                parts.append(part)
        assert process.wait() == 0
    os.close(ours)
    text = b"".join(parts).decode()
    assert re.search(r"documents [\d,]+/12,000 ━*─* \d+ % 0:0\d left", text)
    assert "12,000 documents →" in text


def test_the_same_command_in_a_pipe_writes_plain_lines_only(slow: list[str], tmp_path: Path) -> None:
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*slow, "--limit", "10"], capture_output=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.stdout == b""
    assert done.stderr.splitlines() == [f"10 documents → {tmp_path / 'out.parquet'}".encode()]
    assert b"\r" not in done.stderr
    assert b"\x1b" not in done.stderr


def test_evaluation_counts_folds_forecasters_and_curves(home: object) -> None:
    from neuneu.evaluation.comparison import evaluate

    ear = Ear()
    curves = home.one_metric()  # type: ignore[attr-defined]
    with listening(ear):
        evaluate([curves.filter(task=curves.tasks[:1])], ["mean-k"], fit=False)
    begun = ear.totals()
    assert begun["folds"] >= 1
    assert begun["forecasters"] == 3
    assert {told[2] for told in ear.heard if told[0] == "forecasters"} == {
        "last-value",
        "power-law",
        "mean-k",
        "",
    }
    assert "batches of curves" in begun
