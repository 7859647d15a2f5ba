"""Which moments of the token losses the closed law needs, and whether other token statistics say more.

Run `python -m benchmarks.moments gemstones CURVES LOSSES` and `python -m benchmarks.moments home [--suite
SUITE]`. Each law is `loss-law` with other moments in the place of the mean of exp(−loss), fitted by least
squares on the runs that a split leaves and asked early in the run about every later checkpoint. On the home
suite a recipe, a size and the other architectures are held out (`benchmarks.home`); Gemstones are dealt into
four folds. --suite names a folder of `neuneu suite run configs/suite/home.yaml` with weights: held-out text
of its sources is scored with the statistics of `neuneu score --statistics`, and the runs and checkpoints that
have weights are asked. What is measured goes to benchmarks/results/moments.json, whose other parts stay.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from benchmarks import gemstones
from benchmarks.home import manifests

from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import results_frame
from neuneu.evidence.cut import seen
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.questions import FRACTIONS
from neuneu.files import read_json, write_json, write_text
from neuneu.forecasters.base import Reads
from neuneu.forecasters.loss_law import MomentLaw
from neuneu.losses.loss_store import LossStore, own_items, owns
from neuneu.losses.open import open_losses
from neuneu.losses.scorer import Scoring, statistic_path
from neuneu.losses.scoring import score_checkpoints
from neuneu.losses.statistics import STATISTICS, TOP
from neuneu.suite.home import read_home_curves, read_home_losses

RESULTS = Path(__file__).parent / "results" / "moments.json"
PIECES, CHARACTERS = 20, 360
"""Held-out text of each source that is scored: so many pieces, of so many characters (some 110 tokens)."""
CLASSICAL, WITHOUT, ONE_MOMENT = ("last-value", "power-law"), "rise-law", "p, squared"
"""Yardsticks, the law without losses, and loss-law by the names of LAWS."""
SPLITS = ("recipe", "size", "architecture")
DRAWS = 2000
"""Bootstrap draws of runs."""

Moment = Callable[[Floats], Any]
LEVELS = (5, 10, 25, 50, 75, 90, 95)
"""Of the quantiles that neuneu-levels reads, in per cent."""
MOMENTS: dict[str, tuple[str, Moment]] = {
    "p": ("loss", lambda loss: np.exp(-loss).mean()),
    "p²": ("loss", lambda loss: np.exp(-2 * loss).mean()),
    "p³": ("loss", lambda loss: np.exp(-3 * loss).mean()),
    "loss": ("loss", np.mean),
    **{f"q{level}": ("loss", lambda loss, at=level: np.percentile(np.exp(-loss), at)) for level in LEVELS},
    "log rank": ("rank", lambda rank: np.log(rank).mean()),
    "hit 1": ("rank", lambda rank: (rank <= 1).mean()),
    "hit 10": ("rank", lambda rank: (rank <= TOP).mean()),
    "entropy": ("entropy", np.mean),
    "top 1": ("top1", np.mean),
    "top 10": ("top10", np.mean),
}
"""Moment → what it is read from, and what of it, (n,) → a number. p = exp(−loss)."""
LAWS: dict[str, tuple[tuple[str, ...], int]] = {
    "p": (("p",), 1),
    ONE_MOMENT: (("p",), 2),
    "p, squared, cubed": (("p",), 3),
    "p, p²": (("p", "p²"), 1),
    "p, p², p³": (("p", "p²", "p³"), 1),
    "mean loss": (("loss",), 2),
    "median": (("q50",), 2),
    "q10": (("q10",), 2),
    "p, q10, q90": (("p", "q10", "q90"), 1),
    "p, seven quantiles": (("p", *(f"q{level}" for level in LEVELS)), 1),
    "size": (("size",), 1),
    "size, squared": (("size",), 2),
    "p, size": (("p", "size"), 1),
}
"""Law → moments and how many powers of each; size is the run's, which the losses may merely stand in for."""
OTHERS = ("log rank", "hit 1", "hit 10", "entropy", "top 1", "top 10")
STATISTIC_LAWS: dict[str, tuple[tuple[str, ...], int]] = {
    ONE_MOMENT: (("p",), 2),
    "mean loss": (("loss",), 2),
    "p and loss": (("p", "loss"), 2),
    **{name: ((name,), 2) for name in OTHERS},
    **{f"p and {name}": (("p", name), 2) for name in OTHERS},
    "p and all six": (("p", *OTHERS), 1),
}
Read = Callable[[Evidence], Mapping[str, float] | None]


class LawOf(MomentLaw):
    """The law of named moments, which `read` looks up; None where the context's end has none."""

    reads: ClassVar[frozenset[Reads]] = frozenset()

    def __init__(self, name: str, moments: tuple[str, ...], powers: int, read: Read) -> None:
        super().__init__()
        self.name, self.moments, self.powers, self.read = name, moments, powers, read  # type: ignore[misc]

    def refuse(self, evidence: Evidence) -> str | None:
        """Nothing kept of the context's last checkpoint."""
        return None if self.read(evidence) else "needs statistics of the context's last checkpoint"

    def read_moments(self, evidence: Evidence) -> Sequence[float]:
        """Of the context's last checkpoint."""
        found = self.read(evidence)
        assert found is not None
        return [found[name] for name in self.moments]


