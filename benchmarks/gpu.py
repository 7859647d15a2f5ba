"""What a GPU computes, held against the processor. `python -m benchmarks.gpu [--output FILE.json]`.

Says that it skipped, and exits 0, where there is no CUDA device; exits 1 where a difference is beyond its
tolerance. Where there is one: under five minutes. Each check names the largest difference between the two
devices, its tolerance, the throughput of both and the GPU's peak memory. `--device cpu` holds the processor
against itself: the same code, to see that the checks work.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from neuneu.curves.table import CurveTable, columns_of
from neuneu.evidence.evidence import LossView
from neuneu.files import to_json, write_text
from neuneu.forecasters.neuneu.config import LossConfig, ModelConfig, NeuNeuConfig, SampleConfig, parse_config
from neuneu.forecasters.neuneu.data import make_data, training_curves
from neuneu.forecasters.neuneu.forecaster import build_model
from neuneu.forecasters.neuneu.inference import CurveQuestion, Predictor
from neuneu.forecasters.neuneu.network import NeuNeu
from neuneu.forecasters.neuneu.training import Trainer, Workers
from neuneu.losses.forward import token_losses
from neuneu.losses.loss_store import MemoryLossStore
from neuneu.losses.windows import plan_windows

TOLERANCE = {
    "forecast float32": 2e-3,
    "forecast bf16": 2e-2,
    "training float32": 2e-3,
    "training bf16": 1e-2,
    "training fp16": 1e-2,
    "training on two devices": 2e-3,
    "scoring float32": 5e-3,
    "scoring bfloat16": 0.15,
}
"""Largest accepted difference from the processor's float32: quantiles as shares of 1, validation loss, nats a
token. cuDNN convolves float32 in TF32 (10 bits of mantissa); bf16 keeps 8 bits, fp16 11."""

TASKS, RUNS, STEPS = 6, 6, 16


@dataclass(frozen=True)
class Size:
    """How much is computed: as large as a GPU deserves, or tiny to try the checks out."""

    losses: int
    width: int
    layers: int
    training_steps: int
    timed_steps: int
    horizons: int
    hidden: int
    model_layers: int
    vocabulary: int
    compared_tokens: int
    timed_tokens: int


FULL = Size(256_000, 512, 6, 20, 30, 29, 768, 12, 50_304, 4_096, 1_048_576)
TINY = Size(4_096, 32, 1, 6, 2, 4, 32, 2, 512, 256, 1_024)


@dataclass(frozen=True)
class Check:
    """One comparison of the two devices; throughput and memory are null where they were not measured."""

    name: str
    difference: float | None
    tolerance: float
    unit: str
    processor: float | None = None
    device: float | None = None
    peak_megabytes: float | None = None
    skipped: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the difference is within the tolerance, or nothing was compared."""
        return self.skipped is not None or (self.difference is not None and self.difference <= self.tolerance)


@cache
def made_up(size: Size) -> tuple[CurveTable, MemoryLossStore]:
    """Curves that rise and losses that fall."""
    rng = np.random.default_rng(0)
    steps = 1000 * np.arange(1, STEPS + 1)
    rows: list[dict[str, Any]] = []
    for run in range(RUNS):
        for task in range(TASKS):
            rise = rng.uniform(0.2, 0.5) * (1 - np.exp(-np.arange(1, STEPS + 1) / rng.uniform(3, 9)))
            names = {"run": f"run-{run}", "task": f"task-{task}", "metric": "acc", "source": "made-up"}
            rows += [
                {**names, "step": int(step), "value": float(0.25 + value)}
                for step, value in zip(steps, rise, strict=True)
            ]
    hardness = rng.exponential(3.0, size.losses)
    arrays = {
        f"run-{run}": (steps, hardness * (0.4 + np.exp(-np.arange(STEPS) / rng.uniform(3, 9)))[:, None])
        for run in range(RUNS)
    }
    return CurveTable.from_frame(columns_of(rows)), MemoryLossStore(arrays, "made-up")


