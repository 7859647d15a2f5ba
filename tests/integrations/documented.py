"""The examples of docs/decisions.md, In flight, as they stand."""

import re

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "decisions.md"


def section() -> str:
    """The text of the section."""
    return PAGE.read_text(encoding="utf-8").partition("## In flight\n")[2].partition("\n## ")[0]


def example(word: str) -> str:
    """The one Python example that holds a word."""
    (found,) = [one for one in re.findall(r"```python\n(.*?)```", section(), re.DOTALL) if word in one]
    return str(found)


def commands() -> list[list[str]]:
    """The arguments of its command lines."""
    lines = [line.split() for line in section().splitlines() if line.startswith("neuneu ")]
    assert lines
    return [words[1:] for words in lines]
