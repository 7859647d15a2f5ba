"""A stand-in for a SLURM cluster: `sbatch` runs a script's body here, once for each task of its array.

Run as a program it is that `sbatch`; `install` puts it, `neuneu` and `torchrun` into a folder for PATH.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OPTIONS = {
    "job-name", "array", "gpus", "nodes", "cpus-per-task", "mem", "time", "requeue", "output", "wait",
}  # fmt: skip
"""The options of sbatch that the scripts use; others are an error here."""


def install(folder: Path) -> Path:
    """Write `sbatch`, `neuneu`, `python` and `torchrun` of this interpreter into a folder; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    commands = {
        "sbatch": f'"{Path(__file__).resolve()}"',
        "neuneu": "-m neuneu",
        "python": "",
        "torchrun": "-m torch.distributed.run",
    }
    for name, what in commands.items():
        file = folder / name
        file.write_text(f'#!/bin/bash\nexec "{sys.executable}" {what} "$@"\n')
        file.chmod(0o755)
    return folder


def read_options(words: list[str]) -> dict[str, str]:
    """`--name=value` and `--name`; SystemExit on anything else."""
    found = {}
    for word in words:
        match = re.fullmatch(r"--([a-z-]+)(?:=(\S+))?", word)
        if match is None or match[1] not in OPTIONS:
            sys.exit(f"sbatch: unrecognized option {word}")
        found[match[1]] = match[2] or ""
    return found


def header(script: Path) -> list[str]:
    """The words of a script's #SBATCH lines, which end where its commands begin."""
    words: list[str] = []
    for line in script.read_text().splitlines():
        if line.startswith("#SBATCH "):
            words += line.removeprefix("#SBATCH ").split()
        elif line and not line.startswith("#"):
            break
    return words


def array_numbers(text: str) -> Iterator[int]:
    """The tasks of `0-4` or `0,2,3`."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def submit(arguments: list[str]) -> int:
    """Run a script's tasks one after the other; the first that fails ends them."""
    at = next(i for i, word in enumerate(arguments) if not word.startswith("-"))
    script = Path(arguments[at])
    options = read_options(header(script)) | read_options(arguments[:at])
    numbers = list(array_numbers(options.get("array", "0")))
    for number in numbers:
        environment = {
            **os.environ, "SLURM_JOB_ID": str(100 + number), "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_ARRAY_TASK_MIN": str(min(numbers)), "SLURM_ARRAY_TASK_MAX": str(max(numbers)),
            "SLURM_ARRAY_TASK_COUNT": str(len(numbers)),
            "SLURM_GPUS_ON_NODE": options.get("gpus", "1"),
        }  # fmt: skip
        done = subprocess.run(["bash", script, *arguments[at + 1 :]], env=environment, check=False)
        if done.returncode:
            return done.returncode
    sys.stdout.write("Submitted batch job 100\n")
    return 0


if __name__ == "__main__":
    sys.exit(submit(sys.argv[1:]))
