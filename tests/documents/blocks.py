"""Markdown pages → blocks that run, in order, with the output that is shown of each.

What runs: fenced blocks of `sh`, `console` and `python`, and blocks without a language that begin with a
command. A `console` block shows output below its `$` lines; a block of `output` is what the block before it
printed. Comments before a block, which readers do not see, say otherwise:

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
from pathlib import Path

from markdown_it import MarkdownIt
from tests.conftest import ROOT

PROGRAMS = ("neuneu ", "python -m ", "make ", "sbatch ", "pip ")
"""What a block without a language begins with if it is one of commands."""
LANGUAGES = {"sh": "sh", "bash": "sh", "console": "console", "python": "python", "output": "output"}
COMMENT = re.compile(r"<!--\s*(\w[\w ]*?)\s*(?::\s*(.*?)|\n(.*?))?\s*-->", re.DOTALL)
IGNORED = ("figures", "end of figures")
"""Comments for others: `python -m benchmarks.tables` puts tables there."""
MARKS = ("not run", "here", "file", "folder", "run", "python", "slow", "elsewhere", "ends with")


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
        return self.kind in ("sh", "console", "python") and "file" not in self.marks

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
    """The blocks of a page, and the comments that stand alone."""
    blocks: list[Block] = []
    marks: dict[str, str] = {}
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = 0 if token.map is None else token.map[0] + 1
        if token.type == "html_block":
            for name, value, body in COMMENT.findall(token.content):
                if name in ("run", "python"):
                    kind = "sh" if name == "run" else name
                    blocks.append(Block(kind, body or value, line, hidden=True))
                elif name in ("folder", "picture"):
                    blocks.append(Block(name, value, line, hidden=True))
                elif name in MARKS:
                    marks[name] = value
                elif name not in IGNORED:
                    raise ValueError(f"line {line}: unknown comment {name!r}")
        elif token.type in ("fence", "code_block"):
            fence = token.type == "fence"
            kind = LANGUAGES.get(token.info.split()[0] if token.info.strip() else "", token.info.strip())
            if not kind:
                kind = "sh" if token.content.startswith(PROGRAMS) else "text"
            blocks.append(Block(kind, token.content, line + fence, marks))
            marks = {}
    return blocks


def page_mark(text: str, name: str) -> str | None:
    """A comment that is about the whole page."""
    found = re.search(rf"<!-- {name}(?:: (.*?))? -->", text)
    return None if found is None else found[1] or ""
