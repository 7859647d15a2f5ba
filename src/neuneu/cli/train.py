"""`neuneu train` and `neuneu convert`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neuneu.cli.options import folder_place, make_app
from neuneu.cli.tables import note
from neuneu.errors import InputError

app = make_app()

Config = Annotated[Path, typer.Argument(help="A YAML configuration; see configs/neuneu-small.yaml.")]


@app.command()
def train(
    config: Config,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The model folder; else the configuration's.", callback=folder_place
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Train once with each of these seeds, as 0,1,2,3,4, in the folders seed0, seed1, … of the "
            "output; seeds.json there has their validation scores, mean and spread."
        ),
    ] = None,
) -> None:
    """Train a neural forecaster or a probe from a YAML configuration.

    Interrupted, the same command goes on where it stopped and ends at the same weights. On several
    processors: torchrun --nproc-per-node N -m neuneu train CONFIG.

    Example: neuneu train configs/neuneu-small.yaml -o my-neuneu; neuneu forecast runs.parquet --forecaster
    my-neuneu

    Example: neuneu train configs/probe-delta.yaml --seeds 0,1,2,3,4 -o probes/delta
    """
    from neuneu.forecasters.neuneu.config import read_config
    from neuneu.forecasters.neuneu.tracking import make_tracker
    from neuneu.forecasters.train import train as train_one
    from neuneu.forecasters.train import train_seeds

    settings = read_config(config)
    if output is not None:
        settings = settings.model_copy(update={"output": output})
    folder_place(settings.output)
    if seeds is None:
        done = train_one(settings, make_tracker(settings, settings.output))
        note(f"{done.in_words} → {settings.output}")
        return
    trained = train_seeds(settings, parse_seeds(seeds), lambda one: make_tracker(one, one.output))
    for row in trained["seeds"]:
        note(f"seed {row['seed']}{_scores(row)} → {settings.output / row['folder']}")
    spread = {f"{name} ±": value for name, value in trained["spread"].items() if value is not None}
    note(f"mean{_scores({**trained['mean'], **spread})} → {settings.output / 'seeds.json'}")


def parse_seeds(text: str) -> list[int]:
    """Seeds from a list as 0,1,2. Raises InputError where one is not a whole number."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            "must be whole numbers with commas between them", field="--seeds", value=text
        ) from error


def _scores(row: dict[str, Any]) -> str:
    shown = [f"{name} {row[name]:.4f}" for name in ("loss", "loss ±", "mae", "mae ±") if name in row]
    return ": validation " + ", ".join(shown) if shown else ""


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="The published best_model.pt, or LC-PFN's .pt.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model folder to write.", callback=folder_place)
    ],
    lc_pfn: Annotated[
        bool, typer.Option("--lc-pfn", help="The file is a published LC-PFN (automl/lcpfn).")
    ] = False,
) -> None:
    """Convert a published checkpoint to config.json + model.safetensors: NeuNeu's, a probe's or LC-PFN's.

    The file is read as weights only: no code in it is run.

    Example: neuneu convert best_model.pt -o neuneu-published

    Example: neuneu convert pfn_EPOCH1000_EMSIZE512_NLAYERS12_NBUCKETS1000.pt --lc-pfn -o lc-pfn-published
    """
    if lc_pfn:
        from neuneu.forecasters.lcpfn.published import convert_pfn

        note(f"{convert_pfn(checkpoint, output).name} → {output}")
        return
    from neuneu.forecasters.neuneu.convert import convert as convert_checkpoint

    document = convert_checkpoint(checkpoint, output)
    note(f"{document['forecaster']} → {output}")
