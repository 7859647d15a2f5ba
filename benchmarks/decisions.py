"""What pair probabilities were worth on runs that nothing was fitted on.

`python -m benchmarks.decisions CURVES… [--home] --train CURVES…`: runs of one size and budget with different
recipes, asked at 10, 20, 30, 50 and 70 % of the run, as `rank` has them and by each forecaster's own
quantiles, without references. What ships was fitted on the tables after --train and on own runs: families
among these are asked with everything fitted on the others, all other runs with what ships. Curves of 8
checkpoints or more, one accuracy each, the last value is what came true. Where no run of a source has a size
they count as one size, and where they differ in nothing but their seeds, seeds count as recipes; both are
told. Writes results/decisions.json and decisions.md; sources that are named again are measured again, others
stay.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benchmarks.ship import families_seen, fitted_without, shipped_from, without

from neuneu.curves.curve import Curve
from neuneu.curves.table import CurveTable
from neuneu.decisions.outcomes import (
    MEAN,
    PLAIN,
    RANK,
    SINGLE,
    Outcomes,
    Race,
    outcomes,
    pair_scores,
    reliability,
)
from neuneu.evaluation.benchmark import Cells, EvaluationSettings, Scored
from neuneu.evaluation.leaderboard import Results
from neuneu.evaluation.protocol import MIN_CHECKPOINTS, ROLLING_ORIGINS, Protocol
from neuneu.evaluation.splits import Source, leave_source_out
from neuneu.evidence.cut import Question, seen
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.evidence.finished import RULES
from neuneu.files import read_json, write_json, write_text
from neuneu.forecasters.base import Forecaster, load_forecaster, make_forecaster
from neuneu.forecasts.cells import Answers
from neuneu.forecasts.forecast import ask
from neuneu.suite.home import read_home_curves

RESULTS = Path(__file__).parent / "results"
FORECASTERS = ("last-value", "mean-k", "neuneu-2")
DROPPED_BY = (("last-value", PLAIN), ("mean-k", PLAIN), ("neuneu-2", RANK))
"""Runs are dropped by these, as anybody would by the first two."""
THRESHOLDS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.45)
HALF_A_POINT = 0.005
THIN = 4
"""One in so many of a run's equally likely values counts, to save time: P is known to half a per cent."""
SHOWN = (0.2, 0.5)
"""Contexts whose tables decisions.md has; decisions.json has all."""


def main(argv: Sequence[str] = ()) -> None:
    """Measure each file and write; without curves there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*")
    parser.add_argument("--home", action="store_true", help="the packaged runs as well")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--train", type=Path, nargs="+", default=[], help="tables that neuneu-2 ships from")
    asked = parser.parse_args(argv)
    tables = {path.stem: CurveTable.read(path) for path in asked.curves}
    if asked.home:
        tables["home"] = read_home_curves()
    if not tables or not asked.train:
        print("name curve files: python -m benchmarks.decisions CURVES… [--home] --train CURVES…")
        return
    fitted = Fitted(shipped_from(asked.train))
    place = asked.output / "decisions.json"
    document: dict[str, Any] = read_json(place) if place.exists() else {}
    for name, table in tables.items():
        document[name] = measure(name, table, fitted)
        print(name, document[name]["told"], flush=True)
        write_json(place, dict(sorted(document.items())))
        write_text(asked.output / "decisions.md", "\n".join(in_words(dict(sorted(document.items())))))


class Fitted:
    """Forecasters that have seen nothing of the families they are asked about."""

    def __init__(self, curves: CurveTable) -> None:
        """curves: what ships was fitted on."""
        self.curves = curves

    def forecasters(self, table: CurveTable) -> dict[str, Forecaster]:
        """By name, fitted on the other families; what ships where that is all of it."""
        families = families_seen(self.curves, table)
        return self._without(families) if families else {name: load_forecaster(name) for name in FORECASTERS}

    @lru_cache(maxsize=1)  # noqa: B019  sources of one family follow each other
    def _without(self, families: frozenset[str]) -> dict[str, Forecaster]:
        others = without(self.curves, families)
        plain = FORECASTERS[:-1]
        found: dict[str, Forecaster] = {
            name: make_forecaster(name).fit(others, references=RULES["none"]) for name in plain
        }
        return found | {FORECASTERS[-1]: fitted_without(self.curves, families)}


def measure(name: str, table: CurveTable, fitted: Fitted) -> dict[str, Any]:
    """Pairs, their reliability, and dropped runs of one source."""
    frame, told = comparable(table.frame)
    answers = answered(name, CurveTable(frame), fitted.forecasters(table))
    races = [thinned(race) for race in outcomes(answers).races]
    found = Outcomes(races)
    kind = pl.when(pl.col("task") == MEAN).then(pl.lit(MEAN)).otherwise(pl.lit(SINGLE)).alias("over")
    pairs = found.pairs().with_columns(kind)
    ours = pairs.filter(forecaster=DROPPED_BY[-1][0])
    tenths = [
        part.pipe(reliability).with_columns(over=pl.lit(over[0])) for over, part in ours.group_by("over")
    ]
    kept = [replace(race, points={key: race.points[key] for key in DROPPED_BY}) for race in races]
    dropped = Outcomes(kept).dropping(THRESHOLDS).with_columns(kind)
    saved = pl.col("compute_saved").mean(), pl.col("regret").mean(), pl.len().alias("races")
    by = ["over", "forecaster", "rule"]
    return {
        "told": told,
        "left_out": sorted(families_seen(fitted.curves, table)),
        "pairs": _rounded(pair_scores(pairs, (*by, "context"))),
        "reliability": _rounded(pl.concat(tenths).sort("over", "forecaster", "rule", "context", "tenth")),
        "dropping": _rounded(dropped.group_by([*by, "threshold"]).agg(*saved).sort([*by, "threshold"])),
    }


def _rounded(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows with their numbers to four digits."""
    return table.with_columns(pl.col(pl.Float64).round(4)).to_dicts()


