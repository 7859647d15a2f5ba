"""Opening files: the one guard on the way in. A reader that opens a file some other way goes round it.

What it promises: a regular file and no pipe, device or socket; no more bytes than the limit, counted where
they come out of a decompressor; and one InputError that names the file, whatever a library raises.
"""

import gzip
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from neuneu.errors import InputError, MissingExtraError, NeuneuError, TooLargeError, naming, offered, some_of

MOST_NEIGHBOURS = 1_000
"""So many files of a folder are looked at for one whose name is like one that is not there."""

MAX_DOCUMENT = 128 * 2**20
"""Bytes of a file that is read whole: the largest harness file seen has 40 MB, and parsing takes ten times
its size in memory."""

MAX_LINE = 64 * 2**20
"""Bytes of one line: the longest document of the corpora seen, a book, has 5 MB."""

MAX_BLANK = 1_000_000
"""Blank lines in a row: they say nothing, and a hundred kilobytes can unpack to a billion of them."""

MIN_UNPACKED = 2**30
"""Bytes that any compressed file may unpack to."""

MAX_RATIO = 100
"""Times its own size that a larger compressed file may unpack to: text reaches 10, logs 40, bombs 1,000."""

_LFS_START = b"version https://git-lfs"
_PACKED = 2048
"""Compressed bytes handed to zstd at once: a block of four can unpack to 128 kB, so this bounds a step to
64 MB."""

ZSTD_WINDOW = 2**27
"""Bytes of history that a zstd frame may ask for: what `zstd -d` itself grants."""


def check_file(path: str | Path, *, empty: bool = False) -> Path:
    """The path, if it is a regular file with something in it, or with nothing where it may be `empty`.

    Raises InputError where there is no file, it is a folder, pipe or device, it is empty, or it is a Git LFS
    pointer in place of the data.
    """
    with open_file(path) as stream:
        if not empty and not stream.peek(1):  # type: ignore[attr-defined]
            raise InputError("the file is empty", where=path)
    return Path(path)


NOT_TEXT = "must be UTF-8 text"
"""How errors begin on a file whose bytes are no text."""


@contextmanager
def open_file(path: str | Path) -> Iterator[BinaryIO]:
    """The bytes of a regular file; a pipe, a device, a socket, a folder and a link to itself are refused.

    Raises InputError naming the file, also where reading fails inside the block.
    """
    try:
        _check_kind(Path(path).stat().st_mode, path)
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            _check_kind(os.fstat(handle).st_mode, path)
            if stream.peek(len(_LFS_START)).startswith(_LFS_START):
                raise InputError(
                    "is a Git LFS pointer, not the data: fetch it with `git lfs pull`", where=path
                )
            yield stream
    except FileNotFoundError as error:
        raise InputError(f"no such file{near_files(path)}", where=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=path) from error
    except ValueError as error:
        if isinstance(error, InputError) or "null byte" not in str(error):
            raise
        raise InputError("no such file: the name holds a null byte", where=repr(path)) from error


def near_files(path: str | Path) -> str:
    """What may have been meant by a path that is not there: `; did you mean runs.parquet?`, or nothing.

    Where no name is near, those there that end alike, or that there are none.
    """
    path = Path(path)
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MOST_NEIGHBOURS)]
    except OSError:
        return f"; nor is the folder {path.parent}" if not path.parent.exists() else ""
    alike = sorted(name for name in names if path.suffix and name.endswith(path.suffix))
    if near := offered(path.name, sorted(names), listed=False):
        return near
    if not path.suffix:
        return ""
    there = "here" if path.parent == Path() else f"in {path.parent}"
    return f"; {there}: {some_of(alike)}" if alike else f"; no {path.suffix} file is {there}"


