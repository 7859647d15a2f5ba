"""SIGKILL at twenty moments of every long command, half of them in its first half second; then to its end.

python -m benchmarks.kills [--each 20] [--only NAMES] [--changes] [--output FILE]

Counts, by command, the kills that met it at work, and whether the rerun ended in the bytes of an undisturbed
run without leftovers. With --changes it is killed before every one of its changes on disk instead, which
finds what no moment meets. Needs the tests beside it, whose commands it runs.
"""

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path

from tests.killing import changes, contents, leftovers, make_commands, run, run_again

FIRST = 0.5
"""Seconds: half of the kills come within."""


def main() -> None:
    """The measurement, printed and written as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--only", help="names of commands, with commas between them")
    parser.add_argument("--changes", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    rng, found = random.Random(0), {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for command in make_commands(home):
            if given.only is not None and command.name not in given.only.split(","):
                continue
            whole, again = home / f"whole-{command.name}", home / f"again-{command.name}"
            whole.mkdir()
            again.mkdir()
            took = run(command, whole)
            assert took is not None
            total = changes(command, again) if given.changes else given.each
            wanted, met, same, clean = contents(command, whole), 0, 0, 0
            for number in range(total):
                out = home / "killed"
                out.mkdir()
                until = min(FIRST, took) if number % 2 else took
                moment = None if given.changes else rng.uniform(0, until)
                change = number + 1 if given.changes else None
                met += run(command, out, kill_after=moment, at=change) is None
                run_again(command, out, wanted)
                same += contents(command, out) == wanted
                clean += not leftovers(out)
                shutil.rmtree(out)
            found[command.name] = {"kills": met, "of": total, "same bytes": same, "no leftovers": clean}
            print(command.name, found[command.name], f"{took:.2f} s undisturbed", flush=True)
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
