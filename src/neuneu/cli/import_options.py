"""What `import` takes and says comes from the readers: their options, and a line for each format."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from neuneu.curves.readers.formats import AUTO, format_options, formats


def with_format_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each of the readers' options, in place of its **options."""
    signature = inspect.signature(command)
    kinds = {name: Annotated[str | None, typer.Option(help=text)] for name, text in format_options().items()}
    own = [given for given in signature.parameters.values() if given.kind is not given.VAR_KEYWORD]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in kinds.items()
    ]

    @wraps(command)
    def run(**arguments: Any) -> None:
        command(**arguments)

    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {given.name: given.annotation for given in [*own, *added]}
    return run


def known_formats() -> list[str]:
    """Completes the formats."""
    return [AUTO, *formats()]


def formats_epilog() -> str:
    """The formats, a paragraph each, for the end of the help."""
    about = {AUTO: "a folder of mixed formats, each file by what it is"}
    about |= {name: made.about for name, made in formats().items()}
    return "\n\n".join(["Formats:", *(f"{name}: {text}" for name, text in about.items())])
