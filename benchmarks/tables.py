"""Tables of the documents, made from what is committed under results/ and from what the package knows.

`python -m benchmarks.tables`

A document says where a table stands, between `<!-- figures: NAME -->` and `<!-- end of figures -->`. What
stands there is compared with what the results give, and ends with 1 where it differs; --write puts it there.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import _atlas_figures, _context_tables, _moment_tables, apart, decisions, finer

from neuneu.curves.public import CATALOG
from neuneu.files import read_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results" / "neuneu-2.json"
DOCUMENTS = (
    "README.md",
    "docs/index.md",
    "docs/science.md",
    "docs/neuneu-2.md",
    "docs/data.md",
    "docs/atlas.md",
    "docs/losses.md",
    "docs/neuneu.md",
    "docs/decisions.md",
    "src/neuneu/forecasters/neuneu2/shipped/README.md",
)
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n\n)(.*?)(<!-- end of figures -->)", re.DOTALL)

SOURCES = {
    "olmo_ladder_final_new": "OLMo ladder, final-new",
    "olmo_ladder_moreeval": "OLMo ladder, more-eval",
    "olmo_ladder_moreeval_const": "OLMo ladder, constant rate",
    "open_sci_ref": "open-sci-ref",
    "gemstones": "Gemstones",
    "pythia_v1": "Pythia",
    "polypythia_blimp": "PolyPythia, BLiMP's average",
    "physicslm4": "PhysicsLM4",
    "multisynt": "multisynt",
    "datadecide_sample": "DataDecide, four runs' beginnings",
}
NAMES = {
    "last-value": "last value", "power-law": "power law", "gaussian-process": "Gaussian process",
    "lightgbm": "LightGBM", "reference-shift": "reference shift",
    "best-constant": "best constant in hindsight",
}  # fmt: skip
EVERY = ("last-value", "power-law", "gaussian-process", "lightgbm", "neuneu-2", "best-constant")
ALONE, SMALLER, FINISHED = "none", "smaller", "finished"
"""What may be looked at besides the curve, as the results name it."""


@cache
def measured(references: str, forecaster: str, source: str) -> tuple[float, float, int]:
    """Error and coverage in per cent, means over seeds, and how many curves; NaN where none was measured."""
    rows = [
        row
        for key, sources in read_json(RESULTS).items()
        if key.startswith(f"references {references}, seed ") and "neuneu-2" in key
        for row in sources[source]
        if row["forecaster"] == forecaster
    ]
    if not rows:
        return float("nan"), float("nan"), 0
    shares = [row["coverage80"] for row in rows if row["coverage80"] is not None]
    covered = float(np.mean(shares)) if shares else float("nan")
    return 100 * float(np.mean([row["mae"] for row in rows])), 100 * covered, rows[0]["n_curves"]


def by_source(references: str, names: Sequence[str]) -> Iterator[str]:
    """A row a source: error, and in brackets the share inside the 80 % interval; the least error is bold."""
    heads = [NAMES.get(name, name) for name in names]
    if references != ALONE:
        heads = [f"{head} (curve alone)" if head == NAMES["power-law"] else head for head in heads]
    yield f"| source | curves | {' | '.join(heads)} |"
    yield f"|---|---|{'---|' * len(names)}"
    for source, title in [*SOURCES.items(), ("all", "**mean over sources**")]:
        told = [measured(ALONE if name == "power-law" else references, name, source) for name in names]
        contest = [f"{row[0]:.2f}" for row, name in zip(told, names, strict=True) if name != "best-constant"]
        cells = []
        for (error, covered, _), name in zip(told, names, strict=True):
            text = f"{error:.2f}"
            if name != "best-constant":
                text = f"**{text}**" if text == min(contest, key=float) else text
                text += f" ({covered:.0f} %)"
            cells.append(text)
        curves = max(row[2] for row in told)
        yield f"| {title} | {curves:,} | {' | '.join(cells)} |"


GOT = ("olmo_ladder_moreeval", "open_sci_ref", "gemstones", "pythia_v1")
"""Sources that `data get` gives as they were measured."""
ROWS = (
    ("last-value", ALONE, "last value"),
    ("power-law", ALONE, "power law"),
    ("gaussian-process", ALONE, "Gaussian process"),
    ("lightgbm", ALONE, "LightGBM"),
    ("neuneu-2", ALONE, "neuneu-2, curve alone"),
    ("reference-shift", SMALLER, "reference shift, finished smaller runs"),
    ("neuneu-2", SMALLER, "neuneu-2, finished smaller runs"),
    ("reference-shift", FINISHED, "reference shift, all finished runs"),
    ("neuneu-2", FINISHED, "neuneu-2, all finished runs"),
    ("best-constant", ALONE, "a constant chosen in hindsight"),
)  # fmt: skip
"""Forecaster, what it may look at, and the row's name."""


