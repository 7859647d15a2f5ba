"""Which tests take long: markers from durations.txt, which `make durations` measures anew.

pytest --durations=0 -vv | python -m tests.durations
"""

import re
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("durations.txt")
SLOW, MEDIUM = 4.0, 0.4
"""Seconds from which a test is slow (`make slow` runs it), or too long for `make quick`."""
NEVER_LEFT_OUT = {"tests/test_fuzzing.py::test_spoilt_inputs_of_every_reader_are_refused_by_name_or_read"}
"""Slow tests that `make test` runs all the same: the quick leg of `make fuzz`."""
LINE = re.compile(r"^([0-9.]+)s (?:call|setup|teardown)\s+(\S.*)$")


def read_durations() -> dict[str, float]:
    """Test → seconds, of those that take MEDIUM and more."""
    pairs = (line.split(" ", 1) for line in FILE.read_text(encoding="utf-8").splitlines())
    return {name: float(seconds) for seconds, name in pairs}


def mark(items: list[pytest.Item]) -> None:
    """Mark tests as slow or medium by what they took when they were measured."""
    known = read_durations()
    for item in items:
        seconds = known.get(item.nodeid, 0.0)
        if seconds >= SLOW and item.nodeid not in NEVER_LEFT_OUT:
            item.add_marker(pytest.mark.slow)
        elif seconds >= MEDIUM:
            item.add_marker(pytest.mark.medium)


def main() -> None:
    """Write durations.txt from what pytest prints."""
    seconds: dict[str, float] = {}
    for line in sys.stdin:
        found = LINE.match(line.strip())
        if found:
            seconds[found[2]] = seconds.get(found[2], 0.0) + float(found[1])
    order = sorted(seconds.items(), key=lambda pair: (-pair[1], pair[0]))
    FILE.write_text(
        "".join(f"{took:.1f} {name}\n" for name, took in order if took >= MEDIUM), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
