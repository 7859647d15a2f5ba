"""Markdown pages → blocks that run, in order, with the output that is shown of each.

What runs: fenced blocks of `sh`, `console` and `python`. A `console` block shows output below its `$` lines,
none where there is none; a block of `output` is what the block before it printed; `text` and `yaml` are there
to be read. A block that does not say what it is, is an error. Comments right before a block, which readers do
not see, say more:

    <!-- not run: REASON -->          the block is not run, and counted
    <!-- here: OLD => NEW; … -->      run with these replacements, to be quick
    <!-- ends with: 2 -->             its exit code, where that is not 0
    <!-- file: NAME -->               the block is the content of a file, which is written
    <!-- folder: NAME, … -->          inputs.py puts these in the folder
    <!-- picture: FILE => PLACE -->   a figure that the page made, and where in docs/ it is kept
    <!-- run … -->, <!-- python … --> commands or Python that readers do not see
    <!-- slow -->                     the page takes more than ten seconds
    <!-- elsewhere: tests/… -->       another test runs the whole page, on stand-ins
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from tests.conftest import ROOT

RUN = ("sh", "console", "python")
READ = ("output", "text", "yaml")
"""What a block may be."""
COMMENT = re.compile(r"<!--\s*(\w[\w ]*?)\s*(?::\s*(.*?)|\n(.*?))?\s*-->", re.DOTALL)
IGNORED = ("figures", "end of figures")
"""Comments for others: `python -m benchmarks.tables` puts tables there."""
OF_BLOCKS = ("not run", "here", "file", "ends with")
OF_PAGES = ("slow", "elsewhere")


@dataclass
class Block:
    """kind: sh, console, python, output, folder, picture or a language; line: where its content begins."""

    kind: str
    text: str
    line: int
    marks: dict[str, str] = field(default_factory=dict)
    hidden: bool = False

    @property
    def runs(self) -> bool:
        """Whether it is meant to be run."""
        return self.kind in RUN and "file" not in self.marks

    @property
    def shortened(self) -> str:
        """Its text with the replacements of `here`."""
        text = self.text
        for pair in filter(None, self.marks.get("here", "").split("; ")):
            old, new = pair.split(" => ")
            assert old in text, f"line {self.line}: no {old!r} to replace"
            text = text.replace(old, new)
        return text


def pages() -> list[Path]:
    """README.md and the pages of the site."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if path.name != "CHANGELOG.md"]


def read_blocks(text: str) -> list[Block]:
    """The blocks of a page, and the comments that stand alone; ValueError for what nobody compares."""
    blocks: list[Block] = []
    marks: dict[str, str] = {}
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = 0 if token.map is None else token.map[0] + 1
        if token.type == "html_block":
            alone, of_next = _comments(token.content, line)
            blocks += alone
            marks |= of_next
        elif token.type in ("fence", "code_block"):
            blocks.append(_block(token.info.strip(), token.content, line + 1, marks))
            marks = {}
        elif marks:
            raise ValueError(f"line {line}: {', '.join(marks)}: no block follows")
    if marks:
        raise ValueError(f"at the end: {', '.join(marks)}: no block follows")
    for before, block in pairwise([Block("text", "", 0), *blocks]):
        if block.kind == "output" and not before.runs:
            raise ValueError(f"line {block.line}: output of nothing that runs")
    return blocks


def _comments(html: str, line: int) -> tuple[list[Block], dict[str, str]]:
    """What stands alone, and what is said of the next block."""
    alone, of_next = [], {}
    for name, value, body in COMMENT.findall(html):
        if name in ("run", "python"):
            alone.append(Block("sh" if name == "run" else name, body or value, line, hidden=True))
        elif name in ("folder", "picture"):
            alone.append(Block(name, value, line, hidden=True))
        elif name in OF_BLOCKS:
            of_next[name] = value
        elif name not in (*OF_PAGES, *IGNORED):
            raise ValueError(f"line {line}: unknown comment {name!r}")
    return alone, of_next


def _block(kind: str, text: str, line: int, marks: dict[str, str]) -> Block:
    if kind not in (*RUN, *READ) and "file" not in marks:
        raise ValueError(f"line {line}: a block of {kind or 'nothing'}; known: {', '.join((*RUN, *READ))}")
    return Block(kind, text, line, marks)


def page_mark(text: str, name: str) -> str | None:
    """A comment that is about the whole page."""
    found = re.search(rf"<!-- {name}(?:: (.*?))? -->", text)
    return None if found is None else found[1] or ""