def thinned(race: Race) -> Race:
    """A race by one in THIN of the equally likely values of each run."""
    return replace(race, points={key: values[:, THIN // 2 :: THIN] for key, values in race.points.items()})


def comparable(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """A source's runs so that they can be compared, and what was taken for granted."""
    told = ""
    if frame["params"].null_count() == len(frame):
        frame, told = frame.with_columns(params=pl.lit(1, pl.Int64)), "sizes unknown: taken as one size"
    if frame["recipe"].n_unique() == 1 and frame["seed"].n_unique() > 1:
        frame, told = frame.with_columns(recipe=pl.col("seed")), "one recipe: seeds taken as recipes"
    return frame, told


def answered(name: str, table: CurveTable, forecasters: dict[str, Forecaster]) -> Results:
    """Every forecaster's answer to each curve's last checkpoint at each context."""
    curves = [curve for curve in table.one_metric() if len(curve) >= MIN_CHECKPOINTS]
    questions = [
        Question(_ends(curve, size), size, curve.clock[-1:], share)
        for curve in curves
        for share in ROLLING_ORIGINS
        if 0 < (size := seen(curve, share)) < len(curve)
    ]
    source = Source(name, table)
    cells = Cells((name,), tuple(questions), np.zeros(len(questions), dtype=np.intp), 0)
    scored = []
    for each, forecaster in forecasters.items():
        given = Answers.empty(len(questions))
        fallback = scored[0].quantiles if scored else None
        found = ask(forecaster, questions, EvidenceBuilder(table))
        for number, answer in enumerate(found):
            given.note(number, slice(number, number + 1), answer, fallback)
        scored.append(Scored(each, given, "other families", sees_future=False))
    return Results(cells, scored, EvaluationSettings(Protocol("rolling"), leave_source_out([source])))


def _ends(curve: Curve, size: int) -> Curve:
    """A curve's context and its last checkpoint."""
    keep = np.r_[np.arange(size), len(curve) - 1]
    return replace(
        curve, steps=curve.steps[keep], clock=curve.clock[keep], values=curve.values[keep],
        stderr=curve.stderr[keep],
    )  # fmt: skip


def in_words(document: dict[str, Any]) -> Iterator[str]:
    """The tables of decisions.md, line by line."""
    yield "# What pair probabilities were worth\n"
    yield (
        "`python -m benchmarks.decisions CURVES… --home --train CURVES…`; decisions.json has every context. "
        "Pairs of runs of one size and budget with different recipes, no references. Each source is asked "
        "with everything fitted on other families.\n"
    )
    for name, found in document.items():
        families = ", ".join(found["left_out"])
        fitted = f"fitted without {families}" if families else "as what ships, which saw none of it"
        yield f"- {name}: {'; '.join(filter(None, [found['told'], fitted]))}."
    yield "\n## Brier score\n"
    yield from brier(document, (SINGLE, MEAN))
    yield "\n## Reliability of neuneu-2 in `rank`\n"
    yield (
        "Said, and how often right, by tenth; in brackets the 95 % interval of a bootstrap over runs. Tenths "
        "with 20 pairs or more; ! where 200 pairs are off by more than 5 points and the interval does not "
        "hold what was said.\n"
    )
    yield "| source | context | over | tenth | pairs | said | right | |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, found in document.items():
        for row in found["reliability"]:
            if (row["forecaster"], row["rule"]) == DROPPED_BY[-1] and row["context"] in SHOWN:
                yield from _tenth(name, row)
    yield "\n## Compute saved at half a point of regret\n"
    yield (
        "Runs are dropped at 10, 20, 30, 50 and 70 % of the run as soon as P(best) falls under a threshold; "
        "mean over races, interpolated between thresholds; > where no threshold up to "
        f"{THRESHOLDS[-1]} regrets as much.\n"
    )
    yield from saved(document)
    yield ""


def brier(document: dict[str, Any], overs: Sequence[str], fewest: int = 1) -> Iterator[str]:
    """A row a source, kind of mean and context of `SHOWN` with so many pairs at least: Brier scores."""
    columns = "last value | mean of the last five | neuneu-2, plain | neuneu-2 in `rank`"
    yield f"| source | context | over | pairs | {columns} |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, found in document.items():
        for over in overs:
            for context in SHOWN:
                yield from _brier(name, found, over, context, fewest)


def saved(document: dict[str, Any]) -> Iterator[str]:
    """A row a source and kind of mean: compute saved at half a point of regret."""
    yield "| source | over | races | last value | mean of the last five | neuneu-2 in `rank` |"
    yield "|---|---|---|---|---|---|"
    for name, found in document.items():
        for over in (SINGLE, MEAN):
            rows = [row for row in found["dropping"] if row["over"] == over]
            if rows:
                cells = [
                    _saved([row for row in rows if (row["forecaster"], row["rule"]) == key])
                    for key in DROPPED_BY
                ]
                yield f"| {name} | {over} | {rows[0]['races']} | {' | '.join(cells)} |"


def _brier(name: str, found: dict[str, Any], over: str, context: float, fewest: int) -> Iterator[str]:
    rows = {
        (row["forecaster"], row["rule"]): row
        for row in found["pairs"]
        if row["over"] == over and row["context"] == context
    }
    if rows and next(iter(rows.values()))["pairs"] >= fewest:
        keys = (*DROPPED_BY[:2], ("neuneu-2", PLAIN), DROPPED_BY[2])
        scores = [rows[key]["brier"] for key in keys]
        cells = [f"**{s:.4f}**" if s == min(scores) else f"{s:.4f}" for s in scores]
        yield f"| {name} | {context:g} | {over} | {rows[keys[0]]['pairs']} | {' | '.join(cells)} |"


def _tenth(name: str, row: dict[str, Any]) -> Iterator[str]:
    if row["pairs"] >= 20:
        off = abs(row["p"] - row["right"]) > 0.05 and not row["low"] <= row["p"] <= row["high"]
        mark = "!" if off and row["pairs"] >= 200 else ""
        right = f"{row['right']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
        where = f"| {name} | {row['context']:g} | {row['over']} | {row['tenth']} | {row['pairs']} "
        yield f"{where}| {row['p']:.1%} | {right} | {mark} |"


def _saved(rows: list[dict[str, Any]]) -> str:
    """Compute saved at half a point of regret, from a row a threshold."""
    points = sorted((row["regret"], row["compute_saved"]) for row in rows)
    regrets, saved = [0.0, *(p[0] for p in points)], [0.0, *(p[1] for p in points)]
    if regrets[-1] < HALF_A_POINT:
        return f"> {max(saved):.0%}"
    return f"{float(np.interp(HALF_A_POINT, regrets, saved)):.0%}"


if __name__ == "__main__":
    main(sys.argv[1:])
