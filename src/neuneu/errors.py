"""The errors neuneu raises on purpose; the command line turns each into one line and an exit code."""

from pathlib import Path


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
        super().__init__(": ".join([*parts, rule]).replace("\n", " "))


class MissingExtraError(NeuneuError, ImportError):
    """An optional library is not installed: names the extra that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'neuneu[{extra}]'")


class CannotForecastError(NeuneuError):
    """A forecaster declines this question: says what evidence it lacks."""


def _shorten(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
