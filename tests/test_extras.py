"""An error that names an extra names one that there is, and that brings the library."""

import re
import tomllib
from pathlib import Path

import pytest
from tests.conftest import ROOT

import neuneu

NAMES = {
    "python_multipart": "python-multipart",
    "huggingface_hub": "huggingface-hub",
    "lm_eval": "lm-eval",
    "xgboost": "xgboost-cpu",
}
"""Library → distribution, where they differ."""

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["optional-dependencies"]
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted(Path(neuneu.__file__).parent.rglob("*.py"))
)
NAMED = sorted(set(re.findall(r'MissingExtraError\(\s*"([\w-]+)",\s*"([\w-]+)"', SOURCES)))


@pytest.mark.parametrize(("library", "extra"), NAMED)
def test_the_extra_that_an_error_names_brings_the_library(library: str, extra: str) -> None:
    assert extra in EXTRAS
    assert NAMES.get(library, library) in brought_by(extra)


def test_all_errors_name_their_extra_in_so_many_words() -> None:
    assert len(re.findall(r"raise MissingExtraError\(", SOURCES)) >= len(NAMED) > 10


def brought_by(extra: str) -> set[str]:
    """Distributions of an extra, and of the extras of this package that it takes in."""
    found: set[str] = set()
    for requirement in EXTRAS[extra]:
        name, others = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", requirement).groups()  # type: ignore[union-attr]
        own = others is not None and name == "neuneu"
        found |= set().union(*map(brought_by, others.split(","))) if own else {name}
    return found
