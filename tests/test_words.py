"""What the library says names arguments, not options: the command line turns `name` into `--name`."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "neuneu"
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"`(neuneu|lm_eval|ray) [^`]*")
"""A whole command, to be typed as it stands."""
SAYS_COMMANDS = (
    "api.py",
    "app/answering.py",
    "cli",
    "reports/demo.py",
    "reports/figures.py",
    "reports/report_files.py",
)
"""Where whole commands are written out for people: the command line itself, and where a report came from."""

MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.relative_to(PACKAGE).as_posix().startswith(SAYS_COMMANDS)
]


def texts(path: Path) -> list[tuple[int, str]]:
    """Line and text of every string of a module that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    quiet = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quiet
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_library_texts_name_no_option(path: Path) -> None:
    found = [(line, text) for line, text in texts(path) if OPTION.search(COMMAND.sub("", text))]
    assert not found
