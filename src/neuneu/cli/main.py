"""The command line: commands by name, each imported only when it is called."""

import os
import sys
from typing import NoReturn

from neuneu import __version__
from neuneu.cli.bars import bars
from neuneu.cli.help import overview as overview_of
from neuneu.cli.help import plain_help
from neuneu.cli.names import COMMANDS, COMPLETE, command_of, option_names
from neuneu.cli.tables import note
from neuneu.cli.usage import usage_error, usage_errors
from neuneu.errors import InputError, NeuneuError, check_known, missing_extra

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""


def overview() -> str:
    """The text of `neuneu --help`, made without importing any command."""
    return overview_of(
        "Forecast a pretraining run's downstream accuracy from what its checkpoints have already shown.",
        {name: line for name, (_, line) in COMMANDS.items()},
        "`neuneu COMMAND --help` explains each with an example; `neuneu --version` prints the version.",
    )


def main() -> None:
    """Entry point: exit 0 done, 2 bad input (one line on stderr), 130 interrupted, 141 nobody reads on."""
    try:
        try:
            _run(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _end("", 141)
    except InputError as error:
        _end(error.with_options(option_names()), 2)
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
    if COMPLETE in os.environ:
        from neuneu.cli.completion import complete

        sys.exit(complete())
    if not arguments or arguments[0] in ("--help", "-h"):
        print(overview())
        return
    if arguments[0] == "--version":
        print(f"neuneu {__version__}")
        return
    check_known(arguments[0], COMMANDS, "command", "unknown")
    command = command_of(arguments[0])
    plain_help(command)
    try:
        with bars():
            code = command(arguments, prog_name="neuneu", standalone_mode=False)
    except usage_errors() as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise usage_error(error) from error
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if isinstance(code, int) and code:
        sys.exit(code)


def _end(message: str, code: int) -> NoReturn:
    """Print the one line and end; what stdout still holds is given up where it cannot be written."""
    if message:
        note(f"neuneu: {message}")
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
