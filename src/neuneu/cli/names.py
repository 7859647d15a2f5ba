"""Commands by name, and the options by which a command names its arguments."""

import sys
from functools import cache
from importlib import import_module
from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("neuneu.cli.demo", "Forecast packaged runs; print the table and write an HTML report."),
    "import": ("neuneu.cli.curves", "Read evaluation results of any known format into a curve table."),
    "export": ("neuneu.cli.export", "Write curves, corpora and losses in the published layouts."),
    "data": ("neuneu.cli.data", "Public runs by name: list them, get their tables."),
    "inspect": ("neuneu.cli.curves", "Say what is in a curve table: runs, tasks, gaps, outlier checkpoints."),
    "forecast": ("neuneu.cli.forecast", "Forecast runs: quantiles at horizons."),
    "atlas": ("neuneu.cli.atlas", "What models of a size and token budget score, before any training."),
    "evaluate": ("neuneu.cli.evaluate", "Compare forecasters on the same cells: one leaderboard."),
    "train": ("neuneu.cli.train", "Train a neural forecaster from a YAML configuration; resumable."),
    "convert": (
        "neuneu.cli.train",
        "Convert a published NeuNeu checkpoint to config.json + model.safetensors.",
    ),
    "rank": ("neuneu.cli.decide", "Which run will win, with what probability."),
    "advise": ("neuneu.cli.decide", "Whether to stop a run or let it go on."),
    "compare": ("neuneu.cli.compare", "Whether two checkpoints differ on the same items."),
    "watch": ("neuneu.cli.watch", "Runs in flight: forecasts, alerts and a status file as results arrive."),
    "settle": ("neuneu.cli.watch", "How earlier forecasts, kept in a ledger, compare with what came."),
    "tokenize": ("neuneu.cli.losses", "Corpus → token ids and document bounds."),
    "score": ("neuneu.cli.losses", "Checkpoints → per-token losses."),
    "words": ("neuneu.cli.losses", "Token losses → word losses."),
    "plot": ("neuneu.cli.plot", "Figures: fan charts, leaderboards, error by horizon."),
    "report": ("neuneu.cli.plot", "A self-contained HTML report of forecasts."),
    "serve": ("neuneu.cli.serve", "The web page and its JSON API."),
    "suite": ("neuneu.cli.suite", "Pretrain and evaluate small language models: runs made at home."),
    "designs": ("neuneu.cli.designs", "The database of models; scores from design decisions."),
    "completion": ("neuneu.cli.completion", "What bash, zsh or fish needs to complete commands and options."),
}
"""Command → (module, help line). The module holds a typer app named `app` with a command of this name."""


COMPLETE = "_NEUNEU_COMPLETE"
"""Variable by which a shell asks how a line may go on (typer's protocol)."""


def option_names() -> dict[str, str]:
    """Arguments of the command that runs → their options, by which errors name them on a command line."""
    return _option_names(tuple(sys.argv[1:]))


@cache
def command_of(name: str) -> Any:
    """The parser of a command, whose module is imported now."""
    from typer.main import get_command

    return get_command(import_module(COMMANDS[name][0]).app)


@cache
def _option_names(arguments: tuple[str, ...]) -> dict[str, str]:
    if not arguments or arguments[0] not in COMMANDS:
        return {}
    command = command_of(arguments[0])
    for word in arguments:
        command = getattr(command, "commands", {}).get(word, command)
    flags = {
        parameter.name: max(parameter.opts, key=len)
        for parameter in command.params
        if parameter.name and max(parameter.opts, key=len).startswith("--")
    }
    plural = {f"{name}s": flag for name, flag in flags.items() if f"{name}s" not in flags}
    singular = {name[:-1]: flag for name, flag in flags.items() if name.endswith("s")}
    return {**singular, **plural, **flags}


def in_options(text: str) -> str:
    """A text of the library for the command line: `argument` becomes `--argument` where that is an option."""
    if "`" not in text:
        return text
    for name, option in option_names().items():
        text = text.replace(f"`{name}`", f"`{option}`")
    return text