def fewer_sources() -> Iterator[str]:
    """Mean errors over all sources, over those that others can have, and over those of `data get`."""
    public = [source for source in SOURCES if source != "datadecide_sample"]
    yield "| mean absolute error in points | ten sources | without DataDecide | the four of `data get` |"
    yield "|---|---|---|---|"
    for name, references, title in ROWS:
        means = [
            float(np.mean([measured(references, name, source)[0] for source in sources]))
            for sources in (SOURCES, public, GOT)
        ]
        yield f"| {title} | {' | '.join(f'{mean:.2f}' for mean in means)} |"


def public_runs() -> Iterator[str]:
    """What `data get` knows."""
    yield "| name | runs | where | licence |"
    yield "|---|---|---|---|"
    for runs in CATALOG.values():
        where = f"[{runs.repository}](https://github.com/{runs.repository})"
        yield f"| `{runs.name}` | {runs.about} | {where} | {runs.licence} |"


ENOUGH_PAIRS = 10
"""Means over benchmarks are shown where so many pairs tell of them."""


def _decided() -> dict[str, Any]:
    return dict(read_json(decisions.RESULTS / "decisions.json"))


FIGURES: dict[str, Callable[[], Iterator[str]]] = {
    "headline": _context_tables.headline,
    "curve-alone": lambda: by_source(ALONE, EVERY),
    "smaller-runs": lambda: by_source(SMALLER, ("power-law", "reference-shift", "ladder", "neuneu-2")),
    "finished-runs": lambda: by_source(FINISHED, ("power-law", "reference-shift", "neuneu-2")),
    "contexts": _context_tables.means,
    "contexts-gains": _context_tables.gains,
    "contexts-by-source": _context_tables.by_source,
    "apart": apart.table,
    "before-training": _atlas_figures.before_training,
    "corpora": _atlas_figures.corpora,
    "near-chance": _context_tables.near_chance,
    "coverage": _context_tables.coverage,
    "moments": _moment_tables.moments,
    "token-statistics": _moment_tables.statistics,
    "public-runs": public_runs,
    "fewer-sources": fewer_sources,
    "schedule": _context_tables.schedule,
    "ablation": _context_tables.ablation,
    "pairs": lambda: decisions.brier(_decided(), (decisions.SINGLE,)),
    "pairs-over-benchmarks": lambda: decisions.brier(_decided(), (decisions.MEAN,), ENOUGH_PAIRS),
    "finer": finer.table,
    "dropping": lambda: decisions.saved(_decided()),
}  # fmt: skip


def main(argv: Sequence[str] = ()) -> int:
    """Compare, or write; 1 where a document does not say what the results give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args(argv)
    differ = 0
    for path in (ROOT / name for name in DOCUMENTS if (ROOT / name).is_file()):
        text = path.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda found: found[1] + "\n".join(FIGURES[found[2]]()) + "\n\n" + found[4], text)
        if new != text:
            differ += 1
            said = "written" if asked.write else "differs from what the results give"
            sys.stdout.write(f"{path.name}: {said}\n")
            if asked.write:
                path.write_text(new, encoding="utf-8")
    return 0 if asked.write else min(differ, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
