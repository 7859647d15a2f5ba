"""`neuneu compare`: is the difference between two checkpoints real, on the same items?"""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, Output, Tasks, make_app, show
from neuneu.cli.tables import note
from neuneu.errors import how_many

app = make_app()


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Items of one checkpoint: folder, samples_*.jsonl or JSON.")],
    second: Annotated[Path, typer.Argument(help="Items of the other.")],
    task: Tasks = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Whether a rise is real: two checkpoints or runs on the same items, task by task and over all.

    Items are what lm-evaluation-harness writes with --log_samples, or what `suite harness` keeps. Differences
    come with a 95 % interval by paired bootstrap and McNemar's test, corrected for the number of tasks.
    Example: neuneu compare results/step1000 results/step2000
    """
    from neuneu.curves.items import read_items
    from neuneu.decisions.paired import compare as compare_items
    from neuneu.decisions.paired import pair_items

    frame = compare_items(pair_items(read_items(first), read_items(second), task or ()), seed)
    show(frame, f"{second} less {first}", brief=frame.drop("apart"), output=output, as_json=as_json)
    apart = max(frame["apart"].to_list())
    if apart:
        note(f"left out: {how_many(apart, 'item')} that only one of the two has")
