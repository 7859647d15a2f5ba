"""What a comparison takes as in flight that somebody may think has ended, and what it cannot relate."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from neuneu.curves.conditions import setting_changes
from neuneu.curves.curve import Curve
from neuneu.curves.table import CurveTable
from neuneu.decisions.shared import SHOWN, setting_in_words
from neuneu.errors import brief_name, how_many, some_of
from neuneu.evidence.finished import FINISHED, planned_end

EARLY = 0.9
"""A curve ends early where it reaches less than this share of where its run, or the others, have got to."""


def comparison_notes(table: CurveTable, of_run: Mapping[str, Sequence[Curve]]) -> list[str]:
    """What people should know of the compared curves, a line each: which end early, which sizes are unknown.

    table: all that is known of the runs; of_run: run → its compared curves, whole.
    """
    return [*_early(table, of_run), *_unknown_sizes(of_run)]


def _early(table: CurveTable, of_run: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    """Curves that end before their run does, and runs that end before the others without a plan to."""
    changes: dict[tuple[str, str], str] | None = None
    reached = _reached(table, of_run)
    behind: list[str] = []
    told = 0
    farthest = max(float(curve.clock[-1]) for curves in of_run.values() for curve in curves)
    for run, curves in of_run.items():
        short = [curve for curve in curves if curve.clock[-1] < EARLY * reached[run]]
        told += bool(short)
        if short and told <= SHOWN:
            if changes is None:
                changes = {(r, task): what for r, task, _, what in setting_changes(table.frame).iter_rows()}
            for curve in short[:SHOWN]:
                why = changes.get((run, curve.key.task))
                yield (
                    f"{brief_name(run)}, {setting_in_words(curve.key[1:])} ends at clock "
                    f"{curve.clock[-1]:.4g}, other curves of this run go on to {reached[run]:.4g}"
                    f"{f' ({why})' if why else ''}; what comes after is forecast"
                )
            if len(short) > SHOWN:
                more = how_many(len(short) - SHOWN, "more curve")
                yield f"{brief_name(run)}: {more} of it end early"
        early = min(float(curve.clock[-1]) for curve in curves) < EARLY * farthest
        if not short and early and not _has_ended(curves):
            behind.append(run)
    if told > SHOWN:
        yield f"of {how_many(told - SHOWN, 'more run')}, too, curves end before the run does"
    if behind:
        yield (
            f"{some_of(behind, SHOWN)} end{'s' * (len(behind) == 1)} well before clock "
            f"{farthest:.4g}, where another run has got to; what comes after is forecast"
        )


def _has_ended(curves: Sequence[Curve]) -> bool:
    """Whether a run has got to the end that it had planned; one without a plan may go on."""
    return all(
        curve.facts.planned_tokens is not None and curve.clock[-1] >= FINISHED * planned_end(curve)
        for curve in curves
    )


def _reached(table: CurveTable, of_run: Mapping[str, Sequence[Curve]]) -> dict[str, float]:
    """Run → the last clock of any of its values, in the unit of its compared curves."""
    units = {
        run: "step" if curves[0].clock_unit == "step" else curves[0].clock_unit
        for run, curves in of_run.items()
    }
    known = table.frame.filter(pl.col("run").is_in(list(of_run)))
    last = {
        run: {"step": step, "tokens": tokens, "flops": flops}
        for run, step, tokens, flops in known.group_by("run")
        .agg(pl.col("step").max(), pl.col("tokens").max(), pl.col("flops").max())
        .iter_rows()
    }
    return {run: float(last[run][unit]) for run, unit in units.items()}


def _unknown_sizes(of_run: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    unknown = [
        run for run, curves in of_run.items() if curves[0].facts.params is None and not _has_ended(curves)
    ]
    if len(unknown) > 1:
        yield (
            f"{len(unknown)} runs of unknown size are compared by their forecasts alone: runs of one size "
            "inform each other where `params` is given at import"
        )
