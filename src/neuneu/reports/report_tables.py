"""The report's tables and sentences: what each run will score, how close forecasts came, task by task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from neuneu.decisions.shared import setting_in_words
from neuneu.decisions.trust import RIGHT, Trust
from neuneu.evaluation.scores import Estimate
from neuneu.forecasters.fitted import fitted_in_words, is_fitted_on
from neuneu.progress import counted
from neuneu.reports import style
from neuneu.reports.answer import Answer, Line
from neuneu.reports.overview import Overview, RunRow

BAR = 120.0
"""Width of a bar in a table, in pixels."""

NAMING = 5
"""Columns of the table of tasks that name a row, and say of how many runs it is."""

TRUST_WORDS = {
    "noise": "Noise: deviation of single checkpoints, in points where the metric is an accuracy.",
    "between seeds": "Between seeds: deviation of runs that differ in their seed alone.",
    "signal": "Signal: deviation of recipes of one size and budget, without what noise and seeds make of it.",
    "right at": "Right at: share of pairs of runs that are in their final order after so much of the run.",
    "needed": "Needed: checkpoints to average, or seeds to train, until two typical recipes are told apart "
    "at 95\u00a0%.",
}
"""Word of a column's head → what the column says."""


@dataclass(frozen=True)
class Cell:
    """What a table says in one place.

    value: what it is sorted by, where the text does not do; bar: (left, width, median, today, truth) in
    pixels, drawn beside the text; mark: a class of colours, shown as a key.
    """

    text: str
    value: float | None = None
    bar: tuple[float | None, ...] | None = None
    mark: str = ""
    style: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table: columns are (label, whether it holds text), the first one names the row."""

    id: str
    label: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[Cell]]
    style: str = ""
    notes: Sequence[str] = field(default_factory=list)


def plural(n: int, noun: str) -> str:
    """3 runs, 1 run."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def number(value: float) -> str:
    """Two decimals, or a dash."""
    return f"{value:.2f}" if math.isfinite(value) else "–"


def lead(answer: Answer) -> str:
    """What the report is about, in a sentence."""
    what = (
        f"{plural(answer.n_curves, 'curve')} of {plural(len(answer.every_run), 'run')} on "
        f"{plural(len(answer.every_task), 'task')}"
    )
    if not answer.panels:
        return f"{what}: every run has reached its planned end, so there is nothing left to forecast."
    others = " and ".join(answer.names[1:])
    by = f"by {answer.chosen}" + (f", beside {others}." if others else ".")
    if answer.context < 1:
        share = f"{answer.context:.0%}".replace("%", " %")
        return f"A look back: {what}, forecast from the first {share} of each run’s clock {by}"
    ended = sum(row.ended for row in answer.overview.rows)
    stay = (
        f" {plural(ended, 'run')} at the planned end {'is' if ended == 1 else 'are'} shown as measured."
        * (ended > 0)
    )
    return (
        f"Runs in flight: {what}, forecast from all that is known of them to their planned end (without a "
        f"plan to three times their clock) {by}{stay}"
    )


def heading(answer: Answer) -> str:
    """What the first section is about."""
    if answer.context < 1:
        return "What was forecast of each run"
    return "What each run will score" if answer.panels else "What each run scores"


def headline(answer: Answer) -> str:
    """Which run leads, what it will score and how sure that is."""
    overview = answer.overview
    if not overview.rows:
        return f"The runs cannot be compared: {overview.problem}"
    first = overview.rows[0]
    if answer.context < 1:
        return _looking_back(answer, first)
    middle = f"{_value(first.q50, overview)} (80 %: {_span(first, overview)})"
    when = f"at {style.clock_text(first.at, overview.clock_unit)}"
    verb = "scores" if first.ended else "will score"
    if len(overview.rows) == 1:
        return f"{first.run} {verb} {middle} {when}, {_of_what(overview)}."
    return (
        f"{first.run} leads: it {verb} {middle} {when}, {_of_what(overview)}, and is the best of "
        f"{len(overview.rows)} runs with probability {first.p_best:.2f}."
    )


