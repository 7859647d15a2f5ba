"""Commands of pages and of --help, run in this process as they are typed, with fewer repetitions."""

import os
import re
import shlex
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from neuneu.cli.main import COMMANDS

FEWER = {"seeds": "2", "draws": "2", "documents": "6"}
"""Options whose numbers are lowered here."""
TASKS = ("select", "predict", "explain", "ablate", "tree")
"""Commands of `designs` that are run here for some tasks only, where none is named."""


def run(line: str, capsys: pytest.CaptureFixture[str], *, tasks: Sequence[str] = ()) -> None:
    """Run a command; output sent to a file by > is written there, ENDPOINT stands for localhost:8000."""
    text = line.replace("http://localhost:8000", os.environ.get("ENDPOINT", ""))
    text, _, target = (part.strip() for part in text.partition(" > "))
    for option, number in FEWER.items():
        text = re.sub(rf"--{option} \d+", f"--{option} {number}", text)
    arguments = shlex.split(text)[1:]
    named = any(
        not word.endswith(".yaml")
        for word, before in zip(arguments[1:], arguments, strict=False)
        if before == "--task"
    )
    if arguments[1] in TASKS and not named:
        arguments += [word for task in tasks for word in ("--task", task)]
    capsys.readouterr()
    module = COMMANDS[arguments[0]][0]
    import_module(module).app(arguments, prog_name="neuneu", standalone_mode=False)
    if target:
        Path(target).write_text(capsys.readouterr().out)
