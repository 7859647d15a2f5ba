"""Plain text out of what any Debian or Python machine has: HTML, manuals, dictionaries, source code."""

import hashlib
import heapq
import html
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import parse_json, read_bytes
from neuneu.files.reading import unpack_gzip
from neuneu.suite.suite_config import TextSource

PIECE = 4_000
"""Longest piece of text, in characters: pieces are what is held out, dropped when repeated, and shuffled."""


def read_pieces(source: TextSource, root: Path) -> Iterator[str]:
    """Pieces of the source's text, without repetitions, in the order of files; at most `max_bytes`.

    root: the folder that absolute path patterns start from, / on a machine with the packages installed.
    Where there is more text than `max_bytes`, pieces are kept by a hash of their text, so that all files
    are drawn from; memory holds those kept and a hash of each piece. Raises InputError if nothing matches.
    """
    pieces = _unique(piece for document in _documents(source, root) for piece in split_pieces(document))
    if source.max_bytes is not None:
        pieces = iter(draw_pieces(pieces, source.max_bytes))
    first = next(pieces, None)
    if first is None:
        packages = f"; install {source.package}" if source.package else ""
        raise InputError(
            f"no text found below {root}{packages}", field="sources.paths", value=", ".join(source.paths)
        )
    yield first
    yield from pieces


def draw_pieces(pieces: Iterable[str], room: int) -> list[str]:
    """The pieces with the smallest hashes that fit into `room` bytes, in their order.

    Which these are does not depend on the order: all pieces up to a hash, at which room ends.
    """
    heap: list[tuple[int, int, str]] = []
    ceiling = 2**256
    for number, piece in enumerate(pieces):
        key = int.from_bytes(_digest(piece), "big")
        if key >= ceiling:
            continue
        heapq.heappush(heap, (-key, number, piece))
        room -= len(piece.encode())
        while room < 0:
            largest, _, dropped = heapq.heappop(heap)
            room += len(dropped.encode())
            ceiling = -largest
    return [piece for _, _, piece in sorted(heap, key=lambda entry: entry[1])]


def _unique(pieces: Iterable[str]) -> Iterator[str]:
    seen: set[bytes] = set()
    for piece in pieces:
        digest = _digest(piece)
        if digest not in seen:
            seen.add(digest)
            yield piece


def _digest(piece: str) -> bytes:
    return hashlib.sha256(piece.encode()).digest()


def split_pieces(document: str, limit: int = PIECE) -> Iterator[str]:
    """Cut a document at blank lines, else at line ends, else anywhere, into pieces of at most `limit`."""
    piece = ""
    for block in re.split(r"(?<=\n)\n+", document):
        if piece and len(piece) + len(block) > limit:
            yield from _clean(piece)
            piece = ""
        start = 0
        while len(block) - start > limit:
            cut = block.rfind("\n", start + 1, start + limit) + 1 or start + limit
            yield from _clean(block[start:cut])
            start = cut
        piece += block[start:] + ("\n" if block.endswith("\n") else "\n\n")
    yield from _clean(piece)


def _clean(piece: str) -> Iterator[str]:
    """The piece without control characters and outer blanks, if it has at least 40 characters."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", piece).strip()
    if len(text) >= 40:
        yield text


def _documents(source: TextSource, root: Path) -> Iterator[str]:
    if source.kind == "hub":
        yield from _hub(source)
        return
    parse = PARSERS[source.kind]
    for path in _files(source.paths, root):
        text = _read(path)
        if source.kind == "jsonl":
            yield from _json_lines(text, source.field, path)
        elif text is not None:
            yield parse(text)


def files_below(root: Path, sources: Iterable[TextSource]) -> list[Path]:
    """Files of these sources, in order; Python's library, which lies elsewhere, and the hub have none."""
    local = (source.paths for source in sources if source.kind != "hub")
    return [
        path
        for patterns in local
        for path in _files([pattern for pattern in patterns if not pattern.startswith("stdlib:")], root)
    ]


