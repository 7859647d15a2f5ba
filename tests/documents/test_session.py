"""A page's blocks are really run, and a wrong one fails."""

from pathlib import Path

import pytest
from tests.documents.blocks import read_blocks
from tests.documents.session import Session, WrongError
from tests.documents.write import cut


def run(page: str, folder: Path) -> int:
    """How many blocks of a page ran."""
    return Session(folder / "page.md", folder).run(read_blocks(page))


def test_blocks_share_a_folder_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (
        "<!-- file: a.txt -->\n```text\nseven\n```\n\n"
        "<!-- python: number = 6 -->\n\n"
        "```python\nprint(number + 1, open('a.txt').read())\n```\n\n```output\n7 seven\n```\n\n"
        "```console\n$ cat a.txt | tr s S\nSeven\n$ true\n```\n"
    )
    assert run(page, tmp_path) == 3


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("```python\nprint(0.5)\n```\n\n```output\n0.7\n```\n", "0.5"),
        ("```console\n$ echo 12 runs\n13 runs\n```\n", "page.md:3: shown"),
        ("```console\n$ echo unseen\n```\n", "printed but not shown: 'unseen'"),
        ("```sh\nfalse\n```\n", "ended with 1"),
        ("```sh\nfalse | true\n```\n", "ended with 1"),
        ("```console\n$ neuneu inspect none.parquet\n…\n```\n", "ended with 2"),
        ("<!-- ends with: 3 -->\n```console\n$ neuneu inspect none.parquet\n…\n```\n", "ended with 2"),
        ("```console\n$ neuneu --version\nneuneu 99\n```\n", "shown"),
    ],
)
def test_a_wrong_page_fails(page: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(WrongError, match=said):
        run(page, tmp_path)


def test_a_declared_code_and_what_is_not_run(tmp_path: Path) -> None:
    page = (
        "<!-- ends with: 2 -->\n```console\n$ neuneu inspect none.parquet\n…\n```\n\n"
        "<!-- not run: would end this test -->\n```python\nraise SystemExit\n```\n"
    )
    assert run(page, tmp_path) == 1


def test_an_error_in_python_names_the_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("# A page\n\n```python\nx = 1\nx / 0\n```\n", tmp_path)
    assert caught.traceback[-1].lineno == 4  # from 0: the fifth line


def test_what_was_left_out_stays_left_out_where_outputs_are_renewed() -> None:
    assert cut("a\n…\nz\n", "A\n1\n2\nZ\n") == "A\n…\nZ\n"
    assert cut("a\n", "done at 2026-01-02T03:04:05Z\n") == "done at …\n"