def moments_of(values: Mapping[str, Floats]) -> dict[str, float]:
    """Moments of the statistics there are, (n,) each; positions without a loss are left out."""
    seen = np.isfinite(values["loss"])
    return {
        name: float(function(np.asarray(values[of], dtype=np.float64)[seen]))
        for name, (of, function) in MOMENTS.items()
        if of in values
    }


def sizes_of(curves: CurveTable) -> dict[str, float]:
    """Run → log of its parameters over the geometric mean of all runs'; empty where one's are unknown."""
    params = {curve.key.run: curve.facts.params for curve in curves}
    if not all(params.values()):
        return {}
    mean = np.mean([np.log(size) for size in params.values()])  # type: ignore[arg-type]
    return {run: float(np.log(size) - mean) for run, size in params.items()}  # type: ignore[arg-type]


def reader(stores: Mapping[str, LossStore], sizes: Mapping[str, float] | None = None) -> Read:
    """Moments of these stores at a context's last checkpoint, over what is none of the task's own items.

    sizes: of runs, which stand beside them.
    """
    losses = stores["loss"]
    labels = sorted(set(losses.groups or ()))

    @cache
    def found(run: str, step: int, task: str) -> Mapping[str, float]:
        own = own_items(losses.groups, task)
        kept = slice(None) if own is None else ~own
        moments = moments_of({name: store.read(run, step)[kept] for name, store in stores.items()})
        return moments | ({"size": sizes[run]} if sizes else {})

    @cache
    def steps(run: str) -> frozenset[int]:
        return frozenset(losses.steps(run).tolist())

    def read(evidence: Evidence) -> Mapping[str, float] | None:
        run, step = evidence.context.key.run, int(evidence.context.steps[-1])
        if step not in steps(run):
            return None
        # Tasks without items of their own share what is read.
        task = evidence.context.key.task
        return found(run, step, task if any(owns(task, label) for label in labels) else "")

    return read


def measure(
    curves: CurveTable,
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    laws: Mapping[str, tuple[tuple[str, ...], int]],
    stores: Mapping[str, LossStore],
    origins: Sequence[float],
) -> list[dict[str, Any]]:
    """A row a split, context and law: its error beside those of the law without losses and of one moment.

    splits: name → manifests whose runs are asked in turn.
    """
    read = reader(stores, sizes_of(curves))
    asked = [LawOf(name, moments, powers, read) for name, (moments, powers) in laws.items()]
    rows = []
    for split, parts in splits.items():
        frames = []
        for manifest in parts:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                file.write(json.dumps(manifest))
                file.flush()
                methods = [WITHOUT, *asked]
                results = evaluate([curves], methods, protocol="rolling", manifest=Path(file.name))
            frames.append(gemstones.scored(gemstones.with_origins(results_frame(results))))
        found = pl.concat(frames).filter(pl.col("origin").is_in(origins))
        rows += [row for origin in origins for row in compare(split, found.filter(origin=origin))]
    return rows


def compare(split: str, curves: pl.DataFrame, one: str = ONE_MOMENT) -> list[dict[str, Any]]:
    """A row a method: errors, and by how much the law of one moment errs less or more, by run."""
    runs = curves.group_by("forecaster", "run").agg(pl.col("mae").mean()).sort("run")
    base = runs.filter(forecaster=one)["mae"].to_numpy()
    draws = np.random.default_rng(0).integers(0, len(base), (DRAWS, len(base)))
    rows = []
    for (name,), part in curves.group_by("forecaster", maintain_order=True):
        worse = runs.filter(forecaster=name)["mae"].to_numpy() - base
        low, high = np.quantile(worse[draws].mean(axis=1), (0.025, 0.975))
        scores = {key: round(float(part[key].mean()), 6) for key in ("mae", "pinball", "coverage80")}  # type: ignore[arg-type]
        rows.append(
            {"split": split, "context": part["origin"][0], "law": name, **scores,
             "over_one_moment": round(float(worse.mean()), 6),
             "over_one_moment_95": [round(float(low), 6), round(float(high), 6)],
             "runs": part["run"].n_unique(), "curves": len(part), "refused": float(part["refused"].mean())}  # type: ignore[arg-type]
        )  # fmt: skip
    return rows


def in_turn(table: CurveTable) -> dict[str, list[Mapping[str, Any]]]:
    """Split → manifests: each recipe and size of the llama runs in turn, other architectures at once."""
    facts = {run: table.filter(run=run).curves[0].facts for run in table.runs}
    dense = [run for run in table.runs if str(facts[run].family).endswith("llama")]

    def each(fact: str) -> Iterator[Mapping[str, Any]]:
        for value in sorted({getattr(facts[run], fact) for run in dense}):
            held = [run for run in dense if getattr(facts[run], fact) == value]
            yield {"test": {"run": held}, "train": {"run": [run for run in dense if run not in held]}}

    found = {"recipe": list(each("recipe")), "size": list(each("params"))}
    other = manifests(table).get("architecture")
    return found | ({"architecture": [other]} if other else {})


