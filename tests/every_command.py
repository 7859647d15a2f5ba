"""Every command of the command line, how to run one here, and what stands in the way of its files."""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
import typer

from neuneu.cli.main import COMMANDS, main

NOBODY = 65534
"""The user that may write nowhere but where all may."""

Run = Callable[..., tuple[Any, list[str]]]


def _walk(command: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _walk(inner, [*path, name])
    else:
        yield " ".join(path), command


def commands() -> list[tuple[str, Any]]:
    """Every command by name."""
    modules = sorted({module for module, _ in COMMANDS.values()})
    found = [pair for name in modules for pair in _walk(typer.main.get_command(import_module(name).app), [])]
    return [(name, command) for name, command in found if name.split()[0] in COMMANDS]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command here; its exit code and the lines on stderr."""

    def call(*arguments: object) -> tuple[Any, list[str]]:
        monkeypatch.setattr(sys, "argv", ["neuneu", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, capsys.readouterr().err.splitlines()

    return call


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the powers of root, who may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def little_room(size: int = 100) -> Iterator[None]:
    """As on a disk that fills up while a file is written: none may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
