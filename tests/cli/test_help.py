"""Help of every command: flowing text at any width, with every choice, default and example whole."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from tests.cli.terminal import check_snapshot, on_terminal

from neuneu.cli.names import COMMANDS, command_of


def paths(path: list[str], command: Any) -> Iterator[list[str]]:
    yield path
    for name, each in getattr(command, "commands", {}).items():
        yield from paths([*path, name], each)


EVERY = [" ".join(path) for name in COMMANDS for path in paths([name], command_of(name).commands[name])]


@pytest.mark.parametrize("line", EVERY)
def test_help_flows(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_terminal(monkeypatch, *line.split(), "--help")
    lines = text.splitlines()
    assert lines[0].startswith(f"Usage: neuneu {line}")
    assert all(len(each) <= 80 for each in lines)
    assert not re.search(r"\w…", text)  # nothing is cut
    for above, below in pairwise(lines):  # a line ends where the next word has no room
        goes_on = below and above and not above.endswith(":") and below[:2] != "  " and above[:2] != "  "
        assert not goes_on or len(above) + 1 + len(below.split()[0]) > 80, above


def test_help_in_narrow_and_wide_terminals_never_cuts_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (50, 80, 200):
        text = on_terminal(monkeypatch, "evaluate", "--help", width=width)
        for name in ("leave-one-source-out", "last-value,power-law", "checkpoints", "sequential"):
            assert name in text
        assert max(map(len, text.splitlines())) <= min(width, 100)


@pytest.mark.parametrize("line", ["evaluate", "import", "designs", "designs correlate", "serve"])
def test_help_as_it_looks(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_snapshot(f"help-{line.replace(' ', '-')}", on_terminal(monkeypatch, *line.split(), "--help"))


def test_choices_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(on_terminal(monkeypatch, "evaluate", "--help").split())
    assert "One of fraction, anchored, sequential, rolling, every. [default fraction]" in text
    assert "Count the share by clock or by checkpoints. [default clock]" in text
    assert "--seed N Of fits and bootstrap. [at least 0; default 0]" in text
    assert "--fit / --no-fit" in text


def test_without_a_command_the_help_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("designs", "suite", "data"):
        shown = on_terminal(monkeypatch, name)
        assert "(exit 2)" in shown
        assert shown.count("Usage: neuneu") == 1


def test_the_overview_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(map(len, on_terminal(monkeypatch, "--help").splitlines())) <= 80
