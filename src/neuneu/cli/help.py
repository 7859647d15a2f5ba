"""`--help` of every command: plain text that flows at any width, with every choice and default whole."""

import re
import shutil
import textwrap
from typing import Any

from neuneu.cli.tables import ROWS, WIDTH

WIDEST = 100
"""Characters of a line of help at most: longer ones are hard to read."""

LEFT = 22
"""Characters of the column of options; what is longer has a line of its own."""

OTHERS = "Commands"
"""Heading of commands that belong to no group."""

_CHOICES = re.compile(r"[<\[](\w[\w.-]*(?:\|[\w.-]+)+)[>\]]")
"""A type or metavar that lists what may be given: [clock|checkpoints]."""

_BRACKETS = re.compile(r"\[[^\]]{1,24}\]$")
"""What is said of a default or a bound, at the end of a text."""

_STAYS = "\0"
"""A space at which no line may end, while lines are made."""

_TYPES = {"int": "N", "float": "X", "path": "PATH", "bool": ""}
"""Part of a type's name → what stands for its value; all others are TEXT."""


def plain_help(command: Any) -> None:
    """Make a command and all below it show their help by `help_of`."""
    command.format_help = lambda context, formatter: formatter.write(help_of(context))
    for each in getattr(command, "commands", {}).values():
        plain_help(each)


def overview(about: str, commands: dict[str, str], hint: str) -> str:
    """The help of the program itself. commands: name → a line."""
    width = _width()
    parts = ["Usage: neuneu COMMAND [ARGS]...", _flow(about, width)]
    parts += _section("Commands", list(commands.items()), width)
    return "\n\n".join([*parts, _flow(hint, width)])


def help_of(context: Any) -> str:
    """The help of the command that a context of the parser is about."""
    command = context.command
    width = _width()
    shown = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
    arguments = [_argument(each, context) for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    parts = [
        _usage(context, arguments, width),
        *_paragraphs(command.help or "", width),
        *_section("Arguments", [(name, about) for name, about, _ in arguments], width),
        *_section("Options", [_option(each, context) for each in options], width),
        *_groups(getattr(command, "commands", {}), width),
        *_below(getattr(command, "epilog", None), width),
    ]
    return "\n\n".join(parts) + "\n"


def _width() -> int:
    return min(shutil.get_terminal_size((WIDTH, ROWS)).columns, WIDEST)


def _usage(context: Any, arguments: list[tuple[str, str, bool]], width: int) -> str:
    names = [name if required else f"[{name}]" for name, _, required in arguments]
    rest = ["COMMAND", "[ARGS]..."] if hasattr(context.command, "commands") else []
    return _flow(" ".join(["Usage:", context.command_path, "[OPTIONS]", *names, *rest]), width, later="  ")


def _paragraphs(text: str, width: int) -> list[str]:
    """The text of a command without the ends of its lines in the source; examples hang below their word."""
    found = []
    for part in text.replace("\\\n", "\n").replace("Example: ", "\n\nExample: ").split("\n\n"):
        if line := " ".join(part.split()):
            found.append(_flow(line, width, later="  " if line.startswith("Example") else ""))
    return found


def _below(text: str | None, width: int) -> list[str]:
    """A list below all else: its heading, and a line or more for each of its parts."""
    if not text:
        return []
    heading, *lines = [" ".join(part.split()) for part in text.split("\n\n")]
    return ["\n".join([heading, *(_flow(each, width, first="  ", later="    ") for each in lines)])]


def _flow(text: str, width: int, *, first: str = "", later: str = "") -> str:
    """Wrapped between words; what stands in brackets stays in one piece where it is short."""
    whole = _BRACKETS.sub(lambda found: found[0].replace(" ", _STAYS), text)
    return textwrap.fill(
        whole, width, initial_indent=first, subsequent_indent=later, break_long_words=False,
        break_on_hyphens=False,
    ).replace(_STAYS, " ")  # fmt: skip


def _section(title: str, rows: list[tuple[str, str]], width: int) -> list[str]:
    """A heading and its rows; nothing where there are none."""
    if not rows:
        return []
    left = min(LEFT, max(len(name) for name, _ in rows))
    lines = [f"{title}:"]
    for name, about in rows:
        start = f"  {name:<{left}}  "
        if len(name) > left:
            lines.append(f"  {name}")
            start = " " * (left + 4)
        lines.append(_flow(about, width, first=start, later=" " * (left + 4)).rstrip() or start.rstrip())
    return ["\n".join(lines)]


def _groups(commands: dict[str, Any], width: int) -> list[str]:
    """Commands below this one with their first sentence, by group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, each in commands.items():
        about = " ".join((each.help or "").split("\n\n")[0].split())
        groups.setdefault(getattr(each, "rich_help_panel", None) or OTHERS, []).append((name, about))
    return [part for title, rows in groups.items() for part in _section(title, rows, width)]


def _argument(argument: Any, context: Any) -> tuple[str, str, bool]:
    """Name, what it is, and whether it must be given."""
    choices = _value(argument, context)[1]
    name = argument.name.upper() if choices or not argument.metavar else argument.metavar
    many = "..." if argument.nargs != 1 and not name.endswith("...") else ""
    return name + many, _with_choices(_about(argument), choices), argument.required


def _option(option: Any, context: Any) -> tuple[str, str]:
    flags = sorted(option.opts, key=len)
    label, choices = _value(option, context)
    name = ", ".join(flags) + (f" / {option.secondary_opts[0]}" if option.secondary_opts else "")
    about = _with_choices(_about(option), choices)
    told = [each for each in (_bounds(option), _default(option, context)) if each]
    if option.required:
        told.append("required")
    return f"{name} {label}".rstrip(), " ".join([about, f"[{'; '.join(told)}]"] if told else [about])


def _about(parameter: Any) -> str:
    return " ".join((parameter.help or "").split())


def _with_choices(about: str, choices: list[str]) -> str:
    """The text with the choices, where it does not name each of them already."""
    if all(re.search(rf"(?<![\w-]){re.escape(each)}(?![\w-])", about) for each in choices):
        return about
    return f"{about} One of {', '.join(choices)}.".lstrip()


def _value(option: Any, context: Any) -> tuple[str, list[str]]:
    """What stands for a value, and what may be given where that is listed."""
    typed = _type_of(option, context)
    if listed := _CHOICES.fullmatch(option.metavar or typed):
        return "NAME", listed[1].split("|")
    if option.metavar:
        return option.metavar, []
    return next((label for kind, label in _TYPES.items() if kind in typed.lower()), "TEXT"), []


def _type_of(option: Any, context: Any) -> str:
    """What the parser calls the type of an option's value; each of its versions in its own way."""
    if hasattr(option, "display_type_rich"):
        return str(option.display_type_rich(ctx=context) or "")
    choices = getattr(option.type, "choices", None)
    return f"[{'|'.join(choices)}]" if choices else str(option.type.name)


def _bounds(option: Any) -> str:
    low, high = getattr(option, "min", None), getattr(option, "max", None)
    if low is None:
        return "" if high is None else f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def _default(option: Any, context: Any) -> str:
    """The value that an option has by itself; nothing of flags, and of options that are left out."""
    value = option.get_default(context, call=False)
    value = getattr(value, "value", value)
    if option.required or value is None or value is False or value == "" or callable(value):
        return ""
    if value is True:
        return f"by default {max(option.opts, key=len)}"
    return f"default {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}"
