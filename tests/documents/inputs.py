"""Small inputs that pages find in their folder: made, or taken from the packaged runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
from tests.conftest import ROOT

from neuneu.curves.table import CurveTable
from neuneu.suite.home import read_home_curves

KITS: dict[str, Callable[[Path], None]] = {}


def kit(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Register a kit under its function's name."""
    KITS[function.__name__] = function
    return function


def make(names: str, folder: Path) -> None:
    """Put kits into a folder."""
    for name in names.split(","):
        KITS[name.strip()](folder)


@kit
def results(folder: Path) -> None:
    """results/: one run's lm-evaluation-harness results, six checkpoints."""
    shutil.copytree(ROOT / "examples/results/mix-a", folder / "results")


@kit
def runs(folder: Path) -> None:
    """runs.parquet: two runs in flight, of those results."""
    import neuneu as nn

    table = nn.read_lm_eval(ROOT / "examples/results", tokens_per_step=2_097_152, planned_tokens=4e10)
    table.write(folder / "runs.parquet")


@kit
def old_runs(folder: Path) -> None:
    """old-runs.parquet: four finished packaged runs on three tasks."""
    _packaged(lambda run: "llama-50k" in run and run.endswith("seed0"), 4).write(folder / "old-runs.parquet")


@kit
def curves(folder: Path) -> None:
    """curves.parquet: three finished packaged runs on three tasks."""
    _packaged(lambda run: "llama-800k" in run and run.endswith("seed0"), 3).write(folder / "curves.parquet")


def _packaged(wanted: Callable[[str], bool], most: int) -> CurveTable:
    table = read_home_curves()
    names = [run for run in table.runs if wanted(run)][:most]
    return table.filter(run=names, task=["text_prose", "text_code", "piqa", "arc_easy"])


@kit
def in_flight(folder: Path) -> None:
    """in-flight.parquet: packaged runs of one size, as they stood at half of their training."""
    table = _packaged(lambda run: "llama-800k" in run and run.endswith("seed0"), 3)
    half = table.frame.filter(pl.col("tokens") < pl.col("planned_tokens") / 2)
    CurveTable.from_frame(half).write(folder / "in-flight.parquet")


@kit
def my_runs(folder: Path) -> None:
    """my-runs.parquet: finished runs with parameters and tokens, to extend the atlas."""
    import numpy as np

    tokens = np.geomspace(1e9, 1e11, 10).astype(int)
    rows = {"run": "mine", "task": "hellaswag", "metric": "acc_norm", "step": np.arange(1, 11) * 1000,
            "tokens": tokens, "value": 0.6 - 3.3 * (tokens / 1e7) ** -0.4, "params": 1_300_000_000,
            "n_shot": 0, "family": "mine", "planned_tokens": 100_000_000_000}  # fmt: skip
    CurveTable.from_frame(pl.DataFrame(rows)).write(folder / "my-runs.parquet")


@kit
def more(folder: Path) -> None:
    """more.csv: another packaged run."""
    _packaged(lambda run: "mamba-50k" in run, 1).write(folder / "more.csv")


@kit
def history(folder: Path) -> None:
    """history.jsonl: a history of Weights & Biases."""
    lines = [
        {"_step": step, "eval/piqa/acc": 0.5 + step / 1e5, "train/tokens": step * 1000}
        for step in range(0, 5000, 500)
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@kit
def pythia_clone(folder: Path) -> None:
    """pythia/: two result files where EleutherAI's repository has them."""
    for step in (1000, 3000):
        document = {"results": {"piqa": {"acc": 0.5 + step / 1e5}}, "config": {"num_fewshot": 0}}
        path = folder / f"pythia/evals/pythia-v1/pythia-70m/zero-shot/70m_step{step}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))


@kit
def two_sources(folder: Path) -> None:
    """ladder.parquet and pythia.parquet: packaged runs under two families' names, split.yaml beside."""
    for name, size in (("ladder", "50k"), ("pythia", "200k")):
        table = _packaged(lambda run, size=size: f"llama-{size}" in run and run.endswith("seed0"), 3)  # type: ignore[misc]
        named = table.frame.with_columns(family=pl.lit(name), source=pl.lit(name))
        CurveTable.from_frame(named).write(folder / f"{name}.parquet")


@kit
def new_run(folder: Path) -> None:
    """new-run.parquet: a packaged run at half of its training, called my-run; finished-runs.parquet."""
    home = read_home_curves().filter(task=["text_prose", "text_code", "piqa"])
    half = home.filter(run="home/llama-800k-prose-seed0").frame.filter(pl.col("tokens") < 500_000)
    CurveTable.from_frame(half.with_columns(run=pl.lit("my-run"))).write(folder / "new-run.parquet")
    home.filter(run=[run for run in home.runs if "llama-200k" in run]).write(folder / "finished-runs.parquet")


@kit
def samples(folder: Path) -> None:
    """results/step1000 and step2000: what each of 400 items of piqa got, with --log_samples."""
    import numpy as np

    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.6
    for step, right in ((1000, first), (2000, first | (rng.random(400) < 0.2))):
        rows = [
            {"doc_id": i, "doc_hash": f"h{i}", "target": "0", "acc": float(one)}
            for i, one in enumerate(right)
        ]
        place = folder / f"results/step{step}/samples_piqa_2026-01-01T00-00-00.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(json.dumps(row) + "\n" for row in rows))


@kit
def ledger(folder: Path) -> None:
    """forecasts.jsonl and curves.parquet: forecasts of half a run, and the run as it ended."""
    import neuneu as nn
    from neuneu.decisions.ledger import enter

    run = _packaged(lambda run: "llama-800k-prose-seed0" in run, 1)
    run.write(folder / "curves.parquet")
    half = CurveTable.from_frame(run.frame.filter(pl.col("tokens") < pl.col("planned_tokens") / 2))
    enter(nn.forecast(half, tasks="text_prose"), folder / "forecasts.jsonl")


@kit
def evaluations(folder: Path) -> None:
    """results/a, b, cnn and noloss: evaluations of packaged runs, by the last steps only."""
    import neuneu as nn

    table = _packaged(lambda run: "llama-50k" in run, 3)
    for name, method in (("a", "log-linear"), ("b", "mean-k"), ("cnn", "log-linear"), ("noloss", "mean-k")):
        nn.evaluate(table, method, tasks="text_prose", fit=False).write(folder / f"results/{name}")


@kit
def loss_store(folder: Path) -> None:
    """losses.zarr: a checkpoint's losses of a hundred tokens."""
    import numpy as np

    from neuneu.losses.zarr_store import ZarrLossStore

    store = ZarrLossStore.create(folder / "losses.zarr", fingerprint="made", n_positions=100)
    store.write("web-300M", 1000, np.linspace(0.1, 9, 100))
