"""NeuNeu, its ablations, neuneu-2 and classical methods on the home suite, with real token losses.

Run `python -m benchmarks.home [--splits recipe,size] [--forecasters neuneu-2] [--context 0.2]`.
Each split is one call of `neuneu evaluate --manifest`: recipe, size, seed, task, architecture. The last
one, `text`, trains NeuNeu on the losses of one source's windows and forecasts with those of another source,
on the runs that the recipe split holds out. Writes benchmarks/results/home-suite.json and .md; splits that
are in that file already and are not asked for stay, and so do rows of forecasters that are not named.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neuneu.curves.table import CurveTable
from neuneu.files import read_json, write_json, write_text
from neuneu.forecasters.neuneu.forecaster import small_config
from neuneu.losses.loss_store import LossStore
from neuneu.losses.open import open_losses
from neuneu.suite.home import CURVES, LOSSES

RESULTS = Path(__file__).parent / "results"
CLASSICAL = ("last-value", "mean-k", "log-linear", "power-law", "gaussian-process", "lightgbm")
NEURAL = (
    "neuneu",
    "neuneu-average",
    "neuneu-noloss",
    "neuneu-levels",
    "neuneu-residual",
    "loss-law",
    "rise-law",
)
SPLITS = ("recipe", "size", "seed", "task", "architecture")
HELD_OUT_RECIPES = ("prose",)
TRAINED_TEXT, OTHER_TEXTS = "dictionary", ("dictionary", "prose", "code")


def manifests(table: CurveTable) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Split → manifest; a split that the table has no runs for is left out."""
    facts = {run: table.filter(run=run).curves[0].facts for run in table.runs}
    dense = [run for run in table.runs if str(facts[run].family).endswith("llama")]

    def part(test: Callable[[str], bool], runs: Sequence[str] = dense) -> dict[str, Any]:
        return {
            "train": {"run": [run for run in runs if not test(run)]},
            "test": {"run": [run for run in runs if test(run)]},
        }

    largest = max(facts[run].params or 0 for run in dense)
    found = {
        "recipe": part(lambda run: facts[run].recipe in HELD_OUT_RECIPES),
        "size": part(lambda run: facts[run].params == largest),
        "seed": part(lambda run: facts[run].seed == "1"),
        "task": part(lambda run: dense.index(run) % 3 == 0),
        "architecture": part(lambda run: run not in dense, table.runs),
    }
    # Tasks: every third is asked, of runs that were not trained on either.
    found["task"]["test"]["task"] = table.tasks[::3]
    found["task"]["train"]["task"] = sorted(set(table.tasks) - set(table.tasks[::3]))
    return {name: split for name, split in found.items() if split["train"]["run"] and split["test"]["run"]}


def evaluate(
    curves: Path, losses: Path, manifest: dict[str, Any], forecasters: Sequence[str], context: float
) -> dict[str, Any]:
    """The leaderboard that `neuneu evaluate` gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.yaml"
        path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
        command = [sys.executable, "-m", "neuneu", "evaluate", str(curves), "--losses", str(losses)]
        command += ["--manifest", str(path), "--forecasters", ",".join(forecasters)]
        command += ["--context", str(context), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def rows_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers of a leaderboard that are kept, a row a forecaster."""
    kept = (
        "forecaster",
        "mae",
        "pinball",
        "coverage80",
        "width80",
        "n_runs",
        "n_curves",
        "n_cells",
        "n_refused",
    )
    return [
        {name: row[name] for name in kept} | {"mae_95": row["intervals"]["mae"]}
        for row in document["overall"]
    ]


