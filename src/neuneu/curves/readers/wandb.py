"""Weights & Biases histories: CSV (downloaded in the browser or written from the API) and JSON lines.

A column is a task's value where its name ends in a known metric, after / or _: arc_easy/acc,
eval/downstream/arc_easy_acc, "my-run - eval/arc_easy/acc_norm" (the browser's form, which names the run).
The step is the trainer's own where it was logged, else wandb's counter.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.labels import Label, number_column, parse_label
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.tasks import metric_names
from neuneu.errors import InputError
from neuneu.files import parse_json

STEP_COLUMNS = ("trainer/global_step", "train/global_step", "global_step", "step", "_step", "Step")
TOKEN_COLUMNS = (
    "throughput/total_tokens", "train/num_input_tokens_seen", "num_input_tokens_seen", "tokens_seen",
    "train/tokens", "total_tokens", "num_tokens", "consumed_tokens", "tokens",
)  # fmt: skip
"""Where the step and the tokens are looked for, the best first."""

_ROWS = {
    "run": pl.String(), "task": pl.String(), "metric": pl.String(), "variant": pl.String(),
    "n_shot": pl.Int64(), "step": pl.Float64(), "tokens": pl.Float64(), "value": pl.Float64(),
    "source": pl.String(),
}  # fmt: skip
_BOUNDS = ("__MIN", "__MAX")


def _recognise(look: Look) -> Fit:
    names = look.columns or (tuple(look.line) if isinstance(look.line, dict) else ())
    logged = any(name in STEP_COLUMNS for name in names)
    return Fit.SHAPE if logged and any(parse_column(name) for name in names) else Fit.NO


@reader(
    "wandb",
    "Weights & Biases histories in CSV (from the browser or the API) and JSON lines",
    names=["*.csv", "*.jsonl"],
    recognise=_recognise,
    options={"tokens_column": "the column with the tokens seen."},
)
def read_wandb(
    files: Sequence[Path], given: Given, report: ReadReport, *, tokens_column: str | None = None
) -> pl.DataFrame:
    """Read .csv and .jsonl histories, one run a file unless the columns name runs.

    A run is named by the file unless `given.run` or the columns say otherwise. Empty cells and NaN are
    steps at which nothing was logged. Raises InputError without a step column, and on text for numbers.
    """
    parts = []
    for path in files:
        frame = read_frame(path) if path.suffix == ".csv" else _read_lines(path)
        part = _read_history(frame, path, tokens_column, report)
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)


def parse_column(name: str) -> tuple[str | None, Label] | None:
    """The run (None if it does not say) and the label of a column; None where it is no task's value."""
    run, separator, label = name.rpartition(" - ")
    parts = label.split("/")
    ending = "_".join(parts[-2:]) if parts[-1] in metric_names() else parts[-1]
    found = parse_label(ending)
    if found is None or found.task in ("train", "eval", "val", "test"):
        return None
    return (run if separator else None), found


def _read_history(
    frame: pl.DataFrame, path: Path, tokens_column: str | None, report: ReadReport
) -> pl.DataFrame:
    step_column = next((name for name in STEP_COLUMNS if name in frame.columns), None)
    if step_column is None:
        raise InputError(f"no step column; looked for {', '.join(STEP_COLUMNS)}", where=path)
    steps, tokens = number_column(frame, step_column, path), _tokens(frame, path, tokens_column)
    parts = [pl.DataFrame(schema=_ROWS)]
    for name in frame.columns:
        column = None if name.endswith(_BOUNDS) else parse_column(name)
        if column is None:
            if name not in STEP_COLUMNS and name not in TOKEN_COLUMNS and not name.startswith("_"):
                report.skip(name, "no task and known metric in its name")
            continue
        part = pl.DataFrame({"step": steps, "tokens": tokens, "value": number_column(frame, name, path)})
        part = part.drop_nulls("value")
        if part["step"].null_count():
            report.skip(name, f"values in rows without {step_column}", part["step"].null_count())
            part = part.drop_nulls("step")
        run, label = column
        names = {"run": run or path.stem, **label._asdict(), "source": "wandb"}
        part = part.with_columns(pl.lit(value, _ROWS[key]).alias(key) for key, value in names.items())
        parts.append(part.select(list(_ROWS)))
    return pl.concat(parts)


def _tokens(frame: pl.DataFrame, path: Path, asked: str | None) -> pl.Series:
    if asked is not None and asked not in frame.columns:
        raise InputError("no such column", where=path, field="tokens-column", value=asked)
    found = asked or next((name for name in TOKEN_COLUMNS if name in frame.columns), None)
    if found is None:
        return pl.Series([None] * len(frame), dtype=pl.Float64)
    return number_column(frame, found, path).round(0)


def _read_lines(path: Path) -> pl.DataFrame:
    """JSON lines as a frame of text, so that CSV and JSON lines go the same way."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("must be UTF-8 text", where=path) from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path} line {number}")
        if not isinstance(row, dict):
            raise InputError("each line must be an object", where=f"{path} line {number}")
        rows.append(row)
    names: Iterable[str] = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame({name: [_text(row.get(name)) for row in rows] for name in names})


def _text(value: object) -> str | None:
    """A number as text that reads back as the same number; anything else as it is."""
    return None if value is None else value if isinstance(value, str) else repr(value)