def configured(size: Size, precision: str, device: str, steps: int) -> NeuNeuConfig:
    """NeuNeu as released, or narrower."""
    document = {
        "forecaster": "neuneu",
        "calibrate": False,
        "model": {
            "width": size.width, "n_layers": size.layers, "n_heads": max(1, size.width // 64),
            "feed_forward": 4 * size.width,
        },
        "samples": {"validation_share": 0.2, "drop": 0.0},
        "training": {
            "batch_size": 256, "epochs": 1000, "max_steps": steps, "learning_rate": 3e-4, "device": device,
            "precision": precision, "log_every": 1000, "evaluate_every": steps, "save_every": 1000,
        },
    }  # fmt: skip
    return parse_config(document, "benchmarks.gpu")


@cache
def train(size: Size, precision: str, device: str, steps: int) -> tuple[float, float]:
    """(validation loss, samples a second) of a training of some steps from the same weights."""
    table, store = made_up(size)
    config = configured(size, precision, device, steps)
    training, validation = make_data(training_curves(table, config), store, config)
    torch.manual_seed(0)
    model, workers = build_model(config, store, training), Workers.from_environment()
    trainer = Trainer(model, config, training, validation, workers=workers)
    began = perf_counter()
    trainer.run()
    wait(device)
    rate = trainer.batch_size * steps / (perf_counter() - began)
    return trainer.score()["loss"], rate


def check_training(size: Size, precision: str, device: str) -> Check:
    """The validation loss after the same steps."""
    name = f"training {precision}"
    if precision == "fp16" and not device.startswith("cuda"):
        return Check(name, None, TOLERANCE[name], "samples/s", skipped="fp16 needs a CUDA device")
    expected, processor = train(size, "float32", "cpu", size.training_steps)
    found, _ = train(size, precision, device, size.training_steps)
    (_, rate), memory = with_memory(device, lambda: train(size, precision, device, size.timed_steps))
    return Check(name, abs(found - expected), TOLERANCE[name], "samples/s", processor, rate, memory)


def check_forecasts(size: Size, precision: str, device: str) -> Check:
    """All quantiles of every task at every horizon."""
    table, store = made_up(size)
    torch.manual_seed(0)
    heads = max(1, size.width // 64)
    shape = {"width": size.width, "n_layers": size.layers, "n_heads": heads, "feed_forward": 4 * size.width}
    model = NeuNeu(ModelConfig(**shape), size.losses)
    horizons = 1000.0 * np.arange(9, 9 + size.horizons)
    contexts = [curve.until(8_000.0) for curve in table]
    questions = [CurveQuestion(c, horizons, LossView(store, c.key.run)) for c in contexts]

    def ask(where: str, kind: str) -> tuple[Any, float]:
        predictor = Predictor(model, LossConfig(), SampleConfig(), precision=kind, device=where)  # type: ignore[arg-type]
        began = perf_counter()
        found = np.concatenate(predictor.quantiles(questions))
        return found, len(found) / (perf_counter() - began)

    expected, processor = ask("cpu", "float32")
    ask(device, precision)
    (found, rate), memory = with_memory(device, lambda: ask(device, precision))
    name = f"forecast {precision}"
    return Check(name, gap(found, expected), TOLERANCE[name], "cells/s", processor, rate, memory)


def check_scoring(size: Size, precision: str, device: str) -> Check:
    """The loss of each token under a Llama with random weights."""
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=size.vocabulary, hidden_size=size.hidden, intermediate_size=4 * size.hidden,
        num_hidden_layers=size.model_layers, num_attention_heads=max(1, size.hidden // 64),
        max_position_embeddings=1024,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()

    def score(where: str, kind: str, count: int) -> tuple[Any, float]:
        tokens = np.random.default_rng(1).integers(0, size.vocabulary, count)
        starts = np.arange(0, count, min(1024, count))
        windows = plan_windows(np.stack([starts, np.append(starts[1:], count)], axis=1), 1024, 512)
        began = perf_counter()
        losses = token_losses(model.to(where), tokens, windows, batch_tokens=16_384, precision=kind)
        return losses[~np.isnan(losses)], count / (perf_counter() - began)

    expected, processor = score("cpu", "float32", size.compared_tokens)
    found, _ = score(device, precision, size.compared_tokens)
    (_, rate), memory = with_memory(device, lambda: score(device, precision, size.timed_tokens))
    name = f"scoring {precision}"
    return Check(name, gap(found, expected), TOLERANCE[name], "tokens/s", processor, rate, memory)


def check_two_devices(size: Size, device: str) -> Check:
    """Training split over two processes by torchrun, a GPU each."""
    name = "training on two devices"
    count = torch.cuda.device_count() if device.startswith("cuda") else 2
    if count < 2:
        return Check(name, None, TOLERANCE[name], "samples/s", skipped="there is one GPU")
    expected, processor = train(size, "float32", device, size.training_steps)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.txt"
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            "-m", "benchmarks.gpu", "--part", str(result), "--device", device,
        ]  # fmt: skip
        done = subprocess.run(
            [*command, *(["--tiny"] if size == TINY else [])], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"torchrun failed:\n{done.stderr[-2000:]}")
        found, rate = map(float, result.read_text().split())
    return Check(name, abs(found - expected), TOLERANCE[name], "samples/s", processor, rate)


def gap(found: Any, expected: Any) -> float:
    """Largest absolute difference."""
    return float(np.abs(found - expected).max())


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def with_memory(device: str, work: Callable[[], Any]) -> tuple[Any, float | None]:
    """What the work gives, and the GPU's peak memory in MB while it worked."""
    if not device.startswith("cuda"):
        return work(), None
    torch.cuda.reset_peak_memory_stats()
    found = work()
    return found, torch.cuda.max_memory_allocated() / 2**20


def run_checks(device: str, size: Size) -> list[Check]:
    """All checks, the cheapest first."""
    checks = [check_forecasts(size, precision, device) for precision in ("float32", "bf16")]
    checks += [check_scoring(size, precision, device) for precision in ("float32", "bfloat16")]
    checks += [check_training(size, precision, device) for precision in ("float32", "bf16", "fp16")]
    return [*checks, check_two_devices(size, device)]


def show(check: Check) -> str:
    """A line for people."""
    if check.skipped is not None:
        return f"{check.name}: skipped, {check.skipped}"
    speeds = [f"{rate:,.0f}" for rate in (check.processor, check.device) if rate is not None]
    memory = "" if check.peak_megabytes is None else f", peak {check.peak_megabytes:,.0f} MB"
    verdict = "equal" if check.ok else "DIFFERENT"
    return (
        f"{check.name}: {verdict}, off by {check.difference:.2g} of {check.tolerance:g} allowed; "
        f"{' → '.join(speeds)} {check.unit}{memory}"
    )


def main(argv: Sequence[str] = ()) -> None:
    """Print a line a check, write them all to --output; exit 1 where one is beyond its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small enough for any processor")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    size = TINY if asked.tiny else FULL
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("gpu: skipped, there is no CUDA device here")
        if asked.output is not None:
            write_text(asked.output, to_json({"skipped": "there is no CUDA device here"}))
        return
    if asked.part is not None:  # one of torchrun's processes
        loss, rate = train(size, "float32", asked.device, size.training_steps)
        if Workers.from_environment().rank == 0:
            write_text(asked.part, f"{loss} {rate}")
        return
    began = perf_counter()
    checks = run_checks(asked.device, size)
    for check in checks:
        print(show(check), flush=True)
    name = torch.cuda.get_device_name() if asked.device.startswith("cuda") else asked.device
    found = {"device": name, "torch": torch.__version__, "seconds": perf_counter() - began}
    if asked.output is not None:
        write_text(asked.output, to_json({**found, "checks": [{**asdict(c), "ok": c.ok} for c in checks]}))
    if not all(check.ok for check in checks):
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
