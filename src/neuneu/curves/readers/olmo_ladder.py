"""OLMo-ladder run files: one CSV a run, a row a step, a column a task, split, format, shots and metric.

Columns such as eval/downstream_bpb/arc_easy_test_rc_5shot_bpb; throughput/total_tokens is the clock.
Cross-entropies of validation sets (eval/<corpus>/CrossEntropyLoss) are loss curves, not tasks: skipped.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.bulk import each_file
from neuneu.curves.readers.labels import number_column, parse_label
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.errors import InputError

PARAMS = {
    "190M": 190_354_176,
    "370M": 371_262_464,
    "600M": 597_382_464,
    "760M": 758_220_288,
    "1B": 1_279_395_840,
    "3B": 3_169_537_280,
}
"""Parameters without the input embedding, with the output head, by size (the ladder's own count)."""

_COLUMN = re.compile(r"eval/downstream(?:_[a-z_]+)?/(?P<label>.+)")
_FILE = re.compile(r"(?P<size>\d+[MB])-(?P<length>[\d.]+xC)(?P<rest>.*)")


def _recognise(look: Look) -> Fit:
    named = _FILE.fullmatch(look.path.stem) and "_step" in look.columns
    return Fit.MARK if named and any(_COLUMN.fullmatch(column) for column in look.columns) else Fit.NO


@reader(
    "olmo-ladder",
    "OLMo-ladder run files (CSV)",
    names=["*.csv"],
    recognise=_recognise,
)
def read_olmo_ladder(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read run files and folders of them; a run is ladder/<file>, with -const or -decay of its folder's name.

    Raises InputError where a file has no _step column or a value is no number.
    """
    return stack([run for _, run in each_file(files, _read_run, given, report, "olmo-ladder")])


def _read_run(path: Path, report: ReadReport) -> pl.DataFrame:
    frame = read_frame(path)
    if "_step" not in frame.columns:
        raise InputError("the column is missing: no OLMo-ladder run file", where=path, field="_step")
    steps, tokens = number_column(frame, "_step", path), pl.Series([None] * len(frame), dtype=pl.Float64)
    if "throughput/total_tokens" in frame.columns:
        tokens = number_column(frame, "throughput/total_tokens", path)
    name = _FILE.fullmatch(path.stem)
    params = PARAMS.get(name["size"]) if name else None
    stage = next((end for end in ("-const", "-decay") if path.parent.name.endswith(end)), "")
    parts = []
    for column in frame.columns:
        named = _COLUMN.fullmatch(column)
        label = parse_label(named["label"]) if named else None
        if label is None:
            why = "a loss, not a task" if column.endswith("CrossEntropyLoss") else "no task in its name"
            if column.startswith("eval/"):
                report.skip(column, why)
            continue
        part = pl.DataFrame(
            {"step": steps, "tokens": tokens, "value": number_column(frame, column, path)}
        ).drop_nulls("value")
        kinds = {"n_shot": pl.Int64}
        parts.append(
            part.with_columns(pl.lit(v, kinds.get(k, pl.String)).alias(k) for k, v in label._asdict().items())
        )
    if not parts:
        raise InputError("no eval/downstream column: no OLMo-ladder run file", where=path)
    rows = pl.concat(parts)
    report.read[str(path)] += len(rows)
    return rows.with_columns(
        pl.lit(f"ladder/{path.stem}{stage}").alias("run"),
        pl.lit("olmo_ladder").alias("source"),
        pl.lit("olmo_ladder").alias("family"),
        pl.lit("olmo-mix-1124 (peteish)").alias("recipe"),
        pl.lit(params, pl.Int64).alias("params"),
        (6.0 * pl.lit(params, pl.Float64) * pl.col("tokens")).alias("flops"),
    )
