"""NeuNeu's cost, the plain way and ours side by side in one run.

The plain way, as the published code has it: every sample carries and encodes its own loss vector, padding and
the whole last layer are worked through; one call per cell, which reads its loss file each time. The published
file has 5,141,512 losses, all cleaned and transformed before the first 256,000 are kept; it is timed so, and
also with a file that holds no more than is needed.

Run `python -m benchmarks.neuneu [--all] [--horizons 29] [--output FILE.json]`. Times are processor seconds of
one thread, so that other work on the machine disturbs them little; each is the best of its repeats. By
default: 256,000 losses, released and small size, once each, under four minutes.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from neuneu.curves.curve import Curve, CurveKey
from neuneu.evidence.evidence import LossView
from neuneu.files import to_json, write_text
from neuneu.forecasters.neuneu.config import LossConfig, ModelConfig, SampleConfig
from neuneu.forecasters.neuneu.encoders import ConvEncoder
from neuneu.forecasters.neuneu.inference import CurveQuestion, Predictor
from neuneu.forecasters.neuneu.network import Layer, NetworkInput, NeuNeu, objective, rotary_angles, rotate
from neuneu.losses.loss_store import MemoryLossStore

TASKS, CONTEXT, BATCH = 66, 8, 256
PUBLISHED = 5_141_512
"""Losses in a file of the published data."""

LONG = 2.0
"""Seconds of work that needs no warming up."""

SIZES = {
    "released": ModelConfig(),
    "small": ModelConfig(width=128, n_layers=2, n_heads=4, feed_forward=512),
}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Processor seconds of the fastest repeat; short work is done once before, to warm up."""
    best = float("inf")
    for repeat in range(repeats + 1):
        began = process_time()
        work()
        best = min(best, process_time() - began)
        if repeat == 0 and best > LONG and repeats == 1:
            break
    return best


