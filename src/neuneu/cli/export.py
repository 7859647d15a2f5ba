"""`neuneu export`: curves, corpora, losses and their summaries in the layouts of the published code."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import folder_place, make_app
from neuneu.cli.tables import note
from neuneu.errors import InputError, check_known, how_many
from neuneu.files import together

app = make_app()

TAKES = {
    "neuneu-npy": ("metric", "n_shot", "variant", "published_names"),
    "neuneu-corpus": ("split", "shard"),
    "neuneu-losses": ("shard", "published_names"),
    "neuneu-summaries": ("compat", "published_names"),
}
"""Format → the options that only it takes."""


@app.command()
def export(
    format_: Annotated[
        str,
        typer.Argument(help=f"{', '.join(TAKES)}.", metavar="FORMAT", autocompletion=lambda: list(TAKES)),
    ],
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Curve tables; a corpus; a loss store; loss stores."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write to.", callback=folder_place)
    ],
    metric: Annotated[
        str | None, typer.Option(help="neuneu-npy: the metric; else each curve's preferred accuracy.")
    ] = None,
    n_shot: Annotated[
        int | None, typer.Option(help="neuneu-npy: only curves with this number of shots.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="neuneu-npy: only curves of this variant.")] = None,
    split: Annotated[str | None, typer.Option(help="neuneu-corpus: the files' first part; val.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="neuneu-corpus, neuneu-losses: the shard in the files' names; 0.")
    ] = None,
    compat: Annotated[
        bool,
        typer.Option(
            "--compat", help="neuneu-summaries: missing losses count as 0, tokens and words together."
        ),
    ] = False,
    published_names: Annotated[
        bool,
        typer.Option(
            "--published-names",
            help="Name runs as NeuNeu's code does: DataDecide-c4-300M, EleutherAI--pythia-70m.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write in the layouts of NeuNeu's published code, which its scripts read.

    neuneu-npy: RUN/TASK.npy of curve tables. neuneu-corpus: SPLIT_SHARD_tokens.npy and _boundaries.npy of a
    corpus. neuneu-losses: RUN/stepN/word_losses_shard_SHARD.npy (or eval_losses) of a loss store.
    neuneu-summaries: RUN/avg_losses_by_step.npy and histograms_by_step.npz, with _invp for exp(-loss).

    Example: neuneu export neuneu-npy curves.parquet -o results/

    Example: neuneu export neuneu-summaries words.zarr -o results/
    """
    check_known(format_, TAKES, "format", "unknown")
    chosen = {"metric": metric, "n_shot": n_shot, "variant": variant, "split": split, "shard": shard}
    flags = {"compat": compat or None, "published_names": published_names or None}
    for option, value in {**chosen, **flags}.items():
        if value is not None and option not in TAKES[format_]:
            raise InputError(f"is no option of {format_}", field=option.replace("_", "-"), value=value)
    if format_ not in ("neuneu-npy", "neuneu-summaries") and len(sources) > 1:
        raise InputError(f"{format_} takes one", field="sources", value=len(sources))
    with together(output):
        if format_ == "neuneu-npy":
            files = _curves(sources, output, metric, n_shot, variant, published_names, overwrite)
        elif format_ == "neuneu-corpus":
            from neuneu.losses.published_corpus import export_corpus

            files = export_corpus(
                sources[0], output, split=split or "val", shard=shard or "0", overwrite=overwrite
            )
        elif format_ == "neuneu-losses":
            from neuneu.losses.open import with_published_names
            from neuneu.losses.published_layouts import write_published_losses
            from neuneu.losses.zarr_store import ZarrLossStore

            kept = ZarrLossStore(sources[0])
            store = with_published_names(kept) if published_names else kept
            files = write_published_losses(store, output, kept.unit, shard=shard or "0", overwrite=overwrite)
        else:
            from neuneu.losses.open import open_losses, open_units, with_published_names
            from neuneu.losses.summaries import write_summaries

            stores = [
                store
                for source in sources
                for store in (open_units(source) if compat else [open_losses(source)])
            ]
            if published_names:
                stores = [with_published_names(store) for store in stores]
            files = write_summaries(stores, output, published=compat, overwrite=overwrite)
    note(f"{how_many(len(files), 'file')} → {output}")


def _curves(
    sources: list[Path],
    output: Path,
    metric: str | None,
    n_shot: int | None,
    variant: str | None,
    published: bool,
    overwrite: bool,
) -> list[Path]:
    from neuneu.curves.readers.datadecide_models import published_names
    from neuneu.curves.readers.neuneu_npy import write_neuneu_npy
    from neuneu.curves.table import CurveTable

    asked = {"n_shot": n_shot, "variant": variant}
    table = CurveTable.read(*sources).filter(
        **{name: value for name, value in asked.items() if value is not None}
    )
    if published:
        table = CurveTable.from_frame(
            table.frame.with_columns(run=table.frame["run"].replace(published_names(table.runs)))
        )
    return write_neuneu_npy(table, output, metric=metric, overwrite=overwrite)
