"""A name stands for one thing: no two classes, no two files of one name, but where the place says which."""

import ast
from collections import Counter
from pathlib import Path

import neuneu

PACKAGE = Path(neuneu.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

ROLES = {"forecaster", "inference", "network", "training", "data"}
"""What each network of its own folder (forecasters/neuneu, forecasters/lcpfn) has one of."""


def test_no_class_name_stands_twice() -> None:
    names = [
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_file_name_stands_twice() -> None:
    """Modules of cli are named for their commands, and those of a network for their role in it."""
    names = [
        path.stem
        for path in MODULES
        if path.parent.name != "cli"
        and not path.stem.startswith("__")
        and not (path.stem in ROLES and path.parent.parent.name == "forecasters")
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    assert [path.name for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 500] == []
