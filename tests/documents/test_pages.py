"""Every command and snippet of README.md and the site runs, in order, and prints what is shown."""

import re
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.documents.blocks import page_mark, pages, read_blocks
from tests.documents.session import Session

MOST_NOT_RUN = 40
"""Blocks of all pages that may be left unrun, each with its reason in the page."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix("")).removeprefix("docs/")


def _parameters() -> list[object]:
    found = []
    for path in pages():
        text = path.read_text(encoding="utf-8")
        marks = [pytest.mark.slow] if page_mark(text, "slow") is not None else []
        if page_mark(text, "elsewhere") is None and any(
            block.runs and "not run" not in block.marks for block in read_blocks(text)
        ):
            found.append(pytest.param(path, marks=marks, id=_name(path)))
    return found


@pytest.mark.parametrize("page", _parameters())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_page_runs_and_prints_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / page.stem
    folder.mkdir()
    session = Session(page, folder)
    monkeypatch.chdir(folder)
    for name, value in session.environment.items():
        monkeypatch.setenv(name, value)
    blocks = read_blocks(page.read_text(encoding="utf-8"))
    wanted = sum(block.runs and "not run" not in block.marks for block in blocks)
    assert session.run(blocks) == wanted > 0


def test_what_is_not_run_says_why() -> None:
    reasons = [
        (_name(path), block.line, block.marks["not run"])
        for path in pages()
        for block in read_blocks(path.read_text(encoding="utf-8"))
        if block.runs and "not run" in block.marks
    ]
    assert all(len(reason) > 10 for *_, reason in reasons), reasons
    named = [test for *_, reason in reasons for test in re.findall(r"(?:tests|tutorials)/[\w/.-]+\w", reason)]
    assert [
        test for test in named if not (ROOT / test).exists() and not (ROOT / "docs" / test).exists()
    ] == []
    assert len(reasons) <= MOST_NOT_RUN, reasons


def test_pages_that_are_run_elsewhere_are() -> None:
    for path in pages():
        test = page_mark(path.read_text(encoding="utf-8"), "elsewhere")
        if test is not None:
            assert re.search(rf"\b{path.name}\b", (ROOT / test).read_text(encoding="utf-8")), (path, test)
