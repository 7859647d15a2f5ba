"""What a killed writer leaves behind is removed by the next, and nothing else."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from tests.every_command import as_nobody

from neuneu.errors import InputError
from neuneu.files import atomic_folder, atomic_path, check_place, remove_leftovers

WRITER = """
import sys, time
from neuneu.files import atomic_path
with atomic_path(sys.argv[1]) as path:
    path.write_text("cut")
    print("begun", flush=True)
    time.sleep(60)
"""


def killed_writer(target: Path) -> None:
    writer = begun_writer(target)
    writer.kill()
    writer.wait()


def begun_writer(target: Path) -> "subprocess.Popen[str]":
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "begun\n"
    return writer


def test_what_a_killed_writer_left_goes_with_the_next_that_writes_there(tmp_path: Path) -> None:
    target = tmp_path / "a[1].json"
    killed_writer(target)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "whole"


def test_what_a_living_writer_makes_stays(tmp_path: Path) -> None:
    writer = begun_writer(tmp_path / "a.json")
    try:
        remove_leftovers(tmp_path)
        check_place(tmp_path / "a.json")
        assert len(list(tmp_path.glob(".a.json.*.partial/a.json"))) == 1
    finally:
        writer.kill()
        writer.wait()
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


KILLED_MOVING = """
import os, signal, sys
from pathlib import Path
from neuneu.files import together, write_text
from neuneu.files import writing

move, moved = writing._move_in, []
def killed(temporary, target):
    if moved:
        os.kill(os.getpid(), signal.SIGKILL)
    moved.append(move(temporary, target))
writing._move_in = killed
with together(sys.argv[1]):
    for name in ("a.txt", "below/b.txt"):
        write_text(Path(sys.argv[1], name), name)
"""


@pytest.mark.parametrize("there", [False, True])
def test_a_result_whose_files_were_being_moved_is_moved_on(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "result"
    if there:
        folder.mkdir()
    done = subprocess.run([sys.executable, "-c", KILLED_MOVING, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in folder.rglob("*.txt") if ".partial" not in str(path)] == ["a.txt"]
    if there:
        remove_leftovers(folder)
    else:
        check_place(folder, folder=True)
    assert (folder / "below" / "b.txt").read_text() == "below/b.txt"
    assert not list(tmp_path.rglob(".*"))


def test_only_folders_of_killed_writers_go(tmp_path: Path) -> None:
    kept = [tmp_path / "run" / name for name in ("state.safetensors", ".hidden.txt", ".x.partial/own")]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "run" / ".a.b.partial").mkdir()
    killed_writer(tmp_path / "run" / "scores.json")
    remove_leftovers(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert not (tmp_path / "run" / ".a.b.partial").exists()


def test_a_failure_leaves_neither_file_nor_folder(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), atomic_path(tmp_path / "a" / "b" / "c.json") as temporary:
        temporary.write_text("cut")
        raise ZeroDivisionError
    with suppress(ZeroDivisionError), atomic_folder(tmp_path / "d" / "e"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    target.chmod(0o640)
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is a folder: a file is to be written here"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_what_is_in_the_way_of_a_file_is_told_before_the_work(
    tmp_path: Path, make: object, words: str
) -> None:
    make(tmp_path / "a.json")  # type: ignore[operator]
    with pytest.raises(InputError, match=words) as caught:
        check_place(tmp_path / "a.json")
    assert str(caught.value).startswith(str(tmp_path / "a.json"))


def test_a_file_that_is_changed_in_its_place_must_be_writable_itself() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "ledger.jsonl")
        path.write_text("old")
        path.parent.chmod(0o777)
        path.chmod(0o444)
        with as_nobody():
            check_place(path)
            with pytest.raises(InputError, match=r"ledger\.jsonl: cannot be written: Permission denied"):
                check_place(path, changed=True)
        assert path.read_text() == "old"


def test_a_file_in_the_way_of_a_folder_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    for place, folder in (("a", True), ("a/b", True), ("a/b/c.json", False)):
        with pytest.raises(InputError, match=f"{tmp_path}/a: is in the way"):
            check_place(tmp_path / place, folder=folder)
    assert (tmp_path / "a").read_text() == "x"
