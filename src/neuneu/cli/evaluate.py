"""`neuneu evaluate`: forecasters on the same cells, one leaderboard."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuneu.cli.options import (
    Anchor,
    AsJson,
    Delta,
    Device,
    Losses,
    MetricName,
    ReferenceRuns,
    Runs,
    Shots,
    Tasks,
    Variant,
    folder_place,
    known_forecasters,
    make_app,
    one_of,
    split_names,
)
from neuneu.cli.tables import note, print_table
from neuneu.errors import InputError

if TYPE_CHECKING:
    from neuneu.evaluation.leaderboard import Results

app = make_app()


@app.command()
def evaluate(
    curves: Annotated[list[Path], typer.Argument(help="Curve tables (.parquet, .csv, .json).")],
    forecasters: Annotated[
        str,
        typer.Option(
            "--forecasters",
            "-f",
            help="Names or folders, separated by commas.",
            autocompletion=known_forecasters,
        ),
    ] = "last-value,power-law",
    protocol: Annotated[
        str,
        typer.Option(
            help="How forecasts are asked (docs/evaluation.md).",
            **one_of("fraction", "anchored", "sequential", "rolling", "every"),
        ),
    ] = "fraction",
    context: Annotated[float, typer.Option(help="Share of the curve that is seen.")] = 0.2,
    by: Annotated[
        str,
        typer.Option(help="Count the share by clock or by checkpoints.", **one_of("clock", "checkpoints")),
    ] = "clock",
    feed: Annotated[
        str,
        typer.Option(
            help="Sequential: append the median, or the truth (sees the future).", **one_of("median", "truth")
        ),
    ] = "median",
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    losses: Losses = None,
    references: ReferenceRuns = "none",
    manifest: Annotated[
        Path | None,
        typer.Option(help="JSON or YAML with train and test lists, in place of leave-one-source-out."),
    ] = None,
    fit: Annotated[
        bool, typer.Option(help="Fit afresh outside the tested runs; --no-fit: as they ship.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of fits and bootstrap.", min=0)] = 0,
    device: Device = None,
    delta: Delta = None,
    anchor: Anchor = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="Also write NeuNeu's <run>_results.json and <run>_predictions.json there."
        ),
    ] = False,
    decisions: Annotated[
        bool,
        typer.Option(
            "--decisions",
            help="Also: pairs named right, Brier score, reliability, regret, compute saved (decisions.json).",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for cells.parquet, leaderboard.json and timings.json.",
            callback=folder_place,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare forecasters on the same cells of real curves: one leaderboard.

    Example: neuneu evaluate a.parquet b.parquet --forecasters last-value,power-law,lightgbm -o results

    What decisions would have been worth: neuneu evaluate runs.parquet -f neuneu-2,mean-k --protocol rolling
    --decisions -o results, then neuneu plot decisions results -o decisions.png

    As NeuNeu's code scores: neuneu evaluate test.parquet --losses words.zarr --forecasters my-neuneu
    --protocol anchored --context 0.2 --device cuda --published -o results; its probes and its logistic law on
    all checkpoints: --protocol every --forecasters my-probe,logistic-future --manifest split.yaml
    """
    from neuneu.evaluation.comparison import check_output, write_results
    from neuneu.evaluation.comparison import evaluate as compare
    from neuneu.evaluation.leaderboard import leaderboard
    from neuneu.evidence.select import Selection
    from neuneu.files import to_json

    check_output(output)
    if published and output is None:
        raise InputError("needs a folder: --output", field="--published")
    results = compare(
        curves,
        split_names(forecasters),
        protocol=protocol,
        context=context,
        by=by,
        feed=feed,
        selection=Selection(run or (), task or (), metric, n_shot, variant),
        losses=losses,
        references=references,
        manifest=manifest,
        fit=fit,
        seed=seed,
        options={"device": device, "delta": delta, "anchor": anchor},
    )
    turned_out = _decisions(results) if decisions else None
    if output is not None:
        write_results(results, output, published=published, decisions=turned_out)
    for line in results.cells.notes:
        note(line)
    if as_json:
        document = leaderboard(results) | ({} if turned_out is None else {"decisions": turned_out})
        typer.echo(to_json(document), nl=False)
        return
    print_leaderboard(leaderboard(results))
    for line in filter(None, (answers.refused_in_words for answers in results.answers)):
        note(line)
    if turned_out is not None:
        print_decisions(turned_out)


def _decisions(results: "Results") -> dict[str, Any]:
    from neuneu.decisions.outcomes import decisions_document, outcomes

    return decisions_document(outcomes(results))


