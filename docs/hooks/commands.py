"""The page of commands, made from what `neuneu COMMAND --help` says."""

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from neuneu.cli.names import COMMANDS

PAGE = "reference/commands.md"
PROGRAM = "neuneu "
SEPARATOR = re.compile(r"; |, then ")
"""Between the commands of one example."""
OPENING = """# Commands

What `neuneu COMMAND --help` says of each. A command ends with 0 where it is done, with 2 on bad input
(one line says what is wrong and what to do), with 130 where it was interrupted.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content="\n".join([OPENING, *commands()])))
    return files


def commands() -> Iterator[str]:
    """A section a command, line by line."""
    for name, (module, _) in COMMANDS.items():
        command = typer.main.get_command(import_module(module).app)
        yield from section(getattr(command, "commands", {}).get(name, command), f"neuneu {name}", 2)


def section(command: Any, name: str, level: int) -> Iterator[str]:
    """What a command does, an example, its options; then its own commands."""
    yield f"{'#' * level} {name}\n"
    yield from paragraphs(command.help or "")
    own = getattr(command, "commands", None)
    if own is not None:
        for below in own.values():
            yield from section(below, f"{name} {below.name}", level + 1)
        return
    context = typer.Context(command)
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [row for row in records if row is not None and "--help" not in row[0]]
    if rows:
        yield "| option | what |\n|---|---|"
        yield from (f"| `{option}` | {escaped(what)} |".replace("``", "") for option, what in rows)
    yield ""


def paragraphs(text: str) -> Iterator[str]:
    """The help text; examples become blocks of their own."""
    for paragraph in text.split("\n\n"):
        plain = " ".join(paragraph.split())
        said, _, example = plain.partition("Example: ")
        if said:
            yield f"{escaped(said)}\n"
        if example:
            yield "```sh\n" + "\n".join(lines(example)) + "\n```\n"


def lines(example: str) -> list[str]:
    """One command a line; what only says what to look at next is left out."""
    parts = SEPARATOR.split(example.replace(" \\ ", " "))
    return [part for part in parts if part.startswith(PROGRAM)]


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, on one line of a table."""
    return re.sub(r"([\\|<>*_\[\]])", r"\\\1", " ".join(text.split()))
