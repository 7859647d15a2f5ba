"""Commands run in this process on a terminal of a given width, and what they showed kept beside the tests."""

import io
import os
import re
import sys
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parent / "terminal"
"""What commands show at 80 columns; NEUNEU_SNAPSHOTS=write writes it anew, to be read before it is kept."""


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(
    monkeypatch: pytest.MonkeyPatch, *arguments: object, width: int = 80, errors: bool = True
) -> str:
    """What a command shows on a terminal without colours: stdout, and stderr as it comes where `errors`."""
    return _called(monkeypatch, Terminal(), arguments, width, errors=errors)


def in_pipe(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What a command writes into a pipe."""
    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.StringIO())
        _called(patch, stream, arguments, 80, errors=False)
    return stream.getvalue()


def _called(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, arguments: tuple[object, ...], width: int,
    *, errors: bool = True,
) -> str:  # fmt: skip
    from neuneu.cli.main import main

    with monkeypatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "dumb")
        patch.setattr(sys, "argv", ["neuneu", *map(str, arguments)])
        patch.setattr(sys, "stdout", stream)
        if errors:
            patch.setattr(sys, "stderr", stream)
        try:
            main()
        except SystemExit as end:
            if end.code:
                stream.write(f"(exit {end.code})\n")
    return stream.getvalue()


def check_snapshot(name: str, text: str) -> None:
    """Compare with what is kept under this name; digits of decimals and dates are zeros there: layout."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.+Z-]+", "0000-00-00T00:00:00Z", text)
    text = re.sub(r"\d+\.\d+", lambda found: re.sub(r"\d", "0", found[0]), text)
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("NEUNEU_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
