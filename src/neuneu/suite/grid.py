"""A suite in a folder: prepare it, train its runs one after another, say how far they are."""

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from neuneu.errors import InputError, offered
from neuneu.files import read_json, remove_leftovers, try_lock, write_json
from neuneu.files.writing import kept_from
from neuneu.progress import counting
from neuneu.suite.exam import Exam, make_exam
from neuneu.suite.parallel import agree, place
from neuneu.suite.prepare import TEXT_FACTS, prepare_texts
from neuneu.suite.pretrain import checkpoint_steps, train_run
from neuneu.suite.suite_config import Run, SuiteConfig


@dataclass(frozen=True)
class QuestionFolders:
    """Folders of questions: BLiMP's JSONL and multiple-choice requests; None leaves those tasks out."""

    blimp: Path | None = None
    requests: Path | None = None


def run_suite(
    config: SuiteConfig,
    folder: Path,
    questions: QuestionFolders,
    *,
    root: Path = Path("/"),
    only: str = "*",
) -> None:
    """Train every run of the grid whose name matches `only`, in order, each to its end.

    Several processes may work on one folder: a run that another one holds is passed over. Interrupted at
    any moment and called again, it ends in the same files.
    """
    runs = [run for run in config.runs if fnmatch.fnmatch(run.name, only)]
    if not runs:
        names = [run.name for run in config.runs]
        raise InputError("matches no run of the grid" + offered(only, names), field="only", value=only)
    exam = prepare_suite(config, folder, questions, root)
    with counting("runs", len(runs)) as tell:
        for place, run in enumerate(runs):
            with _run_held(folder, run) as ours:
                if agree(ours):
                    if not _is_finished(config, folder, run):
                        tell(place, run.name)
                    train_run(config, run, folder, exam)


def prepare_suite(
    config: SuiteConfig, folder: Path, questions: QuestionFolders, root: Path = Path("/")
) -> Exam:
    """Texts, tokenizer and exam of a suite; only what is not there yet is made.

    Raises InputError where the folder holds another suite or was begun with other questions.
    """
    _check_settings(config, folder)
    facts = folder / "suite.json"
    with kept_from(folder, TEXT_FACTS), _held(folder / ".prepare.lock", wait=True):
        remove_leftovers(folder / "text")
        prepare_texts(config, folder, root)
        exam = make_exam(config, folder, questions.blimp, questions.requests)
        if facts.exists() and read_json(facts)["exam"] != exam.fingerprint:
            rule = "begun with other questions; give `blimp` and `requests` as then or choose another folder"
            raise InputError(rule, where=folder, field="exam", value=exam.fingerprint)
        settings = config.model_dump(mode="json", exclude={"grids"})
        write_json(facts, {"fingerprint": config.fingerprint, "exam": exam.fingerprint, "config": settings})
    return exam


def _check_settings(config: SuiteConfig, folder: Path) -> None:
    """InputError where the folder holds another suite."""
    facts = folder / "suite.json"
    if facts.exists() and read_json(facts)["fingerprint"] != config.fingerprint:
        raise InputError("was begun with other settings; choose another folder", where=folder)


def suite_status(config: SuiteConfig, folder: Path) -> pl.DataFrame:
    """A row a run of the grid: how far it is, its loss, whether a process is at work on it.

    Raises InputError where the folder holds another suite.
    """
    _check_settings(config, folder)
    planned = len(checkpoint_steps(config.checkpoints, config.schedule))
    rows = []
    for run in config.runs:
        last = last_scores(folder, run)
        count, tokens, loss = 0, 0, None
        if last is not None:
            done = read_json(last)
            count, tokens, loss = len(list(last.parent.glob("*.json"))), done["tokens"], done["train_loss"]
        state = _state(folder, run, finished=count == planned)
        rows.append(
            {
                "run": run.name,
                "checkpoints": count,
                "of": planned,
                "tokens": tokens,
                "train_loss": loss,
                "state": state,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"train_loss": pl.Float64})


def _is_finished(config: SuiteConfig, folder: Path, run: Run) -> bool:
    """Whether a run's last checkpoint has its scores."""
    last = last_scores(folder, run)
    return last is not None and int(last.stem) == config.schedule.steps


def last_scores(folder: Path, run: Run) -> Path | None:
    """The scores of a run's last checkpoint, None before the first."""
    files = sorted((folder / "runs" / run.name / "scores").glob("*.json"))
    return files[-1] if files else None


def _state(folder: Path, run: Run, *, finished: bool) -> str:
    if finished:
        return "done"
    lock = folder / "runs" / f".{run.name}.lock"
    if lock.exists():
        with _held(lock, wait=False) as ours:
            if not ours:
                return "running"
    return "begun" if (folder / "runs" / run.name).exists() else "to do"


@contextmanager
def _run_held(folder: Path, run: Run) -> Iterator[bool]:
    """Hold a run, in the first of several processes on it; the others hold nothing."""
    if place()[0] > 0:
        yield False
        return
    with _held(folder / "runs" / f".{run.name}.lock", wait=False) as ours:
        if ours:
            remove_leftovers(folder / "runs" / run.name)
        yield ours


@contextmanager
def _held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a file's lock, which ends with the process; yields whether it is ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(path, wait=wait)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()