def together(
    known: dict[str, Any] | None, manifest: dict[str, Any], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """New rows of a split, beside what is known of other forecasters on the same runs, the best first."""
    kept = known["rows"] if known is not None and known["manifest"] == manifest else []
    by_name = {row["forecaster"]: row for row in [*kept, *rows]}
    return sorted(by_name.values(), key=lambda row: row["mae"])


def one_text(losses: LossStore, source: str, folder: Path) -> Path:
    """A store of the losses of one source's windows alone."""
    assert losses.groups is not None
    at = np.array([group == f"text_{source}" for group in losses.groups])
    target = folder / source
    target.mkdir()
    for run in losses.runs:
        steps = losses.steps(run)
        values = np.stack([losses.read(run, int(step))[at] for step in steps]).astype(np.float16)
        np.savez(target / f"{run.replace('/', '-')}.npz", steps=steps, **{f"validation_{source}": values})
    return target


def other_texts(curves: Path, losses: Path, manifest: dict[str, Any], context: float) -> dict[str, Any]:
    """Forecasters trained on one text's losses: rows with its losses and with those of other texts."""
    table = CurveTable.read(curves)
    store = open_losses(losses, table.runs)
    results: dict[str, Any] = {name: {} for name in ("neuneu", "neuneu-levels")}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        texts = {source: one_text(store, source, folder) for source in OTHER_TEXTS}
        for name in results:
            # What `fit` trains, as a file.
            config = small_config(name).model_dump(mode="json", exclude={"output"})
            config["samples"]["validation_share"] = 0.2
            config["data"] = {
                "curves": [str(curves)],
                "losses": str(texts[TRAINED_TEXT]),
                "exclude_runs": sorted(set(table.runs) - set(manifest["train"]["run"])),
            }
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
            command = [sys.executable, "-m", "neuneu", "train", str(folder / f"{name}.yaml")]
            subprocess.run([*command, "-o", str(folder / name)], check=True)
            # Losses of another text are refused, unless the folder does not say which it was trained on.
            document = read_json(folder / name / "config.json")
            write_json(folder / name / "config.json", document | {"fingerprint": None})
        for source in OTHER_TEXTS:
            models = [str(folder / name) for name in results]
            rows = rows_of(evaluate(curves, texts[source], manifest, models, context))
            for name, found in results.items():
                found[source] = next(row for row in rows if Path(row["forecaster"]).name == name)
    return results


def table_of(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# The home suite: forecasts with real token losses",
        "",
        "`python -m benchmarks.home`; home-suite.json beside this file has the runs of each split. Context:",
        f"the first {results['context']:.0%} of the clock, all later checkpoints asked. MAE, pinball and",
        "width in points of accuracy, 95 % interval by run; cov80: share inside the 80 % interval. One seed.",
    ]
    head = "| {} | MAE | 95 % | pinball | cov80 | width80 | declined |"
    for name, split in results["splits"].items():
        lines += ["", f"## Held out: {name} ({_counts(split, split['rows'][0])})", ""]
        lines += [head.format("forecaster"), "|---|---|---|---|---|---|---|"]
        lines += [_line(row["forecaster"], row) for row in split["rows"]]
    if "text" in results:
        split, rows = results["text"], results["text"]["rows"]
        lines += ["", f"## Another text: trained on the losses of {TRAINED_TEXT}", ""]
        lines += [f"Held out: recipe ({_counts(split, rows['neuneu'][TRAINED_TEXT])}).", ""]
        lines += [head.format("forecaster, losses of"), "|---|---|---|---|---|---|---|"]
        lines += [_line(f"{name}, {source}", row) for name in rows for source, row in rows[name].items()]
    return "\n".join(lines) + "\n"


def _counts(split: dict[str, Any], row: dict[str, Any]) -> str:
    trained = len(split["manifest"]["train"]["run"])
    return f"{row['n_runs']} runs, {row['n_curves']} curves; fitted on {trained} runs"


def _line(name: str, row: dict[str, Any]) -> str:
    # Runs are what the interval draws from: one run has none.
    interval = "–" if row["mae_95"] is None else "{:.2f}–{:.2f}".format(*(100 * b for b in row["mae_95"]))
    inside = "–" if row["coverage80"] is None else f"{row['coverage80']:.0%}"
    pinball, width = ("–" if row[key] is None else f"{100 * row[key]:.2f}" for key in ("pinball", "width80"))
    return (
        f"| {name} | {100 * row['mae']:.2f} | {interval} | {pinball} | {inside} | {width} "
        f"| {row['n_refused']} |"
    )


def main() -> None:
    """Run the splits asked for; each is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", default=",".join((*SPLITS, "text")))
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--losses", type=Path, default=LOSSES)
    parser.add_argument("--context", type=float, default=0.2)
    parser.add_argument("--forecasters", default=",".join((*CLASSICAL, *NEURAL, "neuneu-2")))
    parser.add_argument("--output", type=Path, default=RESULTS / "home-suite")
    arguments = parser.parse_args()
    table = CurveTable.read(arguments.curves)
    splits = manifests(table)
    asked = arguments.splits.split(",")
    path = arguments.output.with_suffix(".json")
    results: dict[str, Any] = read_json(path) if path.exists() else {}
    if results.get("context") != arguments.context:
        results = {"context": arguments.context, "splits": {}}
    for name in asked:
        if name in splits:
            names = arguments.forecasters.split(",")
            document = evaluate(arguments.curves, arguments.losses, splits[name], names, arguments.context)
            rows = together(results["splits"].get(name), splits[name], rows_of(document))
            results["splits"][name] = {"manifest": splits[name], "rows": rows}
        elif name == "text" and "recipe" in splits:
            rows = other_texts(arguments.curves, arguments.losses, splits["recipe"], arguments.context)
            results["text"] = {"manifest": splits["recipe"], "rows": rows}
        else:
            print(f"{name}: no runs to hold out", file=sys.stderr)
            continue
        write_json(path, results)
        write_text(arguments.output.with_suffix(".md"), table_of(results))
    print(table_of(results))


if __name__ == "__main__":
    main()
