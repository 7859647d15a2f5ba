"""`neuneu completion`: what a shell needs to complete commands, options and choices, and its answers."""

import os
from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer

from neuneu.cli.names import COMMANDS, COMPLETE
from neuneu.cli.options import make_app

app = make_app()


class Shell(StrEnum):
    """Shells that can be completed in."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")]) -> None:
    """Print what a shell needs to complete commands, options and choices.

    Bash: neuneu completion bash >> ~/.bashrc; zsh: neuneu completion zsh > ~/.zfunc/_neuneu, with
    fpath+=~/.zfunc before compinit in ~/.zshrc; fish: neuneu completion fish >
    ~/.config/fish/completions/neuneu.fish. Then open a new terminal.

    Example: eval "$(neuneu completion bash)"
    """
    from typer import _completion_shared as shared

    print(shared.get_completion_script(prog_name="neuneu", complete_var=COMPLETE, shell=shell.value))


def complete() -> int:
    """Answer a shell that asks, in the environment, how a line may go on; only what is asked is imported."""
    from typer import _completion_classes as classes
    from typer.completion import shell_complete
    from typer.main import get_command

    line = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    words = line.split()
    asked = words[1] if len(words) > 2 or (len(words) == 2 and line[-1:].isspace()) else ""
    chosen = import_module(COMMANDS[asked][0]).app if asked in COMMANDS else _names_only()
    classes.completion_init()
    return shell_complete(get_command(chosen), {}, "neuneu", COMPLETE, os.environ[COMPLETE])


def _names_only() -> typer.Typer:
    """An app that knows the commands by name and does nothing."""
    every = make_app()
    for name, (_, line) in COMMANDS.items():
        every.command(name, help=line)(lambda: None)
    return every
