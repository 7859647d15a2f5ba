"""The quick leg of `make fuzz`: a few spoilt inputs for every reader, always the same."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.fuzzing.mutations import HOSTILE, mutate

EACH = 8
"""Inputs a reader: enough to see a reader that lost its guard, in seconds."""

READERS = 46


def test_spoilt_inputs_of_every_reader_are_refused_by_name_or_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzzing.run", "--inputs", str(EACH * READERS), "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    readers = [
        line for line in done.stdout.splitlines() if " refused " in line and not line.startswith("all ")
    ]
    assert len(readers) >= 40


def test_mutations_change_what_they_are_given_and_never_twice_the_same_way() -> None:
    import random

    data = b'{"results": {"piqa": {"acc": 0.5}}}'
    made = [mutate(data, ".json", random.Random(number), [b"[1, 2]"]) for number in range(300)]
    assert len(set(made)) > 150
    assert made == [mutate(data, ".json", random.Random(number), [b"[1, 2]"]) for number in range(300)]
    assert sum(value in made for value in (data,)) < 2
    assert len(HOSTILE) > 30
