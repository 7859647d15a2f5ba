"""Writing files: the one guard on the way out. Whole or not at all, and the same bytes every time.

What is written grows in a folder beside its place, `.NAME.RANDOM.partial`, which holds a lock as long as its
process lives, and is moved in when it is whole. A killed process leaves that folder; the next that writes to
the same place takes the lock, which nobody holds any more, and sweeps it.
"""

import errno
import io
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from neuneu.errors import InputError, NeuneuError

if TYPE_CHECKING:
    from filelock import FileLock

PARTIAL = ".partial"
_LOCK = ".lock"
_MOVING = ".moving"
"""Says where files that appear together go, once all are whole: what is killed from then on is moved on."""

_TRIES = 10
"""Times that a folder is made anew where another process sweeps it before its lock is taken."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""Codes of a place that cannot be written, which libraries tell in their own words."""


def check_place(path: str | Path, *, folder: bool = False, changed: bool = False) -> Path:
    """The path, if a file (or `folder`) can be written there now: known before the work, not after it.

    changed: a file that is there is not replaced but changed in its place, so it must be writable itself.
    Tries it out: makes a folder beside it and takes it away; sweeps what killed writers left of it. Raises
    InputError where a folder (or file) is in the way, it is a pipe or a device, or the system refuses.
    """
    target = Path(path)
    with refusing_place(target):
        if os.path.lexists(target):
            if folder and not target.is_dir():
                raise InputError("is in the way: a folder is to be written here", where=target)
            if not folder and target.is_dir():
                raise InputError("is a folder: a file is to be written here", where=target)
            if not folder and not target.is_file() and not target.is_symlink():
                raise InputError("is no regular file", where=target)
            with suppress(FileNotFoundError):  # a link to nothing is replaced, one to itself is refused
                target.stat()
            if changed and target.is_file():
                target.open("r+b").close()
        home = target if folder and target.is_dir() else target.parent
        while not os.path.lexists(home):
            home = home.parent
        if not home.is_dir():
            raise InputError("is in the way: a folder is needed here", where=home)
        tried = Path(tempfile.mkdtemp(dir=home, prefix=f".{target.name}.", suffix=PARTIAL))
        with suppress(FileNotFoundError):  # another process that writes to the same place sweeps it
            tried.rmdir()
    _sweep(target)
    return target


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path for a file that is moved to `path` when the block ends well, and vanishes otherwise.

    Raises InputError naming `path` where the system refuses to write, also in a library's words: disk full,
    quota, read-only, no permission, a folder in the way. Folders made on the way go with a failure.
    """
    others = _together.get()
    if others is not None and others.takes(Path(path)):
        with others.part(Path(path)) as temporary:
            yield temporary
        return
    with _partial(Path(path), folder=False) as temporary:
        yield temporary


@contextmanager
def together(folder: str | Path) -> Iterator[None]:
    """Files that are written below `folder` in the block appear where it ends well, or else none of them.

    So a disk that fills up at the second file leaves no first one. None can be read before the end. Raises
    InputError as `atomic_path`; a block inside another is part of it.
    """
    folder = Path(folder)
    if _together.get() is not None:
        yield
        return
    place = folder / folder.name if folder.is_dir() else folder
    _sweep(folder)  # of a writer that was killed when the folder was not there yet
    with refusing_place(folder), parents_of(place), _locked_folder(place) as home:
        files = _Together(folder, home)
        before = _together.set(files)
        try:
            yield
        finally:
            _together.reset(before)
        files.move_in()


class _Together:
    """Files below a folder that wait in another until all are whole."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self._home, self._waiting = folder, home, dict[Path, Path]()

    def takes(self, target: Path) -> bool:
        """Whether a file is one of them, and none that already waits: the other may lie below the folder."""
        return self.folder in target.parents and self._home not in target.parents

    @contextmanager
    def part(self, target: Path) -> Iterator[Path]:
        """A path for one of them."""
        if target.is_dir():
            raise InputError("is a folder: a file is to be written here", where=target)
        with refusing_place(target):
            temporary = self._home / target.relative_to(self.folder)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            self._waiting[target] = temporary

    def move_in(self) -> None:
        """Move all to their places; folders first, since only they need room."""
        with ExitStack() as made:
            for target in self._waiting:
                made.enter_context(parents_of(target))
            (self._home / _MOVING).write_text(os.path.relpath(self.folder, self._home), encoding="utf-8")
            try:
                for target, temporary in self._waiting.items():
                    _move_in(temporary, target)
            except KeyboardInterrupt:
                _move_on(self._home)  # the first are there already
                raise