def _of_what(overview: Overview) -> str:
    if len(overview.settings) == 1:
        return f"on {setting_in_words(overview.settings[0])}"
    return f"in the mean over {plural(overview.n_benchmarks, 'benchmark')}"


def _looking_back(answer: Answer, first: RunRow) -> str:
    overview = answer.overview
    share = f"{100 * answer.context:g} %"
    when = f"at {style.clock_text(first.at, overview.clock_unit)}"
    text = f"From the first {share}, {first.run}"
    text += f" leads with P(best) {first.p_best:.2f}:" if len(overview.rows) > 1 else ":"
    text += f" forecast {_value(first.q50, overview)} (80 %: {_span(first, overview)}) {when}, "
    text += _of_what(overview)
    if first.truth is None:
        return text + "."
    known = [row for row in overview.rows if row.truth is not None]
    sign = -1 if overview.lower_is_better else 1
    best = max(known, key=lambda row: sign * (row.truth or 0.0))
    text += f"; it came to {_value(first.truth, overview)}"
    if len(known) < 2:
        return text + "."
    if best.run == first.run:
        return f"{text}, the best of {len(known)} runs."
    return f"{text}; the best of {len(known)} runs was {best.run} with {_value(best.truth or 0.0, overview)}."


def fitted_note(answer: Answer) -> str:
    """Where forecasters were fitted on what is shown, in a sentence; "" where none was."""
    return fitted_in_words(answer.names, answer.overview.facts)


def runs_table(answer: Answer, changes: Mapping[str, Cell] | None = None) -> ReportTable:
    """A row a run: what it will score, how likely it is the best, how sure, what it scores now.

    changes: run → what has changed since the last report.
    """
    overview, several = answer.overview, len(answer.overview.rows) > 1
    value = "forecast" if answer.context < 1 else "will score" if answer.panels else "scores"
    scale = _scale(overview.rows)
    fitted = {run for run, facts in overview.facts.items() if is_fitted_on(answer.chosen, run, facts)}
    some = len(fitted) < len(overview.facts)  # of all of them the note says it
    rows = []
    for row in overview.rows:
        cells = {
            "run": Cell(row.run, style="known" if some and row.run in fitted else ""),
            value: Cell(_value(row.q50, overview), row.q50, style="main"),
        }
        if changes is not None:
            cells["since last report"] = changes.get(row.run, Cell("new"))
        if several:
            cells["P(best)"] = Cell(_probability(row.p_best), row.p_best)
        cells["80 % interval"] = Cell(_span(row, overview), row.q90 - row.q10, bar=_bar(row, scale))
        cells["now"] = Cell(_value(row.now, overview), row.now)
        if answer.context < 1:
            came = "–" if row.truth is None else _value(row.truth, overview)
            cells["came true"] = Cell(came, row.truth)
        cells["seen up to"] = Cell(f"{style.readable(row.seen)}{_share(row)}", row.seen)
        cells["at"] = Cell(style.readable(row.at), row.at)
        cells["size"] = Cell(style.readable(row.params) if row.params else "–", row.params)
        rows.append(cells)
    columns = [(name, name == "run") for name in rows[0]]
    notes = [
        f"Values: {overview.in_words}." if len(overview.settings) == 1 else f"Values: {overview.in_words}"
    ]
    return ReportTable("runs", heading(answer), columns, [[*cells.values()] for cells in rows], notes=notes)


def settings_in_words(overview: Overview) -> list[str]:
    """Every setting that the mean is over, in words with its weight."""
    return [
        f"{setting_in_words(setting)} (weight {overview.weights[setting[0]]:.3f})"
        for setting in overview.settings
    ]