def _check_kind(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise InputError("is a folder, not a file", where=path)
    if not stat.S_ISREG(mode):
        raise InputError("is no regular file", where=path)


def read_bytes(
    path: str | Path, limit: int = MAX_DOCUMENT, *, unpack: bool = False, window: int = ZSTD_WINDOW
) -> bytes:
    """All bytes of a regular file. Raises TooLargeError beyond `limit`, InputError as `open_file`."""
    with open_unpacked(path, window=window) if unpack else open_file(path) as stream:
        # not more than the file holds: what is asked for is allocated before it is read
        data = stream.read(limit + 1 if unpack else min(limit, os.fstat(stream.fileno()).st_size) + 1)
    if len(data) > limit:
        raise TooLargeError(f"is larger than {size_text(limit)}", where=path)
    return data


def read_text(
    path: str | Path, limit: int = MAX_DOCUMENT, *, unpack: bool = False, window: int = ZSTD_WINDOW
) -> str:
    """A UTF-8 file as text, unpacked by its ending if asked for; raises as `read_bytes`."""
    try:
        return read_bytes(path, limit, unpack=unpack, window=window).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{NOT_TEXT}: {error.reason} at byte {error.start}", where=path) from error


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """A UTF-8 file, line ends as they are. Raises as `open_file`, and InputError on any other encoding."""
    with open_file(path) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        except UnicodeDecodeError as error:
            raise InputError(f"{NOT_TEXT}: {error.reason}", where=path) from error


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a regular file's bytes, in hexadecimal."""
    with open_file(path) as stream:
        digest = hashlib.sha256()
        while part := stream.read(2**20):
            digest.update(part)
        return digest.hexdigest()


def sha256_of_all(paths: Iterable[str | Path]) -> str:
    """What tells files from others wherever they lie: the SHA-256 of that of each, in their order."""
    return hashlib.sha256("".join(map(sha256_of, paths)).encode()).hexdigest()


@contextmanager
def open_unpacked(path: str | Path, *, window: int = ZSTD_WINDOW) -> Iterator[BinaryIO]:
    """The content of a file, unpacked where its name ends in .gz or .zst; what comes out is counted.

    window: bytes of history that a zstd frame may ask for. Raises InputError on a damaged archive,
    TooLargeError beyond the larger of MIN_UNPACKED and MAX_RATIO times the file's size.
    """
    with open_file(path) as raw, _unpacked(raw, path, window) as stream:
        yield stream


@contextmanager
def _unpacked(raw: BinaryIO, path: str | Path, window: int) -> Iterator[BinaryIO]:
    """What an open file holds (see `open_unpacked`)."""
    ending = Path(path).suffix.lower()
    if ending not in (".gz", ".zst"):
        yield raw
        return
    limit = max(MIN_UNPACKED, MAX_RATIO * os.fstat(raw.fileno()).st_size)
    with refuse_library_errors(path, f"a whole {Path(path).suffix[1:]} file"):
        unpacked = gzip.GzipFile(fileobj=raw) if ending == ".gz" else _Zstd(raw, window)
        yield io.BufferedReader(_Counted(unpacked, limit, path), 2**20)


def unpack_gzip(data: bytes, path: str | Path, limit: int = MAX_DOCUMENT) -> bytes:
    """Unpack gzip in memory. Raises InputError where it is damaged, TooLargeError beyond `limit`."""
    with refuse_library_errors(path, "a whole gz file"), gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        unpacked = stream.read(limit + 1)
    if len(unpacked) > limit:
        raise TooLargeError(f"unpacks to more than {size_text(limit)}", where=path)
    return unpacked


def read_lines(
    path: str | Path,
    *,
    blank: bool = False,
    window: int = ZSTD_WINDOW,
    at: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, blank ones only if asked for, unpacked by the file's ending.

    at: told after each line how many bytes of the file, as it lies on disk, have been read.
    Raises InputError on bytes that are not UTF-8 and on damage, TooLargeError on a line beyond MAX_LINE and
    on more than MAX_BLANK blank ones in a row.
    """
    with open_file(path) as raw, _unpacked(raw, path, window) as stream:
        number, empty = 0, 0
        while line := stream.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise TooLargeError(f"is longer than {size_text(MAX_LINE)}", where=f"{path}:{number}")
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{NOT_TEXT}: {error.reason}", where=f"{path}:{number}") from error
            empty = empty + 1 if text.isspace() else 0
            if empty > MAX_BLANK:
                raise TooLargeError(f"holds more than {MAX_BLANK:,} blank lines", where=f"{path}:{number}")
            if blank or not empty:
                yield number, text
            if at is not None:
                at(raw.tell())


@contextmanager
def refuse_library_errors(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises in the block into an InputError: `path` is not `what`.

    Our own errors pass, with the path if they name none. Panics of Rust libraries, which are no Exception,
    are caught by their name.
    """
    try:
        with naming(path):
            yield
    except NeuneuError:
        raise
    except MemoryError as error:
        raise TooLargeError("needs more memory than there is", where=path) from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        system = error.strerror if isinstance(error, OSError) else None
        lines = (system or str(error) or type(error).__name__).strip().splitlines()
        reason = lines[0][:300] if lines else type(error).__name__
        raise InputError(f"cannot be read as {what}: {reason}", where=path) from error


def size_text(size: float) -> str:
    """Bytes for people: 128 MB."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GB"


class _Counted(io.RawIOBase):
    """A stream that refuses to give more than `limit` bytes."""

    def __init__(self, stream: Any, limit: int, path: str | Path) -> None:
        self._stream, self._limit, self._path, self._given = stream, limit, path, 0

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next."""
        part = self._stream.read(len(buffer))
        self._given += len(part)
        if self._given > self._limit:
            raise TooLargeError(f"unpacks to more than {size_text(self._limit)}", where=self._path)
        buffer[: len(part)] = part
        return len(part)


class _Zstd:
    """The content of a zstd file of any number of frames; EOFError where the last one is cut off."""

    def __init__(self, raw: IO[bytes], window: int) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise MissingExtraError("zstandard", "lm") from error
        self._raw, self._packed, self._ready = raw, b"", memoryview(b"")
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=window)
        self._frame: Any = None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        while not self._ready:
            self._packed = self._packed or self._raw.read(_PACKED)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends in the middle")
                return b""
            self._frame = self._frame or self._decompressor.decompressobj()
            self._ready = memoryview(self._frame.decompress(self._packed))
            self._packed = self._frame.unused_data if self._frame.eof else b""
            self._frame = None if self._frame.eof else self._frame
        part, self._ready = self._ready[:size], self._ready[size:]
        return bytes(part)
