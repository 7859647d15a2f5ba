"""Long commands that are killed: what each reads and writes, and how to run one in a process that dies.

Processes are forked from one that has the libraries loaded, so that a kill in the first tenth of a second
meets the command and not the imports.
"""

import ctypes
import errno
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

PRELOADED = [
    "torch", "transformers", "neuneu.cli.main", "neuneu.cli.designs", "neuneu.forecasters.train",
    "neuneu.designs.database.store", "neuneu.losses.scoring", "neuneu.losses.corpus", "neuneu.losses.zarr_store",
    "neuneu.suite.grid", "neuneu.suite.pretrain", "neuneu.evaluation.benchmark", "neuneu.reports.writing",
    "tests.killing",
]  # fmt: skip
CONTEXT = multiprocessing.get_context("forkserver")
Count = ctypes.c_int
Trouble = Literal["kill", "interrupt", "full", "pause"]
CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod")
"""Audited events that change what is on disk, of files that are opened only those that are written."""

GROWING = ("open", "os.mkdir")
"""Those of them that need room."""

ALERTS = 3
"""How `watch --once` ends where there are alerts."""

WAITED = 60.0
"""Seconds after which one of two at once is killed, which then ends in no code of its own."""

LOCKS = (".lock",)
"""Files of locks stay: they hold nothing."""


@dataclass(frozen=True)
class Long:
    """A long command: its arguments, with OUT for the folder that it writes to."""

    name: str
    arguments: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    """Names of files that tell durations."""

    timed: tuple[str, ...] = ()
    """Names of files that tell when they were made, which is struck out."""


def trouble(step: int, out: Path, what: Trouble = "kill", count: Count | None = None) -> None:
    """From now on this process meets trouble before its `step`-th change of what is in a folder, from 1.

    kill: it ends there; interrupt: somebody presses Ctrl-C; pause: it stops there until it is told to go on; full: it finds no room for a file or
    folder, then and later (of such changes the `step`-th). count: where it counts them.
    """
    count = Count(0) if count is None else count

    def heard(event: str, told: tuple[Any, ...]) -> None:
        if event not in (GROWING if what == "full" else CHANGES):
            return
        if event == "open" and not told[2] & (os.O_WRONLY | os.O_RDWR):
            return
        place = os.fsdecode(told[0]) if isinstance(told[0], str | bytes) else ""
        if not place or (place.startswith("/") and not place.startswith(f"{out}/")):
            return
        count.value += 1
        if what == "full" and count.value >= step > 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
        if count.value == step and what == "interrupt":
            raise KeyboardInterrupt
        if count.value == step:
            os.kill(os.getpid(), signal.SIGSTOP if what == "pause" else signal.SIGKILL)

    sys.addaudithook(heard)


def work(
    arguments: list[str], out: Path, words: Path, step: int | None, what: Trouble, count: Count | None
) -> None:
    """The command, in a process of its own, its words in a file; see `trouble`."""
    from neuneu.cli.main import main

    told = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(told, 1)
    os.dup2(told, 2)
    if step is not None:
        trouble(step, out, what, count)
    sys.argv = ["neuneu", *arguments]
    main()


def start(
    command: Long,
    out: Path,
    *,
    at: int | None = None,
    what: Trouble = "kill",
    words: Path | None = None,
    count: Count | None = None,
) -> BaseProcess:
    """The command at work in a process of its own. words: a file for its words, else one beside `out`."""
    CONTEXT.set_forkserver_preload(PRELOADED)
    arguments = [part.replace("OUT", str(out)) for part in command.arguments]
    process = CONTEXT.Process(target=work, args=(arguments, out, words or words_of(out), at, what, count))
    process.start()
    return process


def words_of(out: Path) -> Path:
    """Where the words of the last command that wrote to a folder are."""
    return out.with_name(f"{out.name}.words")


def run(
    command: Long,
    out: Path,
    *,
    kill_after: float | None = None,
    at: int | None = None,
    what: Trouble = "kill",
    count: Count | None = None,
) -> float | None:
    """Run to the end; or kill after so many seconds; or let it meet trouble at that change.

    Returns the seconds it took, None where it was killed; count: see `trouble`. Raises RuntimeError with the
    command's words where it ended otherwise.
    """
    began = time.monotonic()
    process = start(command, out, at=at, what=what, count=count)
    process.join(kill_after)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    if at is not None and process.exitcode == -signal.SIGKILL:
        return None
    if process.exitcode not in (0, ALERTS):
        words = words_of(out).read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"{command.name} ended with {process.exitcode}: {words}")
    return time.monotonic() - began


def run_beside(command: Long, out: Path, at: int, patience: float = 20.0) -> list[tuple[int | None, str]]:
    """Run it in the middle of itself: from the first one's pause at a change on, and then the first goes on.

    Returns code and words of both. patience: seconds until the first goes on although the second has not
    ended, which may wait for it.
    """
    words = [out.with_name(f"{out.name}.{name}") for name in ("first", "second")]
    first = start(command, out, at=at, what="pause", words=words[0])
    while first.is_alive() and not _paused(first):
        time.sleep(0.005)
    second = start(command, out, words=words[1])
    second.join(patience)
    if first.is_alive() and first.pid is not None:
        os.kill(first.pid, signal.SIGCONT)
    for process in (first, second):
        process.join(WAITED)
        if process.exitcode is None:
            process.kill()
            process.join()
    return [(each.exitcode, path.read_text()) for each, path in zip((first, second), words, strict=True)]


def _paused(process: BaseProcess) -> bool:
    try:
        state = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state == "T"


def changes(command: Long, out: Path, what: Trouble = "kill") -> int:
    """Run to the end; how many changes that made of what is in `out`, of those that this trouble counts."""
    count = CONTEXT.Value(Count, lock=False)
    run(command, out, at=-1, what=what, count=count)
    return int(count.value)