def tiles(answer: Answer, floor: float) -> list[dict[str, str]]:
    """Errors in large numbers: the chosen forecaster, the others beside it, noise, coverage."""
    scored = answer.scored
    if scored is None:
        return []
    chosen, *others = answer.lines
    unit = "points" if scored.percent else ""
    found = [
        {
            "name": f"error of {chosen.forecaster}",
            "value": number(chosen.mae.value),
            "note": unit or "mean absolute",
        }
    ]
    for line in others:
        share = 1 - chosen.mae.value / line.mae.value if line.mae.value > 0 else 0.0
        note = f"{chosen.forecaster} errs {abs(share):.0%} {'less' if share >= 0 else 'more'}"
        found.append(
            {
                "name": f"error of {line.forecaster}",
                "value": number(line.mae.value),
                "note": note.replace("%", " %"),
            }
        )
    if math.isfinite(floor):
        found.append(
            {
                "name": "noise between checkpoints",
                "value": number(floor),
                "note": "the floor for any forecast",
            }
        )
    coverage = f"{100 * chosen.coverage80.value:.0f} %"
    return [*found, {"name": "in the 80 % interval", "value": coverage, "note": "80 % is right"}]


def scores_table(answer: Answer, unit: str, floor: float) -> ReportTable:
    """A row a forecaster, and one for the noise between checkpoints."""
    heads = (f"mean absolute error ({unit})", "95 % interval", "pinball loss", "in the 80 % interval",
             "width of it", "skill over last value", "declined")  # fmt: skip
    rows = [_line(line, i) for i, line in enumerate(answer.lines)]
    if math.isfinite(floor):
        blank = [Cell("–")] * (len(heads) - 1)
        rows.append([Cell("noise between checkpoints", style="floor"), Cell(number(floor), floor), *blank])
    notes = ["Noise between checkpoints: what a perfect forecast would still err by."]
    return ReportTable(
        "scores",
        "Scores of every forecaster",
        [("forecaster", True), *((h, False) for h in heads)],
        rows,
        style="scores",
        notes=notes if math.isfinite(floor) else [],
    )


def tasks_table(answer: Answer) -> ReportTable | None:
    """Error of each forecaster by task and setting; None where there is one, or nothing is known."""
    scored = answer.scored
    if scored is None:
        return None
    places = list(scored.place.select("task", "metric", "n_shot", "variant").iter_rows())
    code = {place: i for i, place in enumerate(dict.fromkeys(places))}
    owner = np.array([code[place] for place in places])
    rows = []
    for place in counted(sorted(code, key=lambda place: tuple(str(part) for part in place)), "tasks"):
        values = [scored.mean(name, "mae", owner == code[place]).value * scored.unit for name in answer.names]
        best = min(values)
        task, metric, shots, variant = place
        cells = [
            Cell(task),
            Cell(metric),
            Cell("–" if shots is None else str(shots), shots),
            Cell(variant or "–"),
        ]
        rows.append([*cells, *(Cell(number(v), v, style="best" if v == best else "") for v in values)])
    if len(rows) < 2:
        return None
    columns = [("task", True), ("metric", True), ("shots", False), ("variant", True)]
    return ReportTable(
        "by-task", "Error by task", [*columns, *((name, False) for name in answer.names)], rows
    )


