"""The one owner of printed tables: what a terminal shows, and what a pipe gets.

A terminal gets a table that fits: columns that do not are left out and named below, rows beyond a cap are
counted, sentences are wrapped between words. A pipe gets every row and column, tab-separated, whole.
"""

import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuneu.cli.names import in_options, option_names
from neuneu.errors import one_line

if TYPE_CHECKING:
    import polars as pl
    from rich.text import Text

WIDTH = 80
"""Columns of a terminal that does not say how wide it is."""

ROWS = 40
"""Rows that a terminal shows: a screen or two."""

DIGITS = 4
"""Decimals that a terminal shows unless told otherwise: one more than an accuracy is known to."""

PROSE = 24
"""A column of sentences is not wrapped to fewer characters; it is left out instead."""

LONG, NAME = 0.4, 20
"""Names longer than this share of the terminal may be cut in their middle, to no fewer characters."""

SENTENCES = frozenset({"detail", "about", "reason", "because", "settings", "members", "rule", "licence"})
"""Columns that hold sentences, which may be wrapped between words; all others are shown whole."""

NUMBER = re.compile(r"[-+−±]? ?[\d.][\d.,e+\-–% !]*|–")
"""A cell that a table puts to the right though it is a text: 4e+10, 1.20–1.31, 78.1%!, –."""

_WRITES = (("summary", "--summary"), ("output", "-o"))
"""Options that write a printed table to a file, the one that it is where a command has both."""


@dataclass(frozen=True)
class Layout:
    """A table as a terminal shows it: its lines, the header first, and what is not in it."""

    lines: list[str]
    dropped: list[str] = field(default_factory=list)
    constant: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def print_table(
    frame: "pl.DataFrame",
    title: str,
    *,
    brief: "pl.DataFrame | None" = None,
    least: Sequence[str] = (),
    digits: int = DIGITS,
    legend: str | Mapping[str, str] = "",
    parts: Sequence[int] = (),
) -> None:
    """Print a table on stdout: `brief` (the frame itself where None) on a terminal, the frame into a pipe.

    least: columns that go first where the terminal is too narrow, the least useful first; after these go
    columns from the right, never the first. legend: a text below the table, or what columns mean, of which
    those that are there are told; parts: rows before which a line stays free. Into a pipe the title and the
    legend go to stderr, the table alone to stdout.
    """
    if not sys.stdout.isatty():
        if title:
            note(title)
        _separate()
        sys.stdout.write(piped(frame))
        if about := told(legend, frame.columns):
            note(about)
        return
    shown = frame if brief is None else brief
    width = shutil.get_terminal_size((WIDTH, ROWS)).columns
    found = lay_out(shown.head(ROWS), width, least=least, digits=digits, parts=parts)
    _write(title, found, width, below(found, shown, legend))


def piped(frame: "pl.DataFrame") -> str:
    """A header and a line a row, tab-separated: numbers with all digits, nothing where there is none."""
    import polars as pl

    texts = [_plain(frame[name]) for name in frame.columns]
    header = "\t".join(one_line(name) for name in frame.columns)
    body = pl.DataFrame(texts).write_csv(
        separator="\t", include_header=False, quote_style="never", null_value=""
    )
    return f"{header}\n{body if len(frame) else ''}"


