"""Writers that are killed before any one of their changes on disk: the next one ends in the same bytes."""

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.killing import Trouble, trouble

from neuneu.files import atomic_folder, atomic_path, check_place, together, write_text
from neuneu.taggers.parts import claimed

FORK = multiprocessing.get_context("fork")
"""Writers take no locks of other threads, so a fork serves, which begins in no time."""


def one_file(out: Path) -> None:
    with atomic_path(out / "deep" / "one.txt") as temporary:
        temporary.write_text("one")


def files_together(out: Path) -> None:
    with together(out / "both"):
        write_text(out / "both" / "one.txt", "one")
        write_text(out / "both" / "more" / "two.txt", "two")


def a_folder(out: Path) -> None:
    if not check_place(out / "folder", folder=True).exists():
        with atomic_folder(out / "folder") as temporary:
            (temporary / "one.txt").write_text("one")
            (temporary / "two.txt").write_text("two")


def parts(out: Path) -> None:
    with claimed(out / "whole.txt", {"feature": "length"}) as folder:
        for name in ("1", "2"):
            if not (folder / name).exists():
                write_text(folder / name, name)
        write_text(out / "whole.txt", "".join((folder / name).read_text() for name in ("1", "2")))


def dies(write: Callable[[Path], None], out: Path, step: int, what: Trouble) -> None:
    trouble(step, out, what)
    write(out)


def everything(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", ["kill", "interrupt"])
@pytest.mark.parametrize("write", [one_file, files_together, a_folder, parts])
def test_killed_before_any_change_the_next_ends_as_if_nothing_had_been(
    tmp_path: Path, write: Callable[[Path], None], what: Trouble
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    write(whole)
    for step in range(1, 100):
        out = tmp_path / str(step)
        out.mkdir()
        process = FORK.Process(target=dies, args=(write, out, step, what))
        process.start()
        process.join()
        if process.exitcode == 0:
            assert step > 5
            return
        if write is files_together:  # all of them or none, as soon as the dead one's leavings are swept
            seen = shutil.copytree(out, tmp_path / f"{step} seen")
            check_place(seen / "both", folder=True)
            shown = {name for name in everything(seen) if not name.startswith(".")}
            assert not shown or shown == set(everything(whole)), step
        write(out)
        assert everything(out) == everything(whole), step
    pytest.fail("never ran to its end")