def trust_table(trust: Trust) -> ReportTable:
    """A row a task: noise, spread between seeds, signal between recipes, pairs that are decided early.

    What can be told of no task has no column.
    """
    shares = [(name, f"right at {100 * share:.0f}\u00a0%") for name, share in RIGHT.items()]
    columns = [("task", True), ("metric", True), ("shots", False), ("variant", True), ("runs", False),
               ("noise", False), ("between seeds", False), ("signal", False), ("signal to noise", False),
               *((label, False) for _, label in shares), ("checkpoints needed", False),
               ("seeds needed", False)]  # fmt: skip
    rows = []
    for row in trust.table.iter_rows(named=True):
        percent = row["metric"] is None or style.in_percent(row["metric"])
        scale = 100 if percent else 1
        cells = [Cell(row["task"]), Cell(row["metric"] or "–"), _count(row["n_shot"])]
        cells += [Cell(row["variant"] or "–"), _count(row["runs"])]
        cells += [_decimal(row[name], scale) for name in ("noise", "between_seeds", "signal")]
        cells += [_decimal(row["signal_to_noise"], 1)]
        early = [row[name] for name, _ in shares]
        cells += [Cell("–" if right is None else f"{100 * right:.0f} %", right) for right in early]
        rows.append([*cells, _count(row["checkpoints_needed"]), _count(row["seeds_needed"])])
    kept = [i for i, _ in enumerate(columns) if i < NAMING or any(row[i].value is not None for row in rows)]
    columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
    said = " ".join(text for word, text in TRUST_WORDS.items() if any(word in head for head, _ in columns))
    return ReportTable("trust-table", "Which tasks to trust", columns, rows, notes=[*trust.notes, said])


def _count(n: int | None) -> Cell:
    return Cell("–" if n is None else f"{n:,}", n)


def _decimal(value: float | None, scale: float) -> Cell:
    return Cell("–" if value is None else f"{scale * value:.2f}", value)


def left_out(answer: Answer) -> str:
    """How many curves were left out and why; "" where none was."""
    text = ""
    if answer.n_left_out:
        was = "was" if answer.n_left_out == 1 else "were"
        why = "nothing before the context’s end or nothing after it"
        text += f"{plural(answer.n_left_out, 'curve')} had {why} and {was} left out. "
    if answer.broken:
        told = [f"{b.key.task} {b.key.metric} of {b.key.run} ({b.error.rule})" for b in answer.broken]
        text += f"Left out, since the table breaks a rule there: {'; '.join(told)}."
    return text.strip()


def _line(line: Line, place: int) -> list[Cell]:
    coverage = line.coverage80.value
    skill = line.skill_vs_last_value
    plain = not math.isfinite(skill) or line.forecaster == "last-value"
    main = "main" if place == 0 else ""
    return [
        Cell(line.forecaster, mark=f"f{place}", style=main),
        Cell(number(line.mae.value), line.mae.value, style=main),
        Cell(interval(line.mae), line.mae.low),
        Cell(number(line.pinball), line.pinball),
        Cell(f"{100 * coverage:.1f} %" if math.isfinite(coverage) else "–", coverage),
        Cell(number(line.width80), line.width80),
        Cell("–" if plain else f"{100 * skill:+.0f} %", skill),
        Cell(f"{line.n_refused:,}", line.n_refused),
    ]


def interval(estimate: Estimate) -> str:
    """Its 95 % interval, or a dash."""
    return f"{estimate.low:.2f} to {estimate.high:.2f}" if math.isfinite(estimate.low) else "–"


def _value(value: float, overview: Overview) -> str:
    return style.value_text(value, overview.percent)


def _probability(p: float) -> str:
    return "<0.01" if 0 < p < 0.005 else f"{p:.2f}"


def _span(row: RunRow, overview: Overview) -> str:
    return f"{_value(row.q10, overview)} to {_value(row.q90, overview)}"


def _share(row: RunRow) -> str:
    """How much of its way a run has gone, where it has some left."""
    return " (at its end)" if row.ended else f" ({100 * row.seen / row.at:.0f} %)"


def _scale(rows: Sequence[RunRow]) -> tuple[float, float]:
    every = [v for row in rows for v in (row.q10, row.q90, row.now, row.truth) if v is not None]
    return (min(every), max(every)) if every else (0.0, 1.0)


def _bar(row: RunRow, scale: tuple[float, float]) -> tuple[float | None, ...]:
    low, high = scale

    def x(value: float) -> float:
        return round(4 + (BAR - 8) * (value - low) / (high - low or 1), 1)

    truth = None if row.truth is None else x(row.truth)
    return x(row.q10), round(max(1.0, x(row.q90) - x(row.q10)), 1), x(row.q50), x(row.now), truth
