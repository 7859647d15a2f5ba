"""import, inspect: curve tables from other formats, and what is in one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.import_options import formats_epilog, known_formats, with_format_options
from neuneu.cli.options import (
    AsJson,
    LearningRate,
    MetricName,
    Output,
    Runs,
    Tasks,
    file_place,
    make_app,
    show,
)
from neuneu.cli.tables import note, print_table
from neuneu.errors import InputError, how_many

app = make_app()


class Keep(StrEnum):
    """Which of two different values of one step stays."""

    first = "first"
    last = "last"


class View(StrEnum):
    """What `inspect` shows."""

    runs = "runs"
    tasks = "tasks"
    problems = "problems"


COLUMNS = {
    View.runs: ["run", "params", "tasks", "curves", "checkpoints", "last_step"],
    View.tasks: ["task", "metric", "n_shot", "variant", "runs", "chance", "last", "at_chance", "noise"],
    View.problems: ["problem", "run", "task", "step", "detail"],
}
"""What a terminal shows of each table."""

LEAST = {View.runs: [], View.tasks: ["at_chance", "chance"], View.problems: ["step", "task"]}
"""What it leaves out first where they are too wide."""


@app.command("import", epilog=formats_epilog())
@with_format_options
def import_(
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="A format of the list below, or auto.", autocompletion=known_formats
        ),
    ],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .parquet, .csv or .json file to write.", callback=file_place),
    ] = None,
    run: Annotated[str | None, typer.Option(help="The run's name, where the files hold one run.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the values come from.")] = None,
    family: Annotated[str | None, typer.Option(help="The model family.")] = None,
    params: Annotated[int | None, typer.Option(help="The model's parameters.", min=1)] = None,
    recipe: Annotated[str | None, typer.Option(help="The training data.")] = None,
    seed: Annotated[str | None, typer.Option(help="The seed of the run.")] = None,
    planned_tokens: Annotated[int | None, typer.Option(help="Where the run will end.", min=1)] = None,
    schedule: LearningRate = None,
    tokens_per_step: Annotated[
        int | None, typer.Option(help="Batch size in tokens: gives the clock where files have steps.", min=1)
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Keep only this metric; may be repeated.", show_default=False)
    ] = None,
    keep: Annotated[
        Keep | None,
        typer.Option(
            help="Which of two different values of one step, or of two branches, stays; else an error."
        ),
    ] = None,
    batch_schedule: Annotated[
        Path | None,
        typer.Option(
            help="A table of step and tokens_per_step, for batch sizes that grow; the clock in tokens."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be read; write nothing.")
    ] = False,
    **options: str | None,
) -> None:
    """Read evaluation results of a known format into a curve table; say what was read, skipped and why.

    A line a run: files, checkpoints, steps, clock, tasks, and from where its name and steps were told.
    Example: neuneu import lm-eval results/ --run my-1b --tokens-per-step 2097152 -o my.parquet
    """
    from neuneu.curves.readers.formats import read_format
    from neuneu.curves.readers.parsing import Given, read_batches

    if output is None and not dry_run:
        rule = "must say where to write (-o curves.parquet), or --dry-run to see what would be read"
        raise InputError(rule, field="output")
    given = Given(
        run=run, source=source, family=family, params=params, recipe=recipe, seed=seed,
        planned_tokens=planned_tokens, schedule=schedule, tokens_per_step=tokens_per_step,
        keep=keep.value if keep else None, metrics=frozenset(metric or ()),
        batches=read_batches(batch_schedule) if batch_schedule else (), tell=note,
    )  # fmt: skip
    result = read_format(format_, paths, given=given, **options)
    if output is not None and not dry_run:
        result.table.write(output)
    for line in result.report.lines():
        note(line)
    table = result.table
    place = "nothing written (--dry-run)" if dry_run else output
    note(f"{table.in_words()} → {place}")


@app.command()
def inspect(
    curves: Annotated[Path, typer.Argument(metavar="CURVES", help="A curve table; it need not be valid.")],
    view: Annotated[View | None, typer.Option("--show", help="One table only: what --output writes.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Which tasks to trust: noise, seeds, signal, pairs decided right.")
    ] = False,
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in a curve table: its runs, its tasks, and everything that looks wrong.

    Problems: missing, non-finite and out-of-range values, repeated and rewound steps, runs merged under one
    name, a clock that goes back, gaps, checkpoints that some tasks lack, outlier checkpoints.
    Example: neuneu inspect curves.parquet --show problems; neuneu inspect curves.parquet --trust
    """
    if trust:
        _trust(curves, run, task, metric, output, as_json=as_json)
        return
    if run or task or metric:
        rule = "chooses what `trust` is about; without it all is shown"
        raise InputError(rule, field="run" if run else "task" if task else "metric")
    import sys

    from neuneu.curves.frames import read_frame
    from neuneu.curves.inspect import problems, runs, tasks
    from neuneu.curves.table import normalise
    from neuneu.files import to_json

    frame = normalise(read_frame(curves), curves, lenient=True)
    makers = {View.runs: runs, View.tasks: tasks, View.problems: problems}
    if view is not None or output is not None:
        view = view or View.problems
        table = makers[view](frame)
        brief = table.select(COLUMNS[view])
        show(
            table, f"{view.value} of {curves}", brief=brief, least=LEAST[view], output=output, as_json=as_json
        )
    elif as_json:
        sys.stdout.write(to_json({name.value: make(frame).to_dicts() for name, make in makers.items()}))
    else:
        for name, make in makers.items():
            table = make(frame)
            title = how_many(len(table), name.value[:-1])
            if name is View.tasks and (named := table["task"].n_unique()) < len(table):
                title = f"{how_many(named, 'task')} in {len(table):,} settings"
            print_table(table, title, brief=table.select(COLUMNS[name]), least=LEAST[name])


def _trust(
    curves: Path,
    run: list[str] | None,
    task: list[str] | None,
    metric: str | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    from neuneu.curves.broken import broken_in_words
    from neuneu.curves.table import CurveTable
    from neuneu.decisions.trust import trust
    from neuneu.evidence.select import Selection

    table = CurveTable.read_sound(curves)
    found = trust(table, Selection(run or (), task or (), metric))
    show(found.table, found.title, brief=found.brief, digits=2, output=output, as_json=as_json)
    for line in [*broken_in_words(table.broken), *found.notes]:
        note(line)
