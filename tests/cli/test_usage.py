"""Commands called wrongly end in one line that says what to type; shells complete what can be typed."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from tests.cli.terminal import on_terminal

from neuneu.cli.names import COMMANDS
from neuneu.errors import InputError, check_known, how_many, offered


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("forecats", ["command = 'forecats'", "did you mean forecast?"]),
        ("designs predct", ["'predct'", "did you mean predict?"]),
        ("designs predict --protocol nestd", ["--protocol = 'nestd'", "did you mean nested?"]),
        ("evaluate x.parquet --protocol fractoin", ["--protocol = 'fractoin'", "did you mean fraction"]),
        ("inspect x.parquet --shwo runs", ["--shwo", "did you mean --show", "neuneu inspect --help"]),
        ("inspect x.parquet --show runz", ["--show = 'runz'", "did you mean runs?", "tasks, problems"]),
        ("forecast", ["CURVES: missing", "neuneu forecast --help"]),
        ("rank a.parquet b.parquet", ["unexpected extra argument", "neuneu rank --help"]),
        ("serve --port 70000", ["--port", "65535", "neuneu serve --help"]),
        ("plot fann x.parquet -o fan.png", ["'fann'", "did you mean fan?"]),
        ("data get pythea", ["'pythea'", "did you mean pythia?"]),
        ("import lm-evl x -o x.csv", ["'lm-evl'", "did you mean lm-eval"]),
        ("completion bahs", ["'bahs'", "did you mean bash"]),
    ],
)
def test_a_wrong_call_is_one_line_that_says_what_may_be_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.parquet").touch()
    shown = on_terminal(monkeypatch, *line.split()).splitlines()
    assert shown[-1] == "(exit 2)"
    assert max(map(len, shown)) <= 80  # wrapped between words; one line in a pipe
    message = " ".join(shown[:-1])
    assert message.startswith("neuneu: ")
    for part in parts:
        assert part in message


def test_a_field_of_a_file_keeps_its_name_where_an_option_has_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("step,task\n1,piqa\n")
    assert "t.csv: run: the column is missing" in on_terminal(monkeypatch, "inspect", "t.csv")
    error = InputError("must be `all`", field="context", value="x")
    assert error.with_options({"context": "--context"}) == "--context = 'x': must be `all`"


def test_groups_without_a_command_show_their_help(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_terminal(monkeypatch, "data")
    assert "list" in shown
    assert "(exit 2)" in shown


def test_names_near_an_unknown_one_are_offered() -> None:
    assert offered("HellaSwga", ["hellaswag", "piqa"]) == "; did you mean hellaswag? known: hellaswag, piqa"
    many = [f"task_{number}" for number in range(200)]
    assert "did you mean task_7" in offered("task_7x", many)
    assert "known" not in offered("task_7x", many)
    assert offered("zzz", many).endswith("task_11 … (200 in all)")
    assert offered("x", []) == ""
    with pytest.raises(InputError, match="run = 'beter': is not in the table; did you mean better"):
        check_known("beter", ["better", "worse", None], "run")
    assert [how_many(1, "run"), how_many(2000, "run")] == ["1 run", "2,000 runs"]


def ask(shell: str, line: str) -> list[str]:
    """What a shell is told, by the protocol that its script speaks."""
    words = line.split(" ")
    environment = {
        **os.environ, "_NEUNEU_COMPLETE": f"complete_{shell}", "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1), "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }  # fmt: skip
    if shell != "bash":
        environment |= {"_TYPER_COMPLETE_ARGS": line}
        del environment["COMP_WORDS"]
    command = [sys.executable, "-m", "neuneu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split("\n")[:-1]


def test_commands_options_and_choices_are_completed() -> None:
    assert ask("bash", "neuneu fo") == ["forecast"]
    assert ask("bash", "neuneu designs predict --protocol ") == ["published", "nested"]
    assert ask("bash", "neuneu evaluate x.parquet -f mean-k,powe") == ["mean-k,power-law"]
    assert "--references" in ask("bash", "neuneu rank x.parquet --ref")
    assert ask("bash", "neuneu forecast ") == [""]  # the shell's own: files
    assert ask("zsh", "neuneu inspect x --show t") == ["""_arguments '*: :(("tasks"))'"""]
    assert [line.split("\t")[0] for line in ask("fish", "neuneu de")] == ["demo", "designs"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_the_printed_script(tmp_path: Path) -> None:
    program = tmp_path / "neuneu"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m neuneu "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(neuneu completion bash)"; COMP_WORDS=(neuneu designs swe); COMP_CWORD=2; '
        '_neuneu_completion neuneu; echo "${COMPREPLY[@]}"; complete -p neuneu'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines() == ["sweep", "complete -o default -F _neuneu_completion neuneu"]


def test_every_command_is_listed_in_the_overview_and_has_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_terminal(monkeypatch, "--help")
    for name in COMMANDS:
        assert f"  {name} " in shown


def test_choices_of_the_command_line_are_those_that_the_rooms_know() -> None:
    from typer.main import get_command

    from neuneu.atlas.corpora import NAMES
    from neuneu.atlas.setting import FORMATS
    from neuneu.designs.database.changes import Policy
    from neuneu.evaluation.protocol import By, Feed, Kind
    from neuneu.losses.forward import PRECISIONS
    from neuneu.losses.text_files import SPLITS

    for line, choices in (
        ("evaluate", get_args(Kind)), ("evaluate", get_args(By)), ("evaluate", get_args(Feed)),
        ("tokenize", SPLITS), ("score", PRECISIONS), ("atlas", FORMATS), ("atlas", NAMES),
        ("designs add", get_args(Policy)),
    ):  # fmt: skip
        command = get_command(import_module(COMMANDS[line.split()[0]][0]).app)
        for word in line.split():
            command = command.commands[word]  # type: ignore[attr-defined]
        assert f"[{'|'.join(choices)}]" in [parameter.metavar for parameter in command.params]
