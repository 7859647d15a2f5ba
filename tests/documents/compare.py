"""Whether a command printed what its page shows."""

import re

NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.(\d+))?(?:[eE][-+]?\d+)?(?![\w.]*\d)")
ELLIPSIS = "…"
SLACK = 1.0
"""Units of the last digit shown by which a number may differ: other processors round otherwise."""


def difference(shown: str, printed: str) -> str | None:
    """None where they agree, else what differs first.

    Runs of blanks count as one. Numbers with a point may be off by one in the last digit shown, whole ones
    not. A line of … stands for any lines, … in a line for any text; numbers beside it must be the same.
    """
    wanted = [line.rstrip() for line in shown.strip("\n").splitlines()]
    got = [line.rstrip() for line in printed.strip("\n").splitlines()]
    return _lines(wanted, got)


def _lines(wanted: list[str], got: list[str]) -> str | None:
    for at, line in enumerate(wanted):
        if line.strip() == ELLIPSIS:
            rest = wanted[at + 1 :]
            ends = range(at, len(got) + 1)
            found = [_lines(rest, got[start:]) for start in ends]
            return None if None in found else found[-1] if rest else None
        if at >= len(got):
            return f"shown but not printed: {line!r}"
        if not same_line(line, got[at]):
            return f"shown:   {line!r}\nprinted: {got[at]!r}"
    return None if len(got) <= len(wanted) else f"printed but not shown: {got[len(wanted)]!r}"


def same_line(shown: str, printed: str) -> bool:
    """The same words and, as far as digits are shown, the same numbers."""
    shown, printed = " ".join(shown.split()), " ".join(printed.split())
    if ELLIPSIS in shown:
        return re.fullmatch(".*".join(map(re.escape, shown.split(ELLIPSIS))), printed) is not None
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    return all(map(same_number, NUMBER.finditer(shown), NUMBER.finditer(printed)))


def same_number(shown: re.Match[str], printed: re.Match[str]) -> bool:
    """Whole numbers alike, others to the last digit shown."""
    if shown[1] is None:
        return shown[0] == printed[0]
    one, other = (float(found[0].replace(",", "").replace("−", "-")) for found in (shown, printed))
    exponent = re.search(r"[eE]([-+]?\d+)", shown[0])
    unit = 10.0 ** ((int(exponent[1]) if exponent else 0) - len(shown[1]))
    return abs(one - other) <= SLACK * unit * (1 + 1e-6)