def print_decisions(document: dict[str, Any]) -> None:
    """Pairs, picks and dropped runs for people; regrets in points (hundredths)."""
    import polars as pl

    print_table(
        pl.DataFrame(document["pairs"]), "Pairs of runs of one size and budget, different recipes", digits=3
    )
    points = [pl.col(name) * 100 for name in ("expected_regret", "regret")]
    print_table(pl.DataFrame(document["picks"]).with_columns(points), "Regret of the pick, points", digits=2)
    dropped = pl.DataFrame(document["dropping"]).with_columns(pl.col("regret") * 100)
    print_table(dropped, "Runs dropped where P(best) falls below a threshold; regret in points", digits=3)
    for rule, words in document["rules"].items():
        note(f"{rule}: {words}")


COLUMNS = (
    "MAE", "95 %", "pinball", "cov80", "width80", "skill LV", "skill PL", "rank", "runs", "curves", "cells",
    "refused",
)  # fmt: skip
_POINTS = "errors and widths in points where the metric is an accuracy"
LEGEND = {
    "MAE": _POINTS, "pinball": _POINTS, "width80": _POINTS,
    "95 %": "95 %: interval of the MAE over runs",
    "cov80": "cov80: share inside the 80 % interval, ! where further than 5 points from 80 %",
    "skill LV": "skill LV: 1 - MAE / MAE of last-value", "skill PL": "skill PL: 1 - MAE / MAE of power-law",
    "rank": "rank: pairs of runs of one size and budget, different recipes, put in the right order",
    "refused": "refused cells are scored with last-value's forecast",
}  # fmt: skip
"""What columns of the leaderboard mean."""


LEAST = (
    "width80", "curves", "cells", "runs", "rank", "pinball", "skill LV", "95 %", "refused", "cov80",
)  # fmt: skip
"""Columns that a narrow terminal leaves out first."""


def print_leaderboard(document: dict[str, Any]) -> None:
    """The leaderboard: all sources, then each. For people in points (hundredths) where it is an accuracy."""
    import polars as pl

    from neuneu.curves.tasks import find_metric
    from neuneu.evaluation.leaderboard import leaderboard_frame

    metric = document["protocol"]["metric"]
    scale = 100.0 if " " in metric or find_metric(metric).accuracy else 1.0
    sections = [("all", document["overall"]), *document["sources"].items()]
    parts: list[int] = []
    rows: list[list[str]] = []
    for source, section in sections if len(sections) > 2 else sections[1:]:
        parts.append(len(rows))
        rows.extend(
            _cells(source, row, scale)
            for row in sorted(section, key=lambda row: (row["sees_future"], row["mae"]))
        )
    names = ("source", "forecaster", *COLUMNS)
    brief = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    if len(parts) == 1:
        brief = brief.drop("source")
    empty = [name for name in brief.columns if set(brief[name]) <= {"–", "0"}]
    print_table(
        leaderboard_frame(document), _board_title(document), brief=brief.drop(empty), least=LEAST,
        legend=LEGEND, parts=parts[1:],
    )  # fmt: skip


def _board_title(document: dict[str, Any]) -> str:
    protocol = document["protocol"]
    share = ", ".join(f"{origin:.0%}" for origin in protocol["context"])
    return f"{protocol['kind']}, context {share} by {protocol['by']}; fitted: {protocol['fitting']}"


def _cells(source: str, row: dict[str, Any], scale: float) -> list[str]:
    bounds = row["intervals"].get("mae")
    spread = row.get("spread", {}).get("mae")
    label = row["forecaster"] + (" (sees the future)" if row["sees_future"] else "")
    if "n_seeds" in row:
        label += f", mean of {row['n_seeds']} seeds"
    return [
        source,
        label,
        _number(row["mae"] * scale, ".2f"),
        f"{bounds[0] * scale:.2f}–{bounds[1] * scale:.2f}"
        if bounds
        else "–"
        if spread is None
        else f"± {spread * scale:.2f}",
        _number(row["pinball"] * scale, ".2f"),
        _number(row["coverage80"], ".1%") + ("!" if abs(row["coverage80"] - 0.8) > 0.05 else ""),
        _number(row["width80"] * scale, ".2f"),
        _number(row["skill_vs_last_value"], "+.1%"),
        _number(row["skill_vs_power_law"], "+.1%"),
        _number(row.get("ranking_within_size", float("nan")), ".1%"),
        str(row["n_runs"]),
        str(row["n_curves"]),
        str(row["n_cells"]),
        str(row["n_refused"]),
    ]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None or math.isnan(value) else format(value, form)