def _files(patterns: Iterable[str], root: Path) -> list[Path]:
    files: dict[Path, None] = {}
    for pattern in patterns:
        base = root if pattern.startswith("/") else Path()
        if pattern.startswith("stdlib:"):
            base = Path(sysconfig.get_paths()["stdlib"])
        relative = pattern.removeprefix("stdlib:").lstrip("/")
        matches = (
            path for path in base.glob(relative) if path.is_file() and "site-packages" not in path.parts
        )
        # By path, so that file systems do not matter; links to files already read add nothing.
        files.update(dict.fromkeys(sorted(path.resolve() for path in matches)))
    return list(files)


def _read(path: Path) -> str | None:
    data = read_bytes(path)
    if data[:2] == b"\x1f\x8b":
        data = unpack_gzip(data, path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1") if b"\x00" not in data else None


def _json_lines(text: str | None, field: str, path: Path) -> Iterator[str]:
    for number, line in enumerate((text or "").splitlines(), start=1):
        document = parse_json(line, f"{path}:{number}")
        if not isinstance(document, dict) or field not in document:
            raise InputError(f"line {number} has no field {field!r}", where=path, field=field)
        yield str(document[field])


def _hub(source: TextSource) -> Iterator[str]:
    """Documents streamed from a dataset on the hub until `max_bytes` is full twice over."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "lm") from error
    room = 2 * source.max_bytes if source.max_bytes else float("inf")
    for name in source.paths:
        for row in load_dataset(name, source.subset, split="train", streaming=True):
            if source.field not in row:
                raise InputError("has no such field", where=name, field="sources.field", value=source.field)
            text = str(row[source.field])
            room -= len(text.encode())
            yield text
            if room < 0:
                return


class _TextOfHtml(HTMLParser):
    """Collects the visible text of the page's main part, without navigation, scripts and styles."""

    HIDDEN = frozenset({"script", "style", "nav", "head", "footer", "svg", "button", "form"})
    BLOCKS = frozenset(
        {"p", "div", "li", "tr", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "br", "section", "ul"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0
        self.verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in self.HIDDEN
        self.verbatim += tag == "pre"
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(0, self.hidden - (tag in self.HIDDEN))
        self.verbatim = max(0, self.verbatim - (tag == "pre"))
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data if self.verbatim else re.sub(r"\s+", " ", data))


def text_of_html(page: str) -> str:
    """The visible text of a page, a line a block."""
    parser = _TextOfHtml()
    parser.feed(page)
    parser.close()
    text = "".join(parser.parts).replace("¶", "")
    return re.sub(r"\n[ \t]*(\n[ \t]*)+", "\n\n", text)


def text_of_roff(page: str) -> str:
    """The words of a manual page: requests and font changes taken out, headings on lines of their own."""
    lines: list[str] = []
    for line in page.splitlines():
        if line.startswith(("'\\\"", '.\\"', '\\"')):
            continue
        if line.startswith((".", "'")):
            request, _, rest = line[1:].strip().partition(" ")
            if request in ("SH", "SS", "Sh", "Ss", "TP", "PP", "P", "LP", "IP", "Pp", "It"):
                lines.append("")
            if request in (
                "SH",
                "SS",
                "B",
                "I",
                "BR",
                "BI",
                "IR",
                "RB",
                "RI",
                "IB",
                "SM",
                "Sh",
                "Ss",
                "Nm",
                "Nd",
            ):
                lines.append(rest.replace('"', ""))
            continue
        lines.append(line)
    text = re.sub(r"\\f(\[\w*\]|\(\w\w|\w)|\\[&|^/,%c]|\\s[+-]?\d", "", "\n".join(lines))
    text = re.sub(r"\\\(aq|\\\(cq", "'", text)
    text = re.sub(r"\\\((\w\w)|\\\[\w+\]|\\\*\(\w\w|\\\*\w", "", text)
    return text.replace("\\-", "-").replace("\\e", "\\").replace("\\ ", " ").replace("\\\n", "\n")


def text_of_fortunes(text: str) -> str:
    """Quotations, which lie between lines of %, with blank lines between."""
    return re.sub(r"\n%+\n", "\n\n", text)


def _plain(text: str) -> str:
    return html.unescape(text)


PARSERS: dict[str, Callable[[str], str]] = {
    "text": str,
    "python": str,
    "html": text_of_html,
    "roff": text_of_roff,
    "fortune": text_of_fortunes,
    "jsonl": _plain,
}