def lay_out(
    frame: "pl.DataFrame",
    width: int,
    *,
    least: Sequence[str] = (),
    digits: int = DIGITS,
    parts: Sequence[int] = (),
) -> Layout:
    """A table in lines of at most `width` characters; columns that do not fit are dropped and named.

    First go columns that say the same in every row (told once instead), then `least`, then from the right.
    """
    columns = {name: _cells(frame[name], digits) for name in frame.columns}
    full = {name: max(map(_length, [name, *cells])) for name, cells in columns.items()}
    needs = {name: _least_width(frame, name, full[name], width) for name in columns}
    constant: dict[str, str] = {}
    dropped: list[str] = []
    whole = {name: needs[name] if name in SENTENCES else full[name] for name in columns}
    for name in _order(frame, least):
        same = len(frame) > 1 and len(set(columns[name])) == 1
        if len(columns) == 1 or _line_length((whole if same else needs)[other] for other in columns) <= width:
            continue
        if same:
            constant[name] = columns[name][0]
        else:
            dropped.append(name)
        del columns[name]
    widths = _shared_out({name: needs[name] for name in columns}, full, width)
    cut = [name for name in columns if name not in SENTENCES and widths[name] < full[name]]
    for name in cut:
        columns[name] = _middles(columns[name], widths[name])
    lines = [_line([[name] for name in columns], list(widths.values()), _sides(columns))[0]]
    for number in range(len(frame)):
        if number and number in parts:
            lines.append("")
        row = [
            _wrapped(cells[number], widths[name]) if name in SENTENCES else [cells[number]]
            for name, cells in columns.items()
        ]
        lines.extend(_line(row, list(widths.values()), _sides(columns)))
    return Layout(lines, [name for name in frame.columns if name in dropped], constant, bool(cut))


def told(legend: str | Mapping[str, str], columns: Sequence[str]) -> str:
    """A legend in one text: where it is by columns, of these alone, each meaning once."""
    if isinstance(legend, str):
        return legend
    return "; ".join(dict.fromkeys(text for name, text in legend.items() if name in columns))


def below(found: Layout, frame: "pl.DataFrame", legend: str | Mapping[str, str] = "") -> list[str]:
    """What is said below a table: what it means, what every row has, which columns and rows are not in it."""
    legend = told(legend, [name for name in frame.columns if name not in found.dropped])
    options = option_names()  # `words` writes its table by --summary; its -o is a store
    how = next((f"{sign} or a pipe gets" for name, sign in _WRITES if name in options), "a pipe gets")
    lines = [legend] if legend else []
    shown = " shown" if len(frame) > ROWS else ""
    if found.constant:
        same = ", ".join(f"{name} {value}" for name, value in found.constant.items() if value != "–")
        empty = ", ".join(name for name, value in found.constant.items() if value == "–")
        lines += [f"in every row{shown}: {same}"] if same else []
        lines += [f"empty: {empty}"] if empty else []
    if found.dropped:
        lines.append(f"not shown for want of width: {', '.join(found.dropped)} ({how} all)")
    if found.cut:
        lines.append(f"names are cut at … ({how} them whole)")
    if len(frame) > ROWS:
        lines.append(f"{ROWS} of {len(frame):,} rows shown ({how} all)")
    return lines


def note(message: str) -> None:
    """A line for people on stderr, so that stdout stays clean; on a terminal wrapped between words."""
    lines = [in_options(message)]
    if sys.stderr.isatty():
        width = shutil.get_terminal_size((WIDTH, ROWS)).columns
        lines = [part for line in lines[0].split("\n") for part in _wrapped(line, width)]
    sys.stderr.write("\n".join(lines) + "\n")


