"""The command line: commands by name, each imported only when it is called."""

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

from neuneu import __version__
from neuneu.errors import InputError, NeuneuError, missing_extra

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
}
"""Command → (module, help line). The module holds a typer app named `app` with a command of this name."""


def overview() -> str:
    """The text of `neuneu --help`, made without importing any command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, (_, line) in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: neuneu COMMAND [ARGS]...",
            "",
            "Forecast a pretraining run's downstream accuracy from what its checkpoints have already shown.",
            "",
            "Commands:",
            *lines,
            "",
            "`neuneu COMMAND --help` explains each with an example; `neuneu --version` prints the version.",
        ]
    )


def main() -> None:
    """Entry point: exit 0 done, 2 bad input (one line on stderr), 130 interrupted, 141 nobody reads on."""
    try:
        try:
            _run(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except BrokenPipeError:
        _end("", 141)
    except InputError as error:
        _end(error.with_options(_options(sys.argv[1:])), 2)
    except NeuneuError as error:
        _end(str(error), 2)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        _end(str(missing), 2)
    except MemoryError:
        _end("needs more memory than there is", 2)
    except OSError as error:
        _end(f"{error.filename or 'output'}: cannot be used: {error.strerror or error}", 2)


def _run(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("--help", "-h"):
        print(overview())
        return
    if arguments[0] == "--version":
        print(f"neuneu {__version__}")
        return
    if arguments[0] not in COMMANDS:
        raise InputError(f"unknown; known: {', '.join(COMMANDS)}", field="command", value=arguments[0])
    import_module(COMMANDS[arguments[0]][0]).app(arguments, prog_name="neuneu")


def _options(arguments: list[str]) -> dict[str, str]:
    """Arguments of the command that runs → their options, by which errors name them on a command line."""
    from typer.main import get_command

    if not arguments or arguments[0] not in COMMANDS:
        return {}
    command: Any = get_command(import_module(COMMANDS[arguments[0]][0]).app)
    for word in arguments:
        command = getattr(command, "commands", {}).get(word, command)
    flags = {
        parameter.name: max(parameter.opts, key=len)
        for parameter in command.params
        if parameter.name and max(parameter.opts, key=len).startswith("--")
    }
    plural = {f"{name}s": flag for name, flag in flags.items() if f"{name}s" not in flags}
    return {**plural, **flags}


def _end(message: str, code: int) -> NoReturn:
    """Print the one line and end; what stdout still holds is given up where it cannot be written."""
    if message:
        sys.stderr.write(f"neuneu: {message}\n")
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
