"""`neuneu train` and `neuneu convert`."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import make_app, note

app = make_app()

Config = Annotated[Path, typer.Argument(help="A YAML configuration; see configs/neuneu-small.yaml.")]


@app.command()
def train(
    config: Config,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The model folder; else the configuration's.")
    ] = None,
) -> None:
    """Train a neural forecaster from a YAML configuration.

    Interrupted, the same command goes on where it stopped and ends at the same weights. On several
    processors: torchrun --nproc-per-node N -m neuneu train CONFIG.

    Example: neuneu train configs/neuneu-small.yaml -o my-neuneu; neuneu forecast runs.parquet --forecaster
    my-neuneu
    """
    from neuneu.forecasters.neuneu.config import read_config
    from neuneu.forecasters.neuneu.forecaster import train_forecaster
    from neuneu.forecasters.neuneu.tracking import make_tracker

    settings = read_config(config)
    if output is not None:
        settings = settings.model_copy(update={"output": output})
    tracker = make_tracker(settings, settings.output)
    with _Progress() as show:

        def report(record: dict[str, float]) -> None:
            show(record)
            tracker(record)

        train_forecaster(settings, report)
    note(f"model → {settings.output}")


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="The published best_model.pt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
) -> None:
    """Convert a published NeuNeu checkpoint to config.json + model.safetensors.

    The file is read as weights only: no code in it is run.

    Example: neuneu convert best_model.pt -o neuneu-published
    """
    from neuneu.forecasters.neuneu.convert import convert as convert_checkpoint

    document = convert_checkpoint(checkpoint, output)
    note(f"{document['forecaster']} → {output}")


class _Progress:
    """A progress bar on stderr: step, loss, mean absolute error, samples a second."""

    def __enter__(self) -> "_Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task("training", total=None, scores="")
        return self

    def __call__(self, record: dict[str, float]) -> None:
        if "samples/s" not in record:
            return
        scores = f"loss {record['loss']:.4f}  MAE {record['mae']:.4f}  {record['samples/s']:.0f} samples/s"
        self._bar.update(self._task, completed=record["step"], total=record["total"], scores=scores)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
