"""SIGKILL at any moment, then the same command again: the same bytes, and nothing left over (case B-01)."""

import shutil
from pathlib import Path

import pytest
from tests.killing import (
    Long,
    Trouble,
    changes,
    contents,
    leftovers,
    make_commands,
    run,
    run_again,
    run_beside,
)

THREE, ONE = (0.02, 0.4, 0.8), (0.5,)
MOMENTS = {
    "tokenize": THREE, "evaluate": THREE, "forecast": THREE, "report": THREE, "designs import": THREE,
    "words": THREE, "import": THREE, "export": THREE, "watch": THREE, "rank": ONE, "plot": ONE,
    "designs tag": ONE, "score": ONE, "train": ONE, "suite run": ONE,
}  # fmt: skip
"""Command → shares of its time at which it is killed, one for those that take seconds, of which the
last three are killed at more moments in tests of their own; benchmarks/kills.py tries more of both."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Long]:
    return {one.name: one for one in make_commands(tmp_path_factory.mktemp("inputs"))}


def test_every_long_command_is_killed(commands: dict[str, Long]) -> None:
    assert set(commands) == set(MOMENTS)


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_and_run_again_it_ends_in_the_same_bytes(
    commands: dict[str, Long], tmp_path: Path, name: str
) -> None:
    command, whole, out = commands[name], tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    took = run(command, whole)
    assert took is not None
    wanted = contents(command, whole)
    assert wanted
    out.mkdir()
    for share in MOMENTS[name]:
        if run(command, out, kill_after=share * took) is not None:
            break
    run_again(command, out, wanted)
    assert contents(command, out) == wanted
    assert leftovers(out) == []
    shutil.rmtree(out)


FEW = ("score", "train", "suite run")
"""Commands that take seconds: killed before few of their changes."""
MANY = ("tokenize", "words", "import", "forecast", "export", "designs import")
"""Commands that take no second: killed before more of their changes."""


def undisturbed(command: Long, out: Path, what: Trouble = "kill") -> tuple[int, dict[str, str]]:
    """How many changes on disk a command makes, of those that this trouble counts, and what it writes."""
    out.mkdir()
    return changes(command, out, what), contents(command, out)


def some(total: int, ends: int, between: int) -> list[int]:
    """The first and last `ends` of so many changes, and some of those between; from 1."""
    inner = [total * number // (between + 1) for number in range(1, between + 1)]
    return sorted({*range(1, ends + 1), *inner, *range(total - ends + 1, total + 1)} & {*range(1, total + 1)})


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_before_a_change_on_disk_it_ends_in_the_same_bytes(
    commands: dict[str, Long], tmp_path: Path, name: str
) -> None:
    command = commands[name]
    total, wanted = undisturbed(command, tmp_path / "whole")
    for step in some(total, *((8, 8) if name in MANY else (3, 1) if name in FEW else (4, 3))):
        out = tmp_path / str(step)
        out.mkdir()
        run(command, out, at=step)
        run_again(command, out, wanted)
        assert contents(command, out) == wanted, step
        assert leftovers(out) == [], step
        shutil.rmtree(out)


@pytest.mark.parametrize("name", MANY)
def test_a_disk_that_fills_up_is_told_and_what_comes_after_is_whole(
    commands: dict[str, Long], tmp_path: Path, name: str
) -> None:
    command = commands[name]
    total, wanted = undisturbed(command, tmp_path / "whole", "full")
    for step in some(total, 4, 4):
        out = tmp_path / str(step)
        out.mkdir()
        with pytest.raises(RuntimeError, match=r"ended with 2: (?s:.*)No space left on device") as told:
            run(command, out, at=step, what="full")
        assert "Traceback" not in str(told.value)
        assert set(leftovers(out)) <= {str(out / ".corpus.partial")}, step
        assert len(list(out.iterdir())) <= 1, step
        run_again(command, out, wanted)
        assert contents(command, out) == wanted, step
        shutil.rmtree(out)


ONE_AT_A_TIME = ("another process", "exists already")
"""How one of two is refused, or finds that the other has moved all of it to its place."""


@pytest.mark.parametrize("name", [*MANY, "designs tag", "train"])
def test_two_at_once_make_what_one_makes(commands: dict[str, Long], tmp_path: Path, name: str) -> None:
    command = commands[name]
    total, wanted = undisturbed(command, tmp_path / "whole")
    for step in some(total, 4, 4 if name in MANY else 1):
        out = tmp_path / str(step)
        out.mkdir()
        ends = run_beside(command, out, step)
        assert 0 in {code for code, _ in ends}, (step, ends)
        for code, words in ends:
            assert code == 0 or (code == 2 and any(rule in words for rule in ONE_AT_A_TIME)), (step, words)
        assert contents(command, out) == wanted, step
        assert leftovers(out) == [], step
        shutil.rmtree(out)