_together: ContextVar[_Together | None] = ContextVar("together", default=None)
"""The files that appear together with the next."""


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder that is moved to `path`, a free place, when the block ends well; as `atomic_path`."""
    with _partial(Path(path), folder=True) as temporary:
        temporary.mkdir()
        yield temporary


@contextmanager
def _partial(target: Path, *, folder: bool) -> Iterator[Path]:
    if target.is_dir() and not folder:
        raise InputError("is a folder: a file is to be written here", where=target)
    with refusing_place(target), parents_of(target), _locked_folder(target) as home:
        temporary = home / target.name
        yield temporary
        if folder:
            temporary.replace(target)
        else:
            _move_in(temporary, target)


def _move_in(temporary: Path, target: Path) -> None:
    """Move a whole file to its place; one that is replaced gives it its mode."""
    temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
    temporary.replace(target)


@contextmanager
def parents_of(target: Path) -> Iterator[None]:
    """The folders above `target`; those made for it go where the block fails."""
    made = _make_parents(target.parent)
    try:
        yield
    except BaseException:
        _remove_empty(made)
        raise


@contextmanager
def kept_from(folder: str | Path, first: str) -> Iterator[None]:
    """A folder that long work fills as it goes on, and takes up again where it stopped.

    first: the file in it that makes it worth keeping. Where the block fails before that is there, all that
    it made goes. Raises InputError as `atomic_path`.
    """
    folder = Path(folder)
    with refusing_place(folder):
        made = _make_parents(folder)
        try:
            yield
        except BaseException:
            if made and not (folder / first).exists():
                shutil.rmtree(folder, ignore_errors=True)
                _remove_empty(made)
            raise


def _make_parents(folder: Path) -> list[Path]:
    """Make a folder and those above it; returns those that were not there, the deepest first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        try:
            place.mkdir(exist_ok=True)
        except OSError:
            _remove_empty(missing)
            raise
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the deepest first, where they are there and nobody has put anything in."""
    for place in folders:
        with suppress(OSError):
            place.rmdir()


@contextmanager
def _locked_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` that is locked as long as the block lasts, and then removed.

    What killed writers left of `target` goes first.
    """
    _sweep(target)
    for _ in range(_TRIES):
        home = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL))
        try:
            lock = try_lock(home / _LOCK)
        except OSError:
            remove_folder(home, _LOCK)
            raise
        if lock is not None and home.is_dir():
            break
    else:
        raise InputError("another process sweeps this folder without end", where=target.parent)
    try:
        yield home
    finally:
        remove_folder(home, _LOCK)
        lock.release()


def remove_folder(folder: Path, mark: str) -> None:
    """Remove a folder, and of what is in it the file `mark` last, by which a kill's leavings are known.

    What the system refuses to remove stays.
    """
    empty_folder(folder, mark)
    shutil.rmtree(folder, ignore_errors=True)


