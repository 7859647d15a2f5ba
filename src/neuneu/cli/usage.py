"""Wrong ways to call a command, as one line each: what is wrong, what may have been meant, what to type."""

import re
from typing import Any

from neuneu.errors import InputError, offered

_QUOTED = re.compile(r"'([^']*)'")
"""The choices in a message of the parser."""


_TYPES = {
    "valid number, unable to parse": "must be a number, such as 0.6 or 7e9",
    "valid integer, unable to parse": "must be a whole number, such as 1000",
}
"""Part of what the parser says of a value of another type → what this program says."""


def usage_errors() -> type[Exception]:
    """The base class of what the parser of command lines raises."""
    import typer

    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def usage_error(error: Any) -> InputError:
    """What the parser of the command line found, as an InputError that says what to type next."""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command", None)
    path = getattr(context, "command_path", "neuneu")
    see = f"; {path} --help explains"
    parameter, kind = getattr(error, "param", None), type(error).__name__
    if kind == "NoSuchOption":
        options = [flag for each in getattr(command, "params", ()) for flag in _flags(each)]
        rule = f"no option of {path}{offered(error.option_name, options, listed=False)}{see}"
        return InputError(rule, field=error.option_name)
    if wrong := re.match(r"No such command '(.*?)'", error.message or ""):
        known = list(getattr(command, "commands", {}))
        return InputError(f"no command of {path}{offered(wrong[1], known)}", field="command", value=wrong[1])
    if parameter is None:
        return InputError(f"{error.format_message().rstrip('.')}{see}")
    name = max(_flags(parameter) or [parameter.metavar or parameter.name.upper()], key=len)
    if kind == "MissingParameter":
        about = (getattr(parameter, "help", None) or "").strip().rstrip(".")
        return InputError(f"missing{f', {about[0].lower()}{about[1:]}' if about else ''}{see}", field=name)
    if given := re.search(r"'(.*?)' is not one of (.*)", error.message):
        rule = "unknown" + offered(given[1], _QUOTED.findall(given[2]))
        return InputError(rule, field=name, value=given[1])
    rule = next((ours for theirs, ours in _TYPES.items() if theirs in error.message), "")
    return InputError(f"{rule or error.message.rstrip('.')}{see}", field=name)


def _flags(parameter: Any) -> list[str]:
    return [flag for flag in [*parameter.opts, *parameter.secondary_opts] if flag.startswith("-")]
