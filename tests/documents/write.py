"""Renew the outputs that pages show: python -m tests.documents.write PAGE…

Each page is run as its test runs it; what is printed takes the place of what stands there. Of an output that
leaves lines out (…) as many lines stay at its beginning and its end as there were.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

from tests.documents.blocks import Block, read_blocks
from tests.documents.compare import ELLIPSIS, difference
from tests.documents.session import Session

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?")
"""What is another at each run."""


def cut(shown: str, printed: str) -> str:
    """The new output, cut as the one shown was."""
    old = shown.strip("\n").splitlines()
    new = [TIME.sub(ELLIPSIS, line.rstrip()) for line in printed.strip("\n").splitlines()]
    gaps = [at for at, line in enumerate(old) if line.strip() == ELLIPSIS]
    if gaps:
        tail = len(old) - gaps[-1] - 1
        new = [*new[: gaps[0]], ELLIPSIS, *new[len(new) - tail :]]
    return "\n".join(new) + "\n"


def renew(page: Path) -> int:
    """Run a page and write its outputs; how many changed."""
    text = page.read_text(encoding="utf-8")
    changes: list[tuple[Block, str, str]] = []

    def keep(block: Block, shown: str, printed: str) -> None:
        if difference(shown, printed) is not None:
            changes.append((block, shown, cut(shown, printed)))

    with tempfile.TemporaryDirectory() as place:
        folder, before = Path(place) / page.stem, Path.cwd()
        folder.mkdir()
        session = Session(page, folder)
        os.environ.update(session.environment)
        os.chdir(folder)
        try:
            session.run(read_blocks(text), keep)
        finally:
            os.chdir(before)
    lines = text.splitlines(keepends=True)
    for block, shown, new in reversed(changes):
        head = "".join(lines[: block.line - 1])
        rest = "".join(lines[block.line - 1 :])
        at = rest.index(shown)
        lines = (head + rest[:at] + new + rest[at + len(shown) :]).splitlines(keepends=True)
    page.write_text("".join(lines), encoding="utf-8")
    return len(changes)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        sys.stdout.write(f"{name}: {renew(path)} outputs changed\n")
