"""Tables of docs/atlas.md: errors before any training, and what corpora are worth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neuneu.atlas.corpora import shipped_corpora
from neuneu.files import read_json

RESULTS = Path(__file__).parent / "results" / "atlas.json"
FAMILIES = {
    "olmo_ladder": "OLMo ladder", "open-sci-ref": "open-sci-ref", "physicslm4": "PhysicsLM4",
    "pythia": "Pythia", "gemstone": "Gemstones", "open_lm": "open_lm",
}  # fmt: skip
METHODS = (
    "atlas", "atlas, data unknown", "one law of parameters and tokens", "one law of compute",
)  # fmt: skip
INSIDE = "inside 80 %"


def before_training() -> Iterator[str]:
    """A row a family: error of every method in points, coverage of the atlas."""
    measured = {name: row for name, row in read_json(RESULTS)["no context"].items() if row["curves"]}
    heads = [METHODS[0], "inside its 80 %", METHODS[1], *(f"{name} a task" for name in METHODS[2:])]
    yield f"| family | curves | {' | '.join(heads)} |"
    yield f"|---|---|{'---|' * len(heads)}"
    curves = sum(row["curves"] for row in measured.values())
    mean = {name: float(np.mean([row[name] for row in measured.values()])) for name in (*METHODS, INSIDE)}
    rows = [(title, measured[name]) for name, title in FAMILIES.items() if name in measured]
    for title, row in [*rows, ("mean", mean | {"curves": curves})]:
        texts = [f"{row[name]:.2f}" for name in METHODS]
        best = min(texts, key=float)
        cells = [f"**{text}**" if text == best else text for text in texts]
        yield f"| {title} | {row['curves']:,} | {cells[0]} | {row[INSIDE]:.0f} % | {' | '.join(cells[1:])} |"


def corpora() -> Iterator[str]:
    """A row a corpus: families and runs behind it, and the shift that a new family expects; best first."""
    known = shipped_corpora()
    yield "| corpus | told by (models) | shift in capability |"
    yield "|---|---|---|"
    for name in sorted(known.names, key=lambda name: -(known.shift(name) or 0.0)):
        told = [e for e in known.effects if e.corpus == name]
        families = ", ".join(f"{FAMILIES[e.family]} ({e.runs})" for e in told)
        yield f"| {name} | {families} | {known.shift(name):+.2f} |"
