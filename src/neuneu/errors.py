"""The errors neuneu raises on purpose; the command line turns each into one line and an exit code."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

NEAR, CLOSE = 3, 0.6
"""At most so many names are offered where one is not known, each at least this like it (difflib's ratio)."""

LONGEST_NAME = 60
"""Characters of a name in a sentence for people: with more it fills a line of 80."""

FEW, MANY = 12, 30
"""All known names are listed where they are few; of more than MANY only the first few where none is near."""

MAX_BITS = 2048
"""Of a whole number that an error still prints: Python refuses to print beyond 4,300 digits."""


_ONE_LINE = dict.fromkeys((*range(32), *range(127, 160), 8232, 8233), " ")
"""Control characters of a message become spaces: it stays one line and cannot steer a terminal."""


def one_line(text: str) -> str:
    """A text without control characters: fit for one line of a terminal or a table."""
    return text.translate(_ONE_LINE)


def how_many(count: int, what: str) -> str:
    """A count in words: `1 run`, `2 runs`, `28,795 rows`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def percentage(value: float, highest: float = 1.0) -> str:
    """The end of a sentence about a share that may be a percentage: what to write; else nothing."""
    hint = f"; if this is a percentage, write {value / 100:g}"
    return hint if highest == 1 < value <= 100 else ""


def some_of(names: Iterable[str], shown: int = 3, *, whole: bool = False) -> str:
    """Names for people: `a, b, c and 6 more`, long ones without their middle, unless they stay whole."""
    names = list(names)
    rest = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown] if whole else map(brief_name, names[:shown])) + rest


def brief_name(name: str) -> str:
    """A name that does not fill a line of a terminal: of a longer one its start and its end."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


class NeuneuError(Exception):
    """Base of every error raised on purpose."""


class InputError(NeuneuError, ValueError):
    """Bad input: names the place, the field, the value and the rule that it breaks.

    The command line prints the message on one line and exits with 2; nothing has been written.
    """

    def __init__(
        self,
        rule: str,
        *,
        where: str | Path | None = None,
        field: str | None = None,
        value: object = None,
    ) -> None:
        self.rule, self.where, self.field, self.value = rule, where, field, value
        parts = []
        if where is not None:
            parts.append(str(where))
        if field is not None:
            parts.append(field if value is None else f"{field} = {_shorten(value)}")
        super().__init__(one_line(": ".join([*parts, rule])))

    def with_options(self, options: Mapping[str, str]) -> str:
        """The message with arguments named as a command line names them.

        options: argument → its option, `--such`. The field is renamed where no place is named, as that of a
        place is its own (a column, a key), and what the rule quotes in backticks.
        """
        own = options.get(self.field or "", self.field) if self.where is None else self.field
        parts = [] if self.where is None else [str(self.where)]
        if own is not None:
            parts.append(own if self.value is None else f"{own} = {_shorten(self.value)}")
        rule = self.rule
        for name, option in options.items():
            rule = rule.replace(f"`{name}`", f"`{option}`")
        return one_line(": ".join([*parts, rule]))


class TooLargeError(InputError):
    """Larger than is read: names the limit."""


def check_known(
    value: object,
    known: Iterable[object],
    field: str,
    rule: str = "is not in the table",
    where: str | Path | None = None,
) -> None:
    """Raise InputError that offers what may have been meant where a value is not among those known."""
    known = list(known)
    if value not in known:
        raise InputError(rule + offered(value, known), where=where, field=field, value=value)


def offered(value: object, known: Iterable[object], *, listed: bool = True) -> str:
    """The end of a sentence about a name that is not known: `; did you mean acc?`, and what is known.

    Where a near name is found and there are more than FEW, the others are not listed, nor where `listed` is
    false.
    """
    names = list(dict.fromkeys(str(name) for name in known if name is not None))
    lower = {each: name for name in reversed(names) for each in (name.lower(), name.lower().split(" (")[0])}
    given = str(value).lower()
    close = [lower[each] for each in get_close_matches(given, lower, n=NEAR, cutoff=CLOSE)]
    parts = [name for name in names if len(given) > 2 and given in name.lower()]  # what begins or ends so
    near = list(dict.fromkeys(close or parts))[:NEAR]
    text = f"; did you mean {_either(near)}?" if near else ""
    if not listed:
        return text
    if len(names) <= FEW:
        return f"{text}{' ' if near else '; '}known: {', '.join(names)}" if names else text
    if near:
        return text
    if len(names) <= MANY:
        return f"; known: {', '.join(names)}"
    return f"; known: {', '.join(names[:FEW])} … ({len(names):,} in all)"


def _either(names: list[str]) -> str:
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


class MissingExtraError(NeuneuError, ImportError):
    """An optional library is not installed: names the extra that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'neuneu[{extra}]'")


EXTRA_OF = {
    "torch": "neural", "transformers": "lm", "tokenizers": "lm", "datasets": "lm", "huggingface_hub": "lm",
    "lm_eval": "lm", "zarr": "lm", "zstandard": "lm", "accelerate": "lm", "lightgbm": "trees",
    "duckdb": "designs", "xgboost": "designs", "sklearn": "designs", "optuna": "designs", "numba": "designs",
    "matplotlib": "report", "jinja2": "report", "fastapi": "app", "uvicorn": "app", "ray": "cluster",
    "python_multipart": "app", "statsforecast": "bench", "lightning": "lightning", "pandas": "frames",
    "pyarrow": "frames", "stanza": "stanza",
}  # fmt: skip
"""Library → the extra that brings it, for libraries that are imported without a guard of their own."""


def missing_extra(error: ImportError) -> "MissingExtraError | None":
    """What to install where an import failed for want of an optional library; None where it is another."""
    library = (error.name or "").split(".")[0]
    return MissingExtraError(library, EXTRA_OF[library]) if library in EXTRA_OF else None


class CannotForecastError(NeuneuError):
    """A forecaster declines this question: says what evidence it lacks."""


@contextmanager
def naming(where: str | Path) -> Iterator[None]:
    """An InputError in the block that names no place names this one."""
    try:
        yield
    except InputError as error:
        if error.where is not None:
            raise
        raise type(error)(error.rule, where=where, field=error.field, value=error.value) from error


def _shorten(value: object, limit: int = 120) -> str:
    """`repr(value)` up to `limit` characters, never made beyond them: a value may be larger than memory."""
    text = ""
    for part in _pieces(value, limit):
        text += part
        if len(text) > limit:
            return text[: limit - 1] + "…"
    return text


def _pieces(value: object, limit: int) -> Iterator[str]:
    """`repr(value)` in pieces, one at a time."""
    if isinstance(value, str | bytes | bytearray):
        yield repr(value[: limit + 1])
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        yield f"a whole number of {value.bit_length():,} bits"
    elif type(value) in _BRACKETS:
        opening, closing = _BRACKETS[type(value)]
        yield opening
        items = value.items() if isinstance(value, dict) else value
        for number, item in enumerate(items):  # type: ignore[arg-type, var-annotated]
            yield ", " if number else ""
            if isinstance(value, dict):
                yield from _pieces(item[0], limit)
                yield ": "
                yield from _pieces(item[1], limit)
            else:
                yield from _pieces(item, limit)
        yield ",)" if isinstance(value, tuple) and len(value) == 1 else closing
    else:
        yield repr(value)


_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}")}


def import_named(where: str, field: str, form: str) -> object:
    """What "module:name" names. Raises InputError where there is no such module or name.

    field: what was given; form: how it is to be written.
    """
    module, _, attribute = where.partition(":")
    rule = f"cannot be imported ({{}}); write {form}, its folder on PYTHONPATH"
    try:
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except MissingExtraError:
        raise
    except (ImportError, AttributeError, ValueError) as error:
        missing = missing_extra(error) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None:
            raise missing from error
        raise InputError(rule.format(error), field=field, value=where) from error
    return found