def peak(precision: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product on this thread."""
    n = 1024
    a, b = torch.rand(n, n).to(precision), torch.rand(n, n).to(precision)
    return 2 * n**3 / seconds(lambda: a @ b, 3)


def transformer_flops(config: ModelConfig, tokens: int, sequences: int) -> float:
    """Operations of the matrix products of one forward pass; the last layer works on BOS alone."""
    d, f = config.width, config.feed_forward
    whole = 2 * tokens * (4 * d * d + 2 * d * f)
    last = 2 * tokens * 2 * d * d + 2 * sequences * (2 * d * d + 2 * d * f)
    return float((config.n_layers - 1) * whole + last)


def contexts(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values, gaps, mask, target of a batch: contexts of 2 to 22 points, as dropping leaves of 36."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 23, batch)
    mask = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
    values = torch.from_numpy(rng.random(mask.shape, dtype=np.float32)) * mask
    return values, mask.float(), mask, torch.from_numpy(rng.random(batch, dtype=np.float32))


def plain_encode(model: NeuNeu, inputs: torch.Tensor) -> torch.Tensor:
    """The encoder as published: one strided convolution after the other."""
    encoder = model.encoder
    assert isinstance(encoder, ConvEncoder)
    encoded: torch.Tensor = encoder.proj(encoder.pool(encoder.conv(inputs.unsqueeze(1))).flatten(1))
    return encoded


def plain_answer(model: NeuNeu, questions: NetworkInput) -> torch.Tensor:
    """The forward pass as published: padded positions and the whole last layer are computed."""
    assert questions.inputs is not None
    transformer, values = model.transformer, questions.values.unsqueeze(-1)
    context = torch.cat(
        [transformer.value_projection(values), transformer.gap_projection(questions.gaps.unsqueeze(-1))], -1
    )
    bos = transformer.bos.expand(len(values), -1, -1)
    prompt = plain_encode(model, questions.inputs).unsqueeze(1)
    x = torch.cat([bos, prompt, context], dim=1)
    keys = torch.cat([questions.mask.new_ones(len(values), 2), questions.mask], 1)[:, None, None]
    cos, sin = rotary_angles(x.shape[1], transformer.head_width, x.device)
    for layer in transformer.layers:
        assert isinstance(layer, Layer)
        attention, normed = layer.attention, layer.norm1(x)
        q, k, v = (
            part(normed).unflatten(-1, (attention.n_heads, -1)).transpose(1, 2)
            for part in (attention.q, attention.k, attention.v)
        )
        attended = functional.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, keys)
        x = x + attention.out(attended.transpose(1, 2).flatten(2))
        x = x + layer.down(functional.gelu(layer.up(layer.norm2(x))))
    output: torch.Tensor = model.head(transformer.final_norm(x[:, 0]))
    return output


def step(
    model: NeuNeu,
    answer: Callable[[NetworkInput], torch.Tensor],
    questions: NetworkInput,
    target: torch.Tensor,
    *,
    bf16: bool = False,
) -> None:
    """Forward and backward of one batch."""
    model.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = objective(model.config, answer(questions).float(), target)
    loss.backward()


def training(size: str, length: int, distinct: int, repeats: int) -> dict[str, Any]:
    """One training step of 256 samples, which show `distinct` checkpoints."""
    model = NeuNeu(SIZES[size], length)
    values, gaps, mask, target = contexts(BATCH)
    store = np.random.default_rng(1).random((distinct, length)).astype(np.float16)
    view = torch.from_numpy(np.random.default_rng(2).integers(0, distinct, BATCH))

    def gather() -> torch.Tensor:
        return torch.from_numpy(store).float()

    def plain(*, bf16: bool) -> None:
        rows = [store[i].astype(np.float32) for i in view.tolist()]
        inputs = torch.from_numpy(np.stack(rows))
        torch.ones_like(inputs)  # the published collate makes a mask of this size, unused
        questions = NetworkInput(values, gaps, mask, inputs, torch.arange(BATCH))
        step(model, partial(plain_answer, model), questions, target, bf16=bf16)

    def encode() -> None:
        model.zero_grad(set_to_none=True)
        model.encode(gather()).sum().backward()

    def ours(*, bf16: bool) -> None:
        step(model, model, NetworkInput(values, gaps, mask, gather(), view), target, bf16=bf16)

    tokens = int(mask.sum() + 2 * BATCH)
    flops = 3 * transformer_flops(SIZES[size], tokens, BATCH)
    times = {
        "plain": seconds(lambda: plain(bf16=False), repeats),
        "plain_bf16": seconds(lambda: plain(bf16=True), repeats),
        "ours": seconds(lambda: ours(bf16=False), repeats),
        "ours_bf16": seconds(lambda: ours(bf16=True), repeats),
        "encoding": seconds(encode, repeats),
    }
    return {
        "size": size,
        "losses": length,
        "distinct_checkpoints": distinct,
        **{f"{name}_seconds": value for name, value in times.items()},
        "plain_samples_per_second": BATCH / times["plain"],
        "ours_samples_per_second": BATCH / times["ours"],
        "ours_bf16_samples_per_second": BATCH / times["ours_bf16"],
        "speedup": times["plain"] / times["ours"],
        "speedup_bf16": times["plain"] / times["ours_bf16"],
        "speedup_bf16_both": times["plain_bf16"] / times["ours_bf16"],
        "encoding_share": times["encoding"] / times["ours"],
        "plain_batch_bytes": 2 * 4 * BATCH * length,
        "ours_batch_bytes": 4 * distinct * length,
        "transformer_gigaflops": flops / 1e9,
        "times_floor": times["ours"] / (flops / peak(torch.float32)),
        "times_floor_bf16": times["ours_bf16"] / (flops / peak(torch.bfloat16)),
    }


def answering(
    size: str, length: int, n_horizons: int, cells: int, repeats: int, folder: Path
) -> dict[str, Any]:
    """66 tasks × n_horizons of a run, against one call per cell (timed on `cells` of them)."""
    config = SIZES[size]
    model = NeuNeu(config, length).eval()
    rng = np.random.default_rng(3)
    losses = rng.exponential(3.0, PUBLISHED).astype(np.float32)
    np.save(folder / "published.npy", losses)
    np.save(folder / "losses.npy", losses[:length])
    steps = 1000 * np.arange(1, CONTEXT + 1)
    curves = [
        Curve(
            CurveKey("run", f"task-{i}", "acc"), steps, steps.astype(float), "step", rng.random(CONTEXT),
            np.full(CONTEXT, np.nan),
        )
        for i in range(TASKS)
    ]  # fmt: skip
    horizons = 1000.0 * np.arange(CONTEXT + 1, CONTEXT + n_horizons + 1)

    def one_by_one(name: str) -> None:
        for i in range(cells):
            p = np.nan_to_num(np.load(folder / name), nan=0.0, posinf=10.0, neginf=0.0)
            p = np.clip(np.exp(-np.clip(p, 0, 20)), 0, 1 - 1e-6)[:length]
            gaps = torch.ones(1, CONTEXT)
            gaps[0, -1] = 1 + i % n_horizons
            values = torch.from_numpy(curves[i % TASKS].values[None].astype(np.float32))
            with torch.inference_mode():
                inputs = torch.from_numpy(p[None])
                plain_answer(
                    model, NetworkInput(values, gaps, gaps > 0, inputs, torch.zeros(1, dtype=torch.int64))
                )

    def all_at_once(precision: str) -> Callable[[], None]:
        def work() -> None:
            # A new predictor and store each time: nothing is cached between repeats.
            read = np.load(folder / "losses.npy")[None].astype(np.float64)
            store = MemoryLossStore({"run": (steps[-1:], read)}, "benchmark")
            predictor = Predictor(model, LossConfig(), SampleConfig(), precision=precision)  # type: ignore[arg-type]
            predictor.quantiles([CurveQuestion(curve, horizons, LossView(store, "run")) for curve in curves])

        return work

    n = TASKS * n_horizons
    flops = transformer_flops(config, n * (CONTEXT + 2), n)
    plain = seconds(lambda: one_by_one("published.npy"), repeats) / cells * n
    trimmed = seconds(lambda: one_by_one("losses.npy"), repeats) / cells * n
    ours, bf16 = (seconds(all_at_once(precision), repeats) for precision in ("float32", "bf16"))
    return {
        "size": size,
        "losses": length,
        "cells": n,
        "plain_seconds": plain,
        "plain_trimmed_file_seconds": trimmed,
        "ours_seconds": ours,
        "ours_bf16_seconds": bf16,
        "speedup": plain / ours,
        "speedup_bf16": plain / bf16,
        "speedup_trimmed_file": trimmed / ours,
        "speedup_bf16_trimmed_file": trimmed / bf16,
        "plain_milliseconds_per_cell": plain / n * 1e3,
        "ours_milliseconds_per_cell": ours / n * 1e3,
        "ours_bf16_milliseconds_per_cell": bf16 / n * 1e3,
        "transformer_gigaflops": flops / 1e9,
        "weight_bytes": 4 * sum(p.numel() for p in model.transformer.parameters()),
        "times_floor": ours / (flops / peak(torch.float32)),
        "times_floor_bf16": bf16 / (flops / peak(torch.bfloat16)),
    }


def main(argv: Sequence[str] = ()) -> None:
    """Run both halves and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="34,412 losses as well")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--distinct", type=int, default=8, help="distinct checkpoints in a batch")
    parser.add_argument("--horizons", type=int, default=6, help="of each task in the forecasts")
    parser.add_argument("--cells", type=int, default=24, help="cells asked the plain way")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"threads": 1, "torch": torch.__version__, "training": [], "answering": []}
    found |= {"gigaflops": peak(torch.float32) / 1e9, "gigaflops_bf16": peak(torch.bfloat16) / 1e9}
    with tempfile.TemporaryDirectory() as name:
        for length in (256_000, 34_412) if asked.all else (256_000,):
            for size in ("small", "released"):
                folder = Path(name)
                found["training"].append(training(size, length, asked.distinct, asked.repeats))
                answer = answering(size, length, asked.horizons, asked.cells, asked.repeats, folder)
                found["answering"].append(answer)
                sys.stderr.write(f"{size}, {length} losses: done\n")
    text = to_json(found)
    sys.stdout.write(text)
    if asked.output is not None:
        write_text(asked.output, text)


if __name__ == "__main__":
    main(sys.argv[1:])