def score_suite(suite: Path, work: Path, curves: CurveTable) -> dict[str, LossStore]:
    """Losses and statistics of a suite's kept weights on held-out text of its sources, labelled by source.

    Only checkpoints at which a context of the curves may end are scored. Raises InputError where no run of
    the curves has weights.
    """
    from neuneu.losses.checkpoints import Checkpoint, find_checkpoints
    from neuneu.losses.corpus import tokenize_corpus

    facts = read_json(suite / "suite.json")["config"]
    texts = {name: read_json(suite / "text" / f"{name}.held_out.json")[:PIECES] for name in facts["sources"]}
    lines = [json.dumps({"text": piece[:CHARACTERS]}) for pieces in texts.values() for piece in pieces]
    write_text(work / "text.jsonl", "\n".join(lines) + "\n")
    corpus = tokenize_corpus([work / "text.jsonl"], work / "corpus", str(suite / "text" / "tokenizer.json"))
    found: list[Checkpoint] = []
    for run in curves.runs:
        folder = suite / "runs" / run.removeprefix(f"{facts['name']}/") / "weights"
        curve = curves.filter(run=run).curves[0]
        ends = {int(curve.steps[seen(curve, share) - 1]) for share in FRACTIONS if seen(curve, share)}
        kept = find_checkpoints([folder], run=run) if folder.is_dir() else []
        found += [checkpoint for checkpoint in kept if checkpoint.step in ends]
    if not found:
        raise InputError("no run kept its weights (checkpoints.keep_weights: all)", where=suite)
    store = work / "losses.zarr"
    score_checkpoints(found, work / "corpus", store, Scoring(bos=True, statistics=STATISTICS))
    sources = [f"text_{name}" for name, pieces in texts.items() for _ in pieces]
    labels = np.repeat(sources, np.diff(corpus.bounds)[:, 0]).tolist()
    stores = {"loss": open_losses(store)}
    stores |= {name: open_losses(statistic_path(store, name)) for name in STATISTICS}
    for each in stores.values():
        each.groups = labels
    return stores


def packaged() -> dict[str, Any]:
    """The moments of the home suite's packaged losses, on the splits of `benchmarks.home`."""
    curves = read_home_curves()
    splits = {name: [each] for name, each in manifests(curves).items() if name in SPLITS}
    return {"rows": measure(curves, splits, LAWS, {"loss": read_home_losses()}, (0.1, 0.2, 0.5))}


def of_suite(suite: Path, work: Path) -> dict[str, Any]:
    """The statistics of tokens scored with the weights that a folder of the home suite kept."""
    curves = read_home_curves()
    stores = score_suite(suite, work, curves)
    scored = CurveTable(curves.frame.filter(pl.col("run").is_in(stores["loss"].runs)))
    rows = measure(scored, in_turn(scored), STATISTIC_LAWS, stores, (0.1, 0.2))
    steps = sorted({int(step) for run in scored.runs for step in stores["loss"].steps(run)})
    tokens = int(np.isfinite(stores["loss"].read(scored.runs[0], steps[0])).sum())
    return {"runs": scored.runs, "steps": steps, "tokens": tokens, "rows": rows}


def of_gemstones(curves: Path, losses: Path) -> dict[str, Any]:
    """The moments of item losses, each run forecast by what was fitted on the other folds."""
    table = CurveTable.read(curves)
    splits = {"folds": list(gemstones.folds(table.runs))}
    return {"rows": measure(table, splits, LAWS, {"loss": open_losses(losses, table.runs)}, (0.1, 0.2, 0.5))}


def main(argv: Sequence[str] = ()) -> None:
    """Measure a part and put it into the results; without a part there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("home", "gemstones"))
    parser.add_argument("files", type=Path, nargs="*", help="of Gemstones: curves and losses")
    parser.add_argument("--suite", type=Path, help="folder of the home suite, with weights")
    parser.add_argument("--work", type=Path, default=Path("moments"), help="folder for scored losses")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    if asked.part is None:
        print("skipped: name home, or gemstones with a table of curves and a store of their losses")
        return
    if asked.part == "gemstones":
        found = {"gemstones": of_gemstones(*asked.files)}
    elif asked.suite is None:
        found = {"home": packaged()}
    else:
        found = {"statistics": of_suite(asked.suite, asked.work)}
    write_json(asked.output, (read_json(asked.output) if asked.output.exists() else {}) | found)
    for row in (row for document in found.values() for row in document["rows"]):
        errors = f"MAE {100 * row['mae']:.2f}, over one moment {100 * row['over_one_moment']:+.2f}"
        asked_of = f"{row['runs']} runs, {row['curves']} curves"
        print(f"{row['split']:12} {row['context']:.0%} {row['law']:20} {errors}; {asked_of}")


if __name__ == "__main__":
    main(sys.argv[1:])