def empty_folder(folder: Path, kept: str) -> None:
    """Remove what is in a folder but the file `kept`. What the system refuses to remove stays."""
    for path in folder.glob("*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != kept:
            with suppress(OSError):
                path.unlink()


def try_lock(path: Path, *, wait: bool = False) -> "FileLock | None":
    """The lock on this path, or None where a living process holds it; it goes with its process.

    wait: as long as it takes.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except (Timeout, FileNotFoundError):
        return None
    return lock


def _sweep(target: Path) -> None:
    """Remove what killed writers left of `target`."""
    if target.parent.is_dir():
        for home in target.parent.glob(f".{_glob_literal(target.name)}.*{PARTIAL}"):
            _remove_partial(home)


def _remove_partial(home: Path) -> None:
    """Remove a partial folder whose lock nobody holds; one without a lock only where it is empty."""
    with suppress(OSError):
        if not (home / _LOCK).exists():
            home.rmdir()
            return
        lock = try_lock(home / _LOCK)
        if lock is not None:
            _move_on(home)
            remove_folder(home, _LOCK)
            lock.release()


def _move_on(home: Path) -> None:
    """Move files that were to appear together to their places, where a kill came between two of them."""
    if (home / _MOVING).exists():
        folder = home / (home / _MOVING).read_text(encoding="utf-8")
        for file in home.rglob("*"):
            if file.is_file() and file.name not in (_LOCK, _MOVING):
                target = folder / file.relative_to(home)
                target.parent.mkdir(parents=True, exist_ok=True)
                _move_in(file, target)


def _glob_literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def remove_leftovers(folder: str | Path) -> None:
    """Remove what killed writers left below a folder: every partial folder whose lock nobody holds."""
    for place, names, _ in os.walk(folder):  # unlike rglob it bears folders that vanish as it goes
        for name in names:
            if name.startswith(".") and name.endswith(PARTIAL):
                _remove_partial(Path(place, name))


@contextmanager
def refusing_place(target: str | Path) -> Iterator[None]:
    """Where the system refuses to write in the block, an InputError says so of `target` in one line."""
    try:
        yield
    except NeuneuError:
        raise
    except Exception as error:
        reason = refusal_of_system(error)
        if reason is None:
            raise
        raise InputError(f"cannot be written: {reason}", where=target) from error


_SHORT = re.compile(r"\d+ requested and \d+ written")
"""What NumPy says where the system took a part of an array; why, it loses."""


def refusal_of_system(error: BaseException) -> str | None:
    """The system's words where it refused to write, also inside another library's; else None."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    if _SHORT.fullmatch(str(error)):
        return "No room for all of it (a full disk, a quota, a limit)"
    told = re.search(r"os error (\d+)", str(error))
    if told is not None:
        return os.strerror(int(told[1]))
    return next((os.strerror(code) for code in _FULL if os.strerror(code) in str(error)), None)


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_json(document: Any) -> str:
    """JSON with two-space indent; NaN and infinity become null, so that any reader can take it."""
    return json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | Path, document: Any) -> None:
    """Write `to_json(document)`, whole or not at all."""
    write_text(path, to_json(document))


FORMULA = r"^[\t\r\n]*[=+@＝＋－＠-]"
"""How a text begins that a spreadsheet runs as a formula when it opens a CSV file: also after tabs and ends
of lines, which are dropped, and in full width (OWASP, CSV injection)."""


def _check_formulas(frame: pl.DataFrame, path: Path) -> None:
    """InputError on a text that a spreadsheet would run; a number, which may begin so too, is none."""
    for column in frame.select(pl.col(pl.String)):
        bad = column.filter(column.str.contains(FORMULA) & column.cast(pl.Float64, strict=False).is_null())
        if len(bad):
            rule = "begins with =, +, - or @, which spreadsheets run; write .parquet or .json instead"
            raise InputError(rule, where=path, field=column.name, value=bad[0])


def write_table(path: str | Path, frame: pl.DataFrame) -> None:
    """Write a table as .parquet, .csv or .json by the ending of the path."""
    path = Path(path)
    writers: dict[str, Callable[[Any], object]] = {
        ".parquet": lambda file: frame.write_parquet(file, compression="zstd", statistics=False),
        ".csv": frame.write_csv,
        ".json": frame.write_json,
    }
    if path.suffix not in writers:
        raise InputError("must end in .parquet, .csv or .json", field="output", value=str(path))
    if path.suffix == ".csv":
        _check_formulas(frame, path)
    # Through memory: Polars loses the system's error where a disk fills up, and for JSON that there was one.
    content = io.BytesIO()
    writers[path.suffix](content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
