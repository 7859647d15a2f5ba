"""A folder in which the blocks of a page run one after the other, as somebody would type them."""

import io
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.cluster import install
from tests.conftest import ROOT
from tests.documents.blocks import Block
from tests.documents.compare import difference
from tests.documents.inputs import make

from neuneu.cli import bars
from neuneu.cli import main as command_line

LINKED = ("examples", "configs", "benchmarks", "tests", "docs")
"""Folders of the repository that a page finds in its own: it is read in a clone."""
SHELL = re.compile(r"[|&;<>()$`*?{}~\n]|^\w+=|\[")
"""What needs a shell."""
WIDTH = "80"


class Screen(io.StringIO):
    """A terminal of 80 columns without colours, of which everything is kept."""

    def isatty(self) -> bool:
        """So that tables are printed for people."""
        return True


class WrongError(AssertionError):
    """A block failed, or did not print what is shown."""


class Session:
    """One page's folder, variables and results."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.names: dict[str, Any] = {"__name__": "__page__"}
        for name in LINKED:
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        path = f"{install(folder.parent / f'{folder.name}-bin')}{os.pathsep}{os.environ['PATH']}"
        self.environment = {
            "COLUMNS": WIDTH, "LINES": "40", "TERM": "dumb", "NO_COLOR": "1", "PATH": path,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(folder), str(ROOT)]), "MPLBACKEND": "agg",
        }  # fmt: skip

    def run(self, blocks: list[Block], shown: Callable[[Block, str, str], None] | None = None) -> int:
        """Run blocks in order; how many. shown: gets each output that a page shows, in place of comparing."""
        check, keep = shown or self._check, shown is not None
        before = set(sys.modules)
        sys.path.insert(0, str(self.folder))
        try:
            return self._run(blocks, check, keep=keep)
        finally:
            sys.path.remove(str(self.folder))
            for name in set(sys.modules) - before:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]

    def _run(self, blocks: list[Block], check: Callable[[Block, str, str], None], *, keep: bool) -> int:
        ran, printed = 0, ""
        for block in blocks:
            if block.kind == "folder":
                make(block.text, self.folder)
            elif block.kind == "picture":
                self._picture(block, keep=keep)
            elif "file" in block.marks:
                target = self.folder / block.marks["file"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            elif block.kind == "output":
                check(block, block.text, printed)
            elif block.runs and "not run" not in block.marks:
                ran += 1
                if block.kind == "console":
                    for command, output, line in console(block.shortened):
                        printed = self._commands(block, command)
                        check(replace(block, line=block.line + line), output, printed)
                elif block.kind == "python":
                    printed = self._python(block)
                else:
                    printed = self._commands(block, block.shortened)
        return ran

    def _check(self, block: Block, shown: str, printed: str) -> None:
        found = difference(shown, printed)
        if found is not None:
            raise WrongError(f"{self.page.name}:{block.line}: {found}\n--- all of it:\n{printed}")

    def _picture(self, block: Block, *, keep: bool) -> None:
        """The page's picture is as large as the figure that was made; keep: put that in its place."""
        made, place = (part.strip() for part in block.text.split("=>"))
        source, kept = self.folder / made, ROOT / "docs" / place
        if keep:
            shutil.copyfile(source, kept)
        if picture_size(source) != picture_size(kept):
            raise WrongError(f"{self.page.name}:{block.line}: {place} is not the figure that is made")

    def _python(self, block: Block) -> str:
        screen = Screen()
        code = compile("\n" * (block.line - 1) + block.shortened, str(self.page), "exec")
        with redirect_stdout(screen), redirect_stderr(io.StringIO()):  # warnings name places of this machine
            exec(code, self.names)
        return screen.getvalue()

    def _commands(self, block: Block, text: str) -> str:
        """Run commands, and return what they print; in this process where no shell is needed."""
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        plain = [shlex.split(line, comments=True) for line in lines if not line.strip().startswith("#")]
        bare = [line for line in lines if not line.strip().startswith("#")]
        here = [
            words and words[0] == "neuneu" and not SHELL.search(line.split(" #")[0])
            for words, line in zip(plain, bare, strict=True)
        ]
        if all(here):
            return "".join(self._neuneu(block, words) for words in plain)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, text=True, check=False,
            env=os.environ | self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._ended(block, text, done.returncode, done.stdout)
        return done.stdout

    def _neuneu(self, block: Block, words: list[str]) -> str:
        screen, before = Screen(), sys.argv
        errors = Screen()
        errors.isatty = lambda: False  # type: ignore[method-assign] # no bar
        errors.write = screen.write  # type: ignore[method-assign]
        sys.argv, code = words, 0
        try:
            with (
                redirect_stdout(screen),
                redirect_stderr(errors),
                patch.object(bars, "Lines", partial(bars.Lines, math.inf)),  # nor how far slow machines are
            ):
                command_line.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
        self._ended(block, shlex.join(words), code, screen.getvalue())
        return screen.getvalue()

    def _ended(self, block: Block, command: str, code: int, printed: str) -> None:
        wanted = int(block.marks.get("ends with", "0"))
        if code != wanted:
            raise WrongError(f"{self.page.name}:{block.line}: {command}\nended with {code}\n{printed}")


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file."""
    start = path.read_bytes()[:24]
    assert start.startswith(b"\x89PNG"), path
    return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")


def console(text: str) -> list[tuple[str, str, int]]:
    """The commands of a console block, each with what is shown below it and the line where that begins."""
    found: list[tuple[str, str, int]] = []
    lines = text.splitlines(keepends=True)
    starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
    if starts[:1] != [0]:
        raise ValueError(f"a console block begins with $ and a command: {text.splitlines()[0]!r}")
    for start, after in zip(starts, [*starts[1:], len(lines)], strict=True):
        end = next(at for at in range(start, after) if not lines[at].rstrip("\n").endswith("\\")) + 1
        found.append(("".join(lines[start:end])[2:], "".join(lines[end:after]), end))
    return found