def run_again(command: Long, out: Path, wanted: dict[str, str]) -> None:
    """Run to the end what was killed before; some commands refuse to do again what is all done already."""
    try:
        run(command, out)
    except RuntimeError:
        if contents(command, out) != wanted:
            raise


def contents(command: Long, out: Path) -> dict[str, str]:
    """What was written: each file by its digest, a design database by its rows."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in command.ignored and path.suffix not in LOCKS:
            data = _rows(path) if path.suffix == ".duckdb" else path.read_bytes()
            if path.name in command.timed:
                data = _TIME.sub(b"", data)
            found[str(path.relative_to(out))] = hashlib.sha256(data).hexdigest()
    return found


_TIME = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")


def _rows(path: Path) -> bytes:
    from neuneu.designs.database.schema import TABLES
    from neuneu.designs.database.store import DesignStore

    with DesignStore(path) as store:
        return "".join(store.table(name).write_csv() for name in TABLES).encode()


def leftovers(out: Path) -> list[str]:
    """Hidden files and folders, which nothing that ends well leaves, but for locks."""
    return [str(path) for path in out.rglob(".*") if path.suffix not in LOCKS]


def make_commands(home: Path) -> list[Long]:
    """Long commands over inputs written below `home`."""
    import yaml
    from tests.designs.conftest import DATASETS, EVALUATIONS, MODELS
    from tests.forecasters.neuneu.small import make_config, make_table
    from tests.stand_ins import make_hf_olmo, make_tokenizer, sentences
    from tests.suite.tiny import write_tiny

    tokenizer = make_tokenizer(home / "tokenizer")
    texts = [json.dumps({"text": sentences(seed, 60)}) + "\n" for seed in range(40)]
    (home / "text.jsonl").write_text("".join(texts))
    make_table(n_runs=4).write(home / "curves.parquet")
    (home / "export").mkdir()
    for name, text in (
        ("model_annotations", MODELS),
        ("dataset_info", DATASETS),
        ("evaluation_results", EVALUATIONS),
    ):
        (home / "export" / f"{name}.csv").write_text(text)
    for step in (0, 100, 200):
        make_hf_olmo(home / "run" / f"step{step}", 0, step / 200)
    config = make_config(
        "neuneu-noloss", data={"curves": [str(home / "curves.parquet")]}, model={"encoder": "none"}
    )
    (home / "train.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    tiny = write_tiny(home / "tiny")
    curves, corpus = str(home / "curves.parquet"), str(home / "corpus")
    prepared = Long(
        "tokenize",
        ("tokenize", str(home / "text.jsonl"), "-t", str(tokenizer), "-o", corpus, "--workers", "1"),
    )
    run(prepared, home)
    scored = ("score", str(home / "run"), "--corpus", corpus, "--window", "32")
    run(Long("score", (*scored, "-o", str(home / "losses.zarr"))), home)
    for step in range(1000, 13_000, 1000):
        share = {"piqa": 0.5 + step / 50_000, "arc_easy": 0.4 + step / 40_000, "sciq": 0.6 + step / 60_000}
        document = {
            "results": {task: {"acc": value, "acc_stderr": 0.01} for task, value in share.items()},
            "versions": dict.fromkeys(share, 0),
            "config": {"model_args": f"pretrained=org/lm,revision=step{step}", "num_fewshot": 0},
        }
        (home / "results").mkdir(exist_ok=True)
        (home / "results" / f"results_{step}.json").write_text(json.dumps(document))
    results, losses = str(home / "results"), str(home / "losses.zarr")
    questions = ("--blimp", f"{tiny}/blimp", "--requests", f"{tiny}/requests", "--root", str(tiny))
    return [
        Long("tokenize", (*prepared.arguments[:5], "OUT/corpus", "--workers", "1")),
        Long("score", (*scored, "-o", "OUT/l.zarr")),
        Long("words", ("words", losses, "--corpus", corpus, "-o", "OUT/words.zarr", "--summary", "OUT/w.csv")),
        Long("train", ("train", str(home / "train.yaml"), "-o", "OUT/model")),
        Long("evaluate", ("evaluate", curves, "-f", "power-law", "--context", "0.5", "-o", "OUT/ev"), ("timings.json",)),
        Long("forecast", ("forecast", curves, "-f", "power-law", "--context", "0.5", "-o", "OUT/f.parquet")),
        Long("report", ("report", curves, "-f", "power-law", "--context", "0.5", "-o", "OUT/r.html")),
        Long("rank", ("rank", curves, "-f", "power-law", "--context", "0.5", "-o", "OUT/r.csv")),
        Long("plot", ("plot", "fan", curves, "-f", "power-law", "--context", "0.5", "-o", "OUT/fan.png")),
        Long("import", ("import", "lm-eval", results, "-o", "OUT/c.parquet")),
        Long("export", ("export", "neuneu-npy", curves, "-o", "OUT/npy")),
        Long(
            "watch",
            ("watch", results, "--once", "-f", "power-law", "--planned-tokens", "24000", "--tokens-per-step", "1",
             "--status", "OUT/status.json", "--ledger", "OUT/ledger.jsonl"),
            timed=("status.json", "ledger.jsonl"),
        ),
        Long("designs tag", ("designs", "tag", "counts", "-i", str(home / "text.jsonl"), "-o", "OUT/t.parquet")),
        Long("designs import", ("designs", "import", "export", str(home / "export"), "--store", "OUT/d.duckdb")),
        Long("suite run", ("suite", "run", f"{tiny}/tiny.yaml", *questions, "--output", "OUT/suite")),
    ]  # fmt: skip
