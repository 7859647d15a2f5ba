"""`neuneu atlas`: what models of a design score, before any training."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, Output, file_place, make_app, one_of, show
from neuneu.cli.tables import note

app = make_app()


@app.command()
def atlas(
    tasks: Annotated[list[str], typer.Argument(help="Benchmarks, by name.")],
    params: Annotated[float, typer.Option(help="Parameters, without embeddings where known (7e9).")],
    tokens: Annotated[float, typer.Option(help="Training tokens (2e12).")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="rc (texts), mc (letters) or gen (written); by default the usual.",
            **one_of("rc", "mc", "gen"),
        ),
    ] = None,
    n_shot: Annotated[int | None, typer.Option(help="Number of shots, where known.")] = None,
    metric: Annotated[str | None, typer.Option(help="acc, acc_norm, …, where known.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Corpus that it is trained on, where known.",
            **one_of(
                "c4",
                "dclm-baseline",
                "dolma",
                "fineweb-edu",
                "hplt",
                "nemotron-cc-hq",
                "pile",
                "redpajama",
                "refinedweb",
            ),
        ),
    ] = None,
    finished: Annotated[
        Path | None, typer.Option(help="Curve table of own finished runs that extends the atlas.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave a family out; repeatable.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw the scores over tokens (.png, .svg).", callback=file_place)
    ] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """What models of so many parameters and tokens score: quantiles, from openly licensed results.

    Example: neuneu atlas hellaswag mmlu --params 7e9 --tokens 2e12
    """
    from neuneu.atlas.ask import BRIEF, ask_atlas, scores_frame
    from neuneu.atlas.atlas import shipped_atlas

    own = None
    if finished is not None:
        from neuneu.curves.table import read_curves

        own = read_curves(finished)
    left_out = without or []
    scores = ask_atlas(
        tasks, params, tokens,
        form=form, n_shot=n_shot, metric=metric, data=data, finished=own, without=left_out,
    )  # fmt: skip
    if figure is not None:
        from neuneu.reports.atlas_figure import atlas_chart
        from neuneu.reports.style import save

        known = shipped_atlas() if own is None else shipped_atlas().extended(own)
        save(atlas_chart(known, scores, left_out), figure)
        note(f"atlas → {figure}")
    frame = scores_frame(scores)
    title = f"{params:.3g} parameters, {tokens:.3g} tokens" + (f" of {data}" if data else "")
    show(frame, title, brief=frame.select(BRIEF), output=output, as_json=as_json)