def cell(value: Any, digits: int = DIGITS) -> str:
    """A value for people: rounded, in one line."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if 0 < abs(value) < 0.5 * 10**-digits:
            return f"{value:.0e}"
        return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return one_line("; ".join(cell(each, digits) for each in value))
    return one_line(str(value))


def _cells(column: "pl.Series", digits: int) -> list[str]:
    """A column for people; numbers that are all whole without decimals."""
    whole = column.dtype.is_float() and bool((column.drop_nulls() % 1 == 0).all())
    return [cell(value, 0 if whole else digits) for value in column]


def _plain(column: "pl.Series") -> "pl.Series":
    """A column as texts without tabs and line ends, its numbers whole."""
    import polars as pl

    if isinstance(column.dtype, pl.List | pl.Array):
        column = pl.Series(column.name, [_joined(value) for value in column.to_list()], dtype=pl.String)
    if column.dtype.is_numeric():
        return column
    return column.cast(pl.String).str.replace_all(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ")


def _joined(values: "Sequence[Any] | None") -> str | None:
    return None if values is None else "; ".join("" if each is None else str(each) for each in values)


def _order(frame: "pl.DataFrame", least: Sequence[str]) -> list[str]:
    """Columns in the order in which they go: the same in every row, `least`, the rest from the right."""
    same = [name for name in frame.columns if len(frame) > 1 and frame[name].n_unique() == 1]
    rest = [name for name in frame.columns[1:] if name not in same]
    listed = [name for name in least if name in rest]
    return [*same, *listed, *(name for name in reversed(rest) if name not in listed)]


def _least_width(frame: "pl.DataFrame", name: str, full: int, width: int) -> int:
    """The fewest characters of a column: its longest cell; less for sentences and for very long names."""
    if name in SENTENCES:
        return max(_length(name), min(full, PROSE))
    if str(frame[name].dtype) == "String" and full > LONG * width:
        return min(full, max(_length(name), NAME), width)
    return full


def _line_length(widths: Iterable[int]) -> int:
    each = list(widths)
    return sum(each) + len(each) - 1


def _shared_out(needs: dict[str, int], full: Mapping[str, int], width: int) -> dict[str, int]:
    """The width of each column: what it needs, and of what is left as much as it can use, names first."""
    widths = dict(needs)
    for name in sorted(widths, key=lambda name: name in SENTENCES):
        left = width - _line_length(widths.values())
        widths[name] += max(0, min(left, full[name] - widths[name]))
    return widths


def _sides(columns: Mapping[str, list[str]]) -> list[bool]:
    """Which columns go to the right: those of numbers."""
    return [bool(cells) and all(NUMBER.fullmatch(text) for text in cells) for cells in columns.values()]


def _line(row: list[list[str]], widths: list[int], right: list[bool]) -> list[str]:
    """The lines of one row, each cell given in its lines."""
    lines = []
    for number in range(max(map(len, row), default=0)):
        cells = [part[number] if number < len(part) else "" for part in row]
        padded = [
            " " * (width - _length(text)) + text if side else text + " " * (width - _length(text))
            for text, width, side in zip(cells, widths, right, strict=True)
        ]
        lines.append(" ".join(padded).rstrip())
    return lines


def _wrapped(text: str, width: int | None) -> list[str]:
    """A text in lines of at most `width` characters, parted between words; a longer word stays whole."""
    import textwrap

    if width is None or _length(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _middles(names: list[str], width: int) -> list[str]:
    """Names cut in their middle so that those that differ still do, as far as their ends tell them apart."""
    found: list[str] = []
    for head in range((width - 1) // 2, 2, -1):
        tail = width - 1 - head
        found = [name if _length(name) <= width else f"{name[:head]}…{name[-tail:]}" for name in names]
        if len(set(found)) == len(set(names)):
            break
    return found or names


def _length(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _write(title: str, found: Layout, width: int, rest: list[str]) -> None:
    from rich.console import Console
    from rich.text import Text

    def say(text: "str | Text") -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    console = Console(width=width)
    _separate()
    if title:
        for line in _wrapped(one_line(title), width):
            say(Text(line, style="italic"))
    if len(found.lines) == 1:
        say(Text("(no rows)", style="dim"))
        return
    say(Text(found.lines[0], style="bold"))
    for line in found.lines[1:]:
        say(Text(line))
    for text in rest:
        for line in _wrapped(in_options(text), width):
            say(Text(line, style="dim"))


_printed: list[Any] = []
"""The stream that the last table went to: between two tables of one a line stays free."""


def _separate() -> None:
    if _printed and _printed[-1] is sys.stdout:
        sys.stdout.write("\n")
    _printed[:] = [sys.stdout]
