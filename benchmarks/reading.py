"""How long and how much memory reading a folder of result files takes, beside parsing their JSON alone.

`python -m benchmarks.reading [FOLDER]`: copies of the result files under FOLDER (multisynt's, say), or of one
made up here that is as long, with other models, revisions and values, until there are FILES of them.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FILES = 6600
"""As many as multisynt's repository holds for one language and recipe family."""

CHECKPOINTS = 11
"""Checkpoints a run."""

TEXT = 1900
"""Characters of a task's configuration: with it a file has the 2.7 kB of multisynt's."""


def main() -> None:
    """Make the folder, read it in a process of its own, and print what it took."""
    if sys.argv[1:2] == ["--read"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as place:
        size = fill(Path(place), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
        command = [sys.executable, "-m", "benchmarks.reading", "--read", place]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{FILES:,} files, {size / FILES / 1000:.1f} kB each, {found['rows']:,} values")
    print(f"parsing their JSON: {found['parse']:.2f} s of one core; reading them: {found['read']:.2f} s "
          f"({found['read'] / found['parse']:.1f} times); peak memory {found['mb']:,.0f} MB")  # fmt: skip


def fill(folder: Path, like: Path | None) -> int:
    """Write FILES result files; their bytes."""
    samples = [json.loads(path.read_text()) for path in sorted(like.rglob("results*.json"))] if like else []
    samples = samples or [made_up()]
    size = 0
    for number in range(FILES):
        document = samples[number % len(samples)]
        tasks = len(samples)
        run, checkpoint = divmod(number // tasks, CHECKPOINTS)
        arguments = f"pretrained=org/model-{run},revision=step{1000 * (checkpoint + 1)}"
        config = {**document["config"], "model_args": arguments, "model_revision": None}
        document = {**document, "config": config}
        text = json.dumps(document)
        path = folder / f"run{run}" / f"step{checkpoint}" / f"task{number % tasks}" / "results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        size += len(text)
    return size


def made_up() -> dict[str, Any]:
    """A results document of two metrics."""
    metrics = {"acc,none": 0.5, "acc_stderr,none": 0.01, "acc_norm,none": 0.5, "acc_norm_stderr,none": 0.01}
    return {
        "results": {"piqa": {"alias": "piqa", **metrics}},
        "configs": {"piqa": {"doc_to_text": "x" * TEXT}},
        "versions": {"piqa": 1.0},
        "n-shot": {"piqa": 0},
        "config": {"model": "hf", "limit": None},
        "date": 1.0,
    }


def measure(folder: Path) -> dict[str, float]:
    """Seconds of the processor to find and parse the files, to read them, and the peak of memory in MB."""
    from neuneu.curves.readers.formats import formats, read_format
    from neuneu.curves.readers.parsing import Given

    formats()
    start = time.process_time()
    for path in sorted(folder.rglob("*.json")):
        json.loads(path.read_text(encoding="utf-8"))
    parsed = time.process_time()
    result = read_format("lm-eval", [folder], given=Given(keep="last", tell=print))
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"parse": parsed - start, "read": done - parsed, "mb": peak, "rows": len(result.table)}


if __name__ == "__main__":
    main()
